"""What a network must offer to become a detector: forward, losses per image, detections; each apart from the others.

Knows pixels and targets at its own input size. Knows nothing of files, original sizes, optimisers or studies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms, box_iou

from boxwise.detectors.input import InputSpec
from boxwise.detectors.names import CAPABILITIES, SUPPORTS
from boxwise.detectors.recipe import Recipe
from boxwise.detectors.targets import Target


@dataclass(frozen=True)
class RawBoxes:
    """Boxes of one image in input pixels: xyxy [N, 4], classes [N] from 0 without background, scores [N].

    probabilities: [N, C + 1] with background last (softmax families) or [N, C] (sigmoid families). anchors: int64 [N], the default box
    that each came from, None where there are none.
    """

    xyxy: Tensor
    classes: Tensor
    scores: Tensor
    probabilities: Tensor
    anchors: Tensor | None = None

    def __getitem__(self, rows: Tensor) -> RawBoxes:
        anchors = None if self.anchors is None else self.anchors[rows]
        return RawBoxes(self.xyxy[rows], self.classes[rows], self.scores[rows], self.probabilities[rows], anchors)


@dataclass(frozen=True)
class Postprocessing:
    """Thresholds of the final boxes: least score, NMS overlap, most boxes an image."""

    score_threshold: float = 0.01
    nms_iou: float = 0.5
    max_detections: int = 100


@dataclass(frozen=True)
class TrainingLosses:
    """Of a batch of B images. terms: each [B]; the objective is the sum over terms of their mean over images.
    features: [B, F] for the loss-prediction head, detached. counts: int64 [B], the matched boxes that an image's terms are summed over;
    None where they are means over as many of each image. per: scalar, what the batch's sum is divided by (at least 1 was); None where
    that is the same for every batch of B."""

    terms: dict[str, Tensor]
    features: Tensor
    counts: Tensor | None = None
    per: Tensor | None = None

    def per_image(self) -> Tensor:
        """The loss of each image per matched box of its own, as `Network.image_losses`, but for a factor that all images share; [B],
        detached. Sums would order images by how many objects they hold."""
        total = torch.stack(list(self.terms.values())).sum(0).detach()
        return total if self.counts is None else total / self.counts.clamp(min=1)


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters with a common share of the learning rate. decay: whether weight decay holds for them."""

    parameters: list[nn.Parameter]
    scale: float = 1.0
    decay: bool = True


class Network(nn.Module):
    """A detection network over `class_count` foreground classes.

    input: what it takes. recipe: how its family is trained. suppresses: whether overlapping boxes of a class are taken as one object found
    several times, of which the best is kept. loss_feature_count: F of `loss_features`. class_rows: pattern of the names of tensors whose
    first dimension is anchors × classes × numbers → how many numbers; background_rows: how many come before the classes, for background:
    1 in softmax families, 0 in sigmoid families; own: pattern of tensors that are never taken over from other weights. What raises
    NotImplementedError below `embeddings` is a capability that a family may lack; detectors/names.py says which ones each has.
    """

    recipe: Recipe = Recipe()
    suppresses: bool = True
    class_rows: ClassVar[Mapping[str, int]] = {}
    background_rows: int = 1
    own: str = ""
    input: InputSpec
    class_count: int
    loss_feature_count: int

    def forward(self, pixels: Tensor, valid: Tensor) -> Any:
        """Outputs for uint8 RGB [B, 3, H, W] (normalised inside) of which `valid` int64 [B, 2] (height, width) is image.

        The same in train and eval mode but for BatchNorm and dropout: never a return type that depends on `.training`.
        """
        raise NotImplementedError

    def dropped(self, pixels: Tensor, valid: Tensor, *, passes: int, rate: float, seed: int) -> list[Any]:
        """Outputs of `passes` stochastic passes: the backbone once, then whole channels of what feeds the heads dropped at `rate`."""
        raise NotImplementedError

    def training_step(self, pixels: Tensor, valid: Tensor, targets: Sequence[Target]) -> TrainingLosses:
        """Forward pass and loss of one training batch; a family whose forward pass needs the targets overrides it."""
        outputs = self(pixels, valid)
        return TrainingLosses(self.training_losses(outputs, targets), self.loss_features(outputs))

    def parameter_groups(self) -> list[ParameterGroup]:
        """What is trained, with its share of the learning rate: weights, then biases and norms, which do not decay."""
        trained = [p for p in self.parameters() if p.requires_grad]
        return [ParameterGroup([p for p in trained if p.ndim > 1]), ParameterGroup([p for p in trained if p.ndim <= 1], decay=False)]

    def from_release(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The tensors of the family's COCO release, by the names that they have in this network."""
        return state

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

    def box_features(self, outputs: Any, boxes: Sequence[Tensor]) -> list[Tensor]:
        """Features of the regions inside `boxes`, [n, 4] an image in input pixels; [n, F] an image, detached."""
        raise NotImplementedError

    def raw_boxes(self, outputs: Any, valid: Tensor, post: Postprocessing) -> list[RawBoxes]:
        """What goes into NMS: boxes above the score threshold, each of its most probable class, clipped to the valid area."""
        raise NotImplementedError

    def every_box(self, outputs: Any) -> tuple[Tensor, Tensor]:
        """Every box there is, for an exported file: xyxy [B, A, 4] in input pixels, not clipped, and probabilities [B, A, C]."""
        raise NotImplementedError

    def detections(self, outputs: Any, valid: Tensor, post: Postprocessing) -> list[RawBoxes]:
        """Final boxes after per-class NMS, by falling score."""
        return [_without_duplicates(raw, post) for raw in self.raw_boxes(outputs, valid, post)]

    @classmethod
    def capabilities(cls) -> frozenset[str]:
        """What this family can be asked beyond the core: of names.CAPABILITIES, what it or a base of it other than Network defines."""
        own = {capability for capability, (method, _) in CAPABILITIES.items() if getattr(cls, method) is not getattr(Network, method)}
        return frozenset(own | ({SUPPORTS} if cls.suppresses and cls.raw_boxes is not Network.raw_boxes else set()))

    def supports(self, outputs: Any, valid: Tensor, post: Postprocessing, found: Sequence[RawBoxes]) -> list[Tensor]:
        """Of each box of `detections`: how many raw boxes of its class, itself among them, overlap it by nms_iou; int64 [n] an image."""
        images = zip(found, self.raw_boxes(outputs, valid, post), strict=True)
        return [_supports(final, raw, post.nms_iou) for final, raw in images]

    def mixture_uncertainties(self, outputs: Any, found: Sequence[RawBoxes]) -> list[Tensor]:
        """Of each box of `detections`: class aleatoric, class epistemic, box aleatoric and box epistemic variance; [n, 4] an image."""
        raise NotImplementedError

    def loss_features(self, outputs: Any) -> Tensor:
        """Pooled multi-level features [B, F] for the loss-prediction head (Yoo & Kweon, CVPR 2019), detached."""
        raise NotImplementedError


def _without_duplicates(raw: RawBoxes, post: Postprocessing) -> RawBoxes:
    return raw[batched_nms(raw.xyxy, raw.scores, raw.classes, post.nms_iou)[: post.max_detections]]


def _supports(final: RawBoxes, raw: RawBoxes, nms_iou: float) -> Tensor:
    same = final.classes[:, None] == raw.classes[None, :]
    return (same & (box_iou(final.xyxy, raw.xyxy) >= nms_iou)).sum(dim=1)
