"""Options of the verbs that read label files, and what those files have to say for themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxwise.errors import BoxwiseError, listed, plural

if TYPE_CHECKING:
    from boxwise.boxes import Boxes
    from boxwise.data.formats.base import Coordinates, Finding
    from boxwise.study import Study
    from boxwise.study.incoming import News

_MOST_SHOWN = 20  # findings, or images, on the screen
FormatName = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="voc, coco, yolo, cvat, labelstudio, labelme, openimages, createml, kitti, via or visdrone; guessed when not given.",
    ),
]


class Missing(StrEnum):
    """What an image without any box is on import."""

    EMPTY = "empty"
    UNLABELED = "unlabeled"


class Untouched(StrEnum):
    """What an image is on import that comes back exactly as it was written to be corrected."""

    ACCEPT = "accept"
    WAIT = "wait"


class Pixels(StrEnum):
    """Which pixels labels were drawn on."""

    UPRIGHT = "upright"
    RAW = "raw"


Images = Annotated[
    str | None,
    typer.Option(
        metavar="DIR|ADDRESS|LIST",
        help="Images: a folder with its subfolders, s3://, gs:// or az:// with a folder, a tar file, or a file that lists addresses.",
    ),
]
LabelsIn = Annotated[Pixels, typer.Option(help="raw: labels were drawn before EXIF turned the photo upright; they turn with it.")]
VocOrigin = Annotated[int, typer.Option(min=0, max=1, help="What VOC files call the first pixel; 1 in those of the VOC devkit.")]


def coordinates(labels_in: Pixels, voc_origin: int) -> Coordinates:
    """What the numbers of label files mean."""
    from boxwise.data.formats.base import Coordinates

    return Coordinates(raw=labels_in is Pixels.RAW, voc_origin=voc_origin)


def say_findings(findings: Sequence[Finding], study: Path | None) -> None:
    """The findings of reading labels; where they are many, the first of them, and all in a file of the study's folder, if one is given."""
    from boxwise.cli.console import note
    from boxwise.data.own_files import FINDINGS

    lines = [f"{finding.kind.value}: {finding.message}" for finding in findings]
    first, more = lines[:_MOST_SHOWN], lines[_MOST_SHOWN:]
    for line in first:
        note(line)
    if not more:
        return
    if study is not None and _written(study / FINDINGS, lines):
        note(f"... and {plural(len(more), 'more finding')}; all of them are in {study / FINDINGS}.")
    else:
        for line in more:
            note(line)


def _written(path: Path, lines: Sequence[str]) -> bool:
    """Whether the lines could be written; where they could not, as on a full disk, the labels count all the same."""
    from boxwise.files import replacing

    try:
        with replacing(path) as aside:
            aside.write_text("\n".join([*lines, ""]), encoding="utf-8")
    except BoxwiseError:
        return False
    return True


def with_boxes(labels: Mapping[str, Boxes]) -> dict[str, Boxes]:
    """The labels of the images that have any box."""
    return {image_id: boxes for image_id, boxes in labels.items() if len(boxes)}


def understood(labels: Mapping[str, Boxes], new: Set[str], asked: Set[str], missing: Missing | None) -> Iterator[str]:
    """What an import made of images without boxes, and of new labels that nothing had asked for."""
    empty = len(labels) - len(with_boxes(labels))
    if missing is not Missing.UNLABELED:
        meant, other = "taken as empty, with nothing to find", "unlabeled leaves them open"
    else:
        meant, other = "left open", "empty takes them as labelled, with nothing to find"
    if empty:
        yield f"{plural(empty, 'image', 'has')} no box, of {len(labels)}: {meant}; --missing {other}."
    if unasked := len(new - asked):
        yield f"{plural(unasked, 'image', 'was')} not asked for now, of {len(new)}: these labels count all the same."


def left_as_they_are(untouched: Set[str], meanwhile: Mapping[str, str], gone: Mapping[str, str]) -> Iterator[str]:
    """That images were not taken: those that came back as they were written, those that somebody, by name, labelled meanwhile, and those
    that went out of use meanwhile, and why.
    """
    if untouched:
        them, they = ("it", "it is") if len(untouched) == 1 else ("them", "they are")
        yield (
            f"{plural(len(untouched), 'image', 'is')} as boxwise wrote {them}: left waiting; `--untouched accept` takes {them} as {they}."
        )
    if meanwhile:
        people, names = sorted(set(meanwhile.values())), listed(meanwhile, _MOST_SHOWN)
        yield (
            f"{plural(len(meanwhile), 'image', 'was')} labelled meanwhile, by {' and '.join(people)}: {names}; left as answered. "
            f"Import again to replace {'it' if len(meanwhile) == 1 else 'them'}."
        )
    if gone:
        named = listed([f"{image_id} ({why})" for image_id, why in gone.items()], _MOST_SHOWN)
        yield f"{plural(len(gone), 'image')} went out of use meanwhile: {named}; nothing was taken of {'it' if len(gone) == 1 else 'them'}."


def taken_as_saved(saved: Set[str]) -> Iterator[str]:
    """That files were taken for looked at in which no box has changed."""
    if saved:
        yield f"{plural(len(saved), 'file', 'was')} saved with the boxes as boxwise wrote them: taken as looked at."


def kept_from_a_query(faulty: Sequence[Path]) -> Iterator[str]:
    """That files of which something was not taken are not written over."""
    if faulty:
        has, it = ("have", "them") if len(faulty) > 1 else ("has", "it")
        yield (
            f"{listed(faulty, most=1)} {has} findings: `boxwise query` does not write over {it}. Mend {it} and import {it} again, "
            "or give the query another --out."
        )


def not_read_there(path: Path, others: Sequence[str]) -> Iterator[str]:
    """That labels of other formats lie beside those that are read."""
    for name in others:
        yield f"{path}: labels of the format {name} lie there, too, and are not read; --format {name} reads them."


def say_what_would_be_taken(opened: Study, news: News, annotator: str) -> None:
    """What an import would take in, from whom, and whose labels it would replace."""
    from boxwise.cli.console import say

    say(f"Nothing is taken: it would be labels of {plural(len(news.acts), 'image')}, from {annotator}; {news.known} are known already.")
    for image_id in news.replaced[:_MOST_SHOWN]:
        whose = next(entry.annotator for entry in reversed(opened.history(image_id)) if not entry.late)
        say(f"{image_id}: would replace the labels of {whose}.")
    if (more := len(news.replaced) - _MOST_SHOWN) > 0:
        say(f"... and {more} more {'image' if more == 1 else 'images'}.")
