"""The smallest network that can be trained: it finds the centre of the one bright dot in each image."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from boxwise.boxes import Boxes
from boxwise.detectors.input import InputSpec
from boxwise.detectors.network import Network
from boxwise.detectors.targets import Target
from boxwise.records import ImageRecord, Sample


class DotNetwork(Network):
    """Convolution, a norm, dropout and a linear layer, so that every kind of training state occurs."""

    def __init__(self, imgsz: int = 32, *, norm: bool = True, dropout: float = 0.2, seed: int = 0) -> None:
        super().__init__()
        self.class_count, self.input = 1, InputSpec(imgsz)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.conv = nn.Conv2d(3, 8, 5, stride=4)
            self.norm = nn.BatchNorm2d(8) if norm else nn.Identity()
            self.dropout = nn.Dropout(dropout)
            self.centre = nn.LazyLinear(2)
            self(torch.zeros(2, 3, imgsz, imgsz, dtype=torch.uint8), torch.full((2, 2), imgsz))

    def forward(self, pixels: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        features = self.dropout(torch.relu(self.norm(self.conv(pixels / 255 - 0.5)))).flatten(1)
        return self.centre(features), features

    def training_losses(self, outputs: tuple[Tensor, Tensor], targets: Sequence[Target]) -> dict[str, Tensor]:
        centres = [(t.xyxy[:, :2] + t.xyxy[:, 2:]).mean(dim=0) / 2 / self.input.imgsz if len(t.xyxy) else torch.zeros(2) for t in targets]
        return {"box": (outputs[0] - torch.stack(centres)).square().sum(dim=1), "weight": outputs[0].abs().sum(dim=1) * 1e-3}

    def loss_features(self, outputs: tuple[Tensor, Tensor]) -> Tensor:
        return outputs[1].detach()


class LossHead(nn.Linear):
    """Features [B, F] → predicted loss [B]."""

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features)[:, 0]


def dot_samples(folder: Path, *, count: int, side: int = 40, seed: int = 0, write: bool = True) -> list[Sample]:
    """PNG images of a dark field with one bright 8 × 8 dot, its box as the label; the fifth image has neither.

    `write=False` gives the same samples over files that are there already.
    """
    rng, samples = np.random.default_rng(seed), []
    for number in range(count):
        pixels = rng.integers(0, 60, (side, side, 3), dtype=np.uint8)
        left, top = (int(v) for v in rng.integers(0, side - 8, 2))
        boxes = Boxes.empty()
        if number != 4:
            pixels[top : top + 8, left : left + 8] = 255
            boxes = Boxes(np.array([[left, top, left + 8, top + 8]], np.float32), np.array([0]))
        path = folder / f"dot_{number}.png"
        if write:
            Image.fromarray(pixels).save(path)
        samples.append(Sample(ImageRecord(path.name, path, side, side), boxes))
    return samples
