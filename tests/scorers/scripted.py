"""A detector that says what it is told to, look by look: agreement between looks can then be worked out by hand."""

from collections.abc import Sequence

import numpy as np
import torch

from boxwise.boxes import Boxes
from boxwise.detectors.base import ImageBatch, View
from boxwise.detectors.input import InputSpec
from boxwise.records import ImageRecord

WIDTH, HEIGHT = 100, 50


class ScriptedDetector:
    """`looks`: for each view that is made, in order, one Boxes an image. The expected loss of image i is i."""

    classes = ("cat", "dog")
    input = InputSpec(32)

    def __init__(self, *looks: Sequence[Boxes]) -> None:
        self._looks = iter(looks)

    def view(self, batch: ImageBatch) -> View:
        return View(batch, next(self._looks))

    def dropout_views(self, batch: ImageBatch, *, passes: int, rate: float, seed: int) -> list[View]:
        return [self.view(batch) for _ in range(passes)]

    def detections(self, view: View) -> list[Boxes]:
        return list(view.outputs)

    def expected_losses(self, view: View) -> np.ndarray:
        return np.arange(len(view.batch.records), dtype=np.float32)


def batch_of(count: int) -> ImageBatch:
    """Black images of 100 x 50 at input size 32 x 32."""
    records = tuple(ImageRecord(f"{row}.png", f"{row}.png", WIDTH, HEIGHT) for row in range(count))
    return ImageBatch(records, torch.zeros((count, 3, 32, 32), dtype=torch.uint8), torch.full((count, 2), 32))


def boxes(*found: tuple[list[float], list[float]]) -> Boxes:
    """(xyxy, [cat, dog, background]) of each box."""
    if not found:
        return Boxes.empty(2)
    p = np.array([each for _, each in found], np.float32)
    return Boxes([xyxy for xyxy, _ in found], p[:, :2].argmax(axis=1), p[:, :2].max(axis=1), p)
