"""From labels in original pixels to what a loss compares against.

Owns the background shift: class 0 of every head is background, so label k becomes class k + 1 here and nowhere else.
Alone decides what labels must not teach: what is taught as background, and what is neither an object nor background.
Knows nothing of anchors' origins, losses or networks.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import box_area, box_iou

from boxwise.boxes import Boxes, FloatArray
from boxwise.records import Sample

LEAST_OVERLAP = 0.5  # of an anchor with what is ignored (share of the anchor) or verified as background (IoU)
_EVERYWHERE = torch.tensor([[-torch.inf, -torch.inf, torch.inf, torch.inf]])  # anchors reach beyond the image


@dataclass(frozen=True)
class Target:
    """What one image's loss compares against; all boxes are float32 [·, 4] xyxy in input pixels.

    xyxy [N, 4] and classes int64 [N] from 1 (0 is background): the objects. weights: float32 [N] in (0, 1], how much each counts.
    ignore [K, 4]: regions where nothing may be taught as background. background [M, 4]: boxes verified to hold no object, which may be
    taught as background even there.
    """

    xyxy: Tensor
    classes: Tensor
    weights: Tensor
    ignore: Tensor
    background: Tensor

    @property
    def complete(self) -> bool:
        """Whether background is taught everywhere but in single regions, so that the loss says how wrong the network is here."""
        return not bool(torch.isinf(self.ignore).any())

    def to(self, device: torch.device | str) -> Target:
        return Target(*(getattr(self, field.name).to(device) for field in fields(self)))

    def allows_background(self, regions: Tensor) -> Tensor:
        """Which anchors or proposals, float32 [P, 4], may be taught as background if they stand for no object; bool [P].

        Not those that lie half or more in an ignored region, nor the one that fits such a region best, unless they overlap a
        verified background box by an IoU of half or more.
        """
        allowed = torch.ones(len(regions), dtype=torch.bool, device=regions.device)
        if not len(self.ignore) or not len(regions):
            return allowed
        allowed &= ~_mostly_inside(regions, self.ignore).any(dim=1)
        allowed[box_iou(self.ignore, regions).argmax(dim=1)] = False  # a small object's best anchor may hardly overlap it
        if len(self.background):
            allowed |= (box_iou(self.background, regions) >= LEAST_OVERLAP).any(dim=0)
        return allowed


def target_of(sample: Sample, height: int, width: int) -> Target:
    """The target of an image resized to `height` × `width` input pixels; boxes thinner than a thousandth of a pixel are left out.

    Crowds and boxes of weight 0 are ignored regions. So is everything in an incomplete image, whose only background is what was rejected.
    """
    scale = torch.tensor([width / sample.image.width, height / sample.image.height] * 2, dtype=torch.float32)
    xyxy = torch.from_numpy(sample.boxes.xyxy) * scale
    ignored = torch.from_numpy(teaches_nothing(sample.boxes, sample.weights))
    solid = ((xyxy[:, 2:] - xyxy[:, :2]) > 1e-3).all(dim=1) & ~ignored
    return Target(
        xyxy=xyxy[solid],
        classes=torch.from_numpy(sample.boxes.labels)[solid] + 1,
        weights=torch.ones(int(solid.sum())) if sample.weights is None else torch.from_numpy(sample.weights)[solid],
        ignore=xyxy[ignored] if sample.complete else _EVERYWHERE,
        background=torch.from_numpy(sample.rejected) * scale,
    )


def teaches_nothing(boxes: Boxes, weights: FloatArray | None) -> NDArray[np.bool_]:
    """Which boxes are neither an object to find nor background: crowds and boxes of weight 0; bool [N]."""
    crowd = np.zeros(len(boxes), bool) if boxes.crowd is None else boxes.crowd
    return crowd if weights is None else crowd | (weights <= 0)


def _mostly_inside(regions: Tensor, others: Tensor) -> Tensor:
    """Whether each region has at least half of its own area in each of `others`; bool [P, K]."""
    corner = torch.maximum(regions[:, None, :2], others[None, :, :2])
    opposite = torch.minimum(regions[:, None, 2:], others[None, :, 2:])
    return (opposite - corner).clamp(min=0).prod(dim=2) >= LEAST_OVERLAP * box_area(regions)[:, None]
