"""Import policy v1: each new image is trained on once, and then it is done with.

Returns a plan whose labelled set never grows. Knows nothing of detectors, images, stores or ground truth.
"""

from __future__ import annotations

from numpy.random import Generator

from boxwise.policies.base import Material, TrainingPlan
from boxwise.policies.plans import with_random_labeled


class V1:
    """The new images and K random labelled ones; nothing joins, nothing returns to the pool.

    The plainest way to import a batch in active sample mining (Wang et al., "Cost-Effective Object Detection: Active Sample Mining with
    Switchable Selection Criteria", TNNLS 2019), where training goes on, batch by batch, from the weights of the round before.
    """

    partial = True
    labels_pool = False
    validates = 0

    def compose(self, material: Material, *, rng: Generator) -> TrainingPlan:
        return TrainingPlan(with_random_labeled(material.new, material, rng=rng))
