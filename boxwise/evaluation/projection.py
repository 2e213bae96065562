"""Embeddings in the plane, to look at: the two directions in which they vary most.

Returns points and how much of the variance they show. Reads the embeddings some at a time; knows nothing of images or files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Plane(NamedTuple):
    """points: float64 [N, 2], each axis within 0 and 1, both in one scale and centred. explained: share of the variance, 0 to 1."""

    points: NDArray[np.float64]
    explained: float


def principal_plane(parts: Callable[[], Iterable[NDArray[np.float32]]]) -> Plane:
    """The first two principal components (Pearson 1901) of embeddings; O(N · D²) time, O(N + D²) memory beside one part.

    parts: reads the embeddings from the first to the last, float [n, D] at a time; called twice. The sign of a component is that of its
    largest part. All points at the centre where nothing varies, or there is one embedding or none.
    """
    count, origin, covariance = _moments(parts())
    variances, directions = np.linalg.eigh(covariance)
    total = float(variances.sum())
    if total <= 0:
        return Plane(np.full((count, 2), 0.5), 0.0)
    axes = directions[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])])
    points = np.zeros((count, 2))
    points[:, : axes.shape[1]] = np.concatenate([(part - origin) @ axes for part in parts()])
    low, high = points.min(axis=0), points.max(axis=0)
    return Plane(0.5 + (points - (low + high) / 2) / float((high - low).max()), float(variances[::-1][:2].sum() / total))


def _moments(parts: Iterable[NDArray[np.float32]]) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """(N, the first embedding, N times the covariance); sums are taken from the first on, so that equal embeddings give exactly zero."""
    count, origin, total, products = 0, np.zeros(1), np.zeros(1), np.zeros((1, 1))
    for part in parts:
        if not count and len(part):
            origin, total = part[0].astype(np.float64), np.zeros(part.shape[1])
            products = np.zeros((part.shape[1], part.shape[1]))
        rows = part - origin
        count, total, products = count + len(rows), total + rows.sum(axis=0), products + rows.T @ rows
    return count, origin, products - np.outer(total, total) / max(count, 1)
