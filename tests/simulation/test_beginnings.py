"""What unfinished cells begin with is built once before any of them runs, since a download may fail."""

import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from boxwise.config import load_config
from boxwise.errors import BoxwiseError
from boxwise.simulation.beginnings import check_beginnings
from boxwise.simulation.simulate import Plan, simulate

ELSEWHERE = "k_center+embedding.name=efficientnet_lite0"


@pytest.fixture
def plan(digits, tiny_overrides, tmp_path):
    return Plan(digits, load_config(None, tiny_overrides), ("random", "k_center", ELSEWHERE), (0, 1), tmp_path)


@pytest.fixture
def built(monkeypatch):
    """The names of what is built; no embedder can be had."""
    found = []

    def embedder(config, name, given):
        found.append(name)
        raise BoxwiseError(f"{name} cannot be downloaded")

    monkeypatch.setattr("boxwise.embedders.names.PACKAGES", {})
    monkeypatch.setattr("boxwise.registry.embedder_of", embedder)
    monkeypatch.setattr("boxwise.registry.build_detector", lambda classes, config, **more: found.append(config.name))
    return found


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_cannot_be_had_is_said_before_any_work_and_names_the_arm(plan, built, jobs):
    with pytest.raises(BoxwiseError, match=re.escape(f"arm {ELSEWHERE}: efficientnet_lite0 cannot be downloaded")):
        simulate(plan, jobs=jobs)
    assert built == ["efficientnet_lite0"] and not list(plan.folder.iterdir())


def test_a_cold_start_by_another_embedder_is_seen_too(plan, built):
    arm = "random+cold_start.name=k_center+cold_start.embedding=dinov2_small"
    with pytest.raises(BoxwiseError, match=re.escape(f"arm {arm}: dinov2_small cannot be downloaded")):
        check_beginnings([replace(plan, arms=("random", arm))])


def test_each_is_built_once_and_none_that_downloads_nothing(plan, built):
    arms = ("random", "k_center", "k_center+embedding.name=vae", "k_center+embedding.name=backbone", "random+detector.name=yolox_tiny")
    pretrained = load_config(None, ["detector.name=yolox_nano"])
    check_beginnings([replace(plan, arms=arms, config=pretrained), replace(plan, arms=("random",))])
    assert built == ["yolox_nano", "yolox_tiny"]


def test_on_a_cluster_it_is_one_of_its_tasks(plan, built):
    class Elsewhere:
        def workers(self, **wanted):
            return self

        def submit(self, function, *arguments):
            return ThreadPoolExecutor(1).submit(function, *pickle.loads(pickle.dumps(arguments)))

    with pytest.raises(BoxwiseError, match="efficientnet_lite0 cannot be downloaded"):
        check_beginnings([plan], Elsewhere())


def test_nothing_is_built_for_arms_that_are_finished(plan, built, monkeypatch):
    monkeypatch.setattr(Plan, "left", lambda self, trunk: [arm for arm in trunk.arms if arm != ELSEWHERE])
    check_beginnings([plan])
    assert not built
