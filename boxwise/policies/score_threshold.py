"""Import policy score_threshold: images whose self-labels are weak are asked again, those whose self-labels are strong join.

Returns a plan judged by sl_score. Knows nothing of detectors, images, stores or ground truth.
"""

from __future__ import annotations

from numpy.random import Generator

from boxwise.policies.base import Material, TrainingPlan, sl_score
from boxwise.policies.plans import plan_between


class ScoreThreshold:
    """New images of sl_score ≤ `score_train`, and K random labelled ones; those of sl_score ≥ `score_join` join.

    Active sample mining (Wang et al., TNNLS 2019) as `ratio_threshold` does it, with self-labels counted by their scores: hard images
    are trained on and asked again next round, and images between the thresholds go back to the pool.
    """

    partial = True
    labels_pool = False
    validates = 0

    def __init__(self, *, score_train: float = 0.4, score_join: float = 0.6) -> None:
        self._train, self._join = score_train, score_join

    def compose(self, material: Material, *, rng: Generator) -> TrainingPlan:
        scores = {image_id: sl_score(material.seen[image_id]) for image_id in material.new}
        hard = [image_id for image_id, score in scores.items() if score <= self._train]
        easy = [image_id for image_id, score in scores.items() if score >= self._join]
        return plan_between(material, hard=hard, easy=easy, rng=rng)
