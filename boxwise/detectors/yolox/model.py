"""YOLOX as modules: CSPDarknet, a path-aggregating feature pyramid and a decoupled head (Ge et al., 2021, arXiv:2107.08430).

Returns `Predictions` for BGR pixels. Parameters have the names and shapes of the release files, so that these load strictly.
Knows nothing of pixels' origin, losses, boxes in pixels or the Network contract.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boxwise.detectors.blocks import FocusConv, Pointwise, Silu
from boxwise.detectors.yolox.cells import STRIDES, Cells, cells_of

PRIOR = 0.01  # probability of an object, and of each class, at the start (Lin et al., ICCV 2017); a bias of -log 99


@dataclass(frozen=True)
class Predictions:
    """What the head says of each of the A cells of B images: boxes [B, A, 4], encoded against the cells; objectness [B, A] and
    classes [B, A, C], logits of independent sigmoids."""

    boxes: Tensor
    objectness: Tensor
    classes: Tensor
    cells: Cells


@dataclass(frozen=True)
class Features:
    """levels: the pyramid's three outputs, finest first, that feed the head. deepest: what ends the backbone, stride 32."""

    levels: list[Tensor]
    deepest: Tensor


class Yolox(nn.Module):
    """A YOLOX detector: `features` of BGR pixels [B, 3, H, W] from 0 to 255, sides multiples of 32, and `head` on their levels.

    depth, width: multiples of YOLOX-l's number of blocks and of channels. depthwise: 3 × 3 convolutions in two steps, as in nano.
    """

    def __init__(self, class_count: int, *, depth: float, width: float, depthwise: bool = False) -> None:
        super().__init__()
        base = int(64 * width)
        self.channels = (4 * base, 8 * base, 16 * base)  # of the pyramid's levels
        self.backbone = Pyramid(depth, base, depthwise=depthwise)
        self.head = DecoupledHead(class_count, self.channels, depthwise=depthwise)
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eps, layer.momentum = 1e-3, 0.03

    def features(self, images: Tensor) -> Features:
        features: Features = self.backbone(images)
        return features


def conv(channels: int, out: int, size: int, stride: int = 1, *, groups: int = 1) -> nn.Sequential:
    """Convolution, BatchNorm and SiLU."""
    if size == stride == groups == 1:
        return _activated(Pointwise(channels, out, bias=False))
    return _activated(nn.Conv2d(channels, out, size, stride, padding=size // 2, groups=groups, bias=False))


def _activated(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(OrderedDict({"conv": convolution, "bn": nn.BatchNorm2d(convolution.out_channels), "act": Silu()}))


def depthwise_conv(channels: int, out: int, size: int, stride: int = 1) -> nn.Sequential:
    """A convolution of each channel alone, then one across channels."""
    layers = {"dconv": conv(channels, channels, size, stride, groups=channels), "pconv": conv(channels, out, 1)}
    return nn.Sequential(OrderedDict(layers))


class Focus(nn.Module):
    """Every 2 × 2 pixels as 12 channels of one, then a convolution; see `FocusConv`."""

    def __init__(self, out: int) -> None:
        super().__init__()
        self.conv = _activated(FocusConv(out))

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.conv(images.float())
        return features


class Bottleneck(nn.Module):
    """A 1 × 1 and a 3 × 3 convolution, with `shortcut` added to what came in."""

    def __init__(self, channels: int, *, shortcut: bool, depthwise: bool) -> None:
        super().__init__()
        self.conv1 = conv(channels, channels, 1)
        self.conv2 = (depthwise_conv if depthwise else conv)(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.conv2(self.conv1(features))
        return out + features if self.shortcut else out


class CspLayer(nn.Module):
    """Half of the channels through `depth` bottlenecks, half past them, joined by a 1 × 1 convolution (Wang et al., CVPRW 2020)."""

    def __init__(self, channels: int, out: int, depth: int, *, shortcut: bool, depthwise: bool) -> None:
        super().__init__()
        half = out // 2
        self.conv1, self.conv2, self.conv3 = conv(channels, half, 1), conv(channels, half, 1), conv(2 * half, out, 1)
        self.m = nn.Sequential(*(Bottleneck(half, shortcut=shortcut, depthwise=depthwise) for _ in range(depth)))

    def forward(self, features: Tensor) -> Tensor:
        joined: Tensor = self.conv3(torch.cat([self.m(self.conv1(features)), self.conv2(features)], dim=1))
        return joined


class PyramidPooling(nn.Module):
    """The maximum over 5, 9 and 13 cells across beside the cell itself; the larger windows are repetitions of the smallest."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(channels, channels // 2, 1), conv(channels // 2 * 4, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        windows = [self.conv1(features)]
        for _ in range(3):
            windows.append(F.max_pool2d(windows[-1], 5, stride=1, padding=2))
        pooled: Tensor = self.conv2(torch.cat(windows, dim=1))
        return pooled


class Darknet(nn.Module):
    """CSPDarknet: five halvings of height and width; returns the last three levels, finest first."""

    def __init__(self, depth: float, base: int, *, depthwise: bool) -> None:
        super().__init__()
        down = depthwise_conv if depthwise else conv
        layer = partial(CspLayer, depthwise=depthwise)
        few = max(round(3 * depth), 1)
        self.stem = Focus(base)
        self.dark2 = nn.Sequential(down(base, 2 * base, 3, 2), layer(2 * base, 2 * base, few, shortcut=True))
        self.dark3 = nn.Sequential(down(2 * base, 4 * base, 3, 2), layer(4 * base, 4 * base, 3 * few, shortcut=True))
        self.dark4 = nn.Sequential(down(4 * base, 8 * base, 3, 2), layer(8 * base, 8 * base, 3 * few, shortcut=True))
        self.dark5 = nn.Sequential(
            down(8 * base, 16 * base, 3, 2), PyramidPooling(16 * base), layer(16 * base, 16 * base, few, shortcut=False)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fine = self.dark3(self.dark2(self.stem(images)))
        middle = self.dark4(fine)
        return fine, middle, self.dark5(middle)


class Pyramid(nn.Module):
    """Features passed from the coarsest level down to the finest and back up (Liu et al., CVPR 2018)."""

    def __init__(self, depth: float, base: int, *, depthwise: bool) -> None:
        super().__init__()
        fine, middle, deep = 4 * base, 8 * base, 16 * base
        down = depthwise_conv if depthwise else conv
        layer = partial(CspLayer, depth=round(3 * depth), shortcut=False, depthwise=depthwise)
        self.backbone = Darknet(depth, base, depthwise=depthwise)
        self.lateral_conv0 = conv(deep, middle, 1)
        self.C3_p4 = layer(2 * middle, middle)
        self.reduce_conv1 = conv(middle, fine, 1)
        self.C3_p3 = layer(2 * fine, fine)
        self.bu_conv2 = down(fine, fine, 3, 2)
        self.C3_n3 = layer(2 * fine, middle)
        self.bu_conv1 = down(middle, middle, 3, 2)
        self.C3_n4 = layer(2 * middle, deep)

    def forward(self, images: Tensor) -> Features:
        fine, middle, deep = self.backbone(images)
        from_deep = self.lateral_conv0(deep)
        from_middle = self.reduce_conv1(self.C3_p4(torch.cat([_doubled(from_deep), middle], dim=1)))
        first = self.C3_p3(torch.cat([_doubled(from_middle), fine], dim=1))
        second = self.C3_n3(torch.cat([self.bu_conv2(first), from_middle], dim=1))
        third = self.C3_n4(torch.cat([self.bu_conv1(second), from_deep], dim=1))
        return Features([first, second, third], deep)


def _doubled(features: Tensor) -> Tensor:
    return F.interpolate(features, scale_factor=2.0, mode="nearest")


class DecoupledHead(nn.Module):
    """One branch for classes, one for boxes and objectness, on every level."""

    def __init__(self, class_count: int, channels: tuple[int, int, int], *, depthwise: bool) -> None:
        super().__init__()
        width = channels[0]
        block = depthwise_conv if depthwise else conv
        self.stems = nn.ModuleList(conv(each, width, 1) for each in channels)
        self.cls_convs, self.reg_convs = (
            nn.ModuleList(nn.Sequential(block(width, width, 3), block(width, width, 3)) for _ in STRIDES) for _ in range(2)
        )
        self.cls_preds, self.reg_preds, self.obj_preds = (
            nn.ModuleList(Pointwise(width, values, bias=True) for _ in STRIDES) for values in (class_count, 4, 1)
        )
        for layer in (*self.cls_preds, *self.obj_preds):
            nn.init.constant_(layer.bias, -math.log((1 - PRIOR) / PRIOR))

    def forward(self, levels: list[Tensor]) -> Predictions:
        boxes, objectness, classes = zip(*(self._read(index, level) for index, level in enumerate(levels)), strict=True)
        cells = cells_of([(level.shape[2], level.shape[3]) for level in levels], levels[0].device)
        return Predictions(torch.cat(boxes, dim=1), torch.cat(objectness, dim=1)[..., 0], torch.cat(classes, dim=1), cells)

    def _read(self, index: int, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(boxes, objectness, classes) of one level, [B, h · w, ·] each."""
        stem = self.stems[index](level)
        what, where = self.cls_convs[index](stem), self.reg_convs[index](stem)
        return _rows(self.reg_preds[index](where)), _rows(self.obj_preds[index](where)), _rows(self.cls_preds[index](what))


def _rows(maps: Tensor) -> Tensor:
    """[B, h · w, K] from [B, K, h, w]."""
    return maps.permute(0, 2, 3, 1).flatten(1, 2)


yolox_nano = partial(Yolox, depth=0.33, width=0.25, depthwise=True)
yolox_tiny = partial(Yolox, depth=0.33, width=0.375)
yolox_s = partial(Yolox, depth=0.33, width=0.5)
yolox_m = partial(Yolox, depth=0.67, width=0.75)
