"""What a selection reads, in real studies of seconds; what it chooses is tested with the study."""

import shutil
from dataclasses import replace

import pytest
from made_rounds import context_of

from boxwise.artifacts.box_tables import read_proposals
from boxwise.config import load_config
from boxwise.errors import StudyError
from boxwise.records import Phase, Split
from boxwise.rounds import RoundContext, step_of
from boxwise.store import Store
from boxwise.study import Study


@pytest.fixture(scope="module")
def returning(hidden, tiny_overrides, tmp_path_factory):
    """Folder of a study that is about to select in round 2, where images come back."""
    asking = ("ask.mode=review", "ask.certain=0.37", "ask.uncertain=0.2", "policy.name=ratio_threshold", "policy.ratio_train=0.5")
    config = load_config(None, (*tiny_overrides, *asking, "scorer.name=none", "strategy.name=random"))
    study = Study.create(tmp_path_factory.mktemp("returning") / "study", hidden[1], config=config)
    while study.store.position != (2, Phase.SELECT):
        if study.store.position[1] is Phase.ANNOTATE:
            study.answer(hidden[0])
        study.step()
    study.store.close()
    return study.folder


@pytest.fixture
def study_of(waiting_study, returning, tmp_path):
    """A function from a mode of asking, or "returning", to a fresh study."""
    return lambda name: Study.open(shutil.copytree(returning, tmp_path / name)) if name == "returning" else waiting_study(name)


@pytest.fixture
def reads(monkeypatch):
    """The arguments of every reading of annotations from here on."""
    made, annotations = [], Store.annotations

    def noted(store, split, **options):
        made.append((split, options))
        return annotations(store, split, **options)

    monkeypatch.setattr(Store, "annotations", noted)
    return made


@pytest.mark.parametrize(("initial", "train", "val"), [(5000, 1, 1), (2, 1, 1), (1, 1, 1)])
def test_a_budget_larger_than_the_pool_leaves_something_to_train_on(hidden, tiny_overrides, tmp_path, initial, train, val):
    dataset = hidden[1]
    two = [record for record in dataset.images if record.split is Split.TRAIN][:2]
    config = load_config(None, (*tiny_overrides, f"budget.initial={initial}", "budget.validation=50%"))
    study = Study.create(tmp_path / "study", replace(dataset, images=tuple(two), labels={}), config=config)
    made = select(study)
    splits = [item.split for item in made.query.items]
    assert (splits.count(Split.TRAIN), splits.count(Split.VAL)) == (train, val)
    assert made.facts.wanted == (initial if initial > 2 else None)


def test_labels_of_val_alone_are_not_asked_for(hidden, tiny_overrides, tmp_path):
    train = tuple(record for record in hidden[1].images if record.split is Split.TRAIN)
    config = load_config(None, (*tiny_overrides, "budget.initial=0", "budget.validation=2"))
    study = Study.create(tmp_path / "study", replace(hidden[1], images=train, labels={}), config=config)
    with pytest.raises(StudyError, match=r"Give budget.initial of 1 or more"):
        select(study)


def select(study):
    """What the step makes of the study's round; nothing is committed."""
    context = RoundContext(study.folder, study.store, study.config, study.classes, None, lambda event: None)
    return step_of(Phase.SELECT)(context, study.store.position[0])


@pytest.mark.parametrize("name", ["full", "boxes", "returning"])
def test_reads_all_annotations_once(study_of, reads, name):
    study = study_of(name)
    reads.clear()
    assert select(study).query.image_ids
    assert reads == [(Split.TRAIN, {})]


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["boxes", "seconds"])
def test_a_share_of_the_images_is_one_of_images_whatever_the_budget_counts(hidden, tiny_overrides, tmp_path, unit):
    """A quarter of the images, and half as many again for val, not a quarter of their number in boxes or seconds."""
    shares = (f"budget.unit={unit}", "budget.per_round=25%", "budget.val_per_round=50%", "scorer.name=none", "strategy.name=random")
    study = Study.create(tmp_path / "study", hidden[1], config=load_config(None, (*tiny_overrides, *shares)))
    while study.store.position != (1, Phase.SELECT):
        if study.store.position[1] is Phase.ANNOTATE:
            study.answer(hidden[0])
        study.step()
    items = select(study).query.items
    wanted = round(0.25 * len(study.store.images(Split.TRAIN)))
    assert sum(item.split is Split.VAL for item in items) == round(wanted / 2)
    assert abs(sum(item.split is Split.TRAIN for item in items) - wanted) <= 0.4 * wanted


def test_what_comes_back_is_charged_before_the_strategy_chooses(study_of):
    study = study_of("returning")
    again, step = study.round(1).compose.requeued, select(study)
    train = [item.image_id for item in step.query.items if item.split is Split.TRAIN]
    assert again and tuple(train[: len(again)]) == again[:4] and len(train) == 4
    assert step.facts.requeued == len(again)


@pytest.mark.parametrize(("per_round", "said"), [(1, True), (4, True), (9, False)])
def test_that_a_full_queue_leaves_no_room_for_new_images_is_said(study_of, per_round, said):
    study, heard = study_of("returning"), []
    context = replace(context_of(study, f"budget.per_round={per_round}"), on_event=heard.append)
    query = step_of(Phase.SELECT)(context, 2).query
    assert len([item for item in query.items if item.split is Split.TRAIN]) == per_round
    messages = [event.message for event in heard if event.message]
    assert [("no new image is asked" in text, "policy.ratio_threshold.ratio_train" in text) for text in messages] == [(True, True)] * said


def test_what_was_labelled_since_the_pool_pass_is_asked_no_more(study_of):
    study = study_of("full")
    before = select(study)
    labelled = [item.image_id for item in before.query.items if item.split is Split.TRAIN]
    for image_id in labelled:
        study.tell(image_id, [])
    after = select(study)
    assert not set(labelled) & set(after.query.image_ids)
    assert after.facts.candidates == before.facts.candidates - len(labelled)


def test_boxes_of_a_question_that_is_asked_anew_after_a_change_of_the_classes_have_ids_of_their_own(study_of):
    study = study_of("returning")

    def ids(changes):
        context = RoundContext(study.folder, study.store, study.config, study.classes, None, lambda event: None, changes)
        step_of(Phase.SELECT)(context, 2)
        return {str(one) for made in read_proposals(study.files(2).proposals, {}).values() for one in made.boxes.ids}

    before, after = ids([]), ids([(study.classes, {name: name for name in study.classes})])
    assert before and len(before) == len(after) and not before & after
