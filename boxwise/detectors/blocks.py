"""Convolution, BatchNorm and SiLU as one step of autograd: the numbers of the three layers in less of a training's time on a CPU.

Returns modules whose parameters have the names and shapes of the single layers. Knows nothing of what a network detects.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.utils import skip_init


class Geometry(NamedTuple):
    """How a square convolution moves over its input."""

    stride: int
    padding: int
    groups: int


_POINTWISE = Geometry(stride=1, padding=0, groups=1)  # of a 1 × 1 convolution, one matrix product in channels-last order


class ConvNormSilu(nn.Sequential):
    """The layers `conv`, without a bias, `bn` and `act`.

    YOLOX-nano has a hundred of them, most of them small: in a training on a CPU at 160 px a quarter of the time passed between the
    kernels, in Python and in autograd's bookkeeping of each. There they are one step, and write to memory less often. BatchNorm does not
    count its batches then, which it needs for no momentum but None.
    """

    conv: nn.Conv2d
    bn: nn.BatchNorm2d

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__(OrderedDict({"conv": conv, "bn": nn.BatchNorm2d(conv.out_channels), "act": Silu()}))
        self._geometry = Geometry(conv.stride[0], int(conv.padding[0]), conv.groups)

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training and input.is_cpu and torch.is_grad_enabled()):
            apart: Tensor = super().forward(input)
            return apart
        conv, norm = self.conv, self.bn
        kernel = conv.kernel() if isinstance(conv, FocusConv) else conv.weight
        joined: Tensor = _ConvNormSilu.apply(input, kernel, norm.weight, norm.bias, norm, self._geometry)
        return joined


class _ConvNormSilu(Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, kernel: Tensor, scale: Tensor, shift: Tensor, norm: nn.BatchNorm2d, geometry: Geometry) -> Tensor:
        assert norm.momentum is not None
        convolved = _convolved(input, kernel, geometry)
        statistics = norm.running_mean, norm.running_var
        normed, mean, inverse = torch.native_batch_norm(convolved, scale, shift, *statistics, True, norm.momentum, norm.eps)
        ctx.save_for_backward(input, kernel, scale, convolved, normed, mean, inverse)
        ctx.eps, ctx.geometry = norm.eps, geometry
        return F.silu(normed)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        input, kernel, scale, convolved, normed, mean, inverse = ctx.saved_tensors
        of_normed = torch.ops.aten.silu_backward.grad_input(gradient, normed, grad_input=normed)  # over what only this step has held
        of_convolved, of_scale, of_shift = torch.ops.aten.native_batch_norm_backward(
            of_normed, convolved, scale, None, None, mean, inverse, True, ctx.eps, [True, True, True]
        )
        of_input, of_kernel = _convolution_gradients(of_convolved, input, kernel, ctx.geometry, ctx.needs_input_grad[0])
        return of_input, of_kernel, of_scale, of_shift, None, None


def _convolved(input: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
    if geometry == _POINTWISE:
        return F.linear(input.permute(0, 2, 3, 1), kernel.flatten(1)).permute(0, 3, 1, 2)
    return F.conv2d(input, kernel, None, geometry.stride, geometry.padding, 1, geometry.groups)


def _convolution_gradients(
    gradient: Tensor, input: Tensor, kernel: Tensor, geometry: Geometry, of_input: bool
) -> tuple[Tensor | None, Tensor]:
    """(of the input, of the kernel) from the gradient of what came out."""
    if geometry == _POINTWISE:
        rows = gradient.permute(0, 2, 3, 1)
        return (rows @ kernel.flatten(1)).permute(0, 3, 1, 2), (_rows(gradient).T @ _rows(input)).view_as(kernel)
    sides = [geometry.stride] * 2, [geometry.padding] * 2, [1, 1]
    wanted = [of_input, True, False]
    gradients = torch.ops.aten.convolution_backward(gradient, input, kernel, None, *sides, False, [0, 0], geometry.groups, wanted)
    return gradients[0], gradients[1]


def _rows(maps: Tensor) -> Tensor:
    """[B · h · w, C] from [B, C, h, w]."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)


class Silu(nn.SiLU):
    """SiLU, in place where nothing is learned: in a training that would only add a copy, since its gradient needs what came in."""

    def forward(self, input: Tensor) -> Tensor:
        return F.silu(input, inplace=not self.training)


class Pointwise(nn.Conv2d):
    """A 1 × 1 convolution; on a CPU as one matrix product, which takes a quarter less of a training's time in channels-last order."""

    def __init__(self, channels: int, out: int, *, bias: bool) -> None:
        super().__init__(channels, out, 1, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        if not input.is_cpu or torch.compiler.is_exporting():  # exported files keep the convolutions that other runtimes know to fuse
            return super().forward(input)
        return F.linear(input.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class FocusConv(nn.Conv2d):
    """A 3 × 3 convolution over every 2 × 2 pixels as 12 channels of one: upper left, lower left, upper right, lower right.

    Computed as the convolution of 6 × 6 pixels in steps of two that it is, which rearranges a small kernel in place of every image: half of
    the time in a training.
    """

    def __init__(self, out: int) -> None:
        super().__init__(12, out, 3, stride=2, padding=2, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(input, self.kernel(), self.bias, self.stride, self.padding)

    def kernel(self) -> Tensor:
        """[out, 3, 6, 6], from rows of the weight that are (column of the two, row of the two, colour)."""
        return self.weight.view(-1, 2, 2, 3, 3, 3).permute(0, 3, 4, 2, 5, 1).reshape(-1, 3, 6, 6)

    def plain(self) -> nn.Conv2d:
        """The same as a convolution of pixels like any other, for inference."""
        conv: nn.Conv2d = skip_init(nn.Conv2d, 3, self.out_channels, 6, stride=2, padding=2, bias=False)  # draws nothing at random
        conv.weight, conv.bias = nn.Parameter(self.kernel().detach()), self.bias
        return conv
