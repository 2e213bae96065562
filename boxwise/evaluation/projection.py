"""Embeddings in the plane, to look at: the two directions in which they vary most.

Returns points and how much of the variance they show. Knows nothing of images.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Plane(NamedTuple):
    """points: float64 [N, 2], each axis within 0 and 1, both in one scale and centred. explained: share of the variance, 0 to 1."""

    points: NDArray[np.float64]
    explained: float


def principal_plane(embeddings: NDArray[np.float32]) -> Plane:
    """The first two principal components (Pearson 1901) of float [N, D]; O(N · D²). The sign of a component is that of its largest part.

    All points at the centre where nothing varies, or there is one embedding or none.
    """
    centred = np.asarray(embeddings, np.float64)
    centred = centred - centred.mean(axis=0) if len(centred) else centred
    variances, directions = np.linalg.eigh(centred.T @ centred)
    total = float(variances.sum())
    if total <= 0:
        return Plane(np.full((len(centred), 2), 0.5), 0.0)
    axes = directions[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])])
    points = np.zeros((len(centred), 2))
    points[:, : axes.shape[1]] = centred @ axes
    low, high = points.min(axis=0), points.max(axis=0)
    return Plane(0.5 + (points - (low + high) / 2) / float((high - low).max()), float(variances[::-1][:2].sum() / total))
