"""What a policy plans is held to what every policy promises, before anything is trained on or moved by it.

Wraps any policy and returns its plan, or one message that names the policy. Knows nothing of how it decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.random import Generator

from boxwise.boxes import Boxes
from boxwise.errors import BoxwiseError
from boxwise.policies.base import Material, Policy, SelfLabels, TrainingPlan

_FATES = ("joins", "requeue", "release")


class CheckedPolicy:
    """What `policy` plans: a TrainingPlan of labelled images, each trained on once and of one fate."""

    def __init__(self, policy: Policy, whose: str) -> None:
        """whose: the policy, in messages."""
        self.policy, self.whose = policy, whose
        self.partial, self.labels_pool, self.validates = policy.partial, policy.labels_pool, policy.validates

    def compose(self, material: Material, *, rng: Generator) -> TrainingPlan:
        plan = self.policy.compose(material, rng=rng)
        if fault := _fault(plan, material):
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
    if twice := [image_id for image_id, count in Counter(fates).items() if count > 1]:
        return f"a plan in which an image is in one of {', '.join(_FATES)}, found {twice[0]!r} in more"
    return _fault_of_labels(plan.self_labels)


def _fault_of_labels(given: Mapping[str, SelfLabels]) -> str | None:
    if not isinstance(given, Mapping):
        return f"a dict as the plan's self_labels, found a {type(given).__name__}"
    for image_id, labels in given.items():
        if not (isinstance(labels, SelfLabels) and isinstance(labels.boxes, Boxes)):
            return f"SelfLabels with Boxes as the self_labels of {image_id!r}, found a {type(labels).__name__}"
        if not isinstance(labels.weights, np.ndarray) or labels.weights.shape != (len(labels.boxes),):
            return f"{len(labels.boxes)} weights, one a box, in the self_labels of {image_id!r}, found {np.shape(labels.weights)}"
    return None
