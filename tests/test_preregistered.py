"""The decisions of docs/preregistration.md are made by its rules: the script that makes them from finished runs."""

import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from boxwise.evaluation.significance import Interval
from boxwise.simulation.benchmark import read_benchmark

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parents[1] / "benchmarks" / "preregistered.py"))
chosen, verdict, Row = SCRIPT["chosen"], SCRIPT["verdict"], SCRIPT["Row"]


def rows(*savings):
    return [Row(name, 4, "", Interval(*saving)) for name, saving in zip("abc", savings, strict=False)]


UP, GOAL, OPEN, DOWN = (0.15, 0.05, 0.25), (0.3, 0.1, 0.5), (0.2, -0.1, 0.5), (-0.2, -0.4, -0.05)


@pytest.mark.parametrize(
    ("scores", "arm"),
    [
        ({"k_center": 0.02, "gain_per_second": 0.06}, "gain_per_second"),
        ({"k_center": 0.055, "gain_per_second": 0.06}, "k_center"),  # closer than .01: the simpler
        ({"k_center": float("nan"), "entropy_sum": 0.03, "gain_per_second": 0.01}, "entropy_sum"),
        ({"k_center": -0.03, "gain_per_second": -0.09}, "gain_per_second"),  # none is above random
    ],
)
def test_the_best_on_the_development_sets_is_chosen(scores, arm):
    assert chosen(scores) == arm


@pytest.mark.parametrize(
    ("savings", "said"),
    [
        ((UP, UP, OPEN), "saves labour on a, b"),
        ((GOAL, GOAL, UP), "saves labour on a, b, c: the goal is reached"),
        ((GOAL, UP, OPEN), "saves labour on a, b"),
        ((UP, OPEN, OPEN), "not shown"),
        ((GOAL, GOAL, DOWN), "worse than random on c"),
        ((GOAL,), "not shown"),  # too few sets that count
        ((), "not shown"),
    ],
)
def test_what_is_said_of_the_confirmation_sets(savings, said):
    found = verdict(rows(*savings))
    assert found.startswith(said) and ("goal" in found) == ("goal" in said)


def test_arms_that_are_run_in_the_folder_later_change_nothing():
    """The committed development runs, one beside them with two thirds of their labels: areas are over what all arms of a panel cover."""
    results = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "development"
    kuih = next(panel for panel in read_benchmark(results) if panel.data == "kuih")
    short = [replace(cell, arm="class_balanced", rounds=cell.rounds[:3]) for cell in kuih.cells if cell.arm == "random"]
    beside = replace(kuih, cells=[*kuih.cells, *short])
    arms = ("random", "facility_location")
    score, only = SCRIPT["score"], SCRIPT["only"]
    assert score([beside], "facility_location") != score([kuih], "facility_location")
    assert score([only(beside, arms)], "facility_location") == score([only(kuih, arms)], "facility_location")
