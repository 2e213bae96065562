"""What a study has spent, and what the next round may ask for of what is left."""

import pytest
from made_rounds import context_of

from boxwise.annotation.proposals import propose
from boxwise.artifacts.detections_file import read_detections
from boxwise.artifacts.facts import Round
from boxwise.artifacts.scored_pool import read_scored_pool
from boxwise.records import Action, Phase, Split, Verdict
from boxwise.rounds import step_of
from boxwise.rounds.budget import spent
from boxwise.rounds.offered import thresholds_of
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


@pytest.mark.parametrize("unit", UNITS)
def test_what_is_taken_back_stays_paid_for(waiting_study, unit):
    study = waiting_study("full")
    before, (image_id, other, *_) = spent_by(study, unit), study.annotations(Split.TRAIN)
    boxes = study.annotations(Split.TRAIN)[image_id].boxes
    study.unlabel([image_id, other])
    assert before > 0 and spent_by(study, unit) == before
    study.tell_all({image_id: boxes})  # and what is labelled a second time is paid for again
    assert spent_by(study, unit) > before
    study.unlabel([image_id])
    assert spent_by(study, unit) > before


def test_a_question_that_was_answered_with_no_stays_paid_for_when_it_is_taken_back(waiting_study):
    study = waiting_study("boxes")
    item = next(item for item in study.ask().items if item.split is Split.TRAIN and item.box_ids)
    study.tell(item.image_id, [Verdict(Action.DELETE, box_id) for box_id in item.box_ids])
    before = spent_by(study, "boxes")
    study.unlabel([item.image_id])
    assert spent_by(study, "boxes") == before


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
    images, boxes, seconds = offered
    assert len(boxes) > 3 and (mode != "review" or len(images.answers) == len(images.answer_seconds) == 0)  # nothing would read them
    for row, image_id in enumerate(boxes.image_ids):
        made = propose(image_id, found[image_id], thresholds_of(context, 0), overlap=study.config.ask.overlap, prefix="")
        questions, missed = (~made.certain).sum(), max(0.0, boxes.box_counts[row] - len(made.boxes)) if whole else 0.0
        assert boxes.answers[row] == pytest.approx(questions + missed)
        assert seconds.answer_seconds[row] == pytest.approx(2.0 * whole + 1.6 * questions + 7.0 * missed)
    for each in offered:  # what strategies weigh objects by goes on being of the same objects
        assert (each.seconds == 2.0 + 7.0 * each.box_counts).all()


@pytest.mark.parametrize(("mode", "unit", "made"), [("review", "images", False), ("review", "boxes", True), ("trust", "images", True)])
def test_what_the_whole_pool_would_be_asked_is_found_out_where_something_reads_it(waiting_study, monkeypatch, mode, unit, made):
    study, proposed = waiting_study(mode), []
    monkeypatch.setattr(
        "boxwise.rounds.offered.propose", lambda image_id, *rest, **more: proposed.append(image_id) or propose(image_id, *rest, **more)
    )
    train, _ = asked(study, "strategy.name=random", f"budget.unit={unit}", "budget.per_round=3", "budget.val_per_round=0")
    assert (len(proposed) > train) is made


@pytest.mark.parametrize("total", [(), ("budget.total=99999",)])
def test_val_as_a_share_costs_no_more_than_the_round(waiting_study, total):
    """The images that a few verifications pay for are many; in val each box of them would be drawn."""
    study = waiting_study("trust")
    budget = ("strategy.name=random", "budget.unit=seconds", "budget.per_round=30", "budget.val_per_round=100%", *total)
    items = step_of(Phase.SELECT)(context_of(study, *budget), 1).query.items
    expected = dict(zip((scored := read_scored_pool(study.files(0))).scores.image_ids, scored.box_counts, strict=True))
    costs = [2.0 + 7.0 * expected[item.image_id] for item in items if item.split is Split.VAL]
    assert costs and sum(costs[:-1]) < 30  # as of train, the image that crosses the line is included


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
