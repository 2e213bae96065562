"""CALD's second stage: among the best-scored images, those whose classes are unlike what is labelled.

Returns images whose expected classes differ from the labelled ones and from each other's. Knows nothing of views, detectors or labels.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.evaluation.entropy import jensen_shannon
from boxwise.records import Query
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.top_k import best

Vectors = NDArray[np.float64]


class CaldBalance:
    """Top `oversample` (in the paper 1.2) x budget by score, then one by one the image whose class distribution is farthest from the
    labelled one by Jensen-Shannon divergence (Yu et al., "Consistency-based active learning for object detection", CVPR Workshops 2022).

    After every pick its expected objects join the labelled ones, as the paper has it; in its public code that line is commented out.
    The utility is the divergence at the moment of the pick. O(budget · shortlist · classes) time.

    Deviations. An image's class vector is the objects expected of each class, not the best score of each class; both sides are
    normalised, not put through a softmax, which would flatten them. Nothing expected, or nothing labelled, counts as all classes
    alike: the public code takes images without detections before all others.
    """

    uses_embeddings = False
    uses_boxes = False

    def __init__(self, oversample: float = 1.2) -> None:
        self.oversample = oversample

    def select(self, candidates: Candidates, budget: Budget, *, rng: Generator) -> Query:
        shortlist = best(candidates, budget, oversample=self.oversample, rng=rng)
        if candidates.expected_objects.shape[1] == 0:  # classes are unknown: nothing to balance
            first = budget.first(shortlist, candidates)
            return candidates.query(first.tolist(), utility=np.zeros(len(first)))
        costs = budget.costs(candidates)[shortlist]
        picks, divergences = farthest_classes(
            candidates.expected_objects[shortlist], candidates.labeled_objects, costs, amount=budget.amount
        )
        return candidates.query(shortlist[picks].tolist(), utility=divergences)


def farthest_classes(counts: Vectors, labeled: Vectors, costs: Vectors, *, amount: float) -> tuple[list[int], Vectors]:
    """Rows of `counts` [N, C] picked by largest divergence from `labeled` [C], each pick added to it, until `costs` [N] reach `amount`.

    Returns the rows and each one's divergence when picked; among equals the earlier row.
    """
    vectors = _normalized(counts)
    free = np.ones(len(counts), bool)
    picks: list[int] = []
    reached: list[float] = []
    spent = 0.0
    while spent < amount and free.any():
        divergence = np.where(free, jensen_shannon(vectors, _normalized(labeled[None])), -1.0)
        pick = int(divergence.argmax())
        picks.append(pick)
        reached.append(float(divergence[pick]))
        free[pick] = False
        spent += float(costs[pick])
        labeled = labeled + counts[pick]
    return picks, np.array(reached, np.float64)


def _normalized(counts: Vectors) -> Vectors:
    """Each row as a distribution; uniform where it is empty."""
    totals = counts.sum(axis=1, keepdims=True)
    return np.where(totals > 0, counts / np.where(totals > 0, totals, 1.0), 1 / counts.shape[1])
