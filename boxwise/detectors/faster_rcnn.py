"""Faster R-CNN behind the Network contract, put together from torchvision's backbone, RPN and RoI heads.

One forward pass proposes; losses and detections classify what was proposed. Knows nothing of files, original sizes or optimisers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection._utils import Matcher
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN, mobilenet_backbone, resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead, concat_box_prediction_layers
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign, box_iou, clip_boxes_to_image

from boxwise.detectors import ssd_loss
from boxwise.detectors.backbones import IMAGENET_MEAN, IMAGENET_STD, BackboneWeights, load_backbone
from boxwise.detectors.dropout import channel_masks
from boxwise.detectors.input import InputSpec, in_bytes
from boxwise.detectors.names import input_side
from boxwise.detectors.network import Network, Postprocessing, RawBoxes
from boxwise.detectors.recipe import Recipe
from boxwise.detectors.targets import Target

# 300 proposals an image as in the paper's test setting, in training too so that a forward pass is the same in both modes;
# 128 of them are sampled for the loss where torchvision takes 512: the RoI head is what a CPU waits for, and its cost is in
# proportion. Images here are smaller than torchvision's 800 pixels and hold fewer distinct proposals.
PROPOSALS, PROPOSALS_BEFORE_NMS = 300, 1000
RPN_SAMPLES, RPN_POSITIVE_SHARE = 256, 0.5
ROI_SAMPLES, ROI_POSITIVE_SHARE = 128, 0.25
SMOOTH_L1_BETA = 1 / 9
BETWEEN, WITHHELD = -1, -2  # labels never drawn: neither object nor background, and background that must not be taught


@dataclass(frozen=True)
class Regions:
    """What the RoI head says of P proposals: logits [P, C + 1], background first; deltas [P, C + 1, 4]."""

    logits: Tensor
    deltas: Tensor


@dataclass(frozen=True)
class Assigned:
    """What P anchors or proposals stand for: labels int64 [P], the class, 0 background, BETWEEN or WITHHELD; boxes [P, 4], the objects'
    where the label is above 0; weights float32 [P], how much each counts, 1 where it is of no object."""

    labels: Tensor
    boxes: Tensor
    weights: Tensor

    def __getitem__(self, rows: Tensor) -> Assigned:
        return Assigned(self.labels[rows], self.boxes[rows], self.weights[rows])


@dataclass
class FasterRcnnOutputs:
    """features: FPN levels. canvas: (H, W) of the padded input. objectness [B, A] and deltas [B, A, 4] of anchors [A, 4];
    proposals: [P, 4] an image, detached. pooled: mean of each FPN level and, last, of the deepest backbone level, detached.
    regions: the RoI head on the proposals of all images in turn, filled when first asked for, because training never asks."""

    features: Mapping[str, Tensor]
    canvas: tuple[int, int]
    objectness: Tensor
    deltas: Tensor
    anchors: Tensor
    proposals: list[Tensor]
    pooled: tuple[Tensor, ...]
    regions: list[Regions] | None = None


class FasterRcnn(Network):
    """Faster R-CNN (Ren et al., NeurIPS 2015) with a feature pyramid (Lin et al., CVPR 2017).

    Every image lies in the same imgsz × imgsz canvas, so that its values do not depend on its batch companions' shapes.
    """

    recipe = Recipe(lr=0.005, augment="flip")

    class_rows: ClassVar[Mapping[str, int]] = {
        r"roi_heads\.box_predictor\.cls_score\.(weight|bias)": 1,
        r"roi_heads\.box_predictor\.bbox_pred\.(weight|bias)": 4,
    }

    def __init__(self, backbone: BackboneWithFPN, anchors: AnchorGenerator, *, class_count: int, imgsz: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.rpn = _proposal_network(backbone.out_channels, anchors)
        self.roi_heads = _region_heads(backbone.out_channels, class_count, levels=len(anchors.sizes) - 1)
        self.class_count = class_count
        self.input = InputSpec(imgsz, "fit", mean=in_bytes(IMAGENET_MEAN), std=in_bytes(IMAGENET_STD))
        self.loss_feature_count = backbone.out_channels * len(anchors.sizes)
        self.register_buffer("mean", torch.tensor(self.input.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(self.input.std).view(3, 1, 1), persistent=False)

    mean: Tensor
    std: Tensor

    def forward(self, pixels: Tensor, valid: Tensor) -> FasterRcnnOutputs:
        images = self._on_canvas(pixels, valid)
        body = self.backbone.body(images)
        return self._propose(images, self.backbone.fpn(body), list(body.values())[-1], valid)

    def dropped(self, pixels: Tensor, valid: Tensor, *, passes: int, rate: float, seed: int) -> list[FasterRcnnOutputs]:
        """The levels of the pyramid are dropped: proposals and their classification see the same ones."""
        images = self._on_canvas(pixels, valid)
        body = self.backbone.body(images)
        features = self.backbone.fpn(body)
        masks = channel_masks(list(features.values()), passes=passes, rate=rate, seed=seed)
        thinned = [{name: features[name] * mask for name, mask in zip(features, each, strict=True)} for each in masks]
        return [self._propose(images, each, list(body.values())[-1], valid) for each in thinned]

    def _propose(self, images: Tensor, features: Mapping[str, Tensor], deepest: Tensor, valid: Tensor) -> FasterRcnnOutputs:
        levels = list(features.values())
        objectness, deltas = self.rpn.head(levels)
        sizes = [level[0].numel() for level in objectness]
        flat_objectness, flat_deltas = concat_box_prediction_layers(objectness, deltas)
        anchors = self.rpn.anchor_generator(ImageList(images, [images.shape[-2:]]), levels)
        anchors = anchors[0]
        batch = len(images)
        scores, codes = flat_objectness.float().view(batch, -1), flat_deltas.float().view(batch, -1, 4)
        boxes = self.rpn.box_coder.decode(codes.detach().flatten(0, 1), [anchors] * batch).view(batch, -1, 4)
        proposals, _ = self.rpn.filter_proposals(boxes, scores.detach(), [(h, w) for h, w in valid.tolist()], sizes)
        pooled = tuple(level.detach().float().mean((2, 3)) for level in (*levels, deepest))
        return FasterRcnnOutputs(features, (images.shape[2], images.shape[3]), scores, codes, anchors, proposals, pooled)

    def _on_canvas(self, pixels: Tensor, valid: Tensor) -> Tensor:
        """Normalised images, zero outside their valid area, float32 [B, 3, imgsz, imgsz]."""
        height, width = pixels.shape[-2:]
        valid = valid.to(pixels.device)
        rows = torch.arange(height, device=pixels.device) < valid[:, :1]
        columns = torch.arange(width, device=pixels.device) < valid[:, 1:]
        inside = (rows[:, :, None] & columns[:, None, :])[:, None]
        images = ((pixels.to(dtype=self.mean.dtype, memory_format=torch.channels_last) - self.mean) / self.std).where(inside, 0)
        return F.pad(images, (0, max(0, self.input.imgsz - width), 0, max(0, self.input.imgsz - height)))

    def from_release(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The files are older than torchvision's names for convolutions with an activation."""
        old = re.compile(r"(fpn\.(?:inner|layer)_blocks\.\d|rpn\.head\.conv)\.(weight|bias)$")
        return {old.sub(r"\1.0.0.\2" if "rpn" in key else r"\1.0.\2", key): value for key, value in state.items()}

    def training_losses(self, outputs: FasterRcnnOutputs, targets: Sequence[Target]) -> dict[str, Tensor]:
        """torchvision's four terms, [B] each, over anchors and proposals drawn with torch's global generator."""
        assigned = [self._assigned_anchors(outputs, target) for target in targets]
        positive, negative = self.rpn.fg_bg_sampler([anchors.labels for anchors in assigned])
        drawn = [(p | n).bool() for p, n in zip(positive, negative, strict=True)]
        share = len(targets) / batch_size([anchors.labels for anchors in assigned], RPN_SAMPLES, RPN_POSITIVE_SHARE)
        anchors = [self._anchor_losses(outputs, image, assigned[image], mask.float() * share) for image, mask in enumerate(drawn)]
        regions = self._sampled_region_losses(outputs, targets)
        return {
            "objectness": torch.stack([loss[0] for loss in anchors]),
            "proposal_box": torch.stack([loss[1] for loss in anchors]),
            "class": torch.stack([loss[0] for loss in regions]),
            "box": torch.stack([loss[1] for loss in regions]),
        }

    def image_losses(self, outputs: FasterRcnnOutputs, targets: Sequence[Target]) -> Tensor:
        """The expectation of the training loss over its random draws, each image on its own: nothing is sampled."""
        return torch.stack([self._image_loss(outputs, image, target) for image, target in enumerate(targets)])

    def _image_loss(self, outputs: FasterRcnnOutputs, image: int, target: Target) -> Tensor:
        anchors = self._assigned_anchors(outputs, target)
        weights = expected_weights(anchors.labels, RPN_SAMPLES, RPN_POSITIVE_SHARE)
        terms = [*self._anchor_losses(outputs, image, anchors, weights)]
        proposals = torch.cat([outputs.proposals[image], target.xyxy])
        assigned = assign(self.roi_heads.proposal_matcher, proposals, target)
        regions = _joined(self._regions(outputs)[image], self._classify(outputs, [target.xyxy], image)[0])
        weights = assigned.weights * expected_weights(assigned.labels, ROI_SAMPLES, ROI_POSITIVE_SHARE)
        codes = self.roi_heads.box_coder.encode_single(assigned.boxes, proposals)
        return sum([*terms, *region_losses(regions, assigned.labels, codes, weights)], start=outputs.objectness.new_zeros(()))

    def _assigned_anchors(self, outputs: FasterRcnnOutputs, target: Target) -> Assigned:
        return assign(self.rpn.proposal_matcher, outputs.anchors, target)

    def _anchor_losses(self, outputs: FasterRcnnOutputs, image: int, assigned: Assigned, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """Objectness and box loss of one image's anchors, each counted by its own weight times that of its being `drawn`."""
        weights, positive = assigned.weights * drawn, assigned.labels > 0
        objectness = F.binary_cross_entropy_with_logits(outputs.objectness[image], positive.float(), reduction="none")
        codes = self.rpn.box_coder.encode_single(assigned.boxes[positive], outputs.anchors[positive])
        boxed = F.smooth_l1_loss(outputs.deltas[image][positive], codes, beta=SMOOTH_L1_BETA, reduction="none").sum(1)
        return (objectness * weights).sum(), (boxed * weights[positive]).sum()

    def _sampled_region_losses(self, outputs: FasterRcnnOutputs, targets: Sequence[Target]) -> list[tuple[Tensor, Tensor]]:
        proposals = [torch.cat([proposed, target.xyxy]) for proposed, target in zip(outputs.proposals, targets, strict=True)]
        assigned = [assign(self.roi_heads.proposal_matcher, *pair) for pair in zip(proposals, targets, strict=True)]
        drawn = self.roi_heads.subsample([regions.labels for regions in assigned])
        share = len(targets) / batch_size([regions.labels for regions in assigned], ROI_SAMPLES, ROI_POSITIVE_SHARE)
        proposals = [boxes[rows] for boxes, rows in zip(proposals, drawn, strict=True)]
        assigned = [regions[rows] for regions, rows in zip(assigned, drawn, strict=True)]
        codes = self.roi_heads.box_coder.encode([regions.boxes for regions in assigned], proposals)
        return [
            region_losses(found, regions.labels, code, regions.weights * share)
            for found, regions, code in zip(self._classify(outputs, proposals), assigned, codes, strict=True)
        ]

    def _regions(self, outputs: FasterRcnnOutputs) -> list[Regions]:
        if outputs.regions is None:
            outputs.regions = self._classify(outputs, outputs.proposals)
        return outputs.regions

    def _classify(self, outputs: FasterRcnnOutputs, boxes: list[Tensor], image: int | None = None) -> list[Regions]:
        """The RoI head on `boxes`, one list entry an image of the batch, or on those of `image` alone."""
        features = outputs.features if image is None else {key: level[image : image + 1] for key, level in outputs.features.items()}
        pooled = self.roi_heads.box_roi_pool(features, boxes, [outputs.canvas] * len(boxes))
        logits, deltas = self.roi_heads.box_predictor(self.roi_heads.box_head(pooled))
        counts = [len(b) for b in boxes]
        parts = zip(logits.float().split(counts), deltas.float().unflatten(1, (-1, 4)).split(counts), strict=True)
        return [Regions(*part) for part in parts]

    def expected_losses(self, outputs: FasterRcnnOutputs) -> Tensor:
        return torch.cat([ssd_loss.expected_losses(regions.logits[None]) for regions in self._regions(outputs)])

    def embeddings(self, outputs: FasterRcnnOutputs) -> Tensor:
        return F.normalize(outputs.pooled[-1], dim=1)

    def box_features(self, outputs: FasterRcnnOutputs, boxes: Sequence[Tensor]) -> list[Tensor]:
        """What the RoI head's last hidden layer says of each box."""
        pooled = self.roi_heads.box_roi_pool(outputs.features, list(boxes), [outputs.canvas] * len(boxes))
        return list(self.roi_heads.box_head(pooled).detach().float().split([len(b) for b in boxes]))

    def loss_features(self, outputs: FasterRcnnOutputs) -> Tensor:
        return torch.cat(outputs.pooled[:-1], dim=1)

    def raw_boxes(self, outputs: FasterRcnnOutputs, valid: Tensor, post: Postprocessing) -> list[RawBoxes]:
        """Every proposal speaks for its most probable class alone, so `scores` is the largest foreground probability."""
        images = zip(self._regions(outputs), outputs.proposals, valid.tolist(), strict=True)
        return [self._raw_boxes(regions, proposals, (size[0], size[1]), post) for regions, proposals, size in images]

    def _raw_boxes(self, regions: Regions, proposals: Tensor, size: tuple[int, int], post: Postprocessing) -> RawBoxes:
        probabilities = regions.logits.softmax(-1)
        scores, classes = probabilities[:, 1:].max(-1)
        rows = torch.where(scores > post.score_threshold)[0]
        xyxy = self.roi_heads.box_coder.decode_single(regions.deltas[rows, classes[rows] + 1], proposals[rows])
        xyxy = clip_boxes_to_image(xyxy, size)
        return RawBoxes(xyxy, classes[rows], scores[rows], probabilities[rows].roll(-1, dims=1))


def assign(matcher: Matcher, regions: Tensor, target: Target) -> Assigned:
    """What anchors or proposals [P, 4] stand for in an image, as torchvision; background that the target forbids is WITHHELD."""
    labels = torch.zeros(len(regions), dtype=torch.int64, device=regions.device)
    boxes, weights = torch.zeros_like(regions), torch.ones_like(regions[:, 0])
    if len(target.xyxy):
        rows = matcher(box_iou(target.xyxy, regions))
        found = rows >= 0
        labels = target.classes[rows.clamp(min=0)].where(found, 0).masked_fill(rows == matcher.BETWEEN_THRESHOLDS, BETWEEN)
        boxes, weights = target.xyxy[rows.clamp(min=0)], target.weights[rows.clamp(min=0)].where(found, 1)
    if len(target.ignore):
        labels = labels.masked_fill((labels == 0) & ~target.allows_background(regions), WITHHELD)
    return Assigned(labels, boxes, weights)


def drawn_counts(labels: Tensor, samples: int, positive_share: float) -> tuple[Tensor, Tensor]:
    """How many positives and how many negatives a balanced random sample of one image takes, withheld ones drawn like negatives.

    So an object weighs as much in an incomplete image as in a complete one, and no sample is without size.
    """
    positive = (labels > 0).sum().clamp(max=int(samples * positive_share))
    return positive, torch.minimum(((labels == 0) | (labels == WITHHELD)).sum(), samples - positive)


def batch_size(labels: Sequence[Tensor], samples: int, positive_share: float) -> int:
    """What the loss of a batch of B images, labels [P] each, is divided by: all that would be drawn; at least 1."""
    return max(1, sum(int(sum(drawn_counts(each, samples, positive_share))) for each in labels))


def expected_weights(labels: Tensor, samples: int, positive_share: float) -> Tensor:
    """Weight of each anchor or proposal in the mean over a balanced random sample, on average; float32 [N] that sums to 1.

    labels: > 0 positive, 0 negative, < 0 never drawn; the weight of withheld ones is lost to the sum.
    """
    positive, negative = labels > 0, labels == 0
    drawn_positive, drawn_negative = drawn_counts(labels, samples, positive_share)
    total, negatives = (drawn_positive + drawn_negative).clamp(min=1), negative.sum()
    share = drawn_positive / positive.sum().clamp(min=1) * positive
    share = share + torch.minimum(drawn_negative, negatives) / negatives.clamp(min=1) * negative
    return share / total


def region_losses(regions: Regions, labels: Tensor, codes: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted class and box loss of one image's proposals; labels int64 [P] (0 background), codes [P, 4] their encoded boxes."""
    entropy = F.cross_entropy(regions.logits, labels.clamp(min=0), reduction="none")
    positive = torch.where(labels > 0)[0]
    found = regions.deltas[positive, labels[positive]]
    boxed = F.smooth_l1_loss(found, codes[positive], beta=SMOOTH_L1_BETA, reduction="none").sum(1)
    return (entropy * weights).sum(), (boxed * weights[positive]).sum()


def _joined(a: Regions, b: Regions) -> Regions:
    return Regions(torch.cat([a.logits, b.logits]), torch.cat([a.deltas, b.deltas]))


def _proposal_network(channels: int, anchors: AnchorGenerator) -> RegionProposalNetwork:
    return RegionProposalNetwork(
        anchors,
        RPNHead(channels, anchors.num_anchors_per_location()[0]),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=RPN_SAMPLES,
        positive_fraction=RPN_POSITIVE_SHARE,
        pre_nms_top_n={"training": PROPOSALS_BEFORE_NMS, "testing": PROPOSALS_BEFORE_NMS},
        post_nms_top_n={"training": PROPOSALS, "testing": PROPOSALS},
        nms_thresh=0.7,
    )


def _region_heads(channels: int, class_count: int, *, levels: int) -> RoIHeads:
    pool = MultiScaleRoIAlign([str(level) for level in range(levels)], output_size=7, sampling_ratio=2)
    return RoIHeads(
        pool,
        TwoMLPHead(channels * 7**2, 1024),
        FastRCNNPredictor(1024, class_count + 1),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=ROI_SAMPLES,
        positive_fraction=ROI_POSITIVE_SHARE,
        bbox_reg_weights=None,
        score_thresh=0.0,  # the three of torchvision's own postprocessing, which is not used: scores and NMS are Postprocessing's
        nms_thresh=0.5,
        detections_per_img=100,
    )


def fasterrcnn_resnet50_fpn(class_count: int, imgsz: int | None, weights: BackboneWeights) -> FasterRcnn:
    """Faster R-CNN on ResNet-50 with FPN, as torchvision: pretrained BatchNorm is frozen, and so are conv1 and layer1.

    The COCO release was trained with an eps of 0 in the frozen BatchNorm.
    """
    imgsz = input_side("fasterrcnn_resnet50_fpn", imgsz)
    norm = partial(FrozenBatchNorm2d, eps=0.0 if weights.coco else 1e-5) if weights.pretrained else nn.BatchNorm2d
    trainable = 3 if weights.pretrained else 5
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, norm_layer=norm, trainable_layers=trainable)
    load_backbone(backbone.body, "resnet50", weights)
    anchors = AnchorGenerator(tuple((size,) for size in (32, 64, 128, 256, 512)), ((0.5, 1.0, 2.0),) * 5)
    return FasterRcnn(backbone, anchors, class_count=class_count, imgsz=imgsz)


def fasterrcnn_mobilenet_v3_large_fpn(class_count: int, imgsz: int | None, weights: BackboneWeights) -> FasterRcnn:
    """Faster R-CNN on MobileNetV3-Large with FPN, as torchvision's 320 pixel recipe.

    ImageNet's BatchNorm is frozen with the eps of 0.001 it was trained with, where torchvision's detector silently takes 1e-5; so the
    COCO release has 1e-5.
    """
    imgsz = input_side("fasterrcnn_mobilenet_v3_large_fpn", imgsz)
    norm = partial(FrozenBatchNorm2d if weights.pretrained else nn.BatchNorm2d, eps=1e-5 if weights.coco else 0.001)
    backbone = mobilenet_backbone(
        backbone_name="mobilenet_v3_large", weights=None, fpn=True, norm_layer=norm, trainable_layers=3 if weights.pretrained else 6
    )
    load_backbone(backbone.body, "mobilenet_v3_large", weights, prefix="features.")
    anchors = AnchorGenerator(((32, 64, 128, 256, 512),) * 3, ((0.5, 1.0, 2.0),) * 3)
    return FasterRcnn(backbone, anchors, class_count=class_count, imgsz=imgsz)
