"""Entropy of distributions and of a detector's boxes, and how far two distributions are from each other.

A softmax family's boxes have one distribution each, [C + 1] with background last; a sigmoid family's have C independent chances, which
need not sum to 1. Here alone the two are distinguished, by their width.
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


def box_entropy(probabilities: NDArray[np.floating], class_count: int) -> Values:
    """How unsure a detector is of each box's class; float64 [N] from [N, C + 1], the entropy, or from [N, C], the sum over classes of the
    entropy of having it or not."""
    if _exclusive(probabilities, class_count):
        return entropy(probabilities)
    return binary_entropy(probabilities.astype(np.float64)).sum(axis=1)


def distribution(probabilities: NDArray[np.floating], class_count: int) -> Values:
    """One distribution a box, background last; float64 [N, C + 1]. From independent chances p: (p, 1 - max p), scaled to sum to 1."""
    p = probabilities.astype(np.float64)
    if _exclusive(probabilities, class_count):
        return p
    with_background = np.concatenate([p, 1 - p.max(axis=1, keepdims=True, initial=0)], axis=1)
    return with_background / with_background.sum(axis=1, keepdims=True)


def _exclusive(probabilities: NDArray[np.floating], class_count: int) -> bool:
    """Whether each row is one distribution over the classes and background. ValueError for a width that is neither family's."""
    width = probabilities.shape[1]
    if width not in (class_count, class_count + 1):
        raise ValueError(f"probabilities have {width} columns, expected {class_count + 1} with background or {class_count} without")
    return width == class_count + 1


def binary_entropy(chances: Values) -> Values:
    """-p ln p - (1 - p) ln(1 - p), in the shape of `chances`; 0 at 0 and at 1."""
    both = np.stack([chances, 1 - chances])
    return -(both * np.log(np.where(both > 0, both, 1.0))).sum(axis=0)


def jensen_shannon(p: Values, q: Values) -> Values:
    """Jensen-Shannon divergence of each pair of rows in nats, 0 to ln 2; float64 [N] from [N, C] and [N, C], or one row [1, C]."""
    return np.maximum(entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2, 0.0)
