"""Entropy of a detector's class distribution, the background included.

Knows nothing of boxes, images or what the entropy decides.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def entropy(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Entropy of each row in nats; float64 [N] from [N, C + 1]. 0 log 0 is 0."""
    p = probabilities.astype(np.float64)
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1)
