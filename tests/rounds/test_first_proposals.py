"""Round 0 with a detector that knows classes before it is trained here: the weights of another study stand for a COCO release."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from boxwise.config import load_config
from boxwise.records import Action, Phase, Proposals, Query, Source, Split
from boxwise.simulation.simulate import Plan
from boxwise.study import Study

LOW = ("ask.uncertain=0.15", "ask.certain=0.3")  # a detector of a dozen steps is not sure of much


@pytest.fixture
def weights(waiting_study) -> Path:
    return waiting_study("full").files(0).weights


@pytest.fixture
def create(hidden, tiny_overrides, tmp_path, weights):
    """A study that begins with those weights: `create("ask.mode=review", classes=...)`."""

    def made(*overrides: str, classes: tuple[str, ...] | None = None, name: str = "study") -> Study:
        dataset = hidden[1] if classes is None else replace(hidden[1], classes=classes)
        start = [value for value in tiny_overrides if "pretrained" not in value]
        config = load_config(None, (*start, f"detector.weights={weights}", "budget.initial=10", "budget.rounds=0", *LOW, *overrides))
        return Study.create(tmp_path / name, dataset, config=config)

    return made


def asked(study: Study) -> tuple[Query, dict[str, Proposals]]:
    return study.ask(), dict(study.proposals())


def test_review_shows_the_models_boxes_in_round_0_and_goes_on_from_there(create, hidden):
    study = create("ask.mode=review")
    query, proposals = asked(study)
    assert set(proposals) == set(query.image_ids) and sum(len(each.boxes) for each in proposals.values()) > 0
    assert all(item.box_ids is None for item in query.items)  # what is missed is drawn
    assert all(box_id.startswith("r0-") for each in proposals.values() for box_id in each.boxes.ids)
    facts = study.round(0).select
    assert facts.known_classes == study.classes and facts.proposed == sum(len(each.boxes) for each in proposals.values())
    assert study.run(hidden[0]) is Phase.DONE
    done = study.round(0).annotate.actions
    assert done[Action.ADD] and sum(done.get(act, 0) for act in (Action.KEEP, Action.MOVE, Action.RELABEL, Action.DELETE))


def test_only_known_classes_are_suggested_and_the_others_are_drawn_by_hand(create, digits):
    kept = digits.classes[1]
    study = create("ask.mode=review", classes=tuple(name if name == kept else f"new {name}" for name in digits.classes))
    _, proposals = asked(study)
    assert study.round(0).select.known_classes == (kept,)
    assert {int(label) for each in proposals.values() for label in each.boxes.labels} <= {1}


def test_trust_asks_boxes_where_all_is_known_and_whole_images_where_something_may_have_to_be_drawn(create, digits, hidden):
    study = create("ask.mode=trust")
    query, proposals = asked(study)
    alone = {image_id for image_id, a in study.store.annotations(Split.TRAIN).items() if Source.MODEL in a.sources}
    assert len(proposals) == 10 > len(alone) and any(len(each.boxes) for each in proposals.values())
    for image_id, each in proposals.items():
        item = study.asked(0)[image_id]
        assert item.box_ids == (each.uncertain_ids if len(each.boxes) else None)
        assert (image_id in alone) == (item.box_ids == ())
        assert (image_id in query.image_ids) == (image_id not in alone)
    assert study.run(hidden[0]) is Phase.DONE

    partly = create("ask.mode=trust", classes=("new", *digits.classes[1:]), name="partly")
    assert [item.box_ids for item in partly.ask().items] == [None] * 10


@pytest.mark.parametrize("mode", ["full", "boxes"])
def test_other_modes_show_nothing_and_detect_nothing(create, monkeypatch, mode):
    monkeypatch.setattr("boxwise.detectors.prediction.predict", lambda *_, **__: pytest.fail("detected"))
    study = create(f"ask.mode={mode}")
    _, proposals = asked(study)
    assert not proposals and study.round(0).select.known_classes is None


def test_a_detector_without_a_known_class_shows_nothing(create, digits):
    study = create("ask.mode=review", classes=tuple(f"new {name}" for name in digits.classes))
    query, proposals = asked(study)
    assert query.items and not proposals
    assert study.round(0).select.known_classes == ()


def test_no_box_is_certain_while_val_cannot_say_from_which_score(create):
    _, proposals = asked(create("ask.mode=review", "ask.target_precision=0.9"))
    assert any(len(each.boxes) for each in proposals.values())
    assert not any(each.certain.any() for each in proposals.values())


def test_val_is_labelled_without_suggestions(hidden, tiny_overrides, tmp_path, weights):
    pool_only = replace(hidden[1], images=tuple(r for r in hidden[1].images if r.split is Split.TRAIN))
    start = [value for value in tiny_overrides if "pretrained" not in value]
    config = load_config(None, (*start, f"detector.weights={weights}", "ask.mode=review", "budget.validation=3", *LOW))
    study = Study.create(tmp_path / "study", pool_only, config=config)
    query, proposals = asked(study)
    val = {item.image_id for item in query.items if item.split is Split.VAL}
    assert len(val) == 3 and not val & set(proposals)


def test_the_step_done_again_makes_the_same_suggestions(create):
    one, other = (asked(create("ask.mode=review", name=name))[1] for name in ("one", "other"))
    assert one.keys() == other.keys() and sum(len(each.boxes) for each in one.values()) > 0
    for image_id, each in one.items():
        assert each.boxes.equals(other[image_id].boxes)


def test_an_unreadable_image_is_quarantined_and_not_asked_about(create, digits_folder, tmp_path):
    drawn = create("ask.mode=review", name="one").ask().image_ids
    study = create("ask.mode=review", name="other")
    study.relocate(shutil.copytree(digits_folder / "JPEGImages", tmp_path / "images"))  # the shared ones are other tests' as well
    (gone,) = (record for record in study.store.pool() if record.image_id == drawn[0])
    Path(gone.uri).unlink()
    assert study.ask().image_ids == drawn[1:]
    assert gone.image_id in study.quarantined()


def test_arms_of_other_modes_have_a_first_round_of_their_own(digits, tiny_overrides, weights, tmp_path):
    start = [value for value in tiny_overrides if "pretrained" not in value]
    for overrides, trunks in ((tiny_overrides, 1), ((*start, f"detector.weights={weights}"), 2)):
        plan = Plan(digits, load_config(None, overrides), ("random", "random+review"), (0,), tmp_path)
        assert len(plan.trunks(0)) == trunks
