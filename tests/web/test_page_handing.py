"""Handing in, and taking back: nothing is handed in unseen, an empty answer says so, and what was done can be undone across images."""

from time import time

import pytest
from driving import another, boxes_in_list, drag, hand_in, record_of, saved, seen, serving, shown_image, skip, to_questions

from boxwise.records import Action, Phase
from boxwise.store import LabellingStore


def held(study, annotator="anna"):
    return {image_id for image_id, lease in LabellingStore(study.store).leases(at=time()).items() if lease.annotator == annotator}


def labels_of(annotation):
    return list(zip(annotation.boxes.labels.tolist(), annotation.boxes.xyxy.tolist(), strict=True))


def until(page, holds):
    """Wait until a condition of the study holds."""
    for _ in range(100):
        if holds():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it never came true")


class TestUnseen:
    def test_space_pressed_twice_hands_in_one_image(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            name = shown_image(page)
            # The second press comes as soon as the next image is named, however busy the machine is.
            page.evaluate("""() => {
                const hint = document.querySelector("#hint"), name = document.querySelector("#image-name"), first = name.textContent;
                const watch = { childList: true, characterData: true, subtree: true };
                window.hints = [];
                new MutationObserver(() => hints.push(hint.textContent)).observe(hint, watch);
                new MutationObserver((_, naming) => {
                    if (!name.textContent.trim() || name.textContent === first) return;
                    naming.disconnect();
                    for (const type of ["keydown", "keyup"])
                        document.body.dispatchEvent(new KeyboardEvent(type, { key: " ", code: "Space", bubbles: true, cancelable: true }));
                }).observe(name, watch);
            }""")
            page.keyboard.press("Space")
            page.wait_for_function("() => hints.some((words) => words.includes('has only just come into sight'))")
            saved(page)
            other = shown_image(page)
            assert other != name and study.store.history(other) == [] and len(study.store.history(name)) == 1
            assert len(study.store.history(hand_in(page))) == 1

    def test_an_empty_answer_is_announced_and_undone(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            name = hand_in(page)
            page.locator("#hint", has_text=f"{name} handed in without any box.").wait_for()
            assert name not in study.ask().image_ids
            page.locator("#hint-offer", has_text="Undo").click()
            page.wait_for_function("name => document.querySelector('#image-name').textContent === name", arg=name)
            saved(page)
            assert name in study.ask().image_ids and name in held(study)


class TestTakingBack:
    def test_the_last_answer_comes_back_as_it_was_left_and_counts_once(self, waiting_study, person):
        study = waiting_study("review")
        with serving(study) as port:
            page = person(port, "anna")
            name, _ = to_questions(page, study)
            page.keyboard.press("Enter")
            drag(page, record_of(study, name), (2, 2), (14, 14))
            pace = page.locator("#session").inner_text()
            page.keyboard.press("Shift+Space")
            another(page, name)
            saved(page)
            assert page.locator("#session").inner_text() != pace
            before = study.store.annotation(name)
            page.keyboard.press("u")
            page.wait_for_function("name => document.querySelector('#image-name').textContent === name", arg=name)
            assert page.locator("#boxes .word", has_text="drawn").count() == 1
            assert name in study.ask().image_ids and page.locator("#session").inner_text() == pace
            hand_in(page)
            after = study.store.annotation(name)
            assert (labels_of(after), after.sources, len(study.store.history(name))) == (labels_of(before), before.sources, 2)

    def test_a_flag_is_taken_back_from_the_queue(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            name = shown_image(page)
            page.keyboard.press("f")
            page.locator("#reason-dialog input").fill("fog")
            page.keyboard.press("Enter")
            another(page, name)
            saved(page)
            assert name in study.quarantined()
            page.locator("#queue summary").click()
            page.locator("#queue-list button", has_text="Unflag").click()
            page.locator(".queued.flagged").wait_for(state="detached")
            assert name not in study.quarantined() and name in study.ask().image_ids

    def test_a_skip_is_taken_back(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            name = skip(page)
            assert study.labelling.skipped(1).keys() == {name}
            page.keyboard.press("u")
            page.wait_for_function("name => document.querySelector('#image-name').textContent === name", arg=name)
            saved(page)
            assert study.labelling.skipped(1) == {}

    def test_back_and_undo_survive_a_reload(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            first = hand_in(page)
            name = shown_image(page)
            record = record_of(study, name)
            for start, end in (((10, 10), (30, 30)), ((40, 40), (60, 60))):
                drag(page, record, start, end)
            saved(page)
            page.reload()
            boxes_in_list(page).nth(1).wait_for()
            page.keyboard.press("Control+z")
            assert boxes_in_list(page).count() == 1
            page.keyboard.press("Control+z")
            assert boxes_in_list(page).count() == 0
            page.keyboard.press("Control+Shift+z")
            page.keyboard.press("Control+Shift+z")
            assert boxes_in_list(page).count() == 2
            page.keyboard.press("[")
            page.wait_for_function("name => document.querySelector('#image-name').textContent === name", arg=first)

    def test_an_answer_of_a_round_that_went_on_cannot_be_taken_back_and_the_page_says_so(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            name = hand_in(page)
            study.store.put("position", [1, Phase.TRAIN.value])
            page.keyboard.press("u")
            page.locator("#refused", has_text=f"{name} was not taken: {name}: the answer cannot be taken back any more").wait_for()
            assert len(study.store.history(name)) == 1 and study.store.annotation(name) is not None


class TestHolding:
    def test_what_is_only_looked_at_is_free_for_others(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            page.locator("#queue summary").click()
            for row in range(5):
                page.locator(".queued").nth(row).click()
                page.wait_for_function("row => document.querySelectorAll('.queued')[row].ariaCurrent === 'true'", arg=row)
            until(page, lambda: len(held(study)) == 4)  # the one that is shown, and three fetched ahead
            assert shown_image(person(port, "ben")) not in held(study)

    def test_more_images_than_a_request_may_name_are_renewed(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            renew = """async (ids) => {
                const { Queue } = await import("/static/queue.js");
                return new Queue({ annotator: "ben", tab: "x" }, () => []).renew(ids.map((image_id) => ({ image_id, begun_on: null })));
            }"""
            until(page, lambda: len(held(study)) == 4)  # the one that is shown, and three fetched ahead
            ids = [image_id for image_id in study.ask().image_ids if image_id not in held(study)] * 120
            assert len(ids) > 100 and page.evaluate(renew, ids) == [] and held(study, "ben") == set(ids)


def test_dragging_inside_a_wrong_box_of_the_models_draws_and_answers_nothing(waiting_study, person):
    study = waiting_study("review")
    with serving(study) as port:
        page = person(port, "anna")
        name, proposals = to_questions(page, study)
        seen(page)
        largest = max(proposals.boxes.xyxy[~proposals.certain].tolist(), key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
        x1, y1, x2, y2 = largest
        width, height = x2 - x1, y2 - y1
        drag(page, record_of(study, name), (x1 + 0.3 * width, y1 + 0.3 * height), (x1 + 0.65 * width, y1 + 0.65 * height))
        saved(page)
        assert page.locator("#boxes .word", has_text="drawn").count() == 1
        assert page.locator("#boxes .word", has_text="uncertain").count() == (~proposals.certain).sum()
        draft = LabellingStore(study.store).draft(name, 1, "anna").document
        assert [box["answer"] for box in draft["boxes"] if box["id"]] == [""] * len(proposals.boxes)


def test_a_score_answers_all_that_is_open_once_it_was_seen(waiting_study, person):
    study = waiting_study("review")
    with serving(study) as port:
        page = person(port, "anna")
        name, proposals = to_questions(page, study)
        scores = sorted(proposals.boxes.scores[~proposals.certain].tolist())
        score = round(100 * (scores[0] + scores[-1]) / 2)
        above = sum(value >= score / 100 for value in scores)
        page.keyboard.press("t")
        page.locator("#score").fill(str(score))
        page.locator("#score-words", has_text=f"accepts {above}, rejects {len(scores) - above}").wait_for()
        shown_as = "([kind, count]) => document.querySelectorAll(`.box.${kind}`).length === count"
        page.wait_for_function(shown_as, arg=["open.keep", above])
        page.locator("#score").press("Escape")
        page.wait_for_function(shown_as, arg=["keep", 0])
        assert page.locator("#boxes .word", has_text="uncertain").count() == len(scores)
        page.keyboard.press("t")
        page.locator("#score").fill(str(score))
        page.locator("#score").press("Enter")
        page.keyboard.press("Control+z")  # one step
        assert page.locator("#boxes .word", has_text="uncertain").count() == len(scores)
        page.keyboard.press("Control+Shift+z")
        hand_in(page)
        (entry,) = study.store.history(name)
        verdicts = entry.verdicts
        assert [verdict.action for verdict in verdicts].count(Action.KEEP) == above


class TestCopies:
    def test_boxes_are_copied_from_the_image_before_and_from_box_to_box(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            drag(page, record_of(study, shown_image(page)), (10, 10), (30, 30))
            page.keyboard.press("3")
            page.keyboard.press("Control+c")
            page.keyboard.press("Control+v")
            page.keyboard.press("Control+d")
            assert boxes_in_list(page).count() == 3
            before = study.store.annotation(hand_in(page))
            page.keyboard.press("m")
            assert boxes_in_list(page).count() == 3
            page.keyboard.press("m")  # they are all here already
            assert boxes_in_list(page).count() == 3
            name = hand_in(page)
            assert study.store.annotation(name).boxes.equals(before.boxes)
            page.keyboard.press("Control+v")  # at the same place of another image
            copied = study.store.annotation(hand_in(page)).boxes
            assert copied.xyxy.tolist() == [before.boxes.xyxy[0].tolist()] and copied.labels.tolist() == [2]

    def test_a_copy_of_any_box_lies_beside_it_in_its_own_size(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            record = record_of(study, shown_image(page))
            width, height = record.width, record.height
            for start, end in [((1, 1), (width - 3, height - 3)), ((width - 36, height - 36), (width, height))]:
                page.keyboard.press("d")
                drag(page, record, start, end)
                page.keyboard.press("Control+d")
                page.keyboard.press("Escape")
            assert boxes_in_list(page).count() == 4
            boxes = study.store.annotation(hand_in(page)).boxes.xyxy.tolist()
            for (x1, y1, x2, y2), (left, top, right, bottom) in (boxes[:2], boxes[2:]):
                assert (right - left, bottom - top) == pytest.approx((x2 - x1, y2 - y1), abs=0.03)
                assert min(abs(left - x1), abs(top - y1)) > 0.5
                assert left >= 0 and top >= 0 and right <= width and bottom <= height

    def test_a_copy_on_another_image_is_made_whatever_is_there(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            drag(page, record_of(study, shown_image(page)), (10, 10), (60, 60))
            page.keyboard.press("Control+c")
            hand_in(page)
            for key in ("m", "Control+v", "Control+v"):  # a like box is there already
                page.keyboard.press(key)
            boxes = study.store.annotation(hand_in(page)).boxes.xyxy.tolist()
            assert len(boxes) == 3 and boxes[0][0] + 0.5 < boxes[1][0] < boxes[2][0] - 0.5

    def test_why_a_copy_is_not_made_is_said(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            record = record_of(study, shown_image(page))
            page.keyboard.press("d")
            drag(page, record, (0, 0), (record.width, record.height))
            page.keyboard.press("Control+d")
            page.locator("#hint", has_text="There is no room for a copy here.").wait_for()
            assert boxes_in_list(page).count() == 1

    def test_a_digit_then_many_boxes_of_that_class(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            record = record_of(study, shown_image(page))
            page.keyboard.press("4")
            drag(page, record, (10, 10), (30, 30))
            page.keyboard.press("6")
            drag(page, record, (40, 40), (60, 60))
            assert study.store.annotation(hand_in(page)).boxes.labels.tolist() == [3, 5]


def test_the_next_uncertain_box_may_be_on_another_image(waiting_study, person):
    study = waiting_study("review")
    with serving(study) as port:
        page = person(port, "anna")
        while (name := shown_image(page)) in study.proposals():
            page.keyboard.press("Shift+a")
            hand_in(page)
        page.keyboard.press(".")
        another(page, name)
        assert shown_image(page) in study.proposals() and study.store.history(name) == []
