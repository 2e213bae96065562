"""Layers that are quicker on a CPU than torch's own of the same numbers.

Returns modules whose parameters have the names and shapes of the plain layers. Knows nothing of what a network detects.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import skip_init


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
