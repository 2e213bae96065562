"""The checks of labels that every reader runs: copies of images, known classes, boxes inside their image, no box twice.

Returns a Dataset, and a finding for each fault with its image quarantined. Knows nothing of any label format.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boxwise.boxes import Boxes
from boxwise.data.formats.base import Dataset, Finding, FindingKind
from boxwise.data.formats.class_names import is_class_name, spelled_as
from boxwise.data.formats.copies import without_copies
from boxwise.data.formats.listing import Checked, split_by_folder
from boxwise.data.formats.reading import Reading, clipped
from boxwise.data.formats.shapes import kinds_in_words, turned
from boxwise.errors import listed, plural
from boxwise.records import ImageRecord

TOLERANCE = 1.0  # pixels by which rounding may push a box over the edge; clipped silently
_FEW = 3  # boxes by which no file is judged
_SHARES = 1.5  # the farthest corner that YOLO's centre, width and height have where they are taken for a corner and a size
_EDGES = (("xmin", 0, "width"), ("ymin", 1, "height"), ("xmax", 0, "width"), ("ymax", 1, "height"))


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
    stays. Ignored regions become crowds of every class. Blanks around a name make it no other class. findings: of the reader, named before
    those of the checks.
    """
    index = {name: label for label, name in enumerate(classes)}
    readings, fractions = _in_pixels_alone(readings)
    found = [*findings, *checked.findings, *fractions, *_unnamed(classes, next((reading.path for reading in readings.values()), Path()))]
    spelled = spelled_as(classes)
    pixels = {r.image_id: _in_pixels(spelled(readings[r.image_id]), r, checked) for r in checked.records if r.image_id in readings}
    found += _without_odd_scores(pixels)
    faults = {r.image_id: _faults(pixels[r.image_id], index, r) for r in checked.records if r.image_id in pixels}
    records, copies = without_copies(checked, pixels, {image_id for image_id, of_image in faults.items() if of_image})
    found += copies
    images: list[ImageRecord] = []
    labels: dict[str, Boxes] = {}
    for record in records:
        found += faults.get(record.image_id, [])
        if faults.get(record.image_id):
            continue
        images.append(record)
        reading = pixels.get(record.image_id)
        if reading is not None and not reading.unlabelled:
            rows = _distinct(reading, record)
            found += _repeated(reading, rows, record)
            labels[record.image_id] = _with_regions(_boxes(reading, index, record)[rows], reading, record, len(classes))
    sound = {record.image_id: pixels[record.image_id] for record in images if record.image_id in pixels}
    found += [*_shape_finding([sound[image_id] for image_id in labels]), *_missing_finding(list(sound.values()))]
    incomplete = frozenset(image_id for image_id in labels if sound[image_id].incomplete)
    notes = (*notes, *split_by_folder(r for r in images if r.image_id in labels and r.image_id in checked.by_folder))
    notes += (*_notes(checked, sound, labels), *_strange_classes(pixels.values(), index))
    return Dataset(_callable(classes), tuple(images), labels, tuple(found), class_ids, notes, incomplete)


def unlabelled(path: Path, records: Sequence[ImageRecord], readings: Mapping[str, Reading], *, expected: str) -> list[Finding]:
    """One finding that says how many of the images have no reading, if any.

    path: where their labels would lie. expected: what would have labelled each, such as "an XML".
    """
    without = [record.image_id for record in records if record.image_id not in readings]
    if not without:
        return []
    message = f"{path}: expected {expected} for each of {plural(len(records), 'image')}, found none for {len(without)}"
    message += f", which are unlabelled (first: {without[0]})."
    return [Finding(FindingKind.MISSING_LABEL_FILE, path, message)]


def _in_pixels_alone(readings: Mapping[str, Reading]) -> tuple[dict[str, Reading], list[Finding]]:
    """The readings without those of files, or folders of files, in which no box leaves the first pixels: shares of the image's width and
    height that were read as pixels. A finding for each of these."""
    of_source: dict[Path, dict[str, Reading]] = defaultdict(dict)
    for image_id, reading in readings.items():
        if not reading.relative:
            of_source[reading.path if reading.subject else reading.path.parent][image_id] = reading
    pixels, findings = dict(readings), []
    for path, own in of_source.items():
        boxes = np.concatenate([reading.xyxy for reading in own.values()])
        if len(boxes) >= _FEW and (np.abs(boxes) <= _SHARES).all() and (boxes % 1 != 0).any():
            message = f"{path}: expected boxes in pixels, found all {len(boxes)} within {_SHARES} pixels (first: {_listed(boxes[0])}), as "
            message += "shares of the image's width and height are. None of its labels is taken: multiply them by the width and the height."
            findings.append(Finding(FindingKind.BAD_LABEL_FILE, path, message))
            pixels = {image_id: reading for image_id, reading in pixels.items() if image_id not in own}
    return pixels, findings


def _in_pixels(reading: Reading, record: ImageRecord, checked: Checked) -> Reading:
    """The reading in pixels of the upright image."""
    turn, size = checked.turns.get(record.image_id, 1), (record.width, record.height)
    drawn_on = size[::-1] if turn >= 5 else size
    with np.errstate(over="ignore", invalid="ignore"):  # what leaves the range of numbers is a bad box
        xyxy = reading.xyxy * np.array([*drawn_on, *drawn_on], np.float64) if reading.relative else _within(reading, drawn_on)
    return replace(reading, xyxy=turned(xyxy, turn, drawn_on), ignored=turned(reading.ignored, turn, drawn_on), relative=False)


def _within(reading: Reading, size: tuple[int, int]) -> NDArray[np.float64]:
    """The boxes, those clipped to the image that leave it only because they were turned; `size`: (width, height)."""
    if reading.before is None:
        return reading.xyxy
    high = np.array([*size, *size], np.float64)
    inside = ((reading.before >= -TOLERANCE) & (reading.before <= high + TOLERANCE)).all(axis=1)
    by_turning = inside & (reading.before != reading.xyxy).any(axis=1)
    return np.where(by_turning[:, None], np.clip(reading.xyxy, 0, high), reading.xyxy)


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
    message = f"{first.path}: expected a score from 0 to 1 for every box of an image or for none, found otherwise in "
    message += f"{plural(len(lost), 'image')} (first: {score:.10g} in {image_id}). Their scores are passed over; the boxes stay."
    return [Finding(FindingKind.EXTRA_COLUMN, first.path, message)]


def _is_score(value: Any) -> bool:
    return value is not None and 0 <= value <= 1


def _distinct(reading: Reading, record: ImageRecord) -> NDArray[np.int64]:
    """The rows of the boxes that differ in class or place, in order; of equal ones the best score, else the least difficult."""
    corners, columns = clipped(reading.xyxy, record), reading.columns
    flags = zip(*(columns.get(name, [False] * len(corners)) for name in ("crowd", "difficult")), strict=True)
    scores = columns.get("scores", [0.0] * len(corners))
    rank = [(-score, *flag, row) for row, (score, flag) in enumerate(zip(scores, flags, strict=True))]
    kept: dict[tuple[str, bytes], int] = {}
    for *_, row in sorted(rank):
        kept.setdefault((reading.names[row], corners[row].tobytes()), row)
    return np.array(sorted(kept.values()), np.int64)


def _repeated(reading: Reading, kept: NDArray[np.int64], record: ImageRecord) -> list[Finding]:
    rows = sorted(set(range(len(reading.names))) - set(kept.tolist()))
    if not rows:
        return []
    numbers = ", ".join(str(row + 1) for row in rows[:8]) + (", ..." if len(rows) > 8 else "")
    message = f"{reading.path}: {reading.subject}expected each box once, found {len(rows)} of {len(reading.names)} repeated word for word"
    message += f" (box {numbers}; {reading.names[rows[0]]!r} first); one of each is kept."
    where = tuple(clipped(reading.xyxy, record)[rows[0]].tolist())
    return [Finding(FindingKind.DUPLICATE_BOX, reading.path, message, record.image_id, box=where, picture=record.uri)]


def _shape_finding(readings: Sequence[Reading]) -> list[Finding]:
    """One finding for all the boxes that stand for another shape, if there are any."""
    shaped = [reading for reading in readings if reading.shapes]
    if not shaped:
        return []
    counts = sum((Counter(reading.shapes) for reading in shaped), Counter[str]())
    path = shaped[0].path
    message = f"{path}: expected upright boxes, found {kinds_in_words(counts)} in {plural(len(shaped), 'image')}. "
    message += "Each is read as the upright box around it."
    return [Finding(FindingKind.OTHER_SHAPE, path, message)]


def _missing_finding(readings: Sequence[Reading]) -> list[Finding]:
    """One finding for all the objects that are marked without an extent, if there are any."""
    marked = [reading for reading in readings if reading.missing]
    if not marked:
        return []
    counts = sum((Counter(reading.missing) for reading in marked), Counter[str]())
    path = marked[0].path
    message = f"{path}: expected boxes, found {kinds_in_words(counts)} in {plural(len(marked), 'image')}, which have no extent. "
    message += (
        "Their boxes stay; since objects there have none, the images count as labelled in part: nothing in them is taught as background."
    )
    return [Finding(FindingKind.OTHER_SHAPE, path, message)]


def _strange_classes(readings: Iterable[Reading], index: Mapping[str, int]) -> list[str]:
    """A note on the classes that the data set does not name, if boxes have any."""
    strange = Counter(name for reading in readings for name in reading.names if name not in index)
    if not strange:
        return []
    named = [f"{name!r} ({plural(count, 'box')}{_nearest(name, index)})" for name, count in strange.most_common(8)]
    return [f"unknown classes: {', '.join(named)}{', ...' if len(strange) > 8 else ''}."]


def _nearest(name: str, index: Mapping[str, int]) -> str:
    near = get_close_matches(name.casefold(), [class_name.casefold() for class_name in index], n=1, cutoff=0.7)
    return f"; {next(class_name for class_name in index if class_name.casefold() == near[0])!r}?" if near else ""


def _notes(checked: Checked, readings: Mapping[str, Reading], labels: Mapping[str, Boxes]) -> Iterable[str]:
    implied = [image_id for image_id in labels if readings[image_id].implied]
    if implied:
        yield f"{len(implied)} of {len(labels)} labelled images have no label and are taken as without objects (first: {implied[0]})."
    spared = [reading for reading in readings.values() if len(reading.ignored)]
    if spared:
        count = sum(len(reading.ignored) for reading in spared)
        yield f"{plural(count, 'region', 'is')} marked as ignored, in {plural(len(spared), 'image')}: crowds of all classes, no background."
    turned_ones = [image_id for image_id in labels if image_id in checked.turns]
    if turned_ones:
        yield f"the labels of {plural(len(turned_ones), 'image')} were turned upright with their photos (first: {turned_ones[0]})."


def _unnamed(classes: Sequence[str], path: Path) -> list[Finding]:
    """One finding for names of classes that no list of one name a line can hold."""
    odd = [repr(name)[1:-1] for name, callable_name in zip(classes, _callable(classes), strict=True) if name != callable_name]
    message = (
        f"{path}: expected a name in one line for each class, found {listed([*map(repr, odd)], most=5)}. They are called by their numbers."
    )
    return [Finding(FindingKind.BAD_NAME, path, message)] if odd else []


def _callable(classes: Sequence[str]) -> tuple[str, ...]:
    """The names, those that are empty or hold control characters replaced by their numbers."""
    return tuple(name if is_class_name(name) else f"class {n}" for n, name in enumerate(classes))


def _faults(reading: Reading, index: Mapping[str, int], record: ImageRecord) -> list[Finding]:
    return list(chain(_class_faults(reading, index, record), _box_faults(reading, record)))


def _class_faults(reading: Reading, index: Mapping[str, int], record: ImageRecord) -> Iterable[Finding]:
    for row, name in enumerate(reading.names, start=1):
        if name not in index:
            choices = f"one of: {listed(index, most=12)}" if index else "a name for it in the data set"
            message = f"{reading.path}: {reading.subject}box {row} has the unknown class {name!r}. Expected {choices}."
            where = tuple(reading.xyxy[row - 1].tolist())
            yield Finding(FindingKind.UNKNOWN_CLASS, reading.path, message, record.image_id, True, where, record.uri)


def _box_faults(reading: Reading, record: ImageRecord) -> Iterable[Finding]:
    inside = clipped(reading.xyxy, record)
    for row, (name, box) in enumerate(zip(reading.names, reading.xyxy, strict=True)):
        problem = _box_problem(box, inside[row], record)
        if problem:
            message = f"{reading.path}: {reading.subject}box {row + 1} ({name!r}) {problem}"
            corners = tuple(box.tolist()) if np.isfinite(box).all() else None
            yield Finding(FindingKind.BAD_BOX, reading.path, message, record.image_id, True, corners, record.uri)


def _box_problem(box: NDArray[np.float64], inside: NDArray[np.float32], record: ImageRecord) -> str:
    """What is wrong with one box, or ''. `inside` is what would be stored of it."""
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
        if inside[low] >= inside[high]:
            return f"has no {'width' if axis == 'x' else 'height'} inside the image: {axis} {_listed(box[[low, high]])}. {rule}"
    return ""


def _listed(values: NDArray[np.float64]) -> str:
    return ", ".join(f"{value:.10g}" for value in values)


def _boxes(reading: Reading, index: Mapping[str, int], record: ImageRecord) -> Boxes:
    columns: dict[str, Any] = {name: _column(values) for name, values in reading.columns.items()}
    return Boxes(clipped(reading.xyxy, record), np.array([index[name] for name in reading.names], np.int64), **columns)


def _with_regions(boxes: Boxes, reading: Reading, record: ImageRecord, classes: int) -> Boxes:
    """With each ignored region as a crowd of every class: that is what training ignores and evaluation excuses."""
    regions = clipped(reading.ignored, record)
    regions = regions[(regions[:, :2] < regions[:, 2:]).all(axis=1)]
    if not len(regions) or not classes:
        return boxes
    crowd = np.zeros(len(boxes), bool) if boxes.crowd is None else boxes.crowd
    count = len(regions) * classes
    labels = np.tile(np.arange(classes), len(regions))
    return Boxes.concatenate([replace(boxes, crowd=crowd), Boxes(regions.repeat(classes, axis=0), labels, crowd=np.ones(count, bool))])


def _column(values: Sequence[Any]) -> NDArray[np.object_]:
    column = np.empty(len(values), object)
    column[:] = values
    return column
