"""A key that is held does no more than one that is pressed, but for moving a box, zooming, and going from box to box."""

import pytest
from driving import boxes_in_list, drag, hand_in, record_of, saved, seen, serving, shown_image
from teams import answer

from boxwise.records import Action, Verdict
from boxwise.web.queue import LabelQueue


def hold(page, key, times=12, pause=120):
    """Hold a key: the browser sends it again and again."""
    for _ in range(times):
        page.keyboard.down(key)
        page.wait_for_timeout(pause)
    page.keyboard.up(key)


def answered(study):
    return [image_id for image_id in study.query(1).image_ids if study.history(image_id)]


def test_one_image_is_handed_in_and_one_is_taken_back(waiting_study, person):
    study = waiting_study("full")
    with serving(study) as port:
        page = person(port, "anna")
        first = shown_image(page)
        page.keyboard.down("Control")
        hold(page, "Enter")
        page.keyboard.up("Control")
        saved(page)
        assert answered(study) == [first]
        seen(page)
        hand_in(page)
        saved(page)
        hold(page, "u")
        saved(page)
        assert len(study.unanswered().image_ids) == 4  # of five, one is answered still


def test_a_box_is_moved_for_as_long_as_an_arrow_is_held_and_deleted_alone(waiting_study, person):
    study = waiting_study("full")
    with serving(study) as port:
        page = person(port, "anna")
        record = record_of(study, shown_image(page))
        for corner in (40, 10):
            drag(page, record, (corner, corner), (corner + 20, corner + 20))
        page.wait_for_timeout(200)  # until it is drawn as the selected one
        before = page.locator("svg.overlay .selected rect.line").bounding_box()["x"]
        hold(page, "ArrowRight", times=6, pause=20)
        scale = page.locator(".picture").bounding_box()["width"] / record.width
        page.wait_for_timeout(200)
        assert page.locator("svg.overlay .selected rect.line").bounding_box()["x"] - before > 5 * scale
        hold(page, "x", times=6, pause=60)
        assert boxes_in_list(page).count() == 1


@pytest.mark.parametrize("key", ["a", "Enter"])
def test_one_answer_is_accepted_in_a_review(waiting_study, browsing, key):
    study = waiting_study("full")
    queue = LabelQueue(study, study.labelling)
    for image_id in study.ask().image_ids[:3]:
        answer(queue, "ben", image_id, Verdict(Action.ADD, xyxy=(1.0, 2.0, 30.0, 40.0), label=3))
    with serving(study) as port:
        page = browsing().new_page()
        page.add_init_script("localStorage.setItem('boxwise/annotator', '\"anna\"')")
        page.clock.install()
        page.goto(f"http://127.0.0.1:{port}/review")
        page.locator("#item").wait_for(state="visible")
        before = len(study.reviews.due("anna"))
        for step in range(4):  # looking for as long as this is no pause
            page.mouse.move(400 + step, 400)
            page.clock.fast_forward(15_000)
        page.clock.fast_forward(60_000)  # a pause, of which 20 seconds count
        if key == "Enter":
            page.locator("[data-act=accept]").focus()
        hold(page, key)
        page.locator("#left", has_text=str(before - 1)).wait_for()
        assert len(study.reviews.due("anna")) == before - 1
        (seconds,) = (event.body["seconds"] for event in study.events() if event.kind == "accepted")
        assert 65 <= seconds < 80
