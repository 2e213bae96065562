"""What every policy promises, as a suite that is run on each name.

Returns verdicts of pytest. Knows nothing of what a policy goes by.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from boxwise.boxes import Boxes
from boxwise.config import PolicyConfig
from boxwise.policies.base import Material, PoolImage, TrainingPlan
from boxwise.records import Annotation, Source
from boxwise.registry import policy_of
from boxwise.testing.base import Contract, global_generators_left_alone

SIZES: list[dict[str, Any]] = [
    {"batch": 4},
    {"batch": 500},
    {"batch": 0},
    {"labeled": 0},
    {"old": 0, "new": 0},
    {"new": 0},
    {"pool": 0},
    {"round_index": 40},
]


class Pool:
    """Counts how often it is streamed."""

    def __init__(self, images: list[PoolImage]) -> None:
        self.images, self.streams = images, 0

    def __call__(self) -> Iterator[PoolImage]:
        self.streams += 1
        yield from self.images


def some_boxes(rng: np.random.Generator, count: int) -> Boxes:
    """Boxes from hopeless to nearly certain, the most probable of 3 classes as label."""
    probabilities = rng.dirichlet([0.02] * 4, count).astype(np.float32)
    probabilities[:, :3] += 1e-6
    labels = probabilities[:, :3].argmax(1)
    xyxy = np.sort(rng.uniform(0, 99, (count, 2, 2)), axis=1).reshape(count, 4).astype(np.float32)
    return Boxes(xyxy, labels, probabilities[np.arange(count), labels].clip(0, 1), probabilities)


def annotation(image_id: str, rng: np.random.Generator, *, most: int) -> Annotation:
    boxes = some_boxes(rng, int(rng.integers(0, most + 1)))
    by_model = rng.random(len(boxes)) < rng.random()
    assert boxes.scores is not None
    boxes = replace(boxes, probabilities=None, scores=np.where(by_model, boxes.scores, np.nan))
    return Annotation(image_id, boxes, tuple(Source.MODEL if model else Source.HUMAN for model in by_model), bool(rng.random() < 0.7))


def pool_image(image_id: str, rng: np.random.Generator) -> PoolImage:
    boxes = some_boxes(rng, int(rng.integers(0, 6)))
    consistency = np.where(rng.random(len(boxes)) < 0.3, np.nan, rng.integers(0, 6, len(boxes)) / 5).astype(np.float32)
    return PoolImage(image_id, boxes, consistency if rng.random() < 0.8 else None)


def material(
    *,
    round_index: int = 2,
    batch: int = 4,
    labeled: int = 9,
    old: int = 7,
    new: int = 8,
    pool: int = 60,
    most: int = 5,
    folder: str = "",
) -> Material:
    """A study in its middle: of the images asked about before, every other one has joined the labelled set. folder: begins every id."""
    rng = np.random.default_rng(5)
    before, fresh = [f"{folder}old{i}" for i in range(old)], [f"{folder}new{i}" for i in range(new)]
    seen = {name: annotation(name, rng, most=most) for name in before + fresh}
    labeled_images = {name: annotation(name, rng, most=most) for name in [f"{folder}first{i}" for i in range(labeled)]}
    labeled_images |= {name: seen[name] for name in before[::2]} if labeled else {}
    return Material(
        round_index, batch, labeled_images, seen, tuple(fresh), Pool([pool_image(f"{folder}pool{i}", rng) for i in range(pool)]), 3
    )


def compose(name: str, given: Material, seed: int = 0) -> TrainingPlan:
    return policy_of(PolicyConfig(name=name)).compose(given, rng=np.random.default_rng(seed))


def pool_of(given: Material) -> Pool:
    assert isinstance(given.pool, Pool)
    return given.pool


def columns(boxes: Boxes) -> tuple[bytes, ...]:
    return tuple(b"" if column is None else column.tobytes() for column in vars(boxes).values())


def contents(given: Material) -> tuple[object, ...]:
    """Everything a policy could change, by value."""
    annotations = [
        (name, columns(a.boxes), a.sources, a.complete) for mapping in (given.labeled, given.seen) for name, a in mapping.items()
    ]
    images = [(i.image_id, columns(i.boxes), None if i.consistency is None else i.consistency.tobytes()) for i in pool_of(given).images]
    return annotations, given.new, images


def check_equal(found: TrainingPlan, expected: TrainingPlan) -> None:
    for part in ("train", "joins", "requeue", "release"):
        assert getattr(found, part) == getattr(expected, part), part
    assert list(found.self_labels) == list(expected.self_labels)
    for name, labels in expected.self_labels.items():
        assert columns(found.self_labels[name].boxes) == columns(labels.boxes), f"boxes of {name}"
        np.testing.assert_array_equal(found.self_labels[name].weights, labels.weights, err_msg=f"weights of {name}")


class PolicyContract(Contract):
    """Promises of a policy: it trains on what is annotated, decides each image's fate once, and goes by what it is given and the seed."""

    @pytest.mark.parametrize("size", SIZES, ids=str)
    def test_trains_on_known_images_each_once(self, name: str, size: dict[str, Any]) -> None:
        given = material(**size)
        plan = compose(name, given)
        assert len(set(plan.train)) == len(plan.train)
        assert set(plan.train) <= {*given.labeled, *given.seen}

    @pytest.mark.parametrize("size", SIZES, ids=str)
    def test_every_fate_is_one_fate_of_a_seen_image(self, name: str, size: dict[str, Any]) -> None:
        given = material(**size)
        plan = compose(name, given)
        fates = [*plan.joins, *plan.requeue, *plan.release]
        assert len(set(fates)) == len(fates)
        assert set(fates) <= set(given.seen)

    def test_nothing_joins_or_leaves_that_is_in_the_labelled_set(self, name: str) -> None:
        given = material()
        again = replace(given, new=(*given.new, "old0", "old2"))  # asked again though labelled, as box queries may
        plan = compose(name, again)
        assert {"old0", "old2"} <= set(given.labeled)
        assert not {*plan.joins, *plan.release} & set(given.labeled)

    def test_trains_on_something_where_anything_was_labelled(self, name: str) -> None:
        assert compose(name, material()).train

    def test_self_labels_images_of_the_pool_with_weights_within_bounds(self, name: str) -> None:
        given = material()
        labels = compose(name, given).self_labels
        assert set(labels) <= {image.image_id for image in pool_of(given).images}
        assert bool(labels) == policy_of(PolicyConfig(name=name)).labels_pool
        for found in labels.values():
            assert found.weights.dtype == np.float32 and len(found.weights) == len(found.boxes) > 0
            assert (found.weights > 0).all() and (found.weights <= 1).all()

    def test_streams_the_pool_at_most_once_and_only_to_label_it(self, name: str) -> None:
        given = material()
        compose(name, given)
        assert pool_of(given).streams == policy_of(PolicyConfig(name=name)).labels_pool

    def test_leaves_its_inputs_unchanged(self, name: str) -> None:
        given = material()
        before = copy.deepcopy(contents(given))
        with global_generators_left_alone():
            compose(name, given)
        for part, now, was in zip(("annotations", "new", "pool"), contents(given), before, strict=True):
            assert now == was, f"expected the {part} of the material as they were"

    def test_same_seed_same_plan(self, name: str) -> None:
        check_equal(compose(name, material(), seed=4), compose(name, material(), seed=4))

    def test_one_object_serves_every_round(self, name: str) -> None:
        policy = policy_of(PolicyConfig(name=name))
        policy.compose(material(round_index=1, folder="before/"), rng=np.random.default_rng(9))
        check_equal(policy.compose(material(), rng=np.random.default_rng(4)), compose(name, material(), seed=4))

    def test_images_of_other_names_are_trained_on_in_the_same_order(self, name: str) -> None:
        first, second = ([i.removeprefix(folder) for i in compose(name, material(folder=folder)).train] for folder in ("a/", "b/"))
        assert first == second or set(first) != set(second), "expected an order that every process finds again, not that of a set"

    def test_nothing_labelled_and_nothing_seen(self, name: str) -> None:
        check_equal(compose(name, material(labeled=0, old=0, new=0)), TrainingPlan(()))

    def test_serves_images_without_boxes(self, name: str) -> None:
        given = material(most=0)
        plan = compose(name, given)
        assert set(plan.train) <= {*given.labeled, *given.seen}
        assert not plan.requeue  # nothing in them is left for a person
