"""The cells of YOLOX's three levels, one prediction each, and boxes encoded against them.

Returns tensors in input pixels. Knows nothing of networks, scores or losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

STRIDES = (8, 16, 32)
_LARGEST = 8.0  # logarithm of a side in strides, 3000: keeps areas finite where a prediction is not sound


@dataclass(frozen=True)
class Cells:
    """A cells, level after level, row by row: corners float32 [A, 2], their upper left (x, y); strides float32 [A], their side.

    Picked by an index of any shape, they have that shape in place of A.
    """

    corners: Tensor
    strides: Tensor

    def __getitem__(self, rows: Tensor) -> Cells:
        return Cells(self.corners[rows], self.strides[rows])

    @property
    def centers(self) -> Tensor:
        """[A, 2]."""
        return self.corners + self.strides[..., None] / 2

    @property
    def xyxy(self) -> Tensor:
        """[A, 4]."""
        return torch.cat([self.corners, self.corners + self.strides[..., None]], dim=-1)

    def decode(self, encoded: Tensor) -> Tensor:
        """Boxes xyxy [..., A, 4] from (x, y, log width, log height), position and size in strides, from the cell's upper left."""
        center = encoded[..., :2] * self.strides[..., None] + self.corners
        half = encoded[..., 2:].clamp(max=_LARGEST).exp() * (self.strides[..., None] / 2)
        return torch.cat([center - half, center + half], dim=-1)

    def encode(self, xyxy: Tensor) -> Tensor:
        """The inverse of `decode`, for boxes with an area."""
        center, size = (xyxy[:, :2] + xyxy[:, 2:]) / 2, xyxy[:, 2:] - xyxy[:, :2]
        return torch.cat([(center - self.corners) / self.strides[..., None], (size / self.strides[..., None]).log()], dim=1)


def cells_of(sizes: Sequence[tuple[int, int]], device: torch.device) -> Cells:
    """The cells of levels with these (height, width), finest first."""
    levels = [_level(height, width, stride, device) for (height, width), stride in zip(sizes, STRIDES, strict=True)]
    return Cells(torch.cat([corners for corners, _ in levels]), torch.cat([strides for _, strides in levels]))


def _level(height: int, width: int, stride: int, device: torch.device) -> tuple[Tensor, Tensor]:
    y, x = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    corners = torch.stack([x, y], dim=-1).reshape(-1, 2).float() * stride
    return corners, torch.full((height * width,), float(stride), device=device)
