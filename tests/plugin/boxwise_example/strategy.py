"""Crowds first. Returns the images with the most expected boxes. Knows nothing of scores, embeddings or labels."""

import numpy as np
from numpy.random import Generator

from boxwise.records import Query
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.top_k import falling


class Crowded:
    """The images on which the detector expects the most boxes, at most `most`; ties in random order."""

    uses_embeddings = False
    uses_boxes = False

    def __init__(self, *, most: int = 100) -> None:
        self.most = most

    def select(self, candidates: Candidates, budget: Budget, *, rng: Generator) -> Query:
        crowd = np.minimum(candidates.box_counts, self.most)
        picks = budget.first(falling(crowd, rng), candidates)
        return candidates.query(picks.tolist(), utility=crowd[picks])
