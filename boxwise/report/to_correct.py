"""Labels written into a folder for a person to correct: what was corrected there is not written over before it was imported, and what comes
back as it was written is known.

A record in the folder has the digest of each file and the boxes of each image. Knows nothing of how the images were chosen.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from boxwise.annotation.comparison import same_labels
from boxwise.boxes import Boxes
from boxwise.data.earlier_writes import digest_of
from boxwise.data.formats.base import Dataset
from boxwise.data.formats.coco import Coco
from boxwise.data.formats.coco_files import coco_files
from boxwise.data.formats.detect import detect_format
from boxwise.data.formats.layout import bytes_of, files_below, is_file, is_folder, leads_out, stem_of
from boxwise.data.formats.names import FORMATS
from boxwise.errors import BoxwiseError, named
from boxwise.files import replacing

_RECORD = ".written_to_correct.json"
_LABEL_FOLDERS = ("Annotations", "labels")
_FILE_AN_IMAGE = ("voc", "yolo")
_SUFFIXES = {"voc": ".xml", "yolo": ".txt", "cvat": ".xml"}


@dataclass(frozen=True)
class Written:
    """What boxwise has written into a folder to be corrected.

    format_name: of the labels. digests: path below the folder → digest as written. known: digests of contents that boxwise wrote or took
    in, which may be written over. boxes: image_id → [class, x1, y1, x2, y2] of each box, of the images that no import has taken yet.
    """

    folder: Path
    format_name: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    boxes: Mapping[str, Sequence[Sequence[Any]]] = field(default_factory=dict)

    @staticmethod
    def beside(labels: Path) -> Written:
        """That of the folder in which the labels lie; empty where there is no record that can be read."""
        folder = labels.parent if is_file(labels) or labels.name in _LABEL_FOLDERS else labels
        with suppress(BoxwiseError, ValueError, KeyError, TypeError, AttributeError):
            kept = json.loads(bytes_of(folder / _RECORD))
            digests = {path: digest for path, digest in kept["digests"].items() if not leads_out(path)}
            return Written(folder, kept["format"], digests, frozenset(kept["known"]), dict(kept["boxes"]))
        return Written(folder)

    def untouched(self, labels: Mapping[str, Boxes], classes: Sequence[str], format_name: str | None) -> set[str]:
        """The images whose labels, read from files of a format, are as they were written: the same boxes to within half a pixel.

        A file of one image that was saved since is touched, whatever is in it: somebody has looked at it.
        """
        there = [image_id for image_id in labels if image_id in self.boxes]
        of_one = self._files() if format_name == self.format_name and format_name in _FILE_AN_IMAGE else {}
        unsaved = [i for i in there if i not in of_one or _digest_at(self.folder / of_one[i]) == self.digests[of_one[i]]]
        return {i for i in unsaved if same_labels(labels[i], _as_boxes(self.boxes[i], classes))}

    def is_all_of(self, format_name: str) -> bool:
        """Whether the labels of a format in the folder are those that were written, each as it was."""
        return format_name == self.format_name and all(_digest_at(self.folder / path) == digest for path, digest in self.digests.items())

    def take_in(self, image_ids: Iterable[str], read: Iterable[Path]) -> None:
        """Labels of these images were imported from the files `read`: as these are now they may be written over.

        Nothing is noted where the folder is read-only: then its files stay as they are.
        """
        if self.digests:
            taken = set(image_ids)
            known = self.known | {digest_of(path) for path in read if is_file(path)}
            boxes = {image_id: rows for image_id, rows in self.boxes.items() if image_id not in taken}
            with suppress(BoxwiseError):
                replace(self, known=known, boxes=boxes).save()

    def save(self) -> None:
        kept = {"format": self.format_name, "digests": self.digests, "known": sorted(self.known), "boxes": self.boxes}
        with replacing(self.folder / _RECORD) as aside:
            aside.write_text(json.dumps(kept), encoding="utf-8")

    def _files(self) -> dict[str, str]:
        """Image id → its label file, of those that were written."""
        by_name = {stem_of(path.partition("/")[2]): path for path in self.digests if "/" in path}
        return {i: path for i in self.boxes if (path := by_name.get(i) or by_name.get(stem_of(i))) is not None}


def files_read(labels: Path, format_name: str | None) -> list[Path]:
    """The label files of one of the formats that are written, as a reader would read them there."""
    if is_file(labels):
        return [labels]
    if format_name == Coco.name:
        return coco_files(labels)[0]
    return files_below(labels, _SUFFIXES[format_name]) if format_name in _SUFFIXES else []


def write_to_correct(dataset: Dataset, out: Path, name: str, format_name: str) -> None:
    """The labels with the images beside them; name: COCO's file, which says that it is no answer, so that another one beside it counts.

    Raises BoxwiseError, before anything is written, where labels of another format lie there, or a file that was changed since it was
    written. What an earlier call has written and this one does not is removed, unless it was changed.
    """
    before = Written.beside(out)
    _check_format(out, format_name)
    with TemporaryDirectory() as aside:
        planned = _write(dataset, Path(aside), name, format_name, copy_images=False)
        digests = {path.relative_to(aside).as_posix(): digest_of(path) for path in planned}
    _check_unchanged(before, digests)
    stale = [out / path for path, digest in before.digests.items() if path not in digests and _digest_at(out / path) == digest]
    boxes = {image_id: _rows(boxes, dataset.classes) for image_id, boxes in dataset.labels.items()}
    # Before the files: after a kill in between, both what was there and what is to come may be written over.
    Written(out, format_name, digests, before.known | set(before.digests.values()) | set(digests.values()), boxes).save()
    _write(dataset, out, name, format_name, copy_images=True)
    for path in stale:
        path.unlink()


def _write(dataset: Dataset, out: Path, name: str, format_name: str, *, copy_images: bool) -> list[Path]:
    if format_name == Coco.name:
        return Coco().write(dataset, out / name, copy_images=copy_images, to_correct=True)
    return named("format", FORMATS, format_name).write(dataset, out, copy_images=copy_images)


def _check_format(out: Path, format_name: str) -> None:
    there = detect_format(out) if is_folder(out) else None
    if there not in (None, format_name):
        message = f"{out}: expected no labels, or those of {format_name}, found labels of {there}, which could not be read beside these."
        raise BoxwiseError(f"{message} Import them first and give another --out, or --format {there}.")


def _check_unchanged(before: Written, digests: Mapping[str, str]) -> None:
    may_go = before.known | set(before.digests.values())
    kept = [path for path, new in digests.items() if (old := _digest_at(before.folder / path)) is not None and old not in (may_go | {new})]
    if kept:
        more = f" and {len(kept) - 1} more" if len(kept) > 1 else ""
        was = "was changed since it was written" if kept[0] in before.digests else "was not written by boxwise"
        raise BoxwiseError(f"{before.folder / kept[0]}{more} {was}. Nothing was written: import it first, or give another --out.")


def _digest_at(path: Path) -> str | None:
    return digest_of(path) if is_file(path) else None


def _rows(boxes: Boxes, classes: Sequence[str]) -> list[list[Any]]:
    return [[classes[label], *edges] for label, edges in zip(boxes.labels, boxes.xyxy.tolist(), strict=True)]


def _as_boxes(rows: Sequence[Sequence[Any]], classes: Sequence[str]) -> Boxes:
    """The boxes in the classes of now; one whose class is gone has a label that none has."""
    numbers = {name: number for number, name in enumerate(classes)}
    edges = np.array([row[1:] for row in rows], np.float32).reshape(-1, 4)
    return Boxes(edges, np.array([numbers.get(row[0], len(classes)) for row in rows], np.int64))
