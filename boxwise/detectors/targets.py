"""From labels in original pixels to what a loss compares against.

Owns the background shift: class 0 of every head is background, so label k becomes class k + 1 here and nowhere else.
Also decides what labels must not teach: crowd regions are no targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from boxwise.boxes import Boxes
from boxwise.records import ImageRecord


@dataclass(frozen=True)
class Target:
    """What one image's loss compares against: xyxy float32 [N, 4] in input pixels, classes int64 [N] from 1 (0 is background)."""

    xyxy: Tensor
    classes: Tensor

    def to(self, device: torch.device | str) -> Target:
        return Target(self.xyxy.to(device), self.classes.to(device))


def target_of(boxes: Boxes, image: ImageRecord, height: int, width: int) -> Target:
    """The target of an image resized to `height` × `width` input pixels; boxes thinner than a thousandth of a pixel are left out."""
    kept = boxes if boxes.crowd is None else boxes[~boxes.crowd]
    scale = torch.tensor([width / image.width, height / image.height] * 2, dtype=torch.float32)
    xyxy = torch.from_numpy(kept.xyxy).reshape(-1, 4) * scale
    solid = ((xyxy[:, 2:] - xyxy[:, :2]) > 1e-3).all(dim=1)
    return Target(xyxy[solid], torch.from_numpy(kept.labels)[solid] + 1)
