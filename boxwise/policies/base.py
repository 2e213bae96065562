"""What every policy promises: annotated images and the model's boxes on the pool in, a training plan out.

Pure values. Knows nothing of detectors, images, stores or ground truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.random import Generator

from boxwise.boxes import Boxes, FloatArray
from boxwise.records import Annotation


@dataclass(frozen=True)
class PoolImage:
    """One image without an annotation, as the last pool pass saw it.

    boxes: the model's, with `scores` and `probabilities`, those of at least the `uncertain` threshold of their class.
    consistency: float32 [N] in [0, 1], how well each box stood up to cross-image validation, NaN where it was not tried; None: nothing was.
    """

    image_id: str
    boxes: Boxes
    consistency: FloatArray | None = None


@dataclass(frozen=True)
class Material:
    """What a policy may look at, in round `round` (1 or later: in round 0 everything labelled is trained on).

    batch: K of the policies' tables, always in images. labeled: the labelled set, image_id → annotation; images asked about under another
    policy are in it. seen: every image asked about since round 1, in the labelled set by now or not. new: those of `seen` that were asked
    about this round. pool: reads the rest of the pool, an image at a time; only policies that label it themselves need to. class_count:
    of the study.
    """

    round: int
    batch: int
    labeled: Mapping[str, Annotation]
    seen: Mapping[str, Annotation]
    new: tuple[str, ...]
    pool: Callable[[], Iterator[PoolImage]]
    class_count: int


@dataclass(frozen=True)
class SelfLabels:
    """The model's own labels of one pool image, for this round's training alone.

    boxes: finite, of the study's classes. weights: float32 [N] in [0, 1].
    """

    boxes: Boxes
    weights: FloatArray


@dataclass(frozen=True)
class TrainingPlan:
    """What a round trains on, and what becomes of the images asked about.

    train: annotated images, each once. joins: images that enter the labelled set, for good. requeue: images asked about again next round,
    before new ones. release: images that go back to the pool. An image of `new` in none of the last three is done with.
    self_labels: pool images trained on under the model's own labels, always incomplete.
    """

    train: tuple[str, ...]
    joins: tuple[str, ...] = ()
    requeue: tuple[str, ...] = ()
    release: tuple[str, ...] = ()
    self_labels: Mapping[str, SelfLabels] = field(default_factory=dict)


class Policy(Protocol):
    """Decides what a round trains on. Stateless: the same material and rng give the same plan.

    partial: whether it trains on a part of the labels, so that training goes on from the round before ("train.start=auto").
    labels_pool: whether it reads `Material.pool`. validates: of how many pool images a round it needs `PoolImage.consistency`; 0: of none.

    Promises, checked by tests/contracts/test_policy.py for every recipe: `train` names known images, each once; `joins`, `requeue` and
    `release` are disjoint subsets of `seen`; `joins` holds nothing that is in the labelled set already; `self_labels` are of images
    read from `Material.pool`; inputs are unchanged.
    """

    partial: bool
    labels_pool: bool
    validates: int

    def compose(self, material: Material, *, rng: Generator) -> TrainingPlan: ...


def al_ratio(annotation: Annotation) -> float:
    """#AL boxes / #boxes: the share that a person answered for. 0 where there is no box: nothing was left for a person to label."""
    return float(np.mean(~annotation.by_model)) if len(annotation.boxes) else 0.0


def sl_score(annotation: Annotation) -> float:
    """Σ scores of the self-labelled boxes / #boxes. 1 where there is no box, as nothing was doubted."""
    if not len(annotation.boxes):
        return 1.0
    if annotation.boxes.scores is None:
        return 0.0
    return float(annotation.boxes.scores[annotation.by_model].sum() / len(annotation.boxes))


def drawn_from(image_ids: Sequence[str], amount: int, rng: Generator) -> tuple[str, ...]:
    """At most `amount` of the images, at random, each once."""
    return tuple(image_ids[row] for row in rng.permutation(len(image_ids))[:amount])
