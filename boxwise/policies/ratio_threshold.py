"""Import policy ratio_threshold: images that a person mostly labelled are asked again, those the model mostly labelled join.

Returns a plan judged by al_ratio. Knows nothing of detectors, images, stores or ground truth.
"""

from __future__ import annotations

from numpy.random import Generator

from boxwise.policies.base import Material, TrainingPlan, al_ratio
from boxwise.policies.plans import plan_between


class RatioThreshold:
    """New images of al_ratio ≥ `ratio_train`, and K random labelled ones; those of al_ratio ≤ `ratio_join` join.

    Active sample mining (Wang et al., TNNLS 2019) with a queue: hard images are trained on and asked again next round, detected again,
    until the model labels enough of them itself. Images between the thresholds go back to the pool.
    """

    partial = True
    labels_pool = False
    validates = 0

    def __init__(self, *, ratio_train: float = 0.6, ratio_join: float = 0.3) -> None:
        self._train, self._join = ratio_train, ratio_join

    def compose(self, material: Material, *, rng: Generator) -> TrainingPlan:
        ratios = {image_id: al_ratio(material.seen[image_id]) for image_id in material.new}
        hard = [image_id for image_id, ratio in ratios.items() if ratio >= self._train]
        easy = [image_id for image_id, ratio in ratios.items() if ratio <= self._join]
        return plan_between(material, hard=hard, easy=easy, rng=rng)
