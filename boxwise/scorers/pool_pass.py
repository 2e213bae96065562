"""One pass over the pool: detections, embeddings and every raw score term from one reading of each image.

Returns arrays of a few numbers an image; detections go to a file as they come, so that memory does not grow with the pool. It is a map and
a reduce: `inspect_parts` looks at images, anywhere and in any order of the parts; `join` makes the pass of the parts.
Knows nothing of stores, budgets or ground truth, except `audit`, which looks at labels that were just given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boxwise.artifacts.detections_file import DetectionsWriter, read_detections, writing_detections
from boxwise.artifacts.pool_parts import PoolPart
from boxwise.boxes import Boxes
from boxwise.detectors.base import Detector, View
from boxwise.detectors.checked import detections_of, embeddings_of
from boxwise.detectors.loading import image_batches
from boxwise.evaluation.entropy import box_entropy
from boxwise.evaluation.expected_objects import ObjectCounts, uncalibrated
from boxwise.records import DetectedBoxes, ImageRecord, Inspection, Sample
from boxwise.scorers.base import Scorer
from boxwise.scorers.per_box import MEASURED

__all__ = ["PoolPass", "audit", "inspect_parts", "inspect_pool", "inspections", "join", "read_detections"]

MOST_BOXES = 20  # most measured detections of an image that are kept for strategies


@dataclass(frozen=True)
class PoolPass:
    """What the pass learned, one row an image that could be read, in the order of the records.

    terms: raw score terms, float64 [N]. embeddings: float32 [N, D], L2-normalised. class_counts: float32 [N, C], objects
    of each class that are expected (evaluation/expected_objects.py), and box_counts: float64 [N], their sum.
    boxes: None unless asked for. unreadable: image_id → message of the images left out.
    """

    image_ids: tuple[str, ...]
    terms: Mapping[str, NDArray[np.float64]]
    embeddings: NDArray[np.float32]
    box_counts: NDArray[np.float64]
    class_counts: NDArray[np.float32]
    boxes: DetectedBoxes | None
    unreadable: Mapping[str, str]


def inspect_pool(
    detector: Detector,
    scorer: Scorer,
    records: Sequence[ImageRecord],
    *,
    batch: int = 16,
    workers: int = 0,
    detections_path: Path | None = None,
    keep_boxes: bool = False,
    objects: ObjectCounts | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PoolPass:
    """Inspect every record once, `batch` images a forward pass.

    objects: from detections to expected objects, as val has it; None: the scores are believed.
    detections_path: where all detections go (see `read_detections`); None: they are not kept. keep_boxes: whether `boxes` is filled,
    with at most 20 detections an image of score >= 0.05. `progress(done, total)` is called after each batch.
    """
    unreadable: dict[str, str] = {}
    columns = _Columns(len(records), objects or uncalibrated(len(detector.classes)), keep_boxes=keep_boxes)
    batches = image_batches(records, detector.input, batch=batch, workers=workers, on_unreadable=unreadable.__setitem__)
    with nullcontext() if detections_path is None else writing_detections(detections_path) as detections:
        for image_batch in batches:
            _keep(inspections(detector, scorer, detector.view(image_batch), embed_boxes=keep_boxes), columns, detections)
            if progress is not None:
                progress(columns.count + len(unreadable), len(records))
    return columns.pool_pass(unreadable)


def inspect_parts(
    detector: Detector,
    scorer: Scorer,
    parts: Sequence[Sequence[ImageRecord]],
    *,
    batch: int = 16,
    workers: int = 0,
    keep_boxes: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Iterator[PoolPart]:
    """What is learned of each part's images, one PoolPart a part, in order; `progress(images done)` is called after each batch.

    An image's values are the same, bit for bit, whichever parts are asked for along with its own: each part but the last must hold a
    multiple of `batch` images, so that batches never mix parts. Images are decoded ahead across parts.
    """
    if any(len(part) % batch for part in parts[:-1]):
        raise ValueError(f"every part but the last must hold a multiple of {batch} images, found {[len(part) for part in parts]}")
    unreadable: dict[str, str] = {}
    records = [record for part in parts for record in part]
    done = 0

    def found() -> Iterator[Inspection]:
        nonlocal done
        batches = image_batches(records, detector.input, batch=batch, workers=workers, on_unreadable=unreadable.__setitem__)
        for image_batch in batches:
            yield from inspections(detector, scorer, detector.view(image_batch), embed_boxes=keep_boxes)
            done += len(image_batch.records)
            if progress is not None:
                progress(done + len(unreadable))

    for part, of_part in zip(parts, _cut(found(), parts), strict=True):
        yield PoolPart(of_part, {record.image_id: unreadable[record.image_id] for record in part if record.image_id in unreadable})


def join(
    parts: Iterable[PoolPart],
    count: int,
    classes: int,
    *,
    detections_path: Path | None = None,
    keep_boxes: bool = False,
    objects: ObjectCounts | None = None,
) -> PoolPass:
    """The pass over `count` images that `parts` hold between them, in the order of the parts. See `inspect_pool` for the options."""
    unreadable: dict[str, str] = {}
    columns = _Columns(count, objects or uncalibrated(classes), keep_boxes=keep_boxes)
    with nullcontext() if detections_path is None else writing_detections(detections_path) as detections:
        for part in parts:
            _keep(iter(part.inspections), columns, detections)
            unreadable |= part.unreadable
    return columns.pool_pass(unreadable)


def _cut(found: Iterator[Inspection], parts: Sequence[Sequence[ImageRecord]]) -> Iterator[tuple[Inspection, ...]]:
    """The inspections of each part's images; an image that could not be read has none."""
    ahead = next(found, None)
    for part in parts:
        image_ids, of_part = {record.image_id for record in part}, []
        while ahead is not None and ahead.image_id in image_ids:
            of_part.append(ahead)
            ahead = next(found, None)
        yield tuple(of_part)


def inspections(detector: Detector, scorer: Scorer, view: View, *, embed_boxes: bool = False) -> Iterator[Inspection]:
    """What one view says of each of its images."""
    embeddings, boxes = embeddings_of(detector, view), detections_of(detector, view)
    terms = scorer.measure(detector, view)  # second: what is wrong with the detector is no fault of the scorer
    within: Sequence[NDArray[np.float32] | None] = detector.box_embeddings(view) if embed_boxes else [None] * len(boxes)
    for row, image in enumerate(view.batch.records):
        evidence = {name: float(values[row]) for name, values in terms.items()}
        inside = within[row]
        yield Inspection(
            image.image_id, boxes[row], embeddings[row], evidence, None if inside is None else inside[:MOST_BOXES].astype(np.float16)
        )


def audit(
    detector: Detector,
    scorers: Sequence[Scorer],
    samples: Sequence[Sample],
    *,
    batch: int = 16,
    workers: int = 0,
) -> dict[str, NDArray[np.float64]]:
    """Raw terms of `scorers` on images that were just labelled, and as "true" the detector's loss against those labels.

    Each float64 [n] in the order of `samples`, NaN where the image could not be read. For fidelity: how well did scores of
    these images, before they were labelled, predict the loss that the detector had on them?
    """
    rows = {sample.image.image_id: row for row, sample in enumerate(samples)}
    found: dict[str, NDArray[np.float64]] = {"true": np.full(len(samples), np.nan)}
    records = [sample.image for sample in samples]
    for image_batch in image_batches(records, detector.input, batch=batch, workers=workers):
        view = detector.view(image_batch)
        here = [rows[image.image_id] for image in image_batch.records]
        found["true"][here] = detector.losses(view, [samples[row].boxes for row in here])
        for scorer in scorers:
            for name, values in scorer.measure(detector, view).items():
                found.setdefault(name, np.full(len(samples), np.nan))[here] = values
    return found


def _keep(found: Iterator[Inspection], columns: _Columns, detections: DetectionsWriter | None) -> None:
    for inspection in found:
        columns.add(inspection)
        if detections is not None:
            detections.add(inspection.image_id, inspection.boxes)


class _Columns:
    """Columns of known length, filled row by row: nothing is copied at the end."""

    def __init__(self, length: int, objects: ObjectCounts, *, keep_boxes: bool) -> None:
        self.count = 0
        self._objects = objects
        self._length = length
        self._image_ids: list[str] = []
        self._terms: dict[str, NDArray[np.float64]] = {}
        self._embeddings = np.zeros((0, 0), np.float32)
        self._class_counts = np.zeros((length, len(objects.unseen)), np.float32)
        self._boxes: list[Kept] | None = [] if keep_boxes else None
        self._box_dimensions = 0

    def add(self, inspection: Inspection) -> None:
        if self.count == 0:
            self._terms = {name: np.zeros(self._length) for name in inspection.evidence}
            self._embeddings = np.zeros((self._length, len(inspection.embedding)), np.float32)
        for name, value in inspection.evidence.items():
            self._terms[name][self.count] = value
        self._embeddings[self.count] = inspection.embedding
        self._class_counts[self.count] = self._objects.by_class(inspection.boxes)
        if self._boxes is not None and inspection.box_embeddings is not None:
            self._boxes.append(_kept(inspection.boxes.at_least(MEASURED), inspection.box_embeddings, self._class_counts.shape[1]))
            self._box_dimensions = inspection.box_embeddings.shape[1]
        self._image_ids.append(inspection.image_id)
        self.count += 1

    def pool_pass(self, unreadable: dict[str, str]) -> PoolPass:
        rows = slice(0, self.count)
        terms = {name: values[rows] for name, values in self._terms.items()}
        boxes = None if self._boxes is None else _detected(self._boxes, self._box_dimensions)
        counts = self._class_counts[rows]
        box_counts = counts.sum(axis=1, dtype=np.float64)
        return PoolPass(tuple(self._image_ids), terms, self._embeddings[rows], box_counts, counts, boxes, unreadable)


Kept = tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32], NDArray[np.float16]]


def _kept(measured: Boxes, embeddings: NDArray[np.float16], class_count: int) -> Kept:
    """Labels, scores, entropies and embeddings of the first boxes of an image; they stand by falling score."""
    first = measured[: min(MOST_BOXES, len(measured))]
    assert first.scores is not None and first.probabilities is not None  # detections have both
    return (
        first.labels,
        first.scores,
        box_entropy(first.probabilities, class_count).astype(np.float32),
        embeddings[: len(first)],
    )


def _detected(images: Sequence[Kept], dimensions: int) -> DetectedBoxes:
    """The images' boxes one after the other."""
    starts = np.concatenate([[0], np.cumsum([len(labels) for labels, *_ in images])]).astype(np.int64)
    nothing: Kept = (np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.float32), np.zeros((0, dimensions), np.float16))
    columns = zip(nothing, *images, strict=True)
    labels, scores, entropies, embeddings = (np.concatenate(column) for column in columns)
    return DetectedBoxes(starts, labels, scores, entropies, embeddings)
