"""Steps that several policies share, from the images asked about to the parts of a plan.

Returns image ids and plans. Knows nothing of detectors, images, stores or ground truth.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable

from numpy.random import Generator

from boxwise.policies.base import Material, PoolImage, SelfLabels, TrainingPlan, drawn_from


def not_joined(image_ids: Iterable[str], material: Material) -> tuple[str, ...]:
    """Those of the images that are not in the labelled set, in their order."""
    return tuple(image_id for image_id in image_ids if image_id not in material.labeled)


def with_random_labeled(image_ids: Collection[str], material: Material, *, rng: Generator) -> tuple[str, ...]:
    """The images and, beside them, K others of the labelled set at random: what is new must not drive out what is known."""
    chosen = set(image_ids)
    return (*image_ids, *drawn_from([image_id for image_id in material.labeled if image_id not in chosen], material.batch, rng))


def plan_between(material: Material, *, hard: Collection[str], easy: Collection[str], rng: Generator) -> TrainingPlan:
    """Of the new images, `hard` ones are trained on and asked again, `easy` ones join, and those between go back to the pool."""
    between = [image_id for image_id in material.new if image_id not in hard and image_id not in easy]
    return TrainingPlan(
        with_random_labeled(hard, material, rng=rng),
        joins=not_joined(easy, material),
        requeue=tuple(hard),
        release=not_joined(between, material),
    )


def easiest(
    pool: Iterable[PoolImage], label: Callable[[PoolImage], tuple[float, SelfLabels] | None], amount: int, *, rng: Generator
) -> dict[str, SelfLabels]:
    """Self-labels of the `amount` pool images that `label` finds least hard, easiest first, equals at random.

    label: how hard an image is and its self-labels, None where it has none. Holds `amount` images at a time, however long the pool.
    """
    labelled = ((image.image_id, label(image)) for image in pool)
    ranked = ((found[0], rng.random(), image_id, found[1]) for image_id, found in labelled if found is not None)
    return {image_id: labels for _, _, image_id, labels in heapq.nsmallest(amount, ranked, key=lambda entry: entry[:2])}
