"""YOLOX behind the Network contract: forward pass, losses, boxes and features, each read off the same outputs.

Builders return nano, tiny, s and m with random weights; release files load strictly. Knows nothing of files, original sizes or optimisers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from boxwise.detectors.backbones import BackboneWeights
from boxwise.detectors.dropout import channel_masks
from boxwise.detectors.input import InputSpec
from boxwise.detectors.names import input_side
from boxwise.detectors.network import Network, Postprocessing, RawBoxes, TrainingLosses
from boxwise.detectors.recipe import Recipe
from boxwise.detectors.targets import Target
from boxwise.detectors.yolox import loss, model
from boxwise.detectors.yolox.model import Features, Predictions, Yolox
from boxwise.detectors.yolox.postprocess import probabilities, raw_boxes

GREY = 114  # what the authors pad with


@dataclass(frozen=True)
class YoloxOutputs:
    """predictions: of every cell. pooled: the mean over each level of the pyramid and, last, over what ends the backbone, of what is not
    padding, [B, channels] each, detached. deepest: what ends the backbone, [B, channels, h, w], detached."""

    predictions: Predictions
    pooled: tuple[Tensor, ...]
    deepest: Tensor


class YoloxNetwork(Network):
    """YOLOX (Ge et al., 2021, arXiv:2107.08430): anchor-free, one prediction a cell, independent sigmoids.

    Images are letterboxed to the top left with grey; the network itself turns RGB to BGR and leaves pixels from 0 to 255.
    """

    recipe = Recipe(optimizer="adamw", lr=1e-3, weight_decay=0.01, warmup_steps=30, augment="scale")
    class_rows: ClassVar[Mapping[str, int]] = {r"yolox\.head\.cls_preds\.\d+\.(weight|bias)": 1}
    background_rows = 0

    def __init__(self, yolox: Yolox, *, class_count: int, imgsz: int) -> None:
        super().__init__()
        self.yolox = yolox
        self.class_count = class_count
        self.input = InputSpec(imgsz, "letterbox", fill=GREY, antialias=False, channels="bgr")
        self.loss_feature_count = sum(yolox.channels) + yolox.channels[-1]

    def forward(self, pixels: Tensor, valid: Tensor) -> YoloxOutputs:
        return self._read(self._features(pixels), valid)

    def dropped(self, pixels: Tensor, valid: Tensor, *, passes: int, rate: float, seed: int) -> list[YoloxOutputs]:
        features = self._features(pixels)
        masks = channel_masks(features.levels, passes=passes, rate=rate, seed=seed)
        thinned = ([level * mask for level, mask in zip(features.levels, each, strict=True)] for each in masks)
        return [self._read(Features(levels, features.deepest), valid) for levels in thinned]

    def _features(self, pixels: Tensor) -> Features:
        return self.yolox.features(pixels.flip(1))

    def _read(self, features: Features, valid: Tensor) -> YoloxOutputs:
        """What the head says of the levels."""
        pooled = tuple(mean_of_image(level.detach(), valid, self.input.imgsz) for level in (*features.levels, features.deepest))
        return YoloxOutputs(self.yolox.head(features.levels), pooled, features.deepest.detach())

    def from_release(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The tensors of a release file by the names that they have here."""
        return {f"yolox.{key}": value for key, value in state.items()}

    def training_step(self, pixels: Tensor, valid: Tensor, targets: Sequence[Target]) -> TrainingLosses:
        outputs = self(pixels, valid)
        matches = loss.match(outputs.predictions, targets)
        terms = loss.batch_losses(outputs.predictions, matches)
        return TrainingLosses(terms, self.loss_features(outputs), matches.counts, matches.counts.sum())

    def training_losses(self, outputs: YoloxOutputs, targets: Sequence[Target]) -> dict[str, Tensor]:
        return loss.training_losses(outputs.predictions, targets)

    def image_losses(self, outputs: YoloxOutputs, targets: Sequence[Target]) -> Tensor:
        return loss.image_losses(outputs.predictions, targets)

    def expected_losses(self, outputs: YoloxOutputs) -> Tensor:
        return loss.expected_losses(outputs.predictions)

    def embeddings(self, outputs: YoloxOutputs) -> Tensor:
        return F.normalize(outputs.pooled[-1], dim=1)

    def box_features(self, outputs: YoloxOutputs, boxes: Sequence[Tensor]) -> list[Tensor]:
        """What ends the backbone averaged over each box: one level for boxes of all sizes, so that they can be compared."""
        scale = outputs.deepest.shape[-1] / self.input.imgsz
        pooled = roi_align(outputs.deepest.float(), list(boxes), 1, spatial_scale=scale, sampling_ratio=2, aligned=True)
        return list(pooled.flatten(1).split([len(b) for b in boxes]))

    def loss_features(self, outputs: YoloxOutputs) -> Tensor:
        return torch.cat(outputs.pooled, dim=1)

    def every_box(self, outputs: YoloxOutputs) -> tuple[Tensor, Tensor]:
        """Every cell's box, for an exported file: xyxy [B, A, 4] in input pixels, not clipped, and probabilities [B, A, C]."""
        found = outputs.predictions
        return found.cells.decode(found.boxes.float()), probabilities(found.objectness, found.classes)

    def raw_boxes(self, outputs: YoloxOutputs, valid: Tensor, post: Postprocessing) -> list[RawBoxes]:
        return raw_boxes(outputs.predictions, valid, post)


def mean_of_image(level: Tensor, valid: Tensor, imgsz: int) -> Tensor:
    """The mean of a level [B, C, h, w] over the cells that the images, int64 [B, 2] (height, width), reach into; float32 [B, C]."""
    reached = (valid * level.shape[-1] / imgsz).ceil()
    down, across = (torch.arange(side, device=level.device) < reached[:, [axis]] for axis, side in enumerate(level.shape[2:]))
    inside = (down[:, :, None] & across[:, None, :]).flatten(1).float()
    weights = inside / inside.sum(1, keepdim=True)
    return torch.bmm(weights[:, None], level.float().permute(0, 2, 3, 1).flatten(1, 2))[:, 0]


def _build(class_count: int, imgsz: int | None, weights: BackboneWeights, *, name: str, build: Callable[[int], Yolox]) -> YoloxNetwork:
    return YoloxNetwork(build(class_count), class_count=class_count, imgsz=input_side(name, imgsz))


yolox_nano = partial(_build, name="yolox_nano", build=model.yolox_nano)
yolox_tiny = partial(_build, name="yolox_tiny", build=model.yolox_tiny)
yolox_s = partial(_build, name="yolox_s", build=model.yolox_s)
yolox_m = partial(_build, name="yolox_m", build=model.yolox_m)
