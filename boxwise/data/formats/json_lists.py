"""JSON files that list images by name, with the boxes of each, to be read: one file for all images, or one a folder.

Returns a Dataset. What an entry of such a file looks like is the format's own affair.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

from boxwise.data.addresses import Images, is_local
from boxwise.data.formats.base import UPRIGHT, Coordinates, Dataset, Finding, FindingKind, Progress
from boxwise.data.formats.checking import assemble, unlabelled
from boxwise.data.formats.coco_merging import merged
from boxwise.data.formats.coco_parser import Parsed
from boxwise.data.formats.layout import (
    ImageIndex,
    bytes_of,
    existing,
    file_split,
    files_below,
    folder_split,
    image_folder,
    leads_out,
    shared_folder_words,
    strictest,
)
from boxwise.data.formats.listing import Listed, check_images, not_read, unlisted
from boxwise.data.formats.reading import Reading
from boxwise.data.formats.shapes import Corners
from boxwise.errors import BoxwiseError


@dataclass(frozen=True)
class Entry:
    """What a file says of one image. image: what it calls it. names, corners: of each box, in pixels. shapes, missing: as in `Reading`."""

    image: str
    names: Sequence[str]
    corners: Sequence[Corners]
    shapes: Mapping[str, int] = field(default_factory=dict)
    missing: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class JsonLists:
    """One such format.

    entries: content of a file → an entry for each image, or what is wrong with one. Raises ValueError for what is no file of the format.
    """

    name: str
    entries: Callable[[Any], list[Entry | str]]

    def read(
        self,
        labels: Path,
        images: Images | None = None,
        *,
        classes: tuple[str, ...] | None = None,
        missing_is_empty: bool = True,
        verify: bool = True,
        coordinates: Coordinates = UPRIGHT,
        progress: Progress | None = None,
    ) -> Dataset:
        """As `Reader.read`. Classes come from `classes`, else the names of the boxes, sorted; splits from the names of files and folders.

        missing_is_empty: whether an image that is listed without a box has no objects or is unlabelled.
        """
        place = existing(labels, f"a JSON file of {self.name} or a folder with one")
        root = place if place.is_dir() else place.parent
        index = ImageIndex(images or image_folder((root / "images", root)))
        files, other, findings = self._files(files_below(root, ".json") if place.is_dir() else [place])
        if not any(files.values()):
            raise BoxwiseError(findings[0].message if findings else f"{labels}: expected images listed as {self.name} does, found none.")
        called = {path: [_called(index.with_slashes(entry.image), path, root) for entry in entries] for path, entries in files.items()}
        shared = shared_folder_words([name for names in called.values() for name in names if is_local(name)], index.paths)
        parsed = [
            _parsed(entry, _image_id(name, index, shared), path, root, index, missing_is_empty=missing_is_empty)
            for path, entries in files.items()
            for entry, name in zip(entries, called[path], strict=True)
        ]
        listed, readings, repeats = merged(parsed)
        checked = check_images(listed, verify=verify, coordinates=coordinates, progress=progress, index=index)
        findings += [*repeats, *unlabelled(labels, checked.records, readings, expected="an entry with its boxes")]
        names = classes or tuple(sorted({name for reading in readings.values() for name in reading.names} - {""}))
        image_ids = [image.image_id for file in parsed for image in file.images]
        notes = [*not_read(other, list(files)), *unlisted(index, image_ids, labels)]
        return assemble(checked, readings, classes=names, findings=findings, notes=notes)

    def _files(self, paths: Sequence[Path]) -> tuple[dict[Path, list[Entry]], list[Path], list[Finding]]:
        """The entries of each file of the format, files of others, and findings."""
        files: dict[Path, list[Entry]] = {}
        other: list[Path] = []
        faults: list[tuple[Path, str]] = []
        for path in paths:
            try:
                content = json.loads(bytes_of(path))
            except (ValueError, BoxwiseError, RecursionError, MemoryError) as error:
                faults.append((path, f"expected JSON, found: {error}."))
                continue
            try:
                entries = self.entries(content)
            except ValueError:
                other.append(path)
                continue
            files[path] = [entry for entry in entries if isinstance(entry, Entry)]
            faults += [(path, entry) for entry in entries if isinstance(entry, str)]
        return files, other, [Finding(FindingKind.BAD_LABEL_FILE, path, f"{path}: {fault}") for path, fault in faults]


def real(value: Any) -> float:
    """The number that a JSON value is; NaN where it is none."""
    try:
        return nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        return nan


def _called(image: str, path: Path, root: Path) -> str:
    """What a file calls an image, from `root` on where it is a path beside the file."""
    name = image.removeprefix("./")
    return name if not is_local(name) or leads_out(name) else (path.parent.relative_to(root) / name).as_posix()


def _image_id(name: str, index: ImageIndex, shared: Set[str]) -> str:
    return index.by_name(name, shared) or name


def _parsed(entry: Entry, image_id: str, path: Path, root: Path, index: ImageIndex, *, missing_is_empty: bool) -> Parsed:
    """The entry as a file of its own, so that images that are listed twice are compared whatever file they are in."""
    split = file_split(path, root)
    listed = Listed(image_id, index.path(image_id), split and strictest(split, folder_split(image_id)), source=path)
    xyxy, empty = np.array(entry.corners, np.float64).reshape(-1, 4), not entry.names and not entry.missing
    reading = Reading(path, entry.names, xyxy, subject=f"{image_id} ", shapes=entry.shapes, missing=entry.missing, implied=empty)
    return Parsed([listed], {image_id: reading} if missing_is_empty or not empty else {})
