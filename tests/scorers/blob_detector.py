"""A detector of bright rectangles, in numpy alone: what it finds, and loses, can be worked out by hand."""

from collections.abc import Sequence

import numpy as np

from boxwise.boxes import Boxes
from boxwise.detectors.base import ImageBatch, View
from boxwise.detectors.input import InputSpec
from boxwise.records import ImageRecord, Sample


class BlobDetector:
    """Finds the bright rectangle of each image with certainty `score`. Loss: mean distance in pixels between its box and the first
    target, 1000 where only one of the two exists, 0 where neither does."""

    classes = ("blob",)
    input = InputSpec(64)

    def __init__(self, score: float = 0.9) -> None:
        self.score = score

    def view(self, batch: ImageBatch) -> View:
        return View(batch, [_bright(image.numpy()) for image in batch.pixels])

    def detections(self, view: View) -> list[Boxes]:
        batch = zip(view.outputs, view.batch.records, view.batch.valid.tolist(), strict=True)
        return [self._boxes(box, record.width / width, record.height / height) for box, record, (height, width) in batch]

    def losses(self, view: View, targets) -> np.ndarray:
        found = self.detections(view)
        return np.array([_distance(mine, theirs) for mine, theirs in zip(found, targets, strict=True)], np.float32)

    def expected_losses(self, view: View) -> np.ndarray:
        return np.array([image.float().mean() for image in view.batch.pixels], np.float32)

    def learned_losses(self, view: View) -> np.ndarray:
        return -self.expected_losses(view)

    def embeddings(self, view: View) -> np.ndarray:
        means = view.batch.pixels.float().mean(dim=(2, 3)).numpy()
        return means / np.linalg.norm(means, axis=1, keepdims=True)

    def box_embeddings(self, view: View) -> list[np.ndarray]:
        return [np.tile(np.float32([0.6, 0.8]), (len(boxes), 1)) for boxes in self.detections(view)]

    def _boxes(self, box, x_scale, y_scale) -> Boxes:
        if box is None:
            return Boxes.empty(1)
        xyxy = np.array([box], np.float32) * [x_scale, y_scale, x_scale, y_scale]
        return Boxes(xyxy, [0], scores=[self.score], probabilities=[[self.score, 1 - self.score]])


def _bright(image: np.ndarray):
    rows, columns = np.nonzero(image.mean(axis=0) > 128)
    return None if len(rows) == 0 else (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def _distance(a: Boxes, b: Boxes) -> float:
    if len(a) == 0 or len(b) == 0:
        return 0.0 if len(a) == len(b) else 1000.0
    return float(np.abs(a.xyxy[0] - b.xyxy[0]).mean())


def samples(records: Sequence[ImageRecord]) -> list[Sample]:
    """Labelled images without an object, for scorers that fit on images alone."""
    return [Sample(record, Boxes.empty()) for record in records]
