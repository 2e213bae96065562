"""Core-set selection: cover the pool with few images.

Returns the images whose embeddings leave no pool image far from a labelled or chosen one.
Knows nothing of scores, detectors or labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.records import Query
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.greedy import greedy

Matrix = NDArray[np.float32]
Vector = NDArray[np.float32]
CHUNK = 1024  # rows a block of the pool × labelled distance matrix: keeps it at tens of MB


class KCenter:
    """Greedy k-center (Sener & Savarese, ICLR 2018): each pick is the image farthest from all labelled and chosen so far.

    A 2-approximation of the smallest covering radius; O(budget · pool · dim) time, O(pool) extra memory. The utility of a pick is
    its distance at that moment. Where nothing is labelled the first pick is random (Gonzalez, 1985: the bound holds from any start).
    Exact, and in few passes over the pool: see `greedy`.
    """

    uses_embeddings = True
    uses_boxes = False

    def select(self, candidates: Candidates, budget: Budget, *, rng: Generator) -> Query:
        costs = budget.costs(candidates)
        picks, distances = farthest_first(candidates.embeddings, candidates.labeled_embeddings, costs, amount=budget.amount, rng=rng)
        return candidates.query(picks, utility=distances)


def farthest_first(
    embeddings: Matrix, labeled: Matrix, costs: NDArray[np.float64], *, amount: float, rng: Generator
) -> tuple[list[int], NDArray[np.float64]]:
    """Rows of `embeddings` [N, D] picked farthest first until `costs` [N] reach `amount`, and each one's distance when picked.

    Equal distances are decided at random, so that duplicates and constant embeddings do not follow the file order.
    """
    picks, squared = greedy(Reach.of(embeddings, labeled), costs, amount=amount, choose=lambda values: _largest(values, rng))
    return picks, np.sqrt(squared)


@dataclass
class Reach:
    """Rows of `embeddings` [N, D] of squared `norms` [N], and the squared distance of each to the nearest center so far; float32 [N]."""

    embeddings: Matrix
    norms: Vector
    squared: Vector

    @classmethod
    def of(cls, embeddings: Matrix, centers: Matrix) -> Reach:
        """Without centers: one distance no smaller than any in the pool, the same for all."""
        norms = np.einsum("nd,nd->n", embeddings, embeddings)
        reach = cls(embeddings, norms, np.full(len(embeddings), 4 * norms.max(initial=0), np.float32))
        reach.join(centers)
        return reach

    def values(self) -> Vector:
        return self.squared.copy()

    def take(self, rows: NDArray[np.intp]) -> Reach:
        return Reach(self.embeddings[rows], self.norms[rows], self.squared[rows])

    def pick(self, pool: Reach, rows: Sequence[int]) -> None:
        self.join(pool.embeddings[rows])

    def join(self, centers: Matrix) -> None:
        """Let `centers` [M, D] be centers too. One takes a matrix-vector product, bound by memory; many at once are bound by arithmetic."""
        if len(centers) == 1:
            np.minimum(self.squared, squared_to(self.embeddings, self.norms, centers[0]), out=self.squared)
            return
        center_norms = np.einsum("md,md->m", centers, centers)
        for rows in _chunks(len(self.embeddings)):
            for columns in _chunks(len(centers)):
                squared = self.embeddings[rows] @ centers[columns].T
                squared *= -2
                squared += center_norms[columns]
                nearest = np.maximum(squared.min(axis=1) + self.norms[rows], 0)
                np.minimum(self.squared[rows], nearest, out=self.squared[rows])


def squared_to(embeddings: Matrix, norms: Vector, center: Vector) -> Vector:
    """Squared distance of each row of `embeddings` [N, D], of squared `norms` [N], to `center` [D]; float32 [N], 0 or larger."""
    squared = embeddings @ center
    squared *= -2
    squared += norms
    squared += np.einsum("d,d->", center, center)
    return np.maximum(squared, 0, out=squared)


def _largest(values: NDArray[np.floating], rng: Generator) -> int:
    ties = np.flatnonzero(values == values.max())
    return int(ties[0] if len(ties) == 1 else rng.choice(ties))


def _chunks(length: int) -> list[slice]:
    return [slice(start, start + CHUNK) for start in range(0, length, CHUNK)]
