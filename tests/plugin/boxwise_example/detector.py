"""A detector without a network: the bounding box of what is brighter than it has learned the background to be."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from boxwise.boxes import Boxes
from boxwise.config import DetectorConfig, TrainConfig
from boxwise.data.images import read_image
from boxwise.detectors.base import FitReport, ImageBatch, View
from boxwise.detectors.input import InputSpec
from boxwise.errors import BoxwiseError
from boxwise.records import Sample


class BrightBox:
    """One box an image, around all pixels above a threshold, of the class most often seen in training. All the core asks for, no more."""

    def __init__(self, classes: Sequence[str], config: DetectorConfig, *, device: torch.device) -> None:
        self.classes, self.config, self.device = tuple(classes), config, device
        self.input = InputSpec(config.imgsz or 96)
        self.threshold, self.label = 128.0, 0

    def fit(
        self,
        train: Sequence[Sample],
        val: Sequence[Sample],
        config: TrainConfig,
        *,
        seed: int,
        workers: int = 0,
        checkpoint: Path | None = None,
        progress: Callable[[int, int, dict[str, float]], None] | None = None,
    ) -> FitReport:
        """The threshold is the mean brightness of the labelled images, the class the most frequent label."""
        self.threshold = float(np.mean([read_image(sample.image.uri).mean() for sample in train]))
        labels = np.concatenate([np.zeros(0, np.int64), *(sample.boxes.labels for sample in train)])
        self.label = int(np.bincount(labels, minlength=len(self.classes)).argmax())
        return FitReport(steps=1, stopped_early=False, best_ap=None, images_per_second=float(len(train)))

    def view(self, batch: ImageBatch) -> View:
        return View(batch, [_bright(pixels.float().mean(dim=0).numpy(), self.threshold) for pixels in batch.pixels])

    def detections(self, view: View) -> list[Boxes]:
        images = zip(view.outputs, view.batch.records, view.batch.valid.tolist(), strict=True)
        return [self._boxes(box, record.width / width, record.height / height) for box, record, (height, width) in images]

    def losses(self, view: View, targets: Sequence[Boxes]) -> NDArray[np.float32]:
        """How many boxes too many or too few."""
        wanted = [target[~target.crowd] if target.crowd is not None else target for target in targets]
        return np.array([abs(len(mine) - len(true)) for mine, true in zip(self.detections(view), wanted, strict=True)], np.float32)

    def learned_losses(self, view: View) -> NDArray[np.float32]:
        return np.array([float(box is None) for box in view.outputs], np.float32)

    def embeddings(self, view: View) -> NDArray[np.float32]:
        means = 1 + view.batch.pixels.float().mean(dim=(2, 3)).numpy()
        return means / np.linalg.norm(means, axis=1, keepdims=True)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps({"classes": self.classes, "threshold": self.threshold, "label": self.label}), encoding="utf-8")

    def load(self, path: Path) -> None:
        saved = json.loads(path.read_text(encoding="utf-8"))
        if saved["classes"] != list(self.classes):
            raise BoxwiseError(f"{path}: expected classes {list(self.classes)}, found {saved['classes']}.")
        self.threshold, self.label = saved["threshold"], saved["label"]

    def _boxes(self, box: tuple[int, int, int, int] | None, x_scale: float, y_scale: float) -> Boxes:
        if box is None:
            return Boxes.empty(len(self.classes))
        probabilities = np.full((1, len(self.classes) + 1), 0.2 / len(self.classes), np.float32)
        probabilities[0, self.label] = 0.8
        xyxy = np.array([box], np.float32) * np.array([x_scale, y_scale] * 2, np.float32)
        return Boxes(xyxy, np.array([self.label]), probabilities[:, self.label], probabilities)


def _bright(image: NDArray[np.float32], threshold: float) -> tuple[int, int, int, int] | None:
    rows, columns = np.nonzero(image > threshold)
    return (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else None


def build(classes: Sequence[str], config: DetectorConfig, *, seed: int, device: torch.device) -> BrightBox:
    return BrightBox(classes, config, device=device)
