"""Train on everything labelled: the baseline policy.

Returns a plan with every annotation there is. Knows nothing of detectors, scores or ground truth.
"""

from __future__ import annotations

from numpy.random import Generator

from boxwise.curricula.base import Material, TrainingPlan


class AllLabeled:
    """Every annotated image is trained on each round, and every image asked about joins the labelled set."""

    partial = False
    labels_pool = False
    validates = False

    def compose(self, material: Material, *, rng: Generator) -> TrainingPlan:
        fresh = tuple(image_id for image_id in material.new if image_id not in material.labeled)
        return TrainingPlan((*material.labeled, *fresh), joins=fresh)
