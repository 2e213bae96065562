"""The loss-prediction head: guesses an image's detection loss from pooled features.

Returns one number an image, meaningful only by rank. Knows nothing of networks, targets or training loops.
"""

from __future__ import annotations

from torch import Tensor, nn


class LossHead(nn.Module):
    """Loss-prediction module of Yoo & Kweon (CVPR 2019) on detached features: float32 [B, F] → [B].

    It learns to order images by their loss per matched box, which is what fidelity judges it by.

    The paper has one layer a feature level; levels here arrive joined, and LayerNorm balances their scales. SiLU, not the paper's
    ReLU: at high learning rates all units died and the prediction was a constant.
    """

    def __init__(self, feature_count: int, *, width: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(feature_count), nn.Linear(feature_count, width), nn.SiLU(), nn.Linear(width, 1))

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features.float()).squeeze(1)
