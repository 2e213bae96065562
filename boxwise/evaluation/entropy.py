"""Entropy of distributions, and how far two of them are from each other.

Returns nats. Pure arrays: knows nothing of boxes, images or what the entropy decides.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def entropy(probabilities: NDArray[np.floating]) -> Values:
    """Entropy of each row in nats; float64 [N] from [N, C + 1], the background included. 0 log 0 is 0."""
    p = probabilities.astype(np.float64)
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1)


def binary_entropy(chances: Values) -> Values:
    """-p ln p - (1 - p) ln(1 - p), [N]; 0 at 0 and at 1."""
    both = np.stack([chances, 1 - chances])
    return -(both * np.log(np.where(both > 0, both, 1.0))).sum(axis=0)


def jensen_shannon(p: Values, q: Values) -> Values:
    """Jensen-Shannon divergence of each pair of rows in nats, 0 to ln 2; float64 [N] from [N, C] and [N, C], or one row [1, C]."""
    return np.maximum(entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2, 0.0)
