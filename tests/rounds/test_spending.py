"""What a study has spent, and what the next round may ask for of what is left."""

import pytest
from made_rounds import context_of

from boxwise.annotation.proposals import propose
from boxwise.artifacts.detections_file import read_detections
from boxwise.artifacts.facts import Round
from boxwise.records import Action, Phase, Split, Verdict
from boxwise.rounds import step_of
from boxwise.rounds.budget import spent
from boxwise.rounds.select import thresholds_of
from boxwise.strategies.random import Random

UNITS = ("images", "boxes", "seconds")


def spent_by(study, unit):
    return spent(study.store, context_of(study, f"budget.unit={unit}").config)


def asked(study, *overrides):
    """(images for train, images for val) that round 1 asks for under other settings."""
    items = step_of(Phase.SELECT)(context_of(study, *overrides), 1).query.items
    return sum(item.split is Split.TRAIN for item in items), sum(item.split is Split.VAL for item in items)


def test_a_question_that_is_answered_with_no_is_paid_for_in_boxes(waiting_study):
    study = waiting_study("boxes")
    before, questions = spent_by(study, "boxes"), 0
    for item in study.ask().items:
        if item.split is Split.TRAIN:
            study.tell(item.image_id, [Verdict(Action.DELETE, box_id) for box_id in item.box_ids])
            questions += len(item.box_ids)
    assert questions and spent_by(study, "boxes") == before + questions


@pytest.mark.parametrize("unit", UNITS)
def test_what_is_out_of_use_stays_paid_for(waiting_study, unit):
    study = waiting_study("full")
    before = spent_by(study, unit)
    for image_id in study.annotations(Split.TRAIN):
        study.store.quarantine(image_id, "excluded")
    assert before > 0 and spent_by(study, unit) == before


def test_val_is_paid_out_of_what_is_left_of_the_total(waiting_study):
    study = waiting_study("full")
    left = f"budget.total={int(spent_by(study, 'images')) + 5}"
    assert asked(study, left, "budget.per_round=4", "budget.val_per_round=0") == (4, 0)
    assert asked(study, left, "budget.per_round=4", "budget.val_per_round=1") == (4, 1)
    assert asked(study, left, "budget.per_round=4", "budget.val_per_round=3") == (2, 3)
    assert asked(study, left, "budget.per_round=4", "budget.val_per_round=9") == (1, 4)  # something is left to train on


@pytest.mark.parametrize(("unit", "left"), [("boxes", 20), ("seconds", 160)])
def test_val_is_paid_in_boxes_and_seconds_too(waiting_study, unit, left):
    study = waiting_study("full")
    budget = (f"budget.unit={unit}", "budget.per_round=9999", f"budget.total={round(spent_by(study, unit)) + left}")
    alone, _ = asked(study, *budget, "budget.val_per_round=0")
    train, val = asked(study, *budget, "budget.val_per_round=3")
    assert alone > 3 and val == 3 and 1 <= train <= alone - 2


@pytest.fixture
def offered(monkeypatch):
    """The candidates that strategies choose from, from here on."""
    given, select = [], Random.select

    def noted(strategy, candidates, budget, *, rng):
        given.append(candidates)
        return select(strategy, candidates, budget, rng=rng)

    monkeypatch.setattr(Random, "select", noted)
    return given


@pytest.mark.parametrize("mode", ["review", "trust", "boxes"])
def test_a_budget_charges_what_a_person_is_asked(waiting_study, offered, mode):
    """Certain boxes cost nothing, uncertain ones a verification; of what is expected and not proposed, each is drawn where one looks."""
    study = waiting_study(mode)
    for unit in UNITS:
        asked(study, "strategy.name=random", f"budget.unit={unit}", "budget.per_round=30", "budget.val_per_round=0")
    context, whole = context_of(study), mode == "review"
    found = dict(read_detections(study.files(0).detections))
    one, boxes, seconds = offered
    assert len(one) > 3
    for row, image_id in enumerate(one.image_ids):
        made = propose(image_id, found[image_id], thresholds_of(context, 0), overlap=study.config.ask.overlap, prefix="")
        questions, missed = (~made.certain).sum(), max(0.0, one.box_counts[row] - len(made.boxes)) if whole else 0.0
        assert boxes.answers[row] == pytest.approx(questions + missed)
        for each in (one, seconds):
            assert each.seconds[row] == pytest.approx(2.0 * whole + 1.6 * questions + 7.0 * missed)


def test_where_everything_is_drawn_each_expected_object_is_charged(waiting_study, offered):
    asked(waiting_study("full"), "strategy.name=random")
    (candidates,) = offered
    assert (candidates.seconds == 2.0 + 7.0 * candidates.box_counts).all() and len(candidates.answers) == 0


@pytest.mark.parametrize("mode", ["review", "trust", "boxes"])
def test_a_share_of_the_images_costs_what_so_many_that_can_be_asked_do(waiting_study, mode):
    study = waiting_study(mode)
    images = study.store.image_count(Split.TRAIN)
    train, _ = asked(study, "strategy.name=random", "budget.unit=seconds", "budget.per_round=20%", "budget.val_per_round=0")
    assert abs(train - 0.2 * images) <= 0.1 * images


def test_a_round_knows_which_scorer_its_scores_are_of(waiting_study):
    one: Round = waiting_study("full").round(0)
    assert one.score.scored_by["name"] == "none"
