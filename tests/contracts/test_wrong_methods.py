"""The suites fail methods that break a promise where it is easily missed, and say which one."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from boxwise.detectors.input import InputSpec
from boxwise.policies.base import TrainingPlan
from boxwise.records import ImageRecord
from boxwise.registry import EMBEDDERS, POLICIES, SCORERS, STRATEGIES, Method
from boxwise.scorers.no_score import NoScore
from boxwise.strategies.random import Random
from boxwise.testing import EmbedderContract, PolicyContract, ScorerContract, StrategyContract
from boxwise.testing.base import Contract, global_generators_left_alone

SEEDED = "expected the global generator of torch to be left alone"


class SeedsInFit(NoScore):
    def fit(self, labeled, unlabeled, *, detector, rng, folder=None):
        torch.manual_seed(0)


class SeedsInMeasure(NoScore):
    def measure(self, detector, view):
        torch.manual_seed(0)
        return {"n": np.full(len(view.batch.records), torch.rand(1).item())}


class SeedsWhenBuilt:
    def __init__(self):
        torch.manual_seed(0)
        self.input, self.identity, self.weights = InputSpec(32), "1f", torch.randn(3, 2)

    def embed(self, batch):
        return (batch.pixels.float().mean(dim=(2, 3)) @ self.weights).numpy()


class Remembers:
    """A policy that trains on what it has seen in earlier rounds, too, as far as it is given it; a strategy that never picks again."""

    partial, labels_pool, validates = True, False, 0
    uses_embeddings = uses_boxes = False

    def __init__(self):
        self.known = set()

    def compose(self, material, *, rng):
        joins = tuple(image_id for image_id in material.new if not self.known)
        self.known |= {*material.new}
        return TrainingPlan(material.new, joins=joins)

    def select(self, candidates, budget, *, rng):
        rows = np.array([row for row, image_id in enumerate(candidates.image_ids) if image_id not in self.known])
        query = Random().select(candidates.images(rows), budget, rng=rng)
        self.known |= {*query.image_ids}
        return query


class InTheOrderOfASet:
    partial, labels_pool, validates = True, False, 0

    def compose(self, material, *, rng):
        return TrainingPlan(tuple({*material.labeled, *material.new}))


@pytest.fixture
def records(tmp_path):
    """Six small images, all black."""
    found = []
    for index in range(6):
        path = tmp_path / f"{index}.png"
        Image.new("RGB", (64, 48)).save(path)
        found.append(ImageRecord(path.name, str(path), 64, 48))
    return tuple(found)


@pytest.mark.parametrize("scorer", [SeedsInFit, SeedsInMeasure])
def test_a_scorer_that_seeds_the_global_generator(scorer, records, monkeypatch):
    monkeypatch.setitem(SCORERS.own, "wrong", Method(lambda options, given: scorer(), "seeds"))
    with pytest.raises(AssertionError, match=SEEDED):
        ScorerContract().test_leaves_its_inputs_the_detector_and_the_global_generators_unchanged("wrong", records)


def test_an_embedder_that_seeds_the_global_generator(records, monkeypatch):
    monkeypatch.setitem(EMBEDDERS.own, "wrong", Method(lambda options, given: SeedsWhenBuilt(), "seeds"))
    with pytest.raises(AssertionError, match=SEEDED):
        EmbedderContract().test_building_and_embedding_leave_the_global_generators("wrong", records)


@pytest.mark.parametrize(
    ("name", "touch"),
    [
        ("random", random.random),
        ("random", lambda: random.seed(0)),
        ("numpy", np.random.rand),
        ("numpy", lambda: np.random.seed(0)),
        ("torch", lambda: torch.rand(1)),
    ],
)
def test_every_global_generator_is_looked_at_and_put_back(name, touch):
    before = random.getstate(), torch.get_rng_state(), np.random.get_state()[1].tolist()
    with pytest.raises(AssertionError, match=f"global generator of {name} "), global_generators_left_alone():
        touch()
    with global_generators_left_alone():
        np.random.default_rng(0).random()
    after = random.getstate(), torch.get_rng_state(), np.random.get_state()[1].tolist()
    assert before[0] == after[0] and torch.equal(before[1], after[1]) and before[2] == after[2]


def test_a_policy_that_remembers_rounds(monkeypatch):
    monkeypatch.setitem(POLICIES.own, "wrong", Method(Remembers, "remembers"))
    with pytest.raises(AssertionError, match="joins"):
        PolicyContract().test_one_object_serves_every_round("wrong")


def test_a_policy_whose_order_is_that_of_a_set(monkeypatch):
    monkeypatch.setitem(POLICIES.own, "wrong", Method(InTheOrderOfASet, "no order"))
    with pytest.raises(AssertionError, match="not that of a set"):
        PolicyContract().test_images_of_other_names_are_trained_on_in_the_same_order("wrong")


def test_a_strategy_that_remembers_queries(monkeypatch):
    monkeypatch.setitem(STRATEGIES.own, "wrong", Method(Remembers, "remembers"))
    with pytest.raises(AssertionError):
        StrategyContract().test_one_object_serves_every_query("wrong")


@pytest.mark.parametrize("found", ["crowded", ()])
def test_names_that_are_no_tuple_of_names(found):
    class Suite(Contract):
        names = found

    with pytest.raises(pytest.Collector.CollectError, match=r'^Suite: expected .* names = \("mine",\), found names = '):
        Suite().pytest_generate_tests(SimpleNamespace(fixturenames=["name"]))
