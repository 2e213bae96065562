"""Import policy topk_ratio: train on what the model was least sure of, keep what it was surest of.

Returns a plan ranked by al_ratio over all seen images. Knows nothing of detectors, images, stores or ground truth.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from boxwise.policies.base import Material, TrainingPlan, al_ratio
from boxwise.policies.plans import not_joined, with_random_labeled


class TopKRatio:
    """The K highest al_ratio among all seen images and K random labelled ones; of the K lowest, those that have not joined yet do.

    Active sample mining (Wang et al., TNNLS 2019) with the hardest first: self-labels enter for good only where a person had little to
    add. Seen images between the two stay in the ranking and, unless they have joined, in the pool; equal ratios rank at random.
    O(seen · log seen) time.
    """

    partial = True
    labels_pool = False
    validates = 0

    def compose(self, material: Material, *, rng: Generator) -> TrainingPlan:
        rising = _by_rising_ratio(material, rng)
        lowest, highest = rising[: material.batch], rising[::-1][: material.batch]
        between = rising[material.batch : len(rising) - material.batch]
        return TrainingPlan(
            with_random_labeled(highest, material, rng=rng),
            joins=not_joined(lowest, material),
            release=not_joined(between, material),
        )


def _by_rising_ratio(material: Material, rng: Generator) -> list[str]:
    image_ids = list(material.seen)
    ratios = np.array([al_ratio(annotation) for annotation in material.seen.values()])
    return [image_ids[row] for row in np.lexsort((rng.random(len(ratios)), ratios))]
