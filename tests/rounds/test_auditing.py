"""Fidelity is that of the score, whatever the strategy made of it."""

from dataclasses import replace

import numpy as np
import pytest
from made_rounds import context_of
from scipy.stats import spearmanr

from boxwise.artifacts.scored_pool import read_scores
from boxwise.boxes import Boxes
from boxwise.config import load_config
from boxwise.records import Annotation, Phase, Query, QueryItem, Source, Split
from boxwise.rounds import step_of
from boxwise.rounds.audit import _chosen_terms, _weights
from boxwise.rounds.offered import latest_fidelity
from boxwise.rounds.scored_by import scored_by
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
    found = _chosen_terms(ITEMS)
    assert found and all(values.dtype == np.float64 for values in found.values())


@pytest.mark.parametrize(("certain", "audited"), [(0, 4), (1, 0)])
def test_a_round_in_which_the_model_labelled_a_box_itself_is_not_audited(waiting_study, certain, audited):
    """Those in which it labelled none are no sample of what was chosen: it is unsure of them all."""
    study = waiting_study("review")
    for number, item in enumerate(item for item in study.ask().items if item.split is Split.TRAIN):
        by = Source.MODEL if number < certain else Source.HUMAN
        labels = Annotation(item.image_id, Boxes([[4, 4, 30, 30]], [0], scores=[0.9]), (by,), complete=True)
        study.store.annotate(labels, (), round_index=1, annotator="ann", seconds=1)
    facts = step_of(Phase.AUDIT)(context_of(study), 1).facts
    assert facts.n == audited and bool(facts.fidelity) == bool(audited)


DUAL, FORECAST = {"name": "dual"}, {"name": "forecast"}
OLD, NEW = ({"name": "dual", "options": {"alpha": 0.5, **later}} for later in ({}, {"gamma": 1.0}))


@pytest.mark.parametrize(
    ("before", "since", "now", "fidelity"),
    [
        (DUAL, DUAL, DUAL, 0.3),
        (DUAL, FORECAST, FORECAST, 0.3),
        (DUAL, DUAL, FORECAST, None),
        (FORECAST, DUAL, FORECAST, 0.8),
        (None, None, None, 0.3),
        ({"name": "dual", "options": {}}, OLD, NEW, 0.3),  # an option that an older version did not have
        (NEW, {**OLD, "options": {"alpha": 0.3}}, {**NEW, "options": {"alpha": 0.5}}, 0.8),
    ],
)
def test_the_fidelity_of_another_scorer_says_nothing_of_this_one(waiting_study, before, since, now, fidelity):
    """`before`, `since` and `now` scored what rounds 1, 2 and 3 choose from; None: an older version did not write it down."""
    past = {
        0: {"score": {"scored_by": before}},
        1: {"audit": {"fidelity": {"score": 0.8}}, "score": {"scored_by": since}},
        2: {"audit": {"fidelity": {"score": 0.3}}, "score": {"scored_by": now}},
    }
    assert latest_fidelity(context_of(waiting_study("full"), past=past), 3) == fidelity


def test_weights_are_fitted_to_what_the_same_scorer_gave(waiting_study):
    study = waiting_study("full")
    auto = ("scorer.name=dual", "scorer.alpha=auto", "scorer.beta=auto")
    items = [{"image_id": f"{row}", "terms": {"L_rec": row, "L_det": -row}} for row in range(4)]
    losses = {item["image_id"]: item["terms"]["L_rec"] for item in items}
    context = context_of(study, *auto)
    for of, learned in ((context, True), (context_of(study, *auto, "scorer.dual.detection=learned"), False)):
        past = {0: {"score": {"scored_by": scored_by(context.config.scorer)}}, 1: {"audit": {"true_losses": losses}}}
        asked = Query(1, tuple(QueryItem(item["image_id"], 0.0, item["terms"]) for item in items))
        found = _weights(replace(context_of(study, past=past), config=of.config, store=Asked(asked)), 2, {})
        assert (found is not None) == learned


class Asked:
    """The queries of a store, of which round 1 alone has one."""

    def __init__(self, query):
        self._query = query

    def query(self, number):
        return self._query if number == 1 else Query(number, ())
