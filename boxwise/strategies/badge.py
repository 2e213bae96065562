"""Draws spread over what the model is unsure of: uncertain images first, and never many of a kind.

Returns images drawn far from one another among vectors that are long where boxes are uncertain. Knows nothing of detectors or labels.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from boxwise.records import DetectedBoxes, Query
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.k_center import squared_to

Matrix = NDArray[np.float32]
Vector = NDArray[np.float32]
CHUNK = 1 << 15  # images whose boxes are summed at a time: tens of MB at twenty boxes an image


class Badge:
    """k-means++ draws over one vector an image (after BADGE: Ash et al., ICLR 2020; Arthur & Vassilvitskii, SODA 2007).

    The vector of an image is the sum over its boxes of entropy × box embedding: long where much is uncertain, pointing where it looks
    alike. The first image is drawn with probability proportional to its squared length, each further one to its squared distance from
    the nearest drawn. The utility of a pick is that distance, of the first its length. No forward pass beyond the pool pass, which pools
    a feature a box; O(budget · pool · E) time, O(pool · E) memory.

    Unlike the paper: entropy × embedding replaces the gradient of the last layer, whose classes × E numbers a box would be gigabytes
    at 100,000 images; the sum over boxes makes one vector of an image's many predictions; and the first draw is no argmax, so that
    seeds differ. Images where nothing was detected share the zero vector, of which hardly more than one is drawn.
    """

    uses_embeddings = False
    uses_boxes = True

    def select(self, candidates: Candidates, budget: Budget, *, rng: Generator) -> Query:
        vectors = np.zeros((len(candidates), 1), np.float32) if candidates.boxes is None else uncertain_sums(candidates.boxes)
        picks, distances = spread_draws(vectors, budget.costs(candidates), amount=budget.amount, rng=rng)
        return candidates.query(picks, utility=distances)


def uncertain_sums(boxes: DetectedBoxes) -> Matrix:
    """Sum over each image's boxes of entropy × embedding; float32 [N, E], zeros where there are no boxes."""
    sums = np.zeros((len(boxes), boxes.embeddings.shape[1]), np.float32)
    for first in range(0, len(boxes), CHUNK):
        starts = boxes.starts[first : first + CHUNK + 1]
        rows = slice(int(starts[0]), int(starts[-1]))
        count = rows.stop - rows.start
        entropies = csr_matrix((boxes.entropies[rows], np.arange(count), starts - starts[0]), shape=(len(starts) - 1, count))
        sums[first : first + CHUNK] = entropies @ boxes.embeddings[rows].astype(np.float32)
    return sums


def spread_draws(vectors: Matrix, costs: NDArray[np.float64], *, amount: float, rng: Generator) -> tuple[list[int], NDArray[np.float64]]:
    """Rows of `vectors` [N, E] drawn by squared distance to the nearest drawn until `costs` [N] reach `amount`, and each one's distance.

    When nothing is left at a distance the draws are uniform.
    """
    norms = np.einsum("ne,ne->n", vectors, vectors)
    squared = norms.copy()
    still = np.ones(len(vectors), bool)
    picks: list[int] = []
    reached: list[float] = []
    spent = 0.0
    while spent < amount and len(picks) < len(vectors):
        pick = _drawn(squared, still, rng)
        reached.append(float(np.sqrt(squared[pick])))
        to_pick = squared_to(vectors, norms, vectors[pick])
        squared = np.minimum(squared, to_pick, out=squared) if picks else to_pick
        squared[pick], still[pick] = 0, False
        picks.append(pick)
        spent += float(costs[pick])
    return picks, np.array(reached, np.float64)


def _drawn(weights: Vector, still: NDArray[np.bool_], rng: Generator) -> int:
    """A row in proportion to its weight; of those `still` there, any, where all weights are 0."""
    total = np.cumsum(weights, dtype=np.float64)
    if total[-1] <= 0:
        return int(rng.choice(np.flatnonzero(still)))
    return int(np.searchsorted(total, rng.random() * total[-1], side="right"))
