"""Single-shot detectors: a feature extractor, default boxes and convolutional heads behind the Network contract.

Builders return untrained-headed networks over ImageNet backbones. Knows nothing of files, original sizes or optimisers.
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
from torchvision.models import mobilenet_v2, mobilenet_v3_large
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.ssd import SSDFeatureExtractorVGG, SSDHead
from torchvision.models.detection.ssdlite import SSDLiteFeatureExtractorMobileNet, SSDLiteHead
from torchvision.models.vgg import cfgs, make_layers
from torchvision.ops import Conv2dNormActivation, clip_boxes_to_image, roi_align

from boxwise.detectors import ssd_loss
from boxwise.detectors.backbones import HALF, IMAGENET_MEAN, IMAGENET_STD, VGG_MEAN, VGG_STD, BackboneWeights, load_backbone
from boxwise.detectors.copies import copied
from boxwise.detectors.dropout import channel_masks
from boxwise.detectors.input import InputSpec, in_bytes
from boxwise.detectors.names import input_side
from boxwise.detectors.network import Network, Postprocessing, RawBoxes, TrainingLosses
from boxwise.detectors.recipe import Recipe
from boxwise.detectors.targets import Target

CANDIDATES = 400  # most boxes an image that go into NMS, as in torchvision; 1000 took a quarter of the forward pass


@dataclass(frozen=True)
class SsdOutputs:
    """deltas [B, A, 4], encoded against the default boxes; logits [B, A, C + 1], background first;
    pooled: the mean over each feature level, [B, channels] each, detached. deepest: the level that ends the pretrained backbone,
    [B, channels, h, w], detached."""

    deltas: Tensor
    logits: Tensor
    pooled: tuple[Tensor, ...]
    deepest: Tensor


class SsdNetwork(Network):
    """SSD (Liu et al., ECCV 2016) over any extractor that maps pixels to a dict of feature levels, finest first.

    levels: the extractor's, see `feature_levels`. embedding_level: the one that ends the pretrained backbone. Images are normalised by
    `mean` and `std` of [0, 1] RGB.
    """

    class_rows: ClassVar[Mapping[str, int]] = {
        r"head\.classification_head\.module_list\.\d+(\.1)?\.(weight|bias)": 1
    }  # .1: a lite head's second convolution

    def __init__(
        self,
        extractor: nn.Module,
        head: nn.Module,
        default_boxes: DefaultBoxGenerator,
        *,
        levels: Sequence[Tensor],
        class_count: int,
        imgsz: int,
        embedding_level: int,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        recipe: Recipe = Network.recipe,
    ) -> None:
        super().__init__()
        self.recipe = recipe
        self.extractor, self.head = extractor, head
        self.class_count, self.embedding_level = class_count, embedding_level
        self.input = InputSpec(imgsz, mean=in_bytes(mean), std=in_bytes(std))
        self.loss_feature_count = sum(level.shape[1] for level in levels)
        anchors = default_boxes(ImageList(torch.zeros(1, 3, imgsz, imgsz), [(imgsz, imgsz)]), list(levels))[0]
        scale, shift = 1 / (255 * torch.tensor(std)), -torch.tensor(mean) / torch.tensor(std)
        for name, value in (("anchors", anchors), ("scale", scale.view(3, 1, 1)), ("shift", shift.view(3, 1, 1))):
            self.register_buffer(name, value, persistent=False)

    anchors: Tensor
    scale: Tensor
    shift: Tensor

    def forward(self, pixels: Tensor, valid: Tensor) -> SsdOutputs:
        return self._read(self._levels(pixels))

    def dropped(self, pixels: Tensor, valid: Tensor, *, passes: int, rate: float, seed: int) -> list[SsdOutputs]:
        levels = self._levels(pixels)
        masks = channel_masks(levels, passes=passes, rate=rate, seed=seed)
        return [self._read([level * mask for level, mask in zip(levels, each, strict=True)]) for each in masks]

    def _levels(self, pixels: Tensor) -> list[Tensor]:
        images = pixels.to(dtype=self.scale.dtype, memory_format=torch.channels_last)
        return list(self.extractor(torch.addcmul(self.shift, images, self.scale)).values())

    def _read(self, levels: list[Tensor]) -> SsdOutputs:
        """What the heads say of the feature levels."""
        heads = self.head(levels)
        pooled = tuple(level.detach().float().mean((2, 3)) for level in levels)
        return SsdOutputs(heads["bbox_regression"], heads["cls_logits"], pooled, levels[self.embedding_level].detach())

    def training_step(self, pixels: Tensor, valid: Tensor, targets: Sequence[Target]) -> TrainingLosses:
        outputs, matches = self(pixels, valid), ssd_loss.match(self.anchors, targets)
        terms = self._matched_losses(outputs, matches)
        return TrainingLosses(terms, self.loss_features(outputs), matches.counts, ssd_loss.taught(matches))

    def from_release(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {re.sub(r"^backbone\.", "extractor.", key): value for key, value in state.items()}

    def training_losses(self, outputs: SsdOutputs, targets: Sequence[Target]) -> dict[str, Tensor]:
        """Terms "box" and "class", [B] each; their means are the sums over the batch per matched default box, as in the paper, where an
        image without objects counts as one match."""
        return self._matched_losses(outputs, ssd_loss.match(self.anchors, targets))

    def _matched_losses(self, outputs: SsdOutputs, matches: ssd_loss.Matches) -> dict[str, Tensor]:
        share = ssd_loss.share_of_matches(matches)
        return {
            "box": ssd_loss.box_losses(outputs.deltas, matches) * share,
            "class": ssd_loss.class_losses(outputs.logits, matches) * share,
        }

    def image_losses(self, outputs: SsdOutputs, targets: Sequence[Target]) -> Tensor:
        matches = ssd_loss.match(self.anchors, targets)
        total = ssd_loss.box_losses(outputs.deltas, matches) + ssd_loss.class_losses(outputs.logits, matches)
        return total / matches.counts.clamp(min=1)

    def expected_losses(self, outputs: SsdOutputs) -> Tensor:
        return ssd_loss.expected_losses(outputs.logits)

    def embeddings(self, outputs: SsdOutputs) -> Tensor:
        return F.normalize(outputs.pooled[self.embedding_level], dim=1)

    def box_features(self, outputs: SsdOutputs, boxes: Sequence[Tensor]) -> list[Tensor]:
        """The deepest pretrained level averaged over each box: one level for boxes of all sizes, so that they can be compared."""
        scale = outputs.deepest.shape[-1] / self.input.imgsz
        pooled = roi_align(outputs.deepest.float(), list(boxes), 1, spatial_scale=scale, sampling_ratio=2, aligned=True)
        return list(pooled.flatten(1).split([len(b) for b in boxes]))

    def loss_features(self, outputs: SsdOutputs) -> Tensor:
        return torch.cat(outputs.pooled, dim=1)

    def every_box(self, outputs: SsdOutputs) -> tuple[Tensor, Tensor]:
        deltas = outputs.deltas.float()
        boxes = ssd_loss.CODER.decode_single(deltas.flatten(0, 1), self.anchors.repeat(deltas.shape[0], 1))
        return boxes.view_as(deltas), outputs.logits.float().softmax(-1)[..., 1:]

    def raw_boxes(self, outputs: SsdOutputs, valid: Tensor, post: Postprocessing) -> list[RawBoxes]:
        """Every default box speaks for its most probable class alone, so `scores` is the largest foreground probability."""
        probabilities = outputs.logits.float().softmax(-1)
        scores, classes = probabilities[..., 1:].max(-1)
        images = zip(outputs.deltas, probabilities, scores, classes, valid.tolist(), strict=True)
        return [self._raw_boxes(*image, post=post) for image in images]

    def _raw_boxes(
        self, deltas: Tensor, probabilities: Tensor, scores: Tensor, classes: Tensor, size: list[int], *, post: Postprocessing
    ) -> RawBoxes:
        order = torch.where(scores > post.score_threshold)[0]
        if len(order) > CANDIDATES:
            order = order[scores[order].topk(CANDIDATES).indices]
        xyxy = ssd_loss.CODER.decode_single(deltas[order].float(), self.anchors[order])
        xyxy = clip_boxes_to_image(xyxy, (size[0], size[1]))
        return RawBoxes(xyxy, classes[order], scores[order], probabilities[order].roll(-1, dims=1), order)


_KEEPS_SHAPE = (nn.BatchNorm2d, nn.GroupNorm, nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Hardsigmoid)


def feature_levels(extractor: nn.Module, imgsz: int) -> list[Tensor]:
    """Zeros in the shapes [1, channels, height, width] of the extractor's levels, found without computing anything."""
    shapes = copied(extractor, lambda tensor: tensor.to("meta"))
    for module in list(shapes.modules()):
        for name, child in module.named_children():
            if isinstance(child, _KEEPS_SHAPE):  # on meta each costs more than all the rest of a building
                setattr(module, name, nn.Identity())
    return [torch.zeros(1, *level.shape[1:]) for level in shapes(torch.zeros(1, 3, imgsz, imgsz, device="meta")).values()]


LITE = Recipe(lr=0.02, augment="scale")  # docs/detectors.md says what it was chosen by
_head_norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)


def ssdlite320_mobilenet_v3(class_count: int, imgsz: int | None, weights: BackboneWeights) -> SsdNetwork:
    """SSDlite on MobileNetV3-Large (Howard et al., ICCV 2019), torchvision's extractor, heads and default boxes.

    The COCO release has half the channels in its last stage, and pixels from -1 to 1.
    """
    imgsz = input_side("ssdlite320_mobilenet_v3", imgsz)
    backbone = mobilenet_v3_large(weights=None, norm_layer=_head_norm, reduced_tail=weights.coco).features
    load_backbone(backbone, "mobilenet_v3_large", weights, prefix="features.")
    extractor = SSDLiteFeatureExtractorMobileNet(backbone, 13, _head_norm)  # 13: C4, the first block of stride 32
    mean, std = (HALF, HALF) if weights.coco else (IMAGENET_MEAN, IMAGENET_STD)
    return _ssdlite(extractor, class_count, imgsz, mean=mean, std=std)


def ssdlite320_mobilenet_v2(
    class_count: int, imgsz: int | None, weights: BackboneWeights, *, kind: type[SsdNetwork] = SsdNetwork
) -> SsdNetwork:
    """SSDlite on MobileNetV2 (Sandler et al., CVPR 2018), taps at the expansion of block 14 and at the last 1 × 1 convolution."""
    imgsz = input_side("ssdlite320_mobilenet_v2", imgsz)
    backbone = mobilenet_v2(weights=None).features
    load_backbone(backbone, "mobilenet_v2", weights, prefix="features.")
    return _ssdlite(MobileNetV2Levels(backbone), class_count, imgsz, kind=kind)


def _ssdlite(
    extractor: nn.Module,
    class_count: int,
    imgsz: int,
    *,
    kind: type[SsdNetwork] = SsdNetwork,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> SsdNetwork:
    levels = feature_levels(extractor, imgsz)
    channels = [level.shape[1] for level in levels]
    default_boxes = DefaultBoxGenerator([[2, 3] for _ in channels], min_ratio=0.2, max_ratio=0.95)
    head = SSDLiteHead(channels, default_boxes.num_anchors_per_location(), class_count + 1, _head_norm)
    return kind(
        extractor,
        head,
        default_boxes,
        levels=levels,
        class_count=class_count,
        imgsz=imgsz,
        embedding_level=1,
        mean=mean,
        std=std,
        recipe=LITE,
    )


class MobileNetV2Levels(nn.Module):
    """Six feature levels over torchvision's MobileNetV2 features: stride 16, stride 32, then four extra blocks."""

    def __init__(self, backbone: nn.Sequential) -> None:
        super().__init__()
        c4 = backbone[14].conv
        assert isinstance(c4, nn.Sequential)
        self.features = nn.Sequential(
            nn.Sequential(*backbone[:14], c4[0]),
            nn.Sequential(c4[1:], *backbone[15:]),
        )
        self.extra = nn.ModuleList([_extra_block(*pair) for pair in ((1280, 512), (512, 256), (256, 256), (256, 128))])
        _draw_normal(self.extra)

    def forward(self, images: Tensor) -> Mapping[str, Tensor]:
        levels: dict[str, Tensor] = {}
        for block in (*self.features, *self.extra):
            images = block(images)
            levels[str(len(levels))] = images
        return levels


def _extra_block(channels: int, out: int) -> nn.Sequential:
    layer = partial(Conv2dNormActivation, norm_layer=_head_norm, activation_layer=nn.ReLU6)
    half = out // 2
    return nn.Sequential(
        layer(channels, half, kernel_size=1),
        layer(half, half, kernel_size=3, stride=2, groups=half),
        layer(half, out, kernel_size=1),
    )


def _draw_normal(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.03)


def ssd300_vgg16(class_count: int, imgsz: int | None, weights: BackboneWeights, *, kind: type[SsdNetwork] = SsdNetwork) -> SsdNetwork:
    """SSD300 on VGG16, torchvision's extractor, heads and default boxes; the first convolution stage of a pretrained VGG is frozen."""
    imgsz = input_side("ssd300_vgg16", imgsz)
    extractor = SSDFeatureExtractorVGG(_vgg16_features(weights), highres=False)
    default_boxes = DefaultBoxGenerator(
        [[2], [2, 3], [2, 3], [2, 3], [2], [2]],
        scales=[0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05],
        steps=[8, 16, 32, 64, 100, 300],
    )
    levels = feature_levels(extractor, imgsz)
    channels = [level.shape[1] for level in levels]
    head = SSDHead(channels, default_boxes.num_anchors_per_location(), class_count + 1)
    return kind(
        extractor,
        head,
        default_boxes,
        levels=levels,
        class_count=class_count,
        imgsz=imgsz,
        embedding_level=0,  # conv4_3: the next level ends in convolutions that VGG does not have, and that are drawn at random
        mean=VGG_MEAN,
        std=VGG_STD,
    )


def _vgg16_features(weights: BackboneWeights) -> nn.Sequential:
    features = make_layers(cfgs["D"])
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    load_backbone(features, "vgg16", weights, prefix="features.")
    if weights.pretrained:
        features[:4].requires_grad_(False)
    return features
