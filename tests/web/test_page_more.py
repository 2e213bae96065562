"""The labelling page in a real browser: every way to draw, to answer and to put off, two tabs of one person, and trouble elsewhere."""

from shlex import split
from time import sleep, time

import pytest
from driving import PATIENCE, another, boxes_in_list, drag, hand_in, record_of, saved, seen, serving, shown_image, skip, spot

from boxwise.records import Action, Source
from boxwise.store import LabellingStore
from boxwise.study import Study
from boxwise.web.progress import ProgressFile, write_trouble

NEAR = 1.5  # pixels of the image


def stored(study, image_id):
    """The boxes that were stored for an image, as [label, x1, y1, x2, y2]."""
    (entry,) = study.store.history(image_id)
    annotation = entry.annotation
    return [[label, *box] for label, box in zip(annotation.boxes.labels.tolist(), annotation.boxes.xyxy.tolist(), strict=True)]


def corners(page):
    """The selected box on the screen: x1, y1, x2, y2."""
    box = page.locator("svg.overlay .selected rect.line").bounding_box()
    return box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]


def close(page, study, annotator, keeps=frozenset()):
    """Close the page once it has fetched ahead, and wait until nothing but `keeps` is in its person's hands."""

    def held():
        return {image_id for image_id, lease in LabellingStore(study.store).leases(at=time()).items() if lease.annotator == annotator}

    before = None
    while before != (before := held()):
        sleep(0.5)
    page.close()
    until = time() + PATIENCE / 1000
    while held() != keeps:
        assert time() < until, f"{annotator} still holds images"
        sleep(0.05)


def pull(page, start, by):
    """Drag a point of the screen by some pixels of the screen."""
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] + by[0], start[1] + by[1], steps=4)
    page.mouse.up()


def second_tab(page):
    """Another tab of the same browser, once it has an image."""
    tab = page.context.new_page()
    tab.goto(page.url)
    tab.locator("#editor").wait_for(state="visible")
    return tab


class TestDrawing:
    def test_four_extreme_points_make_the_tight_box(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            record = record_of(study, shown_image(page))
            page.keyboard.press("e")
            for x, y in ((40, 12), (20, 33), (44, 71), (80, 50)):  # the top-most, left-most, bottom-most, right-most point
                page.mouse.click(*spot(page, record, x, y))
            assert boxes_in_list(page).count() == 1
            page.keyboard.press("2")
            assert stored(study, hand_in(page)) == [[1, *(pytest.approx(edge, abs=NEAR) for edge in (20, 12, 80, 71))]]

    def test_escape_forgets_points_that_were_clicked(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            record = record_of(study, shown_image(page))
            page.keyboard.press("e")
            page.mouse.click(*spot(page, record, 5, 5))
            page.keyboard.press("Escape")
            for x, y in ((40, 12), (20, 33), (44, 71), (80, 50)):
                page.mouse.click(*spot(page, record, x, y))
            assert stored(study, hand_in(page))[0][1:] == pytest.approx([20, 12, 80, 71], abs=NEAR)

    def test_zoomed_and_panned_pixels_are_still_the_images(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            record = record_of(study, shown_image(page))
            before = page.locator(".picture").bounding_box()
            page.mouse.move(*spot(page, record, 48, 48))
            page.mouse.wheel(0, -400)
            page.wait_for_function(
                "width => document.querySelector('.picture').getBoundingClientRect().width > 1.5 * width", arg=before["width"]
            )
            assert spot(page, record, 48, 48) == pytest.approx(
                (before["x"] + before["width"] / 2, before["y"] + before["height"] / 2), abs=1
            )
            zoomed = page.locator(".picture").bounding_box()
            page.keyboard.down("Space")
            pull(page, spot(page, record, 48, 48), (60, 35))
            page.keyboard.up("Space")
            panned = page.locator(".picture").bounding_box()
            assert (panned["x"] - zoomed["x"], panned["y"] - zoomed["y"]) == pytest.approx((60, 35), abs=1)
            drag(page, record, (35, 38), (55, 60))
            page.keyboard.press("-")
            page.keyboard.press("0")
            assert page.locator(".picture").bounding_box() == pytest.approx(before, abs=1)
            assert stored(study, hand_in(page))[0][1:] == pytest.approx([35, 38, 55, 60], abs=NEAR)

    def test_handles_resize_the_middle_moves_and_arrows_nudge(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            record = record_of(study, shown_image(page))
            scale = page.locator(".picture").bounding_box()["width"] / record.width
            drag(page, record, (20, 20), (50, 60))
            page.keyboard.press("v")
            x1, y1, x2, y2 = corners(page)
            pull(page, (x2, y2), (12 * scale, -10 * scale))  # the lower right corner: 62, 50
            pull(page, (x1, (y1 + y2) / 2 - 5 * scale), (-6 * scale, 0))  # the left edge: 14
            x1, y1, x2, y2 = corners(page)
            pull(page, ((x1 + x2) / 2, (y1 + y2) / 2), (8 * scale, 5 * scale))  # all of it
            page.keyboard.press("ArrowRight")
            page.keyboard.press("Shift+ArrowDown")
            page.keyboard.press("Alt+ArrowRight")
            assert stored(study, hand_in(page))[0][1:] == pytest.approx([14 + 8 + 1, 20 + 5 + 10, 62 + 8 + 2, 50 + 5 + 10], abs=NEAR)

    def test_a_class_is_found_by_typing(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            record = record_of(study, shown_image(page))
            drag(page, record, (20, 20), (50, 60))
            page.keyboard.press("c")
            page.keyboard.type("ine")
            assert page.locator("#class-options .name").all_inner_texts() == ["nine"]
            page.keyboard.press("Enter")
            boxes_in_list(page).locator(".name", has_text="nine").wait_for()
            assert stored(study, hand_in(page))[0][0] == study.classes.index("nine")


class TestAnswering:
    def test_accept_all_then_nothing_missed(self, waiting_study, person):
        study = waiting_study("review")
        with serving(study) as port:
            page = person(port, "anna")
            while (name := shown_image(page)) not in study.proposals():
                hand_in(page)
            proposals = study.proposals()[name]
            assert page.locator("[data-action=submit]").inner_text().startswith(f"{(~proposals.certain).sum()} open")
            page.keyboard.press("Shift+a")
            assert page.locator("[data-action=submit]").inner_text().startswith("Nothing missed, next")
            page.locator("[data-action=submit]").click()
            another(page, name)
            saved(page)
            (entry,) = study.store.history(name)
            annotation, verdicts = entry.annotation, entry.verdicts
            assert [v.action for v in verdicts] == [Action.KEEP] * (~proposals.certain).sum() and annotation.complete
            assert len(annotation.boxes) == len(proposals.boxes) and annotation.sources.count(Source.MODEL) == proposals.certain.sum()


class TestPuttingOff:
    def test_a_flagged_image_leaves_the_study_with_its_reason(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            name = shown_image(page)
            page.keyboard.press("f")
            page.locator("#reason-dialog input").fill("only <b>fog</b>")
            page.keyboard.press("Enter")
            another(page, name)
            saved(page)
            assert study.quarantined()[name] == "flagged by anna: only <b>fog</b>"
            page.locator("#queue summary").click()
            row = page.locator(".queued", has_text=name)
            row.wait_for()
            assert "flagged" in row.locator(".state").inner_text() and page.locator(".queued.flagged").count() == 1

    def test_a_skipped_image_comes_back_last_and_others_get_it(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            name = skip(page)
            assert LabellingStore(study.store).skipped(1) == {name: {"anna": "I am not sure what I see"}}
            ben = person(port, "ben")
            assert shown_image(ben) == name
            close(ben, study, "ben")
            seen = [hand_in(page) for _ in range(4)]
            assert name not in seen and len(set(seen)) == 4


class TestHolding:
    def test_a_closed_page_leaves_its_images_to_others(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            close(person(port, "ben"), study, "ben")
            anna = person(port, "anna")
            drag(anna, record_of(study, name := shown_image(anna)), (20, 20), (50, 60))
            saved(anna)
            close(anna, study, "anna", keeps={name})

    def test_the_heartbeat_keeps_the_image(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study, lease_seconds=1.5) as port:
            anna = person(port, "anna")
            name = shown_image(anna)
            sleep(4)  # more than two leases
            ben = person(port, "ben")
            assert shown_image(ben) != name
            assert shown_image(anna) == name and not anna.locator("#lost").is_visible()

    def test_two_tabs_of_one_person_have_different_images(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            first = person(port, "anna")
            name = shown_image(first)
            drag(first, record_of(study, name), (20, 20), (50, 60))
            saved(first)
            second = second_tab(first)
            other = shown_image(second)
            assert other != name
            drag(second, record_of(study, other), (10, 10), (30, 30))
            second.locator("#queue summary").click()
            second.locator(".queued", has_text=name).click()
            second.locator("#hint", has_text=f"You have {name} open in another tab.").wait_for()
            second.reload()  # each keeps its own through a reload
            first.reload()
            for page, image_id in ((first, name), (second, other)):
                boxes_in_list(page).first.wait_for()
                assert shown_image(page) == image_id
                hand_in(page)
            assert stored(study, name)[0][1:] == pytest.approx([20, 20, 50, 60], abs=NEAR)
            assert stored(study, other)[0][1:] == pytest.approx([10, 10, 30, 30], abs=NEAR)

    def test_a_tab_stays_its_persons_when_another_gives_a_name_beside_it(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            first = person(port, "dora")
            second = second_tab(first)
            second.locator("#annotator").click()
            second.locator("dialog[open] input").fill("emil")
            with second.expect_navigation():
                second.keyboard.press("Enter")
            second.locator("#editor").wait_for(state="visible")
            first.reload()
            first.locator("#editor").wait_for(state="visible")
            assert [page.locator("#annotator").inner_text() for page in (first, second)] == ["dora", "emil"]
            third = first.context.new_page()
            third.goto(first.url)
            third.locator("#annotator", has_text="emil").wait_for()
            name = hand_in(first)
            assert [entry.annotator for entry in study.history(name)] == ["dora"] and second.locator("#session").inner_text() == ""

    def test_what_a_closed_tab_had_in_hand_comes_back_in_the_next_one(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            first = person(port, "anna")
            name = shown_image(first)
            drag(first, record_of(study, name), (20, 20), (50, 60))
            saved(first)
            first.close()
            second = second_tab(first)
            boxes_in_list(second).first.wait_for()
            assert shown_image(second) == name

    def test_a_copied_tab_has_an_image_of_its_own(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            first = person(port, "anna")
            remembered = first.evaluate("JSON.stringify(sessionStorage)")
            copy = first.context.new_page()
            copy.add_init_script(f"Object.assign(sessionStorage, {remembered})")
            copy.goto(f"http://127.0.0.1:{port}/")
            copy.locator("#editor").wait_for(state="visible")
            assert shown_image(copy) != shown_image(first)


class TestTrouble:
    def test_the_page_says_why_nothing_goes_on_and_that_labels_are_safe(self, waiting_study, person):
        folder = (made := waiting_study("full").folder).rename(made.with_name("my birds"))
        study = Study.open(folder)
        with serving(study, lease_seconds=3) as port:
            page = person(port, "anna")
            alert = page.locator("#trouble[role=alert]")
            assert not alert.is_visible()
            write_trouble(study.folder, "the GPU is <i>out of memory</i>.")
            alert.wait_for(state="visible")  # while somebody still labels, with the next heartbeat
            assert "Training has stopped: the GPU is <i>out of memory</i>." in alert.inner_text()
            assert "All labels are safe" in alert.inner_text()
            assert split(alert.locator("code").inner_text()) == ["boxwise", "run", str(folder.resolve())]
            hand_in(page)
            for _ in range(4):
                seen(page)
                page.keyboard.press("Space")
                saved(page)
            page.locator("#waiting #hint", has_text="handed in without any box. Undo (u)").wait_for()  # the last one, too
            page.locator("#waiting[data-reason=trouble]").wait_for(state="visible")
            assert page.locator("#waiting-title").inner_text() == "Training has stopped" and alert.is_visible()
            ProgressFile(study.folder).step_done()  # somebody has run it again
            alert.wait_for(state="hidden")
            page.locator("#waiting[data-reason=answered]").wait_for(state="visible")


class TestRefused:
    """A letter that the server will never take: the image is none of the study's."""

    KEEP = """async () => {
        const { id } = await (await fetch("/api/study")).json();
        const who = { annotator: "anna", image_id: "<i>gone</i>.jpg", round: 1, key: "key-number-1" };
        const body = { ...who, verdicts: [], complete: true, seconds: 1 };
        const letter = { key: body.key, path: "/api/answers", body, at: 1, refused: "" };
        localStorage.setItem(`boxwise/${id}/letter/${letter.key}`, JSON.stringify(letter));
    }"""
    LETTERS = "Object.keys(localStorage).filter((key) => key.includes('/letter/')).length"

    def with_letter(self, page):
        """Leave such a letter in the browser; the addresses of the answers it sends from now on."""
        sent = []
        page.on("request", lambda request: sent.append(request.url) if request.url.endswith("/api/answers") else None)
        page.evaluate(self.KEEP)
        return sent

    def test_it_is_sent_once_and_kept_until_the_person_decides(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            sent = self.with_letter(page)
            for _ in range(3):
                page.reload()
                page.locator("#editor").wait_for(state="visible")
                page.locator("#refused", has_text="<i>gone</i>.jpg was not taken: <i>gone</i>.jpg: no such image in the study.").wait_for()
            saved(page)
            assert len(sent) == 1 and page.evaluate(self.LETTERS) == 1
            name = hand_in(page)  # what comes after it is taken
            assert len(study.store.history(name)) == 1 and len(sent) == 2

    def test_it_is_sent_again_or_discarded_by_keys(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            sent = self.with_letter(page)
            page.reload()
            page.locator("#refused button").first.wait_for()
            page.locator("#editor").wait_for(state="visible")
            with page.expect_response("**/api/answers"):
                page.locator("#refused button", has_text="Send again").press("Enter")
            page.locator("#refused button", has_text="Discard").wait_for()
            page.locator("#stage").focus()
            page.keyboard.press("F6")
            page.keyboard.press("Shift+Tab")
            assert page.locator("#refused button:focus").inner_text() == "Discard"
            page.keyboard.press("Enter")
            page.locator("#refused").wait_for(state="hidden")
            assert page.locator("#stage:focus").count() == 1 and page.evaluate(self.LETTERS) == 0 and len(sent) == 2
            page.reload()
            page.locator("#editor").wait_for(state="visible")
            saved(page)
            assert not page.locator("#refused").is_visible() and len(sent) == 2


class TestReopening:
    def test_the_dashboards_link_opens_its_image(self, waiting_study, person, browsing):
        study = waiting_study("full")
        last = study.store.query(1).image_ids[-1]
        with serving(study) as port:
            page = person(port, "anna")
            page.goto(f"http://127.0.0.1:{port}/?open={last}")
            page.wait_for_function("name => document.querySelector('#image-name').textContent === name", arg=last)
            assert page.url == f"http://127.0.0.1:{port}/"


def test_a_study_that_is_done_says_so(waiting_study, browsing):
    study = waiting_study("full")
    study.store.put("position", [1, "done"])
    with serving(Study.open(study.folder)) as port:
        page = browsing().new_page()
        page.goto(f"http://127.0.0.1:{port}/?open=nowhere.jpg")
        page.locator("dialog[open] input").fill("anna")
        page.keyboard.press("Enter")
        page.locator("#hint", has_text="nowhere.jpg: no such image in the study.").wait_for()
        page.locator("#waiting[data-reason=done]").wait_for(state="visible")
