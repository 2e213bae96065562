"""A floor for benchmarks: the images with the least to label. Never use it for a study.

Returns the images in which the detector expects the fewest objects. Knows nothing of scores or embeddings.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from boxwise.records import Query
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.top_k import falling


class Fewest:
    """The images with the fewest expected objects, ties in random order: empty and easy images, one after the other.

    Deliberately bad per image, to show that a comparison can tell a bad strategy from random. It is cheap per box and per second, so only
    the curve over images counts as its floor. Utility: minus the expected objects. O(pool · log pool) time, no further passes.
    """

    uses_embeddings = False
    uses_boxes = False

    def select(self, candidates: Candidates, budget: Budget, *, rng: Generator) -> Query:
        expected = candidates.box_counts
        picks = budget.first(falling(-expected, rng), candidates)
        return candidates.query(picks.tolist(), utility=-expected[picks] + np.zeros(len(picks)))
