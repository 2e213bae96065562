"""One pass over the pool: detections, embeddings and every raw score term from one reading of each image.

Returns arrays of a few numbers an image; detections go to a file as they come, so that memory does not grow with the pool.
Knows nothing of stores, budgets or ground truth, except `audit`, which looks at labels that were just given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boxwise.boxes import Boxes
from boxwise.detectors.base import Detector, View
from boxwise.detectors.loading import Resize, image_batches
from boxwise.records import ImageRecord, Inspection, Sample
from boxwise.scorers.base import Scorer
from boxwise.scorers.detections_file import DetectionsWriter, read_detections, writing_detections

__all__ = ["PoolPass", "audit", "inspect_pool", "inspections", "read_detections"]

COUNTED = 0.3  # least score of a detection that a budget in boxes is charged for


@dataclass(frozen=True)
class PoolPass:
    """What the pass learned, one row an image that could be read, in the order of the records.

    terms: raw score terms, float64 [N]. embeddings: float32 [N, D], L2-normalised. box_counts: float64 [N], detections of score >= 0.3.
    unreadable: image_id → message of the images left out.
    """

    image_ids: tuple[str, ...]
    terms: Mapping[str, NDArray[np.float64]]
    embeddings: NDArray[np.float32]
    box_counts: NDArray[np.float64]
    unreadable: Mapping[str, str]


def inspect_pool(
    detector: Detector,
    scorer: Scorer,
    records: Sequence[ImageRecord],
    *,
    imgsz: int,
    resize: Resize = "stretch",
    batch: int = 16,
    workers: int = 0,
    detections_path: Path | None = None,
    on_unreadable: Callable[[str, str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PoolPass:
    """Inspect every record once, `batch` images a forward pass.

    detections_path: where all detections go (see `read_detections`); None: they are not kept. `on_unreadable(image_id, message)` is
    called for each image left out, `progress(done, total)` after each batch.
    """
    unreadable: dict[str, str] = {}

    def leave_out(image_id: str, message: str) -> None:
        unreadable[image_id] = message
        if on_unreadable is not None:
            on_unreadable(image_id, message)

    columns = _Columns(len(records))
    batches = image_batches(records, imgsz=imgsz, resize=resize, batch=batch, workers=workers, on_unreadable=leave_out)
    with nullcontext() if detections_path is None else writing_detections(detections_path) as detections:
        for image_batch in batches:
            _keep(inspections(detector, scorer, detector.view(image_batch)), columns, detections)
            if progress is not None:
                progress(columns.count + len(unreadable), len(records))
    return columns.pool_pass(unreadable)


def inspections(detector: Detector, scorer: Scorer, view: View) -> Iterator[Inspection]:
    """What one view says of each of its images."""
    terms = scorer.measure(detector, view)
    embeddings, boxes = detector.embeddings(view), detector.detections(view)
    for row, image in enumerate(view.batch.records):
        yield Inspection(image.image_id, boxes[row], embeddings[row], {name: float(values[row]) for name, values in terms.items()})


def audit(
    detector: Detector,
    scorers: Sequence[Scorer],
    samples: Sequence[Sample],
    *,
    imgsz: int,
    resize: Resize = "stretch",
    batch: int = 16,
    workers: int = 0,
) -> dict[str, NDArray[np.float64]]:
    """Raw terms of `scorers` on images that were just labelled, and as "true" the detector's loss against those labels.

    Each float64 [n] in the order of `samples`, NaN where the image could not be read. For fidelity: how well did the terms that chose
    these images foretell the loss of the detector that chose them?
    """
    rows = {sample.image.image_id: row for row, sample in enumerate(samples)}
    found: dict[str, NDArray[np.float64]] = {"true": np.full(len(samples), np.nan)}
    records = [sample.image for sample in samples]
    for image_batch in image_batches(records, imgsz=imgsz, resize=resize, batch=batch, workers=workers):
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

    def __init__(self, length: int) -> None:
        self.count = 0
        self._length = length
        self._image_ids: list[str] = []
        self._terms: dict[str, NDArray[np.float64]] = {}
        self._embeddings = np.zeros((0, 0), np.float32)
        self._box_counts = np.zeros(length)

    def add(self, inspection: Inspection) -> None:
        if self.count == 0:
            self._terms = {name: np.zeros(self._length) for name in inspection.evidence}
            self._embeddings = np.zeros((self._length, len(inspection.embedding)), np.float32)
        for name, value in inspection.evidence.items():
            self._terms[name][self.count] = value
        self._embeddings[self.count] = inspection.embedding
        self._box_counts[self.count] = _counted(inspection.boxes)
        self._image_ids.append(inspection.image_id)
        self.count += 1

    def pool_pass(self, unreadable: dict[str, str]) -> PoolPass:
        rows = slice(0, self.count)
        terms = {name: values[rows] for name, values in self._terms.items()}
        return PoolPass(tuple(self._image_ids), terms, self._embeddings[rows], self._box_counts[rows], unreadable)


def _counted(boxes: Boxes) -> int:
    return len(boxes) if boxes.scores is None else int((boxes.scores >= COUNTED).sum())
