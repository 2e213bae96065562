"""The checks of labels that every reader runs: copies of images, known classes, boxes inside their image, no box twice.

Returns a Dataset, and a finding for each fault with its image quarantined. Knows nothing of any label format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boxwise.boxes import Boxes
from boxwise.data.formats.base import Dataset, Finding, FindingKind
from boxwise.data.formats.layout import STRICTNESS
from boxwise.data.formats.listing import Checked
from boxwise.data.formats.shapes import said_of, turned
from boxwise.records import ImageRecord

TOLERANCE = 1.0  # pixels by which rounding may push a box over the edge; clipped silently
_EDGES = (("xmin", 0, "width"), ("ymin", 1, "height"), ("xmax", 0, "width"), ("ymax", 1, "height"))


@dataclass(frozen=True)
class Reading:
    """The labels of one image as `path` states them, unchecked.

    names: class name of each box. xyxy: float64 [N, 4] in pixels or, where `relative`, over the image's width and height. columns: further
    columns of Boxes, N values each. subject: the image, to be named in messages where `path` is a file of many images.
    shapes: kind → how many of the boxes are the extent of another shape. implied: that there is no object is the format's convention, not a
    statement in the file.
    """

    path: Path
    names: Sequence[str]
    xyxy: NDArray[np.float64]
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    subject: str = ""
    relative: bool = False
    shapes: Mapping[str, int] = field(default_factory=dict)
    implied: bool = False


def empty_by_convention(path: Path) -> Reading:
    """The reading of an image without labels where the format takes that for an image without objects."""
    return Reading(path, (), np.zeros((0, 4)), implied=True)


def assemble(
    checked: Checked,
    readings: Mapping[str, Reading],
    *,
    classes: tuple[str, ...],
    findings: Iterable[Finding] = (),
    class_ids: tuple[int, ...] | None = None,
    notes: Iterable[str] = (),
) -> Dataset:
    """The data set of the checked images with their `readings`; an image with a bad box or unknown class is quarantined.

    An image without a reading is unlabelled. Readings of other images are ignored: their finding was made. Of copies the labelled one
    stays. findings: of the reader, named before those of the checks.
    """
    index = {name: label for label, name in enumerate(classes)}
    found = [*findings, *checked.findings]
    pixels = {r.image_id: _in_pixels(readings[r.image_id], r, checked) for r in checked.records if r.image_id in readings}
    found += _without_odd_scores(pixels)
    records, copies = _without_copies(checked, pixels)
    found += copies
    images: list[ImageRecord] = []
    labels: dict[str, Boxes] = {}
    for record in records:
        reading = pixels.get(record.image_id)
        faults = [] if reading is None else list(chain(_class_faults(reading, index, record), _box_faults(reading, record)))
        found += faults
        if faults:
            continue
        images.append(record)
        if reading is not None:
            rows = _distinct(reading, record)
            found += _repeated(reading, rows, record)
            labels[record.image_id] = _boxes(reading, index, record)[rows]
    found += _shape_finding([pixels[image_id] for image_id in labels])
    return Dataset(classes, tuple(images), labels, tuple(found), class_ids, (*notes, *_notes(checked, pixels, labels)))


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


def _in_pixels(reading: Reading, record: ImageRecord, checked: Checked) -> Reading:
    """The reading in pixels of the upright image."""
    turn, size = checked.turns.get(record.image_id, 1), (record.width, record.height)
    drawn_on = size[::-1] if turn >= 5 else size
    with np.errstate(over="ignore", invalid="ignore"):  # what leaves the range of numbers is a bad box
        xyxy = reading.xyxy * np.array([*drawn_on, *drawn_on], np.float64) if reading.relative else reading.xyxy
    return replace(reading, xyxy=turned(xyxy, turn, drawn_on), relative=False)


def _without_odd_scores(readings: dict[str, Reading]) -> list[Finding]:
    """Takes out scores that are none or that some box of their image lacks; one finding for all."""
    odd = {image_id: reading for image_id, reading in readings.items() if not all(map(_is_score, reading.columns.get("scores", ())))}
    for image_id, reading in odd.items():
        readings[image_id] = replace(reading, columns={name: column for name, column in reading.columns.items() if name != "scores"})
    lost = {image_id: reading for image_id, reading in odd.items() if any(score is not None for score in reading.columns["scores"])}
    if not lost:
        return []
    image_id, first = next(iter(lost.items()))
    score = next(score for score in first.columns["scores"] if score is not None)
    message = f"{first.path}: expected a score from 0 to 1 for every box of an image or for none, found otherwise in {len(lost)} images "
    message += f"(first: {score:.10g} in {image_id}). Their scores are passed over; the boxes stay."
    return [Finding(FindingKind.EXTRA_COLUMN, first.path, message)]


def _is_score(value: Any) -> bool:
    return value is not None and 0 <= value <= 1


def _without_copies(checked: Checked, readings: Mapping[str, Reading]) -> tuple[list[ImageRecord], list[Finding]]:
    """The records without all but one of those with the same bytes: a labelled one, of the strictest split, the first."""
    groups: dict[str, list[ImageRecord]] = {}
    for record in checked.records:
        groups.setdefault(checked.digests.get(record.image_id, f"/{record.image_id}"), []).append(record)
    findings = [finding for group in groups.values() if len(group) > 1 for finding in _copy_findings(group, readings)]
    out = {finding.image_id for finding in findings if finding.quarantined}
    return [record for record in checked.records if record.image_id not in out], findings


def _copy_findings(group: Sequence[ImageRecord], readings: Mapping[str, Reading]) -> Iterable[Finding]:
    """Which of the copies are taken out, and whether their labels disagree."""
    said = [record for record in group if record.image_id in readings and not readings[record.image_id].implied]
    kept = max(said or [r for r in group if r.image_id in readings] or group, key=lambda record: STRICTNESS[record.split])
    for record in (record for record in group if record is not kept):
        message = f"{record.path}: expected an image of its own, found a byte-for-byte copy of {kept.image_id}."
        yield Finding(
            FindingKind.DUPLICATE_IMAGE, record.path, message, record.image_id, quarantined=True, picture=record.path, twin=kept.path
        )
    if len({_content(readings[record.image_id], record) for record in said}) > 1:
        others = ", ".join(record.image_id for record in said if record is not kept)
        message = f"{kept.path}: expected equal labels for copies of one image, found others for {others}. "
        message += f"Those of {kept.image_id} are kept."
        yield Finding(FindingKind.CONFLICTING_LABELS, kept.path, message, kept.image_id, picture=kept.path)


def _content(reading: Reading, record: ImageRecord) -> frozenset[tuple[str, bytes]]:
    """The classes and boxes of a reading, in no order."""
    clipped = _clipped(reading.xyxy, record)
    return frozenset((name, row.tobytes()) for name, row in zip(reading.names, clipped, strict=True))


def _distinct(reading: Reading, record: ImageRecord) -> NDArray[np.int64]:
    """The rows of the boxes that differ in class or place, in order; of equal ones the best score, else the least difficult."""
    clipped, columns = _clipped(reading.xyxy, record), reading.columns
    flags = zip(*(columns.get(name, [False] * len(clipped)) for name in ("crowd", "difficult")), strict=True)
    scores = columns.get("scores", [0.0] * len(clipped))
    rank = [(-score, *flag, row) for row, (score, flag) in enumerate(zip(scores, flags, strict=True))]
    kept: dict[tuple[str, bytes], int] = {}
    for *_, row in sorted(rank):
        kept.setdefault((reading.names[row], clipped[row].tobytes()), row)
    return np.array(sorted(kept.values()), np.int64)


def _repeated(reading: Reading, kept: NDArray[np.int64], record: ImageRecord) -> list[Finding]:
    rows = sorted(set(range(len(reading.names))) - set(kept.tolist()))
    if not rows:
        return []
    shown = ", ".join(str(row + 1) for row in rows[:8]) + (", ..." if len(rows) > 8 else "")
    message = f"{reading.path}: {reading.subject}expected each box once, found {len(rows)} of {len(reading.names)} repeated word for word"
    message += f" (box {shown}; {reading.names[rows[0]]!r} first); one of each is kept."
    where = tuple(_clipped(reading.xyxy, record)[rows[0]].tolist())
    return [Finding(FindingKind.DUPLICATE_BOX, reading.path, message, record.image_id, box=where, picture=record.path)]


def _shape_finding(readings: Sequence[Reading]) -> list[Finding]:
    """One finding for all the boxes that stand for another shape, if there are any."""
    shaped = [reading for reading in readings if reading.shapes]
    if not shaped:
        return []
    counts = sum((Counter(reading.shapes) for reading in shaped), Counter[str]())
    path = shaped[0].path
    message = f"{path}: expected upright boxes, found {said_of(counts)} in {len(shaped)} images. Each is read as the upright box around it."
    return [Finding(FindingKind.OTHER_SHAPE, path, message)]


def _notes(checked: Checked, readings: Mapping[str, Reading], labels: Mapping[str, Boxes]) -> Iterable[str]:
    implied = [image_id for image_id in labels if readings[image_id].implied]
    if implied:
        yield f"{len(implied)} of {len(labels)} labelled images have no label and are taken as without objects (first: {implied[0]})."
    turned_ones = [image_id for image_id in labels if image_id in checked.turns]
    if turned_ones:
        yield f"the labels of {len(turned_ones)} images were turned upright with their photos (first: {turned_ones[0]})."


def _class_faults(reading: Reading, index: Mapping[str, int], record: ImageRecord) -> Iterable[Finding]:
    for row, name in enumerate(reading.names, start=1):
        if name not in index:
            known = ", ".join(list(index)[:12]) + (", ..." if len(index) > 12 else "")
            message = f"{reading.path}: {reading.subject}box {row} has the unknown class {name!r}. Expected one of: {known}."
            where = tuple(reading.xyxy[row - 1].tolist())
            yield Finding(FindingKind.UNKNOWN_CLASS, reading.path, message, record.image_id, True, where, record.path)


def _box_faults(reading: Reading, record: ImageRecord) -> Iterable[Finding]:
    clipped = _clipped(reading.xyxy, record)
    for row, (name, box) in enumerate(zip(reading.names, reading.xyxy, strict=True)):
        problem = _box_problem(box, clipped[row], record)
        if problem:
            message = f"{reading.path}: {reading.subject}box {row + 1} ({name!r}) {problem}"
            corners = tuple(box.tolist()) if np.isfinite(box).all() else None
            yield Finding(FindingKind.BAD_BOX, reading.path, message, record.image_id, True, corners, record.path)


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
