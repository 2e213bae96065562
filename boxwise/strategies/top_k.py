"""Highest scores first: the plain use of a scorer.

Returns the best-scored images, equal scores in random order. Knows nothing of embeddings: near-duplicates may be picked together.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.records import Query
from boxwise.strategies.base import Budget, Candidates


class TopK:
    """The images with the highest scores; the utility is the score. O(pool · log pool) time."""

    uses_embeddings = False
    uses_boxes = False

    def select(self, candidates: Candidates, budget: Budget, *, rng: Generator) -> Query:
        picks = best(candidates, budget, rng=rng)
        return candidates.query(picks.tolist(), utility=candidates.scores.values[picks])


def best(candidates: Candidates, budget: Budget, *, oversample: float = 1, rng: Generator) -> NDArray[np.intp]:
    """Rows of the highest scores that `oversample` times the budget pays for, by falling score, ties in random order; intp [n]."""
    wide = budget if oversample == 1 else Budget(round(oversample * budget.amount), budget.unit)
    return wide.first(falling(candidates.scores.values, rng), candidates)


def falling(values: NDArray[np.float64], rng: Generator) -> NDArray[np.intp]:
    """Rows by falling value, ties in random order; intp [N]. A file's order must not decide among equals."""
    return np.lexsort((rng.random(len(values)), -values))
