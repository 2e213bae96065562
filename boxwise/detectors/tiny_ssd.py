"""A small single-shot detector trained from scratch on images of about 100 pixels.

Returns an SsdNetwork with strides 8, 16 and 32. Knows nothing of pretrained weights: it has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.ssd import SSDHead
from torchvision.ops import Conv2dNormActivation

from boxwise.detectors.backbones import BackboneWeights
from boxwise.detectors.names import input_side
from boxwise.detectors.ssd import LITE, SsdNetwork, feature_levels

CHANNELS = (48, 64, 96)  # of the levels at stride 8, 16 and 32


class TinyLevels(nn.Module):
    """Eight 3 × 3 convolutions with GroupNorm; the last of each stride from 8 on is a feature level.

    GroupNorm, not BatchNorm: on 300 of the embedded digit scenes, 400 steps of 16, both reach AP50 0.34 at the same speed (one
    seed); on harder scenes GroupNorm learned faster (0.10 against 0.03), and it has no statistics for small batches to spoil.
    """

    def __init__(self) -> None:
        super().__init__()
        layer = partial(Conv2dNormActivation, kernel_size=3, norm_layer=partial(nn.GroupNorm, 8), activation_layer=nn.ReLU)
        fine, middle, coarse = CHANNELS
        stem = [layer(3, 16, stride=2), layer(16, 32, stride=2)]
        self.blocks = nn.ModuleList(
            [
                nn.Sequential(*stem, layer(32, fine, stride=2), layer(fine, fine)),
                nn.Sequential(layer(fine, middle, stride=2), layer(middle, middle)),
                nn.Sequential(layer(middle, coarse, stride=2), layer(coarse, coarse)),
            ]
        )

    def forward(self, images: Tensor) -> Mapping[str, Tensor]:
        levels: dict[str, Tensor] = {}
        for block in self.blocks:
            images = block(images)
            levels[str(len(levels))] = images
        return levels


def tiny_ssd(class_count: int, imgsz: int | None, weights: BackboneWeights, *, kind: type[SsdNetwork] = SsdNetwork) -> SsdNetwork:
    """About 0.3 million parameters, for demonstrations and tests on a CPU; `weights` are not used, it always starts from scratch."""
    imgsz = input_side("tiny_ssd", imgsz)
    default_boxes = DefaultBoxGenerator([[2], [2], [2]], scales=[0.15, 0.3, 0.55, 0.9])
    head = SSDHead(list(CHANNELS), default_boxes.num_anchors_per_location(), class_count + 1)
    extractor = TinyLevels()
    levels = feature_levels(extractor, imgsz)
    return kind(extractor, head, default_boxes, levels=levels, class_count=class_count, imgsz=imgsz, embedding_level=2, recipe=LITE)
