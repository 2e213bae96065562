"""How long the rounds will take: measured on the study's own detector, and nothing of the study changes."""

import pytest
from made_rounds import context_of

from boxwise.config import load_config
from boxwise.records import Phase, Split
from boxwise.rounds.duration import expected_duration
from boxwise.study import Study


@pytest.mark.slow
def test_counts_steps_and_pool_of_every_round_left(hidden, tiny_overrides, tmp_path):
    config = load_config(None, (*tiny_overrides, "train.min_steps=100", "train.max_steps=100", "budget.rounds=2"))
    study = Study.create(tmp_path / "study", hidden[1], config=config)
    assert study.expected_duration() is None  # nothing is labelled
    study.step()
    assert study.expected_duration() is None  # it waits for labels
    study.answer(hidden[0])
    before = (study.store.position, sorted(path.name for path in study.folder.rglob("*")))
    found = study.expected_duration()
    assert (study.store.position, sorted(path.name for path in study.folder.rglob("*"))) == before
    pool = len(study.store.pool())
    assert found.this_round == pytest.approx(100 * 4 / found.training + found.fitting + pool / found.predicting)
    rest = sum(100 * 4 / found.training + found.fitting + max(0, pool - 4 * later) / found.predicting for later in (1, 2))
    assert found.all_rounds == pytest.approx(found.this_round + rest)
    assert study.store.position[1] is Phase.ANNOTATE and found.fitting > 0
    while study.position[1] is not Phase.EVALUATE:
        study.step()
    assert study.expected_duration() is None  # this round's training is done, and people are asked before the next


@pytest.mark.parametrize("unit", ["boxes", "seconds", "money"])
def test_a_budget_of_another_unit_is_so_many_images_as_the_labelled_ones_cost(waiting_study, monkeypatch, unit):
    study = waiting_study("full")
    monkeypatch.setattr("boxwise.rounds.duration._rates", lambda *given: (10.0, 10.0))
    labour = study.labour(Split.TRAIN)  # of the labels there are, so of as many images
    price = {"boxes": labour.boxes, "seconds": round(labour.seconds), "money": round(labour.seconds)}[unit]
    plan = ("scorer.name=none", "strategy.name=random", "train.max_steps=9999", "budget.rounds=3", "cost.per_hour=3600")
    found = [
        expected_duration(context_of(study, *plan, f"budget.unit={counted}", f"budget.per_round={amount}"), 1)
        for counted, amount in (("images", labour.images), (unit, price))
    ]
    assert found[0].all_rounds == pytest.approx(found[1].all_rounds) and found[0].all_rounds > found[0].this_round
