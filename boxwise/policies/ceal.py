"""CEAL: what the model is nearly certain of in the pool is trained on beside the labels of people.

Returns a plan with self-labels for this round alone. Knows nothing of detectors, images, stores or ground truth.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from boxwise.evaluation.entropy import box_entropy
from boxwise.policies.all_labeled import AllLabeled
from boxwise.policies.base import Material, PoolImage, SelfLabels, TrainingPlan
from boxwise.policies.plans import easiest


class Ceal:
    """Everything annotated, and pool boxes whose class entropy is below δ, δ falling by `delta_rate` a round (never below 0).

    Cost-effective active learning (Wang et al., "Cost-Effective Active Learning for Deep Image Classification", TCSVT 2017), from whole
    images to boxes. Self-labels are re-derived each round, so that none outlives the model that was sure of it. Images of the lowest mean
    entropy come first, at most `most_self_labeled` for each annotated one: O(annotated) memory, however large the pool.

    Deviation: δ = delta - delta_rate · (round - 1), linear in the round. The paper's δ ← δ - rate · round, read as an assignment, adds up
    to delta - delta_rate · round (round - 1) / 2: with the defaults no box would be self-labelled from round 7 on, here from round 17 on.
    """

    partial = False
    labels_pool = True
    validates = 0

    def __init__(self, *, delta: float = 0.05, delta_rate: float = 0.0033, most_self_labeled: float = 1.0) -> None:
        self._delta, self._rate, self._most = delta, delta_rate, most_self_labeled

    def compose(self, material: Material, *, rng: Generator) -> TrainingPlan:
        plan = AllLabeled().compose(material, rng=rng)
        delta = max(0.0, self._delta - self._rate * (material.round - 1))
        amount = int(self._most * len(plan.train)) if delta > 0 else 0
        return replace(
            plan, self_labels=easiest(material.pool(), lambda image: _sure_boxes(image, delta, material.class_count), amount, rng=rng)
        )


def _sure_boxes(image: PoolImage, delta: float, class_count: int) -> tuple[float, SelfLabels] | None:
    """The mean entropy of the boxes below `delta`, and those boxes with full weight."""
    if image.boxes.probabilities is None:
        return None
    entropies = box_entropy(image.boxes.probabilities, class_count)
    sure = entropies < delta
    if not sure.any():
        return None
    return float(entropies[sure].mean()), SelfLabels(image.boxes[sure], np.ones(int(sure.sum()), np.float32))
