"""What a policy plans is held to what every policy promises, before anything is trained on or moved by it.

Wraps any policy and returns its plan, or one message that names the policy. Knows nothing of how it decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.boxes import Boxes
from boxwise.errors import BoxwiseError
from boxwise.policies.base import Material, Policy, PoolImage, SelfLabels, TrainingPlan

_FATES = ("joins", "requeue", "release")


class CheckedPolicy:
    """What `policy` plans: a TrainingPlan of labelled images, each trained on once and of one fate, and of self-labels of pool images.

    Remembers the ids of the pool that one plan is made from: O(pool) memory where the policy reads it.
    """

    def __init__(self, policy: Policy, whose: str) -> None:
        """whose: the policy, in messages."""
        self.policy, self.whose = policy, whose
        self.partial, self.labels_pool, self.validates = bool(policy.partial), bool(policy.labels_pool), int(policy.validates)

    def compose(self, material: Material, *, rng: Generator) -> TrainingPlan:
        read: set[str] = set()

        def pool() -> Iterator[PoolImage]:
            for image in material.pool():
                read.add(image.image_id)
                yield image

        plan = self.policy.compose(replace(material, pool=pool), rng=rng)
        if fault := _fault(plan, material) or _fault_of_labels(plan.self_labels, material, read):
            raise BoxwiseError(
                f"{self.whose}: expected {fault}. What was done before is kept: mend the policy (boxwise.testing.PolicyContract tests it) "
                "and run again."
            )
        return plan


def _fault(plan: TrainingPlan, material: Material) -> str | None:
    """What was expected and what was found; None where nothing is wrong."""
    if not isinstance(plan, TrainingPlan):
        return f"a TrainingPlan from compose, found a {type(plan).__name__}"
    for part in ("train", *_FATES):
        images = getattr(plan, part)
        if not isinstance(images, tuple | list):
            return f"a tuple of image ids as the plan's {part}, found a {type(images).__name__}"
        if others := [image_id for image_id in images if not isinstance(image_id, str)]:
            return f"image ids in the plan's {part}, found a {type(others[0]).__name__}"
    fates = [image_id for part in _FATES for image_id in getattr(plan, part)]
    for image_id in (*plan.train, *fates):
        if image_id not in material.labeled and image_id not in material.seen:
            return f"a plan of labelled images, each once, found {image_id!r}, which is not labelled"
    if len(set(plan.train)) < len(plan.train):
        return f"a plan of labelled images, each once, found one of {len(plan.train)} twice"
    if repeated := [image_id for image_id, count in Counter(fates).items() if count > 1]:
        return f"a plan in which an image is in one of {', '.join(_FATES)}, found {repeated[0]!r} in more"
    return None


def _fault_of_labels(given: Mapping[str, SelfLabels], material: Material, pool: Collection[str]) -> str | None:
    if not isinstance(given, Mapping):
        return f"a dict as the plan's self_labels, found a {type(given).__name__}"
    for image_id, labels in given.items():
        if image_id not in pool:
            is_labelled = image_id in material.labeled or image_id in material.seen
            return f"self_labels of images read from the pool, found {image_id!r}, which is {'labelled' if is_labelled else 'none of them'}"
        if not (isinstance(labels, SelfLabels) and isinstance(labels.boxes, Boxes)):
            return f"SelfLabels with Boxes as the self_labels of {image_id!r}, found a {type(labels).__name__}"
        if not isinstance(labels.weights, np.ndarray) or labels.weights.shape != (len(labels.boxes),):
            return f"{len(labels.boxes)} weights, one a box, in the self_labels of {image_id!r}, found {np.shape(labels.weights)}"
        if fault := _fault_of_values(labels, material.class_count):
            return f"{fault[0]} in the self_labels of {image_id!r}, found {fault[1]}"
    return None


def _fault_of_values(labels: SelfLabels, classes: int) -> tuple[str, object] | None:
    """What was expected and one value that is not so; None where nothing is wrong."""
    boxes, weights = labels.boxes, labels.weights
    if weights.dtype.kind not in "fiub":
        return "numbers as weights", weights.dtype
    right: dict[str, tuple[NDArray[Any], NDArray[np.bool_]]] = {
        "weights from 0 to 1": (weights, (weights >= 0) & (weights <= 1)),  # NaN is not
        f"labels from 0 to {classes - 1}": (boxes.labels, (boxes.labels >= 0) & (boxes.labels < classes)),
        "finite corners": (boxes.xyxy, np.isfinite(boxes.xyxy)),
    }
    return next(((expected, values[~good][0]) for expected, (values, good) in right.items() if not good.all()), None)
