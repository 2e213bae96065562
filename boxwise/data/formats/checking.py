"""The checks that every reader runs: images on disk, and boxes inside them.

Returns records, and a finding for each fault with its image quarantined. Knows nothing of any label format.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boxwise.boxes import Boxes
from boxwise.data.formats.base import Dataset, Finding, FindingKind, Progress
from boxwise.data.images import digest, image_size, verify_image
from boxwise.errors import ImageError
from boxwise.records import ImageRecord, Split

TOLERANCE = 1.0  # pixels by which rounding may push a box over the edge; clipped silently
_EDGES = (("xmin", 0, "width"), ("ymin", 1, "height"), ("xmax", 0, "width"), ("ymax", 1, "height"))


@dataclass(frozen=True)
class Listed:
    """An image as a label file or folder lists it, before anybody opened it.

    size: (width, height) that `source`, the label file, states; None when it states none.
    """

    image_id: str
    path: Path
    split: Split | None = None
    source_id: int | str | None = None
    size: tuple[int, int] | None = None
    source: Path | None = None


@dataclass(frozen=True)
class Reading:
    """The labels of one image as `path` states them, unchecked.

    names: class name of each box. xyxy: float64 [N, 4] in pixels. columns: further columns of Boxes, N values each.
    subject: the image, to be named in messages where `path` is a file of many images.
    """

    path: Path
    names: Sequence[str]
    xyxy: NDArray[np.float64]
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    subject: str = ""


@dataclass(frozen=True)
class _Measured:
    size: tuple[int, int] | None = None
    digest: str | None = None
    fault: str | None = None


def check_images(listed: Sequence[Listed], *, verify: bool, progress: Progress | None) -> tuple[list[ImageRecord], list[Finding]]:
    """The images that exist, open, have the stated size and are no copy of an earlier one; a finding for each other one.

    verify: decode each image and compare digests; False reads headers only.
    """
    records: list[ImageRecord] = []
    findings: list[Finding] = []
    first_with: dict[str, str] = {}
    for done, (image, measured) in enumerate(zip(listed, _measure(listed, verify), strict=True), start=1):
        fault = _image_fault(image, measured, first_with)
        if fault is not None:
            findings.append(fault)
        elif measured.size is not None:
            records.append(ImageRecord(image.image_id, image.path, *measured.size, image.split, image.source_id))
        if progress is not None:
            progress(done, len(listed))
    return records, findings


def assemble(
    records: Iterable[ImageRecord],
    readings: Mapping[str, Reading],
    *,
    classes: tuple[str, ...],
    findings: Iterable[Finding],
    class_ids: tuple[int, ...] | None = None,
    notes: Mapping[str, str] | None = None,
) -> Dataset:
    """The data set of `records` with their checked `readings`; an image with a bad box or unknown class is quarantined.

    A record without a reading is unlabelled. Readings of images that are not in `records` are ignored: their finding was made.
    """
    index = {name: label for label, name in enumerate(classes)}
    found = list(findings)
    images: list[ImageRecord] = []
    labels: dict[str, Boxes] = {}
    for record in records:
        reading = readings.get(record.image_id)
        faults = [] if reading is None else list(chain(_class_faults(reading, index, record), _box_faults(reading, record)))
        found += faults
        if faults:
            continue
        images.append(record)
        if reading is not None:
            labels[record.image_id] = _boxes(reading, index, record)
    return Dataset(classes, tuple(images), labels, tuple(found), class_ids, notes or {})


def unlabelled(path: Path, records: Sequence[ImageRecord], readings: Mapping[str, Reading], *, expected: str) -> list[Finding]:
    """One finding that says how many of the images have no reading, if any.

    path: where their labels would lie. expected: what would have labelled each, such as "an XML".
    """
    without = [record.image_id for record in records if record.image_id not in readings]
    if not without:
        return []
    message = f"{path}: expected {expected} for each of {len(records)} images, found none for {len(without)}"
    message += f", which are unlabelled (first: {without[0]})."
    return [Finding(FindingKind.MISSING_LABEL_FILE, path, message)]


def _measure(listed: Sequence[Listed], verify: bool) -> Iterable[_Measured]:
    """Sizes and digests in order; threads, since decoding and hashing release the interpreter's lock."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        yield from pool.map(lambda image: _measure_one(image.path, verify), listed)


def _measure_one(path: Path, verify: bool) -> _Measured:
    try:
        return _Measured(verify_image(path), digest(path)) if verify else _Measured(image_size(path))
    except ImageError as error:
        return _Measured(fault=str(error))


def _image_fault(image: Listed, measured: _Measured, first_with: dict[str, str]) -> Finding | None:
    def fault(kind: FindingKind, path: Path, message: str) -> Finding:
        return Finding(kind, path, message, image.image_id, quarantined=True)

    if not image.path.is_file():
        where = f"{image.source}: " if image.source else ""
        return fault(FindingKind.MISSING_IMAGE, image.source or image.path, f"{where}expected the image {image.path}, found no such file.")
    if measured.fault is not None:
        return fault(FindingKind.CORRUPT_IMAGE, image.path, measured.fault)
    if image.size is not None and image.size != measured.size:
        return fault(FindingKind.SIZE_MISMATCH, image.source or image.path, _size_message(image, measured.size or (0, 0)))
    if measured.digest is not None:
        first = first_with.setdefault(measured.digest, image.image_id)
        if first != image.image_id:
            message = f"{image.path}: expected an image of its own, found a byte-for-byte copy of {first}."
            return fault(FindingKind.DUPLICATE_IMAGE, image.path, message)
    return None


def _size_message(image: Listed, size: tuple[int, int]) -> str:
    width, height = image.size or (0, 0)
    turned = " The two are swapped: were the labels drawn without the photo's EXIF orientation?" if (height, width) == size else ""
    return f"{image.source}: says {width} x {height} pixels. Expected {size[0]} x {size[1]} as in {image.path.name}.{turned}"


def _class_faults(reading: Reading, index: Mapping[str, int], record: ImageRecord) -> Iterable[Finding]:
    for row, name in enumerate(reading.names, start=1):
        if name not in index:
            known = ", ".join(list(index)[:12]) + (", ..." if len(index) > 12 else "")
            message = f"{reading.path}: {reading.subject}box {row} has the unknown class {name!r}. Expected one of: {known}."
            yield Finding(FindingKind.UNKNOWN_CLASS, reading.path, message, record.image_id, quarantined=True)


def _box_faults(reading: Reading, record: ImageRecord) -> Iterable[Finding]:
    clipped = _clipped(reading.xyxy, record)
    for row, (name, box) in enumerate(zip(reading.names, reading.xyxy, strict=True)):
        problem = _box_problem(box, clipped[row], record)
        if problem:
            message = f"{reading.path}: {reading.subject}box {row + 1} ({name!r}) {problem}"
            yield Finding(FindingKind.BAD_BOX, reading.path, message, record.image_id, quarantined=True)


def _box_problem(box: NDArray[np.float64], clipped: NDArray[np.float32], record: ImageRecord) -> str:
    """What is wrong with one box, or ''. `clipped` is what would be stored of it."""
    sizes = (record.width, record.height)
    if not np.isfinite(box).all():
        return f"has the coordinates {_listed(box)}. Expected four finite numbers."
    for low, high, axis in ((0, 2, "x"), (1, 3, "y")):
        rule = f"Expected 0 ≤ {axis}min < {axis}max ≤ {sizes[low]}."
        if box[low] >= box[high]:
            return f"has {axis}min {box[low]:.10g} ≥ {axis}max {box[high]:.10g}. {rule}"
        for edge in (low, high):
            name, _, side = _EDGES[edge]
            if box[edge] < -TOLERANCE:
                return f"has {name} {box[edge]:.10g} < 0. {rule}"
            if box[edge] > sizes[low] + TOLERANCE:
                return f"has {name} {box[edge]:.10g} > image {side} {sizes[low]}. {rule}"
        if clipped[low] >= clipped[high]:
            return f"has no {'width' if axis == 'x' else 'height'} inside the image: {axis} {_listed(box[[low, high]])}. {rule}"
    return ""


def _listed(values: NDArray[np.float64]) -> str:
    return ", ".join(f"{value:.10g}" for value in values)


def _clipped(xyxy: NDArray[np.float64], record: ImageRecord) -> NDArray[np.float32]:
    size = np.array([record.width, record.height, record.width, record.height], np.float64)
    return np.clip(xyxy, 0, size).astype(np.float32)


def _boxes(reading: Reading, index: Mapping[str, int], record: ImageRecord) -> Boxes:
    columns: dict[str, Any] = {name: _column(values) for name, values in reading.columns.items()}
    return Boxes(_clipped(reading.xyxy, record), np.array([index[name] for name in reading.names], np.int64), **columns)


def _column(values: Sequence[Any]) -> NDArray[np.object_]:
    column = np.empty(len(values), object)
    column[:] = values
    return column
