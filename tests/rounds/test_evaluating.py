"""The parts of val: what the study began to judge by, what rounds drew, what people added."""

import pytest
from made_rounds import context_of

from boxwise.artifacts.detections_file import read_detections, write_detections
from boxwise.artifacts.facts import ORIGINAL, EvaluateFacts
from boxwise.boxes import Boxes
from boxwise.records import Action, Split, Verdict
from boxwise.rounds import evaluate


def parts(study, *, added=()):
    """Part → its images, of what val has in round 1."""
    begun = [image_id for image_id, _ in read_detections(study.files(0).val_detections)]
    drawn = [item.image_id for item in study.store.query(1).items if item.split is Split.VAL]
    return begun, drawn, evaluate._parts(context_of(study), 1, sorted([*begun, *drawn, *added]))


def test_images_that_people_add_to_val_are_a_part_of_their_own(waiting_study):
    begun, drawn, found = parts(waiting_study("full"), added=["later.jpg"])
    assert found == {ORIGINAL: sorted(begun), "round 1": drawn, "added later": ["later.jpg"]}


def test_where_the_file_of_round_0_is_gone_what_was_not_drawn_is_what_val_began_with(waiting_study):
    study = waiting_study("full")
    begun, drawn, found = parts(study)
    assert found == {ORIGINAL: sorted(begun), "round 1": drawn}
    kept = study.files(0).val_detections.rename(study.folder / "elsewhere")
    found = evaluate._parts(context_of(study), 1, sorted([*begun, *drawn, "later.jpg"]))
    assert found == {ORIGINAL: sorted([*begun, "later.jpg"]), "round 1": drawn} and kept.exists()


@pytest.mark.parametrize("folds", [(3, 0), (0, 3)])
def test_val_that_was_judged_in_another_way_in_round_0_was_not_added_later(waiting_study, folds):
    """Its file then holds other images: in cross-validation those that are trained on."""
    study = waiting_study("full")
    judged = study.annotations(Split.TRAIN if folds[1] else Split.VAL)
    others = study.annotations(Split.VAL if folds[1] else Split.TRAIN)
    write_detections(study.files(0).val_detections, dict.fromkeys(others, Boxes.empty()))
    context = context_of(study, past={number: {"train": {"folds": [{}] * count}} for number, count in enumerate(folds)})
    assert sorted(image_id for images in evaluate._parts(context, 1, judged).values() for image_id in images) == sorted(judged)
    assert "added later" not in evaluate._parts(context, 1, judged)


def test_an_image_that_a_later_round_drew_is_that_rounds_part_of_val_in_the_rounds_before_it_too(waiting_study):
    """Round 0 is evaluated again once round 1 has asked: what its own figures follow stays what val began with."""
    study = waiting_study("full")
    begun, drawn, _ = parts(study)
    assert evaluate._parts(context_of(study), 0, [*begun, *drawn]) == {ORIGINAL: begun, "round 1": drawn}


def test_val_that_began_later_is_judged_by_the_part_that_it_began_with_however_it_grows(waiting_study):
    study, judged = waiting_study("full"), []
    added, drawn = [*study.annotations(Split.VAL)], [item.image_id for item in study.ask().items if item.split is Split.VAL]
    write_detections(study.files(0).val_detections, {})
    study.files(1).path.mkdir()
    for image_id in drawn:
        study.tell(image_id, [Verdict(Action.ADD, xyxy=(1, 1, 20, 20), label=0)], complete=True)
    for images in (drawn, [*drawn, *added]):
        seen = {image_id: Boxes([[1, 1, 20, 20]], [0], [0.9]) for image_id in images}
        write_detections(study.files(1).val_detections, seen)
        judged.append(evaluate._facts(context_of(study), 1, EvaluateFacts()))
    first, second = judged
    assert second.val["images"] == len(added) + len(drawn) > first.val["images"] and second.val["ap"] < first.val["ap"]
    assert first.stopping_ap == second.stopping_ap and first.stopping_labels == second.stopping_labels
