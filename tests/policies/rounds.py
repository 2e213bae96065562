"""Hand-made annotations, and rounds of a study without a detector: who is asked, what joins, what goes back."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from boxwise.boxes import Boxes
from boxwise.policies.base import Material, Policy, PoolImage, TrainingPlan
from boxwise.records import Annotation, Source


def answered(image_id: str, *, person: int = 0, model: tuple[float, ...] = ()) -> Annotation:
    """An image with `person` boxes of a person and one box of the model for each score."""
    count = person + len(model)
    scores = np.array([np.nan] * person + list(model), np.float32)
    boxes = Boxes(np.tile([0.0, 0, 9, 9], (count, 1)), np.zeros(count), scores)
    return Annotation(image_id, boxes, (Source.HUMAN,) * person + (Source.MODEL,) * len(model), True)


def of_ratio(image_id: str, tenths: int) -> Annotation:
    """An image of al_ratio tenths / 10."""
    return answered(image_id, person=tenths, model=(0.9,) * (10 - tenths))


def asked(
    new: list[Annotation],
    *,
    before: list[Annotation] | None = None,
    labeled: list[Annotation] | None = None,
    batch: int = 2,
    round_index: int = 1,
    pool: list[PoolImage] | None = None,
) -> Material:
    """What a policy sees when `new` was asked about this round and `before` in earlier ones."""
    seen = {annotation.image_id: annotation for annotation in [*(before or []), *new]}
    known = {annotation.image_id: annotation for annotation in labeled or []}
    return Material(round_index, batch, known, seen, tuple(annotation.image_id for annotation in new), lambda: iter(pool or []), 2)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pool_image(image_id: str, *rows: list[float], consistency: list[float] | None = None) -> PoolImage:
    """A pool image with one box for each row of class probabilities, background last."""
    probabilities = np.array(rows, np.float32)
    labels = probabilities[:, :-1].argmax(1)
    boxes = Boxes(np.tile([0.0, 0, 9, 9], (len(rows), 1)), labels, probabilities[:, :-1].max(1), probabilities)
    return PoolImage(image_id, boxes, None if consistency is None else np.array(consistency, np.float32))


@dataclass
class Rounds:
    """A study of `images` pool images and 3 labelled ones: asks the queue first, fills the batch from the pool, applies the plan.

    answer: image_id and how often it was asked → its annotation.
    """

    policy: Policy
    images: int
    batch: int
    answer: Callable[[str, int], Annotation]
    labeled: dict[str, Annotation] = field(default_factory=lambda: {f"first{i}": of_ratio(f"first{i}", 10) for i in range(3)})
    seen: dict[str, Annotation] = field(default_factory=dict)
    queue: list[str] = field(default_factory=list)
    asked_times: dict[str, int] = field(default_factory=dict)
    plans: list[TrainingPlan] = field(default_factory=list)
    new: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.pool = [f"{i:03}" for i in range(self.images)]

    def play(self) -> TrainingPlan:
        room = max(0, self.batch - len(self.queue))
        self.new = (*self.queue, *self.pool[:room])
        self.pool = self.pool[room:]
        for image_id in self.new:
            self.asked_times[image_id] = self.asked_times.get(image_id, 0) + 1
            self.seen[image_id] = self.answer(image_id, self.asked_times[image_id])
        given = Material(len(self.plans) + 1, self.batch, dict(self.labeled), dict(self.seen), self.new, lambda: iter(()), 2)
        plan = self.policy.compose(given, rng=rng(len(self.plans)))
        self.queue = list(plan.requeue)
        self.pool += [image_id for image_id in plan.release if image_id not in self.pool]
        self.pool = [image_id for image_id in self.pool if image_id not in plan.joins]
        self.labeled |= {image_id: self.seen[image_id] for image_id in plan.joins}
        self.plans.append(plan)
        return plan

    def lost(self) -> set[str]:
        """Seen images that are neither labelled, nor in the queue, nor in the pool."""
        return set(self.seen) - set(self.labeled) - set(self.queue) - set(self.pool)
