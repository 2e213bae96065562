"""Installed packages that are broken: each fault is one message that names the package, and hides nothing of the others."""

import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from commands import commands

from boxwise.config import StrategyConfig
from boxwise.detectors.input import InputSpec
from boxwise.embedders.base import Embedder
from boxwise.errors import BoxwiseError, ConfigError
from boxwise.policies.all_labeled import AllLabeled
from boxwise.policies.base import Policy, TrainingPlan
from boxwise.records import Phase
from boxwise.registry import POLICIES, Method, Methods, building, faults, faults_of_packages
from boxwise.registry.complete import complete
from boxwise.rounds import step_of
from boxwise.scorers.base import Scorer
from boxwise.strategies.base import Strategy

ROOT = Path(__file__).parents[1]

CODE = """
from boxwise.registry import Method


class Strategy:
    uses_embeddings = uses_boxes = False

    def select(self, candidates, budget, *, rng):
        return 1 / 0


def wants_more(most):
    return Strategy()


class WithoutRng(Strategy):
    def select(self, candidates, budget):
        return None


WITHOUT_RNG = Method(WithoutRng, "is given no generator")
WHOLE = Method(Strategy, "raises when it selects")
CALLED_OTHERWISE = Method(wants_more, "takes an option that it does not declare")
BUILT_NOWHERE = Method("faulty_nowhere:Strategy", "built by a module that is not there")
"""
POINTS = """
[boxwise.strategies]
whole = faulty_methods:WHOLE
without_rng = faulty_methods:WITHOUT_RNG
called_otherwise = faulty_methods:CALLED_OTHERWISE
built_nowhere = faulty_methods:BUILT_NOWHERE
not_there = faulty_missing:METHOD
no_method = faulty_methods:Strategy
random = faulty_methods:WHOLE
"""
BROKEN = {
    "built_nowhere": "expected what builds it in the module faulty_nowhere, found no such module",
    "not_there": "cannot be loaded: ModuleNotFoundError: No module named 'faulty_missing'",
    "no_method": "expected a boxwise.registry.Method, found a type",
}


@pytest.fixture
def strategies(tmp_path, monkeypatch):
    """The strategies where such a package is installed: one of boxwise's, and the package's."""
    facts = tmp_path / "faulty-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: boxwise-faulty\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(POINTS)
    (tmp_path / "faulty_methods.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    found = Methods("strategy", "boxwise.strategies", {"random": Method("boxwise.strategies.random:Random", "a draw")})
    monkeypatch.setattr(building, "STRATEGIES", found)
    monkeypatch.setattr(faults, "KINDS", {"strategies": found})
    yield found
    sys.modules.pop("faulty_methods", None)


def test_what_can_be_used_is_listed_beside_what_cannot(strategies):
    assert {"random", "whole", "called_otherwise"} <= strategies.loaded().keys() and not BROKEN.keys() & strategies.loaded().keys()
    assert strategies.packages()["whole"] == "boxwise-faulty" and "random" not in strategies.packages()
    messages = [message for message in strategies.faults() if "boxwise-faulty" in message]
    assert len(messages) == len(BROKEN) + 1
    assert "'random' of boxwise.strategies (boxwise-faulty) is not used: a strategy of boxwise has that name" in messages[-1]


@pytest.mark.parametrize("name", BROKEN)
def test_one_that_cannot_be_loaded_is_named_with_its_package(strategies, name):
    with pytest.raises(ConfigError) as caught:
        building.strategy_of(StrategyConfig(name=name))
    assert BROKEN[name] in str(caught.value) and "pip uninstall boxwise-faulty" in str(caught.value)


def test_one_that_cannot_be_built_is_named_with_its_package(strategies):
    with pytest.raises(ConfigError, match=r"strategy called_otherwise of the package boxwise-faulty cannot be built: TypeError: .*'most'"):
        building.strategy_of(StrategyConfig(name="called_otherwise"))


def test_one_that_cannot_be_called_as_it_is_called_is_named_with_its_package(strategies):
    said = (
        "strategy without_rng of the package boxwise-faulty: expected select(candidates, budget, *, rng), found select(candidates, budget)."
    )
    with pytest.raises(BoxwiseError, match=f"^{re.escape(said)}"):
        building.strategy_of(StrategyConfig(name="without_rng"))


def test_what_its_code_raises_says_where_and_keeps_its_cause(strategies):
    strategy = building.strategy_of(StrategyConfig(name="whole"))
    where = r"the package boxwise-faulty failed: ZeroDivisionError: division by zero \(faulty_methods\.py, line 9\)\. .* is kept"
    with pytest.raises(BoxwiseError, match=where) as caught, faults_of_packages():
        strategy.select(None, None, rng=None)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_so_do_the_steps_of_a_round(strategies, monkeypatch):
    strategy = building.strategy_of(StrategyConfig(name="whole"))
    monkeypatch.setattr("boxwise.rounds.select.select", lambda context, round_index: strategy.select(None, None, rng=None))
    with pytest.raises(BoxwiseError, match="the package boxwise-faulty failed: ZeroDivisionError"):
        step_of(Phase.SELECT)(None, 1)


@pytest.mark.slow
def test_commands_list_the_others_and_exit_1(strategies, tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    with commands(tmp_path, environment) as boxwise:
        for command, said in (("methods", "a shortlist by score"), ("doctor", "strategies: whole of the package boxwise-faulty")):
            ran = boxwise(command)
            assert ran.code == 1 and said in ran.stdout and "Traceback" not in ran.stderr
            assert all(message in ran.stdout + ran.stderr for message in BROKEN.values())
        named = boxwise("methods", "not_there")
        assert named.code == 2 and BROKEN["not_there"] in named.stderr and len(named.stderr.splitlines()) == 1


@pytest.mark.parametrize("error", [ValueError("ours"), OSError(28, "full"), MemoryError(), BoxwiseError("a message"), KeyboardInterrupt()])
def test_other_errors_stay_what_they_are(strategies, error):
    with pytest.raises(type(error)) as caught, faults_of_packages():
        raise error
    assert caught.value is error


def test_what_the_machine_lacks_is_no_fault_of_a_package(strategies, monkeypatch):
    class OutOfMemoryError(RuntimeError):
        """As torch names it."""

    def select(self, *given, **options):
        raise OutOfMemoryError

    strategy = building.strategy_of(StrategyConfig(name="whole"))
    monkeypatch.setattr(type(strategy.strategy), "select", select)
    with pytest.raises(OutOfMemoryError), faults_of_packages():
        strategy.select(SimpleNamespace(), None, rng=None)


@pytest.mark.slow
def test_a_plan_of_what_is_not_labelled_is_refused_and_the_study_goes_on_with_another(waiting_study, hidden, monkeypatch):
    class Anything(AllLabeled):
        def compose(self, material, *, rng):
            return TrainingPlan(("nobody.jpg",))

    study = waiting_study("full")
    monkeypatch.setitem(POLICIES.own, "all_labeled", Method(Anything, "trains on anything"))
    study.answer(hidden[0])
    while study.position[1] is not Phase.COMPOSE:
        study.step()
    with pytest.raises(BoxwiseError, match=r"^policy all_labeled: .* each once, found 'nobody\.jpg', which is not labelled"):
        study.step()
    assert study.position == (1, Phase.COMPOSE)
    monkeypatch.setitem(POLICIES.own, "all_labeled", Method(AllLabeled, "as it is"))
    assert study.step() is Phase.TRAIN


class Parts:
    """A method with what it is given."""

    def __init__(self, **parts):
        self.__dict__ |= parts


@pytest.mark.parametrize(
    ("protocol", "method", "found"),
    [
        (
            Strategy,
            Parts(uses_embeddings=True, select=None),
            "expected uses_boxes: bool, found none; expected select(candidates, budget, *, rng)",
        ),
        (
            Policy,
            Parts(partial="no", labels_pool=True, compose=lambda material, *, rng: None),
            "expected partial: bool, found str; expected validates: int, found none",
        ),
        (
            Scorer,
            Parts(measure=lambda detector, view: {}, score=lambda image_ids, terms: None),
            "expected fit(labeled, unlabeled, *, detector, rng,",
        ),
        (
            Scorer,
            Parts(fit=lambda labeled, unlabeled: {}),
            "folder=None), found fit(labeled, unlabeled); expected measure(detector, view), found none",
        ),
        (Embedder, Parts(input=InputSpec(32), identity=12, embed=abs), "expected identity: str, found int."),
        (
            Embedder,
            Parts(input=type("InputSpec", (), {"__module__": "theirs"})(), identity="a", embed=abs),
            "expected input: InputSpec, found theirs.InputSpec.",
        ),
    ],
    ids=["strategy", "policy", "scorer fit", "scorer measure", "embedder", "embedder of a namesake"],
)
def test_a_part_that_it_lacks_is_named(protocol, method, found):
    with pytest.raises(BoxwiseError, match=rf"^mine: .*{re.escape(found)}.*boxwise\.testing\.{protocol.__name__}Contract"):
        complete(method, protocol, "mine")


@pytest.mark.parametrize(
    ("protocol", "parts"),
    [
        (Strategy, {"uses_embeddings": np.True_, "uses_boxes": np.False_, "select": lambda candidates, budget, *, rng: None}),
        (Policy, {"partial": np.False_, "labels_pool": True, "validates": np.int64(0), "compose": lambda material, *, rng: None}),
    ],
    ids=["strategy", "policy"],
)
def test_flags_and_whole_numbers_may_be_those_of_numpy(protocol, parts):
    method = Parts(**parts)
    assert complete(method, protocol, "mine") is method
