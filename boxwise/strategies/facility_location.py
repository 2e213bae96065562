"""Facility location: images that many images of the pool resemble, and that what is labelled does not show yet.

Returns the images that bring the pool nearest to what is labelled or chosen, on average. Knows nothing of scores, detectors or labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.records import Query
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.greedy import greedy

Matrix = NDArray[np.float32]
Vector = NDArray[np.float32]
Gains = NDArray[np.float64]
DEMAND = 2048  # images that stand for the pool, drawn where there are more
_CHUNK = 4096  # rows a block of the pool × demand matrix: tens of MB


class FacilityLocation:
    """Greedy k-medians: each pick lowers the mean distance of the pool to its nearest labelled or picked image the most.

    The mean, where k-center goes by the largest: an outlier, to which nothing else is near, gains little. Facility location as an objective
    of active learning is Wei, Iyer & Bilmes (ICML 2015); it is submodular, so the greedy picks reach 1 - 1/e of the best gain (Nemhauser,
    Wolsey & Fisher, 1978). The utility of a pick is what it lowers the mean by, as a share of the mean before the first pick. Of a pool of
    more than 2,048 images so many are drawn to stand for it, and all can be picked. O(pool · demand · dim) time a pass, of which there are
    few (see `greedy`).
    """

    uses_embeddings = True
    uses_boxes = False

    def select(self, candidates: Candidates, budget: Budget, *, rng: Generator) -> Query:
        order = rng.permutation(len(candidates))  # ties: the first in a random order
        demand = candidates.embeddings[order[:DEMAND]]
        near = _nearest(demand, candidates.labeled_embeddings)
        mean = float(near.mean()) if len(near) else 0.0
        pool = _Gains(candidates.embeddings[order], demand, near)
        costs = budget.costs(candidates)[order]
        picks, gains = greedy(pool, costs, amount=budget.amount, choose=lambda values: int(values.argmax()))
        return candidates.query(order[picks].tolist() if picks else [], utility=np.array(gains) / (mean or 1.0))


@dataclass
class _Gains:
    """What each of some rows, `embeddings` [N, D], would lower the mean distance of `demand` [M, D] by.

    near: the distance of each of `demand` to the nearest labelled or picked image, [M]. Of few rows, which are looked at for each pick,
    their `distances` to `demand` [M, N] are kept, and the `gains` [N], which change by what the last pick is nearest to.
    """

    embeddings: Matrix
    demand: Matrix
    near: Vector
    distances: Matrix | None = None
    gains: Gains | None = None

    def values(self) -> Gains:
        if self.gains is not None:
            return self.gains.copy()
        blocks = [self.embeddings[start : start + _CHUNK] for start in range(0, len(self.embeddings), _CHUNK)]
        return np.concatenate([np.zeros(0), *(_lowered(self.near, _distances(self.demand, block)) for block in blocks)])

    def take(self, rows: NDArray[np.intp]) -> _Gains:
        embeddings = self.embeddings[rows]
        distances = _distances(self.demand, embeddings)
        return replace(self, embeddings=embeddings, distances=distances, gains=_lowered(self.near, distances))

    def pick(self, pool: _Gains, rows: Sequence[int]) -> None:
        before, self.near = self.near, np.minimum(self.near, _distances(pool.embeddings[rows], self.demand).min(axis=0))
        if self.distances is not None and self.gains is not None:
            moved = np.flatnonzero(self.near < before)
            share = len(moved) / len(self.demand)
            lost = _lowered(before[moved], self.distances[moved]) - _lowered(self.near[moved], self.distances[moved])
            self.gains = np.maximum(self.gains - share * lost, 0)


def _lowered(near: Vector, distances: Matrix) -> Gains:
    """By how much each of N images would lower the mean of `near` [M], given its `distances` to them [M, N]; float64 [N]."""
    lowered = near[:, None] - distances
    return np.maximum(lowered, 0, out=lowered).sum(axis=0, dtype=np.float64) / max(len(near), 1)


def _nearest(points: Matrix, centers: Matrix) -> Vector:
    """Distance of each of `points` [M, D] to the nearest of `centers`; without any, one that no two points are apart."""
    near = np.full(len(points), 2 * np.sqrt(np.einsum("md,md->m", points, points).max(initial=0)), np.float32)
    for start in range(0, len(centers), _CHUNK):
        np.minimum(near, _distances(centers[start : start + _CHUNK], points).min(axis=0), out=near)
    return near


def _distances(a: Matrix, b: Matrix) -> Matrix:
    """Euclidean distance of each row of `a` [N, D] to each of `b` [M, D]; float32 [N, M].

    By way of float64: in float32 images that are the same would be some way apart, and that much would seem to be gained.
    """
    wide, others = a.astype(np.float64), b.astype(np.float64)
    squared = wide @ others.T
    squared *= -2
    squared += np.einsum("nd,nd->n", wide, wide)[:, None]
    squared += np.einsum("md,md->m", others, others)
    return np.sqrt(np.maximum(squared, 0, out=squared), out=squared).astype(np.float32)
