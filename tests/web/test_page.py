"""The labelling page in a real browser on a real server: drawing, answering by keys, undo, reloads, two people, a server that dies."""

import pytest
from driving import PATIENCE, another, saved, serving, shown_image

from boxwise.records import Action, Source, Split
from boxwise.study import Study


def draw(page, start, end):
    """Drag a box over the picture, from and to shares of its width and height."""
    box = page.locator(".picture").bounding_box()
    page.keyboard.press("d")
    page.mouse.move(box["x"] + start[0] * box["width"], box["y"] + start[1] * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + end[0] * box["width"], box["y"] + end[1] * box["height"], steps=4)
    page.mouse.up()


def answered(study, image_id):
    history = study.store.history(image_id)
    return [(entry.annotator, entry.annotation, entry.verdicts) for entry in history]


def image_of(study, page):
    """The study's id of the image on the page."""
    (found,) = [i for i in study.store.query(1).image_ids if i in shown_image(page)]
    return found


def test_a_box_is_drawn_and_handed_in_by_keys(waiting_study, person):
    study = waiting_study("full")
    with serving(study) as port:
        page = person(port, "anna")
        name = image_of(study, page)
        draw(page, (0.25, 0.25), (0.5, 0.75))
        page.keyboard.press("3")
        saved(page)
        page.keyboard.press("Space")
        page.wait_for_function("name => !document.querySelector('#image-name').textContent.includes(name)", arg=name)
        saved(page)
        ((who, annotation, (verdict,)),) = answered(study, name)
        record = next(r for r in study.store.images() if r.image_id == name)
        assert who == "anna" and verdict.action is Action.ADD and verdict.label == 2 and annotation.complete and verdict.seconds >= 0
        wanted = [0.25 * record.width, 0.25 * record.height, 0.5 * record.width, 0.75 * record.height]
        assert annotation.boxes.xyxy[0].tolist() == pytest.approx(wanted, abs=1.5)


def test_undo_and_a_reload_lose_nothing_that_was_not_undone(waiting_study, person):
    study = waiting_study("full")
    with serving(study) as port:
        page = person(port, "anna")
        name = image_of(study, page)
        draw(page, (0.1, 0.1), (0.4, 0.4))
        draw(page, (0.5, 0.5), (0.9, 0.9))
        page.keyboard.press("Control+z")
        assert page.locator("#boxes [role=option]").count() == 1
        page.keyboard.press("Control+Shift+z")
        assert page.locator("#boxes [role=option]").count() == 2
        page.keyboard.press("Control+z")
        saved(page)
        page.reload()
        page.locator("#editor").wait_for(state="visible")
        page.locator("#boxes [role=option]").first.wait_for()
        assert image_of(study, page) == name and page.locator("#boxes [role=option]").count() == 1 and answered(study, name) == []


def test_questions_are_answered_by_keys_and_certain_boxes_stand(waiting_study, person):
    study = waiting_study("review")
    with serving(study) as port:
        page = person(port, "anna")
        while (name := image_of(study, page)) not in study.proposals():  # the image for val comes without boxes
            page.keyboard.press("Space")
            another(page, name)
        proposals = study.proposals()[name]
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # the first question: yes
        saved(page)
        page.keyboard.press("Space")  # leads to what is open and hands nothing in
        assert image_of(study, page) == name and answered(study, name) == []
        page.keyboard.press("Shift+Space")  # all the rest: no
        page.wait_for_function("name => !document.querySelector('#image-name').textContent.includes(name)", arg=name)
        saved(page)
        ((_, annotation, verdicts),) = answered(study, name)
        assert [v.action for v in verdicts].count(Action.KEEP) == 1
        assert [v.action for v in verdicts].count(Action.DELETE) == (~proposals.certain).sum() - 1
        assert annotation.sources.count(Source.MODEL) == proposals.certain.sum()


def test_two_people_never_get_the_same_image(waiting_study, person):
    study = waiting_study("full")
    with serving(study) as port:
        anna, ben = person(port, "anna"), person(port, "ben")
        assert image_of(study, anna) != image_of(study, ben)


def test_work_done_while_the_server_is_dead_counts_once_when_it_is_back(waiting_study, person):
    study = waiting_study("full")
    with serving(study) as port:
        page = person(port, "anna")
        name = image_of(study, page)
    draw(page, (0.2, 0.2), (0.6, 0.6))
    page.locator("#saved[data-state=offline]").wait_for(state="attached")
    page.keyboard.press("Space")
    again = Study.open(study.folder)
    with serving(again, port):
        page.locator("#saved[data-state=saved]").wait_for(state="attached", timeout=3 * PATIENCE)
        page.wait_for_function("() => true")
        ((who, annotation, _),) = answered(again, name)
        assert who == "anna" and len(annotation.boxes) == 1


def test_why_an_image_was_chosen_without_a_score(waiting_study, person):
    study = waiting_study("full")  # by k_center; one image is drawn for val
    with serving(study) as port:
        page = person(port, "anna")
        page.locator("#queue > summary").click()
        page.locator("#queue-list .queued").first.wait_for()
        for item in study.store.query(1).items:
            row = page.locator("#queue-list .queued", has_text=item.image_id)
            figures = row.locator(".state").inner_text().partition(" · ")[2]
            row.click()
            page.wait_for_function("name => document.querySelector('#image-name').textContent === name", arg=item.image_id)
            why = page.locator("#terms").inner_text().split(), page.locator("#why-none").inner_text()
            if item.split is Split.VAL:
                assert (figures, why) == ("", ([], "No utility: drawn at random, wanted by a person, or opened again."))
            else:
                assert why == (["Utility", figures], "No score: utility is what the strategy ranks by.")
                assert float(figures) == pytest.approx(item.utility, rel=0.01)


def test_names_are_text_and_never_code(waiting_study, person):
    study = waiting_study("full")
    hostile = "<img src=x onerror=document.title='owned'>"
    study.store.put("classes", [hostile, *study.classes[1:]])
    with serving(Study.open(study.folder)) as port:
        page = person(port, "<b>anna</b>")
        draw(page, (0.2, 0.2), (0.6, 0.6))
        page.keyboard.press("1")
        assert page.title() != "owned" and page.locator("img[src=x]").count() == 0
        assert hostile in page.locator("#boxes").inner_text()
