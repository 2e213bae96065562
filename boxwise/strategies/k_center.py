"""Core-set selection: cover the pool with few images.

Returns the images whose embeddings leave no pool image far from a labelled or chosen one.
Knows nothing of scores, detectors or labels.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.records import Query
from boxwise.strategies.base import Budget, Candidates

Matrix = NDArray[np.float32]
Vector = NDArray[np.float32]
CHUNK = 1024  # rows a block of the pool × labelled distance matrix: keeps it at tens of MB


class KCenter:
    """Greedy k-center (Sener & Savarese, ICLR 2018): each pick is the image farthest from all labelled and chosen so far.

    A 2-approximation of the smallest covering radius; O(budget · pool · dim) time, O(pool) extra memory. The utility of a pick is
    its distance at that moment. Where nothing is labelled the first pick is random (Gonzalez, 1985: the bound holds from any start).
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
    norms = np.einsum("nd,nd->n", embeddings, embeddings)
    distance = squared_to_nearest(embeddings, norms, labeled)
    picks: list[int] = []
    reached: list[float] = []
    spent = 0.0
    while spent < amount and len(picks) < len(embeddings):
        pick = _farthest(distance, rng)
        picks.append(pick)
        reached.append(float(np.sqrt(distance[pick])))
        spent += float(costs[pick])
        np.minimum(distance, squared_to(embeddings, norms, pick), out=distance)
        distance[pick] = -1.0  # below every other, duplicates at 0 included: never picked twice
    return picks, np.array(reached, np.float64)


def squared_to_nearest(embeddings: Matrix, norms: Vector, centers: Matrix) -> Vector:
    """Squared distance of each row of `embeddings` [N, D], of squared `norms` [N], to the nearest of `centers` [M, D]; float32 [N].

    Without centers: one value no smaller than any distance in the pool, the same for all.
    """
    diameter = 4 * norms.max(initial=0)
    nearest = np.full(len(embeddings), diameter, np.float32)
    center_norms = np.einsum("md,md->m", centers, centers)
    for rows in _chunks(len(embeddings)):
        for columns in _chunks(len(centers)):
            squared = norms[rows, None] + center_norms[columns] - 2 * embeddings[rows] @ centers[columns].T
            np.minimum(nearest[rows], squared.min(axis=1), out=nearest[rows])
    return np.maximum(nearest, 0)


def squared_to(embeddings: Matrix, norms: Vector, row: int) -> Vector:
    """Squared distance of each row of `embeddings` [N, D], of squared `norms` [N], to the row `row`; float32 [N], 0 or larger."""
    squared = embeddings @ embeddings[row]
    squared *= -2
    squared += norms
    squared += norms[row]
    return np.maximum(squared, 0, out=squared)


def _farthest(distance: Vector, rng: Generator) -> int:
    ties = np.flatnonzero(distance == distance.max())
    return int(ties[0] if len(ties) == 1 else rng.choice(ties))


def _chunks(length: int) -> list[slice]:
    return [slice(start, start + CHUNK) for start in range(0, length, CHUNK)]
