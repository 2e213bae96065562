"""Labels written into a folder for a person to correct: what was corrected there is not written over before it was imported.

A record in the folder has the digest of each file. Knows nothing of how the images were chosen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

from boxwise.data.earlier_writes import LABELS, ToCorrect, digest_of, digests_of, were_changed
from boxwise.data.formats.base import Dataset
from boxwise.data.formats.beside import files_beside
from boxwise.data.formats.coco import Coco
from boxwise.data.formats.coco_files import coco_files
from boxwise.data.formats.detect import detect_format
from boxwise.data.formats.layout import files_below, is_file, is_folder, stem_of
from boxwise.data.formats.names import FORMATS
from boxwise.data.own_files import TO_CORRECT
from boxwise.errors import BoxwiseError, listed, named
from boxwise.files import replacing

_LABEL_FOLDERS = ("Annotations", "labels")
FILE_AN_IMAGE = ("voc", "yolo")
_SUFFIXES = {"voc": ".xml", "yolo": ".txt", "cvat": ".xml"}


@dataclass(frozen=True)
class Written:
    """What boxwise has written into a folder to be corrected.

    format_name: of the labels. digests: path below the folder → digest as written. earlier: those of earlier calls. in_part: the labels are
    those of a folder or file in it alone, so that what lies beside is not read.
    """

    folder: Path
    format_name: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)
    earlier: frozenset[str] = frozenset()
    in_part: bool = False

    @staticmethod
    def beside(labels: Path) -> Written:
        """That of the folder in which the labels lie; empty where there is no record that can be read."""
        folder = labels.parent if is_file(labels) or labels.name in _LABEL_FOLDERS else labels
        kept = ToCorrect.of(folder)
        return Written(folder, kept.format_name, kept.digests, kept.earlier, in_part=folder != labels)

    @property
    def known(self) -> frozenset[str]:
        """The digests of all that boxwise has written there."""
        return self.earlier | set(self.digests.values())

    def labels(self) -> dict[str, str]:
        """Path → digest, of the files that hold labels; the lists beside them are nobody's work."""
        if self.format_name not in FILE_AN_IMAGE:
            return dict(self.digests)
        return {path: digest for path, digest in self.digests.items() if "/" in path and not path.startswith("ImageSets/")}

    def saved(self, image_ids: Iterable[str], format_name: str | None) -> set[str]:
        """The images with a label file of their own, in its folder or where a tool has saved it beside, that has another content than
        boxwise wrote: somebody has looked at them."""
        if format_name != self.format_name or format_name not in FILE_AN_IMAGE:
            return set()
        ids, paths = list(image_ids), {stem_of(path.partition("/")[2]): self.folder / path for path in self.labels()}
        own = {i: path for i in ids if (path := paths.get(i) or paths.get(stem_of(i))) is not None}
        beside = {} if self.in_part else _beside(self.folder, format_name, ids)
        files = {i: [*([own[i]] if i in own and is_file(own[i]) else []), *beside.get(i, ())] for i in ids}
        return {i for i, of_image in files.items() if any(digest_of(path) not in self.known for path in of_image)}

    def is_all_of(self, format_name: str) -> bool:
        """Whether the labels of a format in the folder are those that were written, each as it was."""
        return format_name == self.format_name and all(_digest_at(self.folder / path) == digest for path, digest in self.labels().items())

    def save(self) -> None:
        kept = {"format": self.format_name, "digests": self.digests, "earlier": sorted(self.earlier)}
        with replacing(self.folder / TO_CORRECT) as aside:
            aside.write_text(json.dumps(kept), encoding="utf-8")


def files_read(labels: Path, format_name: str | None) -> list[Path]:
    """The label files of one of the formats that are written, as a reader would read them there."""
    if is_file(labels):
        return [labels]
    if format_name == Coco.name:
        return coco_files(labels)[0]
    return files_below(labels, _SUFFIXES[format_name]) if format_name in _SUFFIXES else []


def write_to_correct(
    dataset: Dataset, out: Path, name: str, format_name: str, *, taken: Set[str] = frozenset(), keep: Callable[[], None] = lambda: None
) -> None:
    """The labels with the images beside them; name: COCO's file, which says that it is no answer, so that another one beside it counts.

    taken: digests of label files that were imported, and so may be written over. keep: called before the first file is written.
    Raises BoxwiseError, before anything is written, where labels of another format lie there, a file that was changed since it was
    written, or labels of these images that a tool has saved beside. What an earlier call has written and this one does not is removed,
    unless it was changed.
    """
    before = Written.beside(out)
    _check_format(out, format_name)
    digests = digests_of(lambda aside: _write(dataset, aside, name, format_name, copy_images=False))
    planned = Written(out, format_name, digests, before.known)
    _check_unchanged(before, planned, taken)
    _check_beside(planned, [record.image_id for record in dataset.images], taken)
    stale = [out / path for path, digest in before.digests.items() if path not in digests and _digest_at(out / path) == digest]
    keep()
    planned.save()  # before the files: after a kill in between, both what was there and what is to come may be written over
    _write(dataset, out, name, format_name, copy_images=True)
    for path in stale:
        path.unlink()


def _write(dataset: Dataset, out: Path, name: str, format_name: str, *, copy_images: bool) -> list[Path]:
    if format_name == Coco.name:
        return Coco().write(dataset, out / name, copy_images=copy_images, to_correct=True)
    return named("format", FORMATS, format_name).write(dataset, out, copy_images=copy_images)


def _check_format(out: Path, format_name: str) -> None:
    """BoxwiseError where labels of another format lie there that boxwise writes, too; those that it only reads are not in the way."""
    there = detect_format(out) if is_folder(out) else None
    if there in FORMATS and there != format_name:
        message = f"{out}: expected no labels, or those of {format_name}, found labels of {there}, which could not be read beside these."
        raise BoxwiseError(f"{message} Import them first and give another --out, or --format {there}.")


def _check_unchanged(before: Written, planned: Written, taken: Set[str]) -> None:
    """BoxwiseError where a label file is to be written over that neither boxwise has written nor an import has taken."""
    may_go = planned.known | taken
    there = {path: _digest_at(planned.folder / path) for path in planned.labels()}
    kept = [path for path, digest in there.items() if digest is not None and digest not in may_go]
    if not kept:
        return
    paths, it = [planned.folder / path for path in kept], "it" if len(kept) == 1 else "them"
    what = were_changed(paths)
    if kept[0] not in before.digests:
        what = f"{listed(paths, most=1)} {'was' if len(kept) == 1 else 'were'} not written by boxwise, or by an earlier version of it"
    raise BoxwiseError(f"{what}. Nothing was written: import {it} first, or give another --out.")


def _check_beside(planned: Written, image_ids: Iterable[str], taken: Set[str]) -> None:
    """BoxwiseError where a tool has saved labels of the images beside the folder that is written: an import would read them for answers."""
    beside = _beside(planned.folder, planned.format_name, image_ids)
    paths = [path for of_image in beside.values() for path in of_image if digest_of(path) not in planned.known]
    if not paths:
        return
    it = "it" if len(paths) == 1 else "them"
    way = f"remove {it}" if all(digest_of(path) in taken for path in paths) else f"import {it} first, or remove {it}"
    what = f"{listed(paths, most=1)} {'has' if len(paths) == 1 else 'have'} labels of images that are asked about"
    raise BoxwiseError(f"{what}. Nothing was written: {way}, or give another --out.")


def _beside(folder: Path, format_name: str, image_ids: Iterable[str]) -> Mapping[str, list[Path]]:
    """Image id → its label files beside the folder that the format has for them."""
    if format_name not in LABELS:
        return {}
    own, suffix = LABELS[format_name]
    found = files_beside(folder, folder / own, suffix, image_ids)
    return {i: [path for path in paths if is_file(path)] for i, paths in found.items()}


def _digest_at(path: Path) -> str | None:
    return digest_of(path) if is_file(path) else None
