"""Random selection: the baseline that every other strategy must beat.

Returns a query drawn uniformly from the pool. Knows nothing of scores or embeddings.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from boxwise.records import Query
from boxwise.strategies.base import Budget, Candidates


class Random:
    """Uniform draw without replacement; every pick has utility 0."""

    uses_embeddings = False
    uses_boxes = False

    def select(self, candidates: Candidates, budget: Budget, *, rng: Generator) -> Query:
        picks = budget.first(rng.permutation(len(candidates)), candidates)
        return candidates.query(picks.tolist(), utility=np.zeros(len(picks)))
