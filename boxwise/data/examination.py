"""What a data set is made of, and what in it is worth a second look although it can be read.

Returns counts, near-duplicates that lie in two splits, images that show hardly anything, and labels that look wrong, without any model.
Knows nothing of studies and pages.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from boxwise.boxes import Boxes, area, iou
from boxwise.data.addresses import parent
from boxwise.data.formats.base import Dataset, Finding, FindingKind
from boxwise.data.images import contrast, grey_thumbnail
from boxwise.errors import ImageError
from boxwise.records import ImageRecord, Split

SIDE = 16  # pixels a side of the thumbnails that are compared
ALIKE = 0.985  # their least correlation; on the real sets, pairs above show one scene
DETAIL, _LOCAL = 0.7, 5  # least correlation of their details, and the window of the local mean, in pixels
_FLAT = 4.0  # grey levels of spread below which a picture shows nothing to compare
_SAME_PLACE, _TINY, _WHOLE = 0.9, 2.0, 0.98
_ODD, _TIMES, _ENOUGH = 5.0, 4.0, 20  # standard deviations, factor, and the boxes that a class needs for them
_LITTLE = 0.1  # share of the range from black to white below which an image's pixels are named
_CHUNK = 2048


@dataclass(frozen=True)
class ClassFacts:
    """One class: its boxes, the images that show it, boxes by split, and the median of √(width · height) in pixels."""

    name: str
    boxes: int
    images: int
    by_split: dict[str, int]
    median_side: float


@dataclass(frozen=True)
class Examination:
    """incomplete: images labelled in part. boxes: without crowds, which are counted by themselves.

    sizes, sides: least, median and largest side in pixels of images, and of boxes as √(width · height); () without any.
    """

    images: dict[str, int]
    labelled: int
    incomplete: int
    empty: int
    boxes: int
    crowds: int
    classes: tuple[ClassFacts, ...]
    sizes: tuple[float, ...]
    sides: tuple[float, ...]
    leaks: tuple[Finding, ...]
    suspects: tuple[Finding, ...]
    faint: tuple[Finding, ...]


def examine(dataset: Dataset) -> Examination:
    """Counts of the data set, its near-duplicates across splits, its suspect labels and its images of little contrast."""
    labels = {image_id: _objects(boxes) for image_id, boxes in dataset.labels.items()}
    objects = replace(dataset, labels=labels)
    sides = np.concatenate([_sides(boxes) for boxes in labels.values()]) if labels else np.zeros(0)
    sizes = np.array([side for record in dataset.images for side in (record.width, record.height)], float)
    return Examination(
        _images_by_split(dataset.images),
        len(labels),
        len(dataset.incomplete),
        sum(not len(boxes) for boxes in dataset.labels.values()),
        len(sides),
        sum(map(len, dataset.labels.values())) - len(sides),
        tuple(_class_facts(objects, label) for label in range(len(dataset.classes))),
        _spread(sizes),
        _spread(sides),
        tuple(near_duplicates(dataset.images)),
        tuple(suspects(dataset)),
        tuple(faint(dataset.images)),
    )


def faint(images: Sequence[ImageRecord]) -> Iterator[Finding]:
    """Images whose pixels span less than a tenth of the range once decoded: a detector sees hardly anything in them."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for record, share in zip(images, pool.map(lambda record: _contrast(record.uri), images), strict=True):
            if share < _LITTLE:
                message = f"{record.image_id}: its pixels span {share:.0%} of the range from black to white once decoded."
                yield Finding(FindingKind.LITTLE_CONTRAST, record.uri, message, record.image_id, picture=record.uri)


def _contrast(uri: str) -> float:
    try:
        return contrast(uri)
    except ImageError:
        return 1.0  # it is named as what cannot be read


def near_duplicates(images: Sequence[ImageRecord]) -> list[Finding]:
    """For each image outside of train the image of another split that looks most alike, where one looks nearly the same.

    Alike: the Pearson correlation of their grey 16 x 16 thumbnails, and of what is sharp in those of twice the size, without which any
    two pictures of bare ground under one lamp were alike. Images that cannot be read or show nothing take no part.
    """
    if len({_split(record) for record in images}) < 2:
        return []
    readable = [(record, thumbnail) for record, thumbnail in zip(images, _thumbnails(images), strict=True) if thumbnail is not None]
    rows = np.array([thumbnail for _, thumbnail in readable], np.float32).reshape(-1, SIDE * SIDE)
    splits = np.array([_split(record) for record, _ in readable])
    held_out = np.flatnonzero(splits != "train")
    found = []
    for start in range(0, len(held_out), _CHUNK):
        chunk = held_out[start : start + _CHUNK]
        likeness = rows[chunk] @ rows.T
        likeness[splits[chunk][:, None] == splits[None, :]] = -1
        best = likeness.argmax(axis=1)
        for row, other, value in zip(chunk, best, likeness.max(axis=1), strict=True):
            if value >= ALIKE and _same_details(readable[row][0].uri, readable[other][0].uri):
                found.append(_leak(readable[row][0], readable[other][0], float(value)))
    return found


def suspects(dataset: Dataset) -> list[Finding]:
    """Labels that look wrong by themselves: two boxes at one place, tiny and whole-image boxes, odd sizes, names alike."""
    found = _alike_names(dataset)
    odd = _odd_sizes(dataset)
    for record in dataset.images:
        boxes = dataset.labels.get(record.image_id)
        if boxes is not None:
            for row, says in (*_overlapping(boxes, dataset.classes), *_odd_extents(boxes, record), *odd.get(record.image_id, ())):
                if boxes.crowd is not None and boxes.crowd[row]:
                    continue
                name, where = dataset.classes[boxes.labels[row]], tuple(boxes.xyxy[row].tolist())
                message = f"{record.image_id}: box {row + 1} ({name!r}) {says}"
                found.append(Finding(FindingKind.SUSPECT_LABEL, record.uri, message, record.image_id, box=where, picture=record.uri))
    return found


def _images_by_split(images: Sequence[ImageRecord]) -> dict[str, int]:
    counts = Counter(_split(record) for record in images)
    return {name: counts[name] for name in (*Split, "no split") if counts[name]}


def _same_details(first: str, second: str) -> bool:
    """Whether thumbnails of twice the size are alike after their local means are taken off."""
    sharp = []
    for uri in (first, second):
        grey = grey_thumbnail(uri, 2 * SIDE).astype(np.float64)
        sharp.append((grey - uniform_filter(grey, _LOCAL)).ravel())
    spread = np.linalg.norm(sharp[0]) * np.linalg.norm(sharp[1])
    return bool(spread > 0 and sharp[0] @ sharp[1] >= DETAIL * spread)


def _objects(boxes: Boxes) -> Boxes:
    return boxes if boxes.crowd is None else boxes[~boxes.crowd]


def _split(record: ImageRecord) -> str:
    return record.split.value if record.split else "no split"


def _sides(boxes: Boxes) -> NDArray[np.float64]:
    return np.sqrt(area(boxes.xyxy).astype(np.float64))


def _spread(values: NDArray[np.float64]) -> tuple[float, ...]:
    return (float(values.min()), float(np.median(values)), float(values.max())) if len(values) else ()


def _class_facts(dataset: Dataset, label: int) -> ClassFacts:
    by_split: Counter[str] = Counter()
    sides: list[float] = []
    images = 0
    for record in dataset.images:
        boxes = dataset.labels.get(record.image_id)
        of_class = boxes[boxes.labels == label] if boxes is not None else Boxes.empty()
        by_split[_split(record)] += len(of_class)
        sides += _sides(of_class).tolist()
        images += bool(len(of_class))
    return ClassFacts(dataset.classes[label], len(sides), images, dict(by_split), float(np.median(sides)) if sides else 0.0)


def _thumbnails(images: Sequence[ImageRecord]) -> Iterable[NDArray[np.float32] | None]:
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        yield from pool.map(lambda record: _normalised(record.uri), images)


def _normalised(uri: str) -> NDArray[np.float32] | None:
    """The thumbnail as a vector of mean 0 and length 1; None where it shows nothing."""
    try:
        grey = grey_thumbnail(uri, SIDE).astype(np.float32).ravel()
    except ImageError:
        return None
    centred = grey - grey.mean()
    return centred / np.linalg.norm(centred) if grey.std() >= _FLAT else None


def _leak(record: ImageRecord, other: ImageRecord, likeness: float) -> Finding:
    message = f"{record.image_id} of {_split(record)} looks like {other.image_id} of {_split(other)} (likeness {likeness:.3f})."
    return Finding(FindingKind.NEAR_DUPLICATE, record.uri, message, record.image_id, picture=record.uri, twin=other.uri)


def _alike_names(dataset: Dataset) -> list[Finding]:
    called: dict[str, list[str]] = {}
    for name in dataset.classes:
        called.setdefault("".join(filter(str.isalnum, name.casefold())), []).append(name)
    folder = parent(dataset.images[0].uri) if dataset.images else ""
    return [
        Finding(FindingKind.SUSPECT_LABEL, folder, f"classes {', '.join(map(repr, names))} differ in spelling alone.")
        for names in called.values()
        if len(names) > 1
    ]


def _overlapping(boxes: Boxes, classes: Sequence[str]) -> Iterable[tuple[int, str]]:
    overlap = np.triu(iou(boxes.xyxy, boxes.xyxy), 1)
    for first, second in zip(*np.nonzero(overlap >= _SAME_PLACE), strict=True):
        if boxes.crowd is None or not boxes.crowd[[first, second]].any():
            one, other = classes[boxes.labels[first]], classes[boxes.labels[second]]
            what = "another of its class" if one == other else repr(one)
            yield int(second), f"lies where box {first + 1}, {what}, lies (IoU {overlap[first, second]:.2f}): one object labelled twice?"


def _odd_extents(boxes: Boxes, record: ImageRecord) -> Iterable[tuple[int, str]]:
    for row, (x1, y1, x2, y2) in enumerate(boxes.xyxy.tolist()):
        if min(x2 - x1, y2 - y1) < _TINY:
            yield row, f"is {x2 - x1:.3g} x {y2 - y1:.3g} pixels: a slip of the hand?"
        elif x2 - x1 >= _WHOLE * record.width and y2 - y1 >= _WHOLE * record.height:
            yield row, "covers the whole image."


def _odd_sizes(dataset: Dataset) -> dict[str, list[tuple[int, str]]]:
    """Boxes whose size is far from their class's: fourfold, and more than five robust standard deviations of log size."""
    rows = [(record, row) for record in dataset.images for row in range(len(dataset.labels.get(record.image_id, ())))]
    logs = np.array([np.log(max(_sides(dataset.labels[r.image_id][[i]])[0], 1e-6) / np.hypot(r.width, r.height)) for r, i in rows])
    labels = np.array([dataset.labels[record.image_id].labels[row] for record, row in rows])
    found: dict[str, list[tuple[int, str]]] = {}
    for label in np.unique(labels) if len(rows) else ():
        of_class = np.flatnonzero(labels == label)
        middle = np.median(logs[of_class])
        spread = 1.4826 * np.median(np.abs(logs[of_class] - middle))
        if len(of_class) < _ENOUGH or spread == 0:
            continue
        for index in of_class[np.abs(logs[of_class] - middle) > max(_ODD * spread, np.log(_TIMES))]:
            record, row = rows[index]
            times = float(np.exp(logs[index] - middle))
            found.setdefault(record.image_id, []).append((row, f"is {times:.2g} times as large as its class is at the median."))
    return found
