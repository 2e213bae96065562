"""The parts of val: what the study began to judge by, what rounds drew, what people added."""

import pytest
from made_rounds import context_of

from boxwise.artifacts.detections_file import read_detections, write_detections
from boxwise.artifacts.facts import ORIGINAL
from boxwise.boxes import Boxes
from boxwise.records import Split
from boxwise.rounds import evaluate


def parts(study, monkeypatch, *, added=()):
    """Part → its images, of what val has in round 1."""
    monkeypatch.setattr(evaluate, "_metrics", lambda context, found, truths, **_: sorted(truths))
    begun = [image_id for image_id, _ in read_detections(study.files(0).val_detections)]
    drawn = [item.image_id for item in study.store.query(1).items if item.split is Split.VAL]
    boxes = dict.fromkeys((*begun, *drawn, *added), Boxes.empty())
    return begun, drawn, evaluate._parts(context_of(study), 1, boxes, boxes)


def test_images_that_people_add_to_val_are_a_part_of_their_own(waiting_study, monkeypatch):
    begun, drawn, found = parts(waiting_study("full"), monkeypatch, added=["later.jpg"])
    assert found == {ORIGINAL: sorted(begun), "round 1": drawn, "added later": ["later.jpg"]}


def test_where_the_file_of_round_0_is_gone_what_was_not_drawn_is_what_val_began_with(waiting_study, monkeypatch):
    study = waiting_study("full")
    begun, drawn, found = parts(study, monkeypatch)
    assert found == {ORIGINAL: sorted(begun), "round 1": drawn}
    kept = study.files(0).val_detections.rename(study.folder / "elsewhere")
    boxes = dict.fromkeys((*begun, *drawn, "later.jpg"), Boxes.empty())
    found = evaluate._parts(context_of(study), 1, boxes, boxes)
    assert found == {ORIGINAL: sorted([*begun, "later.jpg"]), "round 1": drawn} and kept.exists()


@pytest.mark.parametrize("folds", [(3, 0), (0, 3)])
def test_val_that_was_judged_in_another_way_in_round_0_was_not_added_later(waiting_study, monkeypatch, folds):
    """Its file then holds other images: in cross-validation those that are trained on."""
    study = waiting_study("full")
    monkeypatch.setattr(evaluate, "_metrics", lambda context, found, truths, **_: sorted(truths))
    judged = dict.fromkeys(study.annotations(Split.TRAIN if folds[1] else Split.VAL), Boxes.empty())
    others = study.annotations(Split.VAL if folds[1] else Split.TRAIN)
    write_detections(study.files(0).val_detections, dict.fromkeys(others, Boxes.empty()))
    context = context_of(study, past={number: {"train": {"folds": [{}] * count}} for number, count in enumerate(folds)})
    assert "added later" not in (evaluate._parts(context, 1, judged, judged) or {})
