"""Score first, then spread: a shortlist of the best-scored images, thinned by k-center.

Returns the images of the shortlist that cover it best, given what is labelled. Knows nothing of detectors or labels.
"""

from __future__ import annotations

from numpy.random import Generator

from boxwise.records import Query
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.k_center import farthest_first
from boxwise.strategies.top_k import best


class ScoreThenDiversity:
    """Top `oversample` × budget by score, then greedy k-center within them against the labelled images.

    The two stages of PPAL (Yang et al., CVPR 2024) with plain embedding distances: near-duplicates, which share their high score,
    are no longer bought together. The utility is the k-center distance; the scores stay in the terms.
    """

    uses_embeddings = True
    uses_boxes = False

    def __init__(self, oversample: float = 4.0) -> None:
        self.oversample = oversample

    def select(self, candidates: Candidates, budget: Budget, *, rng: Generator) -> Query:
        shortlist = best(candidates, budget, oversample=self.oversample, rng=rng)
        costs = budget.costs(candidates)[shortlist]
        embeddings = candidates.embeddings[shortlist]
        picks, distances = farthest_first(embeddings, candidates.labeled_embeddings, costs, amount=budget.amount, rng=rng)
        return candidates.query(shortlist[picks].tolist(), utility=distances)
