"""Only the newest labels. Returns the images of this round. Knows nothing of detectors, stores or ground truth."""

from numpy.random import Generator

from boxwise.policies.base import Material, TrainingPlan


class Newest:
    """Trains on what was asked about this round; everything joins the labelled set."""

    partial, labels_pool, validates = True, False, 0

    def compose(self, material: Material, *, rng: Generator) -> TrainingPlan:
        return TrainingPlan(material.new, joins=tuple(i for i in material.new if i not in material.labeled))
