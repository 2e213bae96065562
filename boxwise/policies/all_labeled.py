"""Train on everything labelled: the baseline policy.

Returns a plan with every annotation there is. Knows nothing of detectors, scores or ground truth.
"""

from __future__ import annotations

from numpy.random import Generator

from boxwise.policies.base import Material, TrainingPlan
from boxwise.policies.plans import not_joined


class AllLabeled:
    """Every annotated image is trained on each round, and every image asked about joins the labelled set."""

    partial = False
    labels_pool = False
    validates = 0

    def compose(self, material: Material, *, rng: Generator) -> TrainingPlan:
        fresh = not_joined(material.new, material)
        return TrainingPlan((*material.labeled, *fresh), joins=fresh)
