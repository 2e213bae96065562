"""Fidelity is that of the score, whatever the strategy made of it."""

import numpy as np
import pytest

from boxwise.config import load_config
from boxwise.records import QueryItem
from boxwise.rounds.audit import _chosen_terms
from boxwise.simulation.simulate import Plan, simulate

ITEMS = [QueryItem("a", 0.7, {"L_rec": 1.0, "L_det": -2.0}), QueryItem("b", 0.1, {"L_rec": 0.0, "L_det": 3.0})]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["score_then_diversity", "gain_per_second"])
def test_a_perfect_score_has_a_fidelity_of_1_under_a_strategy_that_goes_by_more(digits, tiny_overrides, tmp_path, strategy):
    config = load_config(None, (*tiny_overrides, "budget.rounds=1", "budget.per_round=10"))
    (cell,) = simulate(Plan(digits, config, (f"oracle_loss+strategy.name={strategy}",), (0,), tmp_path))
    audit = cell.rounds[1].audit
    assert audit.n == 10 and audit.fidelity["score"] == pytest.approx(1.0)


def test_the_score_is_the_sum_of_its_parts_with_the_weights_in_force():
    found = _chosen_terms(ITEMS, {"alpha": 0.25, "beta": 0.75, "vae_kl": 9.0})
    assert {name: values.tolist() for name, values in found.items()} == {
        "reconstruction": [1, 0],
        "detection": [-2, 3],
        "score": [-1.25, 2.25],
    }


def test_a_part_that_was_left_out_takes_no_part():
    found = _chosen_terms([QueryItem("a", 0.7, {"L_det": 2.0})], {"alpha": 0.0, "beta": 0.5})
    assert {name: values.tolist() for name, values in found.items()} == {"detection": [2], "score": [1]}


def test_without_weights_there_is_no_score_rather_than_a_wrong_one():
    assert set(_chosen_terms(ITEMS, {})) == {"reconstruction", "detection"}


@pytest.mark.parametrize("items", [[], [QueryItem("a", 0.7, {"uncertainty": 0.7})], [*ITEMS, QueryItem("c", 0.0)]])
def test_what_no_dual_score_chose_has_no_parts(items):
    assert _chosen_terms(items, {"alpha": 0.5, "beta": 0.5}) == {}


def test_the_parts_are_numbers_in_the_order_of_the_items():
    assert all(values.dtype == np.float64 for values in _chosen_terms(ITEMS, {"alpha": 1, "beta": 1}).values())
