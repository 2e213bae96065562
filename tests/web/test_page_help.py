"""The model helps while a person draws: clicks and rough boxes become what the detector has found, and the person answers for it."""

import numpy as np
from driving import boxes_in_list, drag, hand_in, record_of, seen, serving, shown_image, spot

from boxwise.artifacts.detections_file import read_detections, row_groups, writing_detections
from boxwise.boxes import Boxes
from boxwise.config import LabellingConfig
from boxwise.records import Action, Source
from boxwise.web.found import found_on

FOUND = Boxes([[10, 12, 40, 44], [55, 50, 90, 88], [12, 14, 30, 30]], [3, 5, 7], np.array([0.2, 0.05, 0.1], np.float32))


def found_everywhere(study, boxes=FOUND):
    """As if the last pool pass had found these boxes on every image."""
    with writing_detections(study.files(0).detections) as writer:
        for record in study.store.images():
            writer.add(record.image_id, boxes)


def until_boxes(page, count):
    page.wait_for_function("count => document.querySelectorAll('#boxes [role=option]').length === count", arg=count)


def test_one_image_is_read_without_the_rest(tmp_path):
    with writing_detections(tmp_path / "found.parquet") as writer:
        for number in range(600):
            writer.add(f"{number}.jpg", Boxes([[number, 0, number + 5, 5]], [0], np.array([0.5], np.float32)))
    groups = row_groups(tmp_path / "found.parquet")
    assert (groups["0.jpg"], groups["599.jpg"]) == (0, 2)
    ((name, boxes),) = read_detections(tmp_path / "found.parquet", only=["599.jpg"], groups=[2])
    assert name == "599.jpg" and boxes.xyxy.tolist() == [[599, 0, 604, 5]]


def test_what_was_found_comes_best_first_and_nothing_of_an_image_outside_the_pool_pass(waiting_study):
    study = waiting_study("full")
    found_everywhere(study)
    found = found_on(study, study.ask().image_ids[0])
    assert [(box["label"], round(box["score"], 2)) for box in found] == [(3, 0.2), (7, 0.1), (5, 0.05)]
    (study.files(0).detections).unlink()
    assert found_on(study, study.ask().image_ids[0]) == []


def test_clicks_and_rough_boxes_become_the_models_boxes_below_every_threshold(waiting_study, person):
    study = waiting_study("full")
    found_everywhere(study)
    with serving(study) as port:
        page = person(port, "anna")
        record = record_of(study, shown_image(page))
        page.keyboard.press("w")
        page.mouse.click(*spot(page, record, 35, 35))
        until_boxes(page, 1)
        drag(page, record, (50, 46), (95, 92))
        until_boxes(page, 2)
        drag(page, record, (60, 5), (90, 20))  # nothing was found there
        until_boxes(page, 3)
        page.keyboard.press("1")
        name = hand_in(page)
        (entry,) = study.store.history(name)
        annotation, verdicts = entry.annotation, entry.verdicts
        assert [verdict.action for verdict in verdicts] == [Action.ADD] * 3 and set(annotation.sources) == {Source.HUMAN}
        assert annotation.boxes.labels.tolist() == [3, 5, 0]
        assert np.allclose(annotation.boxes.xyxy, [[10, 12, 40, 44], [55, 50, 90, 88], [60, 5, 90, 20]], atol=1.5)


def test_where_nothing_is_embedded_boxes_follow_by_overlap(waiting_study, person):
    study = waiting_study("full")
    study.change(study.config.model_copy(update={"labelling": LabellingConfig(follow="overlap")}))
    found_everywhere(study)
    with serving(study) as port:
        page = person(port, "anna")
        record = record_of(study, shown_image(page))
        for key, start, end in (("4", (14, 16), (44, 48)), ("6", (50, 50), (84, 84)), ("9", (70, 2), (90, 12))):
            drag(page, record, start, end)
            page.keyboard.press(key)
        hand_in(page)
        page.keyboard.press("Shift+m")
        page.locator("#hint", has_text="2 of 3 boxes found again").wait_for()
        boxes = study.store.annotation(hand_in(page)).boxes
        order = np.argsort(boxes.labels)
        assert boxes.labels[order].tolist() == [3, 5] and np.allclose(boxes.xyxy[order], FOUND.xyxy[:2], atol=0.01)


def test_before_the_first_pass_the_page_says_that_there_is_no_help(waiting_study, person):
    study = waiting_study("full")
    (study.files(0).detections).unlink()
    with serving(study) as port:
        page = person(port, "anna")
        seen(page)
        page.keyboard.press("w")
        page.mouse.click(*spot(page, record_of(study, shown_image(page)), 35, 35))
        page.locator("#hint", has_text="The model has not looked at this image yet").wait_for()
        assert boxes_in_list(page).count() == 0
