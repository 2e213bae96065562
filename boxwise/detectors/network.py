"""What a network must offer to become a detector: forward, losses per image, detections; each apart from the others.

Knows pixels and targets at its own input size. Knows nothing of files, original sizes, optimisers or studies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from boxwise.detectors.targets import Target


@dataclass(frozen=True)
class RawBoxes:
    """Detections of one image in input pixels: xyxy [N, 4], classes [N] from 0 without background,
    scores [N], probabilities [N, C + 1] with background last; sorted by falling score."""

    xyxy: Tensor
    classes: Tensor
    scores: Tensor
    probabilities: Tensor


@dataclass(frozen=True)
class Postprocessing:
    """Thresholds of the final boxes: least score, NMS overlap, most boxes an image."""

    score_threshold: float = 0.01
    nms_iou: float = 0.5
    max_detections: int = 100


class Network(nn.Module):
    """A detection network over `class_count` foreground classes.

    resize: "stretch" takes images squeezed to imgsz × imgsz; "fit" takes them scaled so that the longest side is imgsz, padded
    bottom right with zeros to a common size that is a multiple of 32. loss_feature_count: F of `loss_features`.
    """

    resize: Literal["stretch", "fit"] = "stretch"
    class_count: int
    imgsz: int
    loss_feature_count: int

    def forward(self, pixels: Tensor, valid: Tensor) -> Any:
        """Outputs for uint8 RGB [B, 3, H, W] (normalised inside) of which `valid` int64 [B, 2] (height, width) is image.

        The same in train and eval mode but for BatchNorm and dropout: never a return type that depends on `.training`.
        """
        raise NotImplementedError

    def training_losses(self, outputs: Any, targets: Sequence[Target]) -> dict[str, Tensor]:
        """Loss terms of the batch, each [B]; the training objective is the sum over terms of their mean over images."""
        raise NotImplementedError

    def image_losses(self, outputs: Any, targets: Sequence[Target]) -> Tensor:
        """Deterministic loss of each image [B], normalised per image; finite without targets and without detections."""
        raise NotImplementedError

    def expected_losses(self, outputs: Any) -> Tensor:
        """Loss expected under the network's own belief [B]: summed entropy of the most-foreground anchors or proposals."""
        raise NotImplementedError

    def embeddings(self, outputs: Any) -> Tensor:
        """Pooled deepest backbone features [B, D], L2-normalised, detached."""
        raise NotImplementedError

    def detections(self, outputs: Any, valid: Tensor, post: Postprocessing) -> list[RawBoxes]:
        """Final boxes after per-class NMS, clipped to the valid area."""
        raise NotImplementedError

    def loss_features(self, outputs: Any) -> Tensor:
        """Pooled multi-level features [B, F] for the loss-prediction head (Yoo & Kweon, CVPR 2019), detached."""
        raise NotImplementedError
