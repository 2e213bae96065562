"""Channel dropout at inference: the same random masks for every image of a batch, drawn outside torch's global generator.

Returns masks. Knows nothing of networks: which feature levels they are laid on is the network's own business.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from numpy.random import default_rng
from torch import Tensor


def channel_masks(levels: Sequence[Tensor], *, passes: int, rate: float, seed: int) -> list[list[Tensor]]:
    """`passes` times one mask a level, [1, channels, 1, 1]: 0 with probability `rate`, else 1 / (1 - rate) (Tompson et al., CVPR 2015).

    levels: [B, channels, h, w] each. Masks depend on (seed, pass, level) alone, so that an image sees the same ones in any batch.
    """
    return [[_mask(level, [seed, number, index], rate) for index, level in enumerate(levels)] for number in range(passes)]


def _mask(level: Tensor, seed: Sequence[int], rate: float) -> Tensor:
    kept = torch.from_numpy(default_rng(seed).random(level.shape[1]) >= rate)
    return (kept.to(level) / (1 - rate)).view(1, -1, 1, 1)
