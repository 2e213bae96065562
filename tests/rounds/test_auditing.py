"""Fidelity is that of the score, whatever the strategy made of it."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from boxwise.artifacts.scored_pool import read_scores
from boxwise.config import load_config
from boxwise.records import QueryItem
from boxwise.rounds.audit import _chosen_terms
from boxwise.simulation.simulate import Plan, simulate
from boxwise.strategies.gain_per_second import GainPerSecond

ITEMS = [QueryItem("a", 0.7, {"L_rec": 1.0, "L_det": -2.0}), QueryItem("b", 0.1, {"L_rec": 0.0, "L_det": 3.0})]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["score_then_diversity", "gain_per_second"])
def test_a_perfect_score_has_a_fidelity_of_1_under_a_strategy_that_goes_by_more(digits, tiny_overrides, tmp_path, strategy):
    config = load_config(None, (*tiny_overrides, "budget.rounds=1", "budget.per_round=10"))
    (cell,) = simulate(Plan(digits, config, (f"oracle_loss+strategy.name={strategy}",), (0,), tmp_path))
    audit = cell.rounds[1].audit
    assert audit.n == 10 and audit.fidelity["score"] == pytest.approx(1.0)


@pytest.mark.slow
def test_the_next_choice_weighs_by_the_fidelity_of_the_last(digits, tiny_overrides, tmp_path, monkeypatch):
    """What the strategy is given is Spearman's ρ of the scores in the file with the true losses of the images just labelled."""
    given = {}

    def select(self, candidates, budget, *, rng):
        given[candidates.round] = candidates.fidelity
        return chosen(self, candidates, budget, rng=rng)

    chosen = GainPerSecond.select
    monkeypatch.setattr(GainPerSecond, "select", select)
    config = load_config(None, (*tiny_overrides, "budget.rounds=3", "budget.per_round=8"))
    (cell,) = simulate(Plan(digits, config, ("gain_per_second",), (0,), tmp_path))
    assert given[1] is None
    for number in (2, 3):
        losses = cell.rounds[number - 1].audit.true_losses
        scores = read_scores(cell.files(number - 2).scores)
        score = dict(zip(scores.image_ids, scores.values, strict=True))
        expected = spearmanr([score[image_id] for image_id in losses], list(losses.values())).statistic
        assert len(losses) == 8 and given[number] == pytest.approx(expected)


def test_the_parts_are_those_of_the_dual_score():
    found = _chosen_terms(ITEMS)
    assert {name: values.tolist() for name, values in found.items()} == {"reconstruction": [1, 0], "detection": [-2, 3]}


def test_a_part_that_was_left_out_takes_no_part():
    found = _chosen_terms([QueryItem("a", 0.7, {"L_det": 2.0})])
    assert {name: values.tolist() for name, values in found.items()} == {"detection": [2]}


@pytest.mark.parametrize("items", [[], [QueryItem("a", 0.7, {"uncertainty": 0.7})], [*ITEMS, QueryItem("c", 0.0)]])
def test_what_no_dual_score_chose_has_no_parts(items):
    assert _chosen_terms(items) == {}


def test_the_parts_are_numbers_in_the_order_of_the_items():
    assert all(values.dtype == np.float64 for values in _chosen_terms(ITEMS).values())
