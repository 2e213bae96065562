"""Of what a draft is: of the boxes that were shown, and of one study; it comes back for these and for no others."""

import shutil
from dataclasses import replace

from driving import another, boxes_in_list, drag, record_of, saved, seen, serving, shown_image, to_questions

from boxwise.annotation.class_change import class_change
from boxwise.artifacts.box_tables import read_proposals, write_proposals
from boxwise.study import Study

HINT = "Your unfinished work on {} was for other boxes or classes"


def begun(page, study):
    """Draw a box on an image with questions, and leave it so; the image."""
    name, _ = to_questions(page, study)
    seen(page)
    drag(page, record_of(study, name), (2, 2), (30, 30))
    saved(page)
    return name


def drawn(page):
    return page.locator("#boxes .word", has_text="drawn").count()


def asked_anew(study, name):
    """The study, opened again, where the boxes of an image are others under the same ids."""
    path = study.files(1).proposals
    proposals = read_proposals(path, {})
    boxes = proposals[name].boxes
    proposals[name] = replace(proposals[name], boxes=replace(boxes, xyxy=boxes.xyxy * 0.5))
    write_proposals(path, proposals.values())
    return Study.open(study.folder)


def test_a_draft_is_taken_for_the_boxes_that_it_was_made_for_and_for_no_others_of_the_same_ids(waiting_study, person):
    study = waiting_study("review")
    with serving(study) as port:
        page = person(port, "anna")
        name = begun(page, study)
        page.reload()
        seen(page)
        assert shown_image(page) == name and drawn(page) == 1
        study = asked_anew(study, name)
    with serving(study, port):
        page.reload()
        seen(page)
        assert shown_image(page) == name and drawn(page) == 0 and boxes_in_list(page).count() > 0
        page.locator("#hint", has_text=HINT.format(name)).wait_for()
        drag(page, record_of(study, name), (2, 2), (30, 30))  # what is begun now counts
        saved(page)
        page.reload()
        seen(page)
        assert drawn(page) == 1 and not page.locator("#hint").is_visible()


def elsewhere(page, port, study, name):
    """Goes to the image of a study that is served where another was; how many drawn boxes are on it."""
    study.labelling.drop_draft(name, 1, "anna")
    study.labelling.release(study.ask().image_ids, "anna")
    page.goto(f"http://127.0.0.1:{port}/?open={name}")
    seen(page)
    assert shown_image(page) == name
    return drawn(page)


def test_a_copy_of_a_study_gets_nothing_of_what_a_browser_kept_and_a_study_that_was_moved_all(waiting_study, person, tmp_path):
    study = waiting_study("review")
    with serving(study) as port:
        page = person(port, "anna")
        name = begun(page, study)
    page.goto("about:blank")
    study.store.close()
    copy = Study.open(shutil.copytree(study.folder, tmp_path / "copy"))
    with serving(copy, port):
        assert elsewhere(page, port, copy, name) == 0
    page.goto("about:blank")
    moved = Study.open(study.folder.rename(tmp_path / "moved"))
    with serving(moved, port):
        assert elsewhere(page, port, moved, name) == 1


def test_a_study_made_anew_in_the_same_folder_gets_nothing_that_a_browser_kept_of_the_one_before(waiting_study, person):
    study = waiting_study("review")
    with serving(study) as port:
        page = person(port, "anna")
        name = begun(page, study)
        study.labelling.drop_draft(name, 1, "anna")
        study.store.put("id", "another")
    with serving(study, port):
        study.labelling.release(study.ask().image_ids, "anna")
        page.goto(f"http://127.0.0.1:{port}/?open={name}")
        seen(page)
        assert shown_image(page) == name and drawn(page) == 0


def test_an_answer_that_waited_offline_hits_no_boxes_that_are_asked_anew_under_its_ids_and_is_put_on_them_to_be_looked_at(
    waiting_study, person
):
    study = waiting_study("review")
    with serving(study) as port:
        page = person(port, "anna")
        name = begun(page, study)
        page.keyboard.press("Shift+A")
        accepted = page.locator("#boxes .word", has_text="accepted").count()
        saved(page)
        page.context.set_offline(True)
        page.keyboard.press("Space")
        another(page, name)
        page.locator("#saved[data-state=offline]").wait_for(state="attached")
    study = asked_anew(study, name)
    with serving(study, port):
        page.context.set_offline(False)
        page.locator("#refused", has_text=f"{name} was not taken: {name}: other boxes are asked about by now").wait_for()
        assert study.history(name) == [] and page.locator("#refused button", has_text="Send again").count() == 0
        page.reload()
        page.locator("#refused button", has_text="Open it with my boxes").click()
        page.locator("#hint", has_text=f"What you had said of {name} is on the boxes of now").wait_for()
        page.locator("#refused").wait_for(state="hidden")
        seen(page)
        boxes = study.proposals()[name].boxes
        assert shown_image(page) == name and accepted > 0 and drawn(page) == 1 + accepted
        assert boxes_in_list(page).count() == len(boxes) + 1 + accepted
        saved(page)
        page.keyboard.press("Space")  # the questions of now are open
        page.keyboard.press("Shift+Space")
        another(page, name)
        saved(page)
        assert page.evaluate("Object.keys(localStorage).filter((key) => key.includes('/letter/')).length") == 0
    (entry,) = study.history(name)
    assert sum(not by_model for by_model in entry.annotation.by_model) == 1 + accepted


def test_an_answer_that_is_taken_up_is_of_the_classes_of_now_and_stays_while_a_box_of_it_finds_no_place(waiting_study, person):
    study = waiting_study("review")
    first, second, third, *_ = study.classes
    with serving(study) as port:
        page = person(port, "anna")
        name, _ = to_questions(page, study)
        seen(page)
        page.keyboard.press("d")  # a drag draws, also where a box is
        for label, edge in enumerate((2, 22, 42)):
            page.keyboard.press("Escape")
            page.keyboard.press(str(label + 1))
            drag(page, record_of(study, name), (edge, 2), (edge + 16, 18))
        saved(page)
        page.context.set_offline(True)
        page.keyboard.press("Space")
        page.keyboard.press("Shift+Space")
        another(page, name)
        page.locator("#saved[data-state=offline]").wait_for(state="attached")
    study.labelling.release(study.ask().image_ids, "anna")
    study.labelling.drop_draft(name, 1, "anna")
    study.change_classes(class_change(study.classes, rename={first: second, second: first}))
    study.change_classes(class_change(study.classes, remove=[third]))
    with serving(Study.open(study.folder), port):
        page.context.set_offline(False)
        page.locator("#refused", has_text=f"{name} was not taken").wait_for()
        page.reload()
        for _ in range(2):
            page.locator("#refused button", has_text="Open it with my boxes").click()
            page.locator("#hint", has_text="since their class is gone: 1.").wait_for()
            own = page.locator("#boxes [role=option]", has_text="drawn").all_inner_texts()
            assert [text.removesuffix("drawn").strip() for text in own] == [second, first] and page.locator("#refused").is_visible()
            page.wait_for_function(
                "Object.keys(localStorage).some((k) => k.includes('/letter/') && JSON.parse(localStorage[k]).document.seconds === 0)"
            )
        page.locator("#refused button", has_text="Discard").click()
        page.locator("#refused").wait_for(state="hidden")
