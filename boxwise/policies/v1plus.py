"""Import policy v1plus: as v1, but every new image joins the labelled set.

Returns a plan that trains on the new and on a draw of the known. Knows nothing of detectors, images, stores or ground truth.
"""

from __future__ import annotations

from numpy.random import Generator

from boxwise.policies.base import Material, TrainingPlan
from boxwise.policies.plans import not_joined, with_random_labeled


class V1Plus:
    """The new images and K random labelled ones; all new images join, so that later rounds may draw them again.

    Active sample mining (Wang et al., TNNLS 2019) with a labelled set that grows by the whole batch, self-labelled boxes included.
    """

    partial = True
    labels_pool = False
    validates = 0

    def compose(self, material: Material, *, rng: Generator) -> TrainingPlan:
        return TrainingPlan(with_random_labeled(material.new, material, rng=rng), joins=not_joined(material.new, material))
