"""A detector that finds what it is told to find on each image, so that matches with labels can be worked out by hand."""

from collections.abc import Mapping

import numpy as np

from boxwise.boxes import Boxes
from boxwise.detectors.base import ImageBatch, View
from boxwise.detectors.input import InputSpec


class FoundBoxes:
    """image_id → the detections there, and the number of raw boxes behind each of them."""

    input = InputSpec(32)

    def __init__(self, classes: tuple[str, ...], found: Mapping[str, tuple[Boxes, list[int]]]) -> None:
        self.classes = classes
        self._found = found

    def view(self, batch: ImageBatch) -> View:
        return View(batch, [self._found.get(image.image_id, (Boxes.empty(len(self.classes)), [])) for image in batch.records])

    def detections(self, view: View) -> list[Boxes]:
        return [boxes for boxes, _ in view.outputs]

    def supports(self, view: View) -> list[np.ndarray]:
        return [np.array(counts, np.int64) for _, counts in view.outputs]


def detections(*rows: tuple[list[float], int, float], classes: int = 2) -> Boxes:
    """Boxes of (xyxy, label, score); what is left of a score lies on the background."""
    probabilities = np.zeros((len(rows), classes + 1), np.float32)
    for row, (_, label, score) in enumerate(rows):
        probabilities[row, label], probabilities[row, -1] = score, 1 - score
    xyxy, labels, scores = zip(*rows, strict=True)
    return Boxes(xyxy, labels, scores, probabilities)
