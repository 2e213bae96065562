"""What a person has done is kept and counts once: letters of others, images that come twice, pictures that do not come, and absences."""

from time import time

import httpx
from driving import boxes_in_list, drag, hand_in, record_of, saved, seen, serving, shown_image, skip

from boxwise.records import Role

TOKEN = "a-token-of-some-length"


def post(port, path, **body):
    return httpx.post(f"http://127.0.0.1:{port}/api/{path}", json=body)


def opened(browsing, port, name="anna", prepare=lambda page: None):
    """The page of somebody, which has not shown an image yet."""
    page = browsing().new_page()
    prepare(page)
    page.goto(f"http://127.0.0.1:{port}/")
    page.locator("dialog[open] input").fill(name)
    page.keyboard.press("Enter")
    page.locator("#editor").wait_for(state="visible")
    return page


class TestLetters:
    def letter(self, page, image_id, refused=""):
        """What ben could not send, in this browser."""
        page.evaluate(
            """async ([image_id, refused]) => {
                const { id } = await (await fetch("/api/study")).json();
                const body = { annotator: "ben", image_id, round: 1, key: `key-of-${image_id}`, verdicts: [], complete: true, seconds: 1 };
                const letter = { key: body.key, path: "/api/answers", body, at: 1, refused };
                localStorage.setItem(`boxwise/${id}/letter/${letter.key}`, JSON.stringify(letter));
            }""",
            [image_id, refused],
        )

    def test_what_another_person_could_not_send_waits_for_them_and_is_sent_by_itself(self, waiting_study, browsing):
        study = waiting_study("full")
        anna, ben = (study.team.invite(name, Role.ANNOTATOR, who="lead") for name in ("anna", "ben"))
        of_ben = study.ask().image_ids[-2:]
        with serving(study, token=TOKEN) as port:
            page = browsing().new_page()
            page.goto(f"http://127.0.0.1:{port}/?person={anna}")
            page.locator("#editor").wait_for(state="visible")
            self.letter(page, of_ben[0])
            self.letter(page, of_ben[1], refused="this is the link of anna: expected their name, and no other.")  # as by an older page
            page.reload()
            page.locator("#editor").wait_for(state="visible")
            name = hand_in(page)
            assert len(study.history(name)) == 1 and study.history(of_ben[0]) == [] and not page.locator("#refused").is_visible()
            other = page.context.new_page()
            other.goto(f"http://127.0.0.1:{port}/?person={ben}")
            while not all(study.history(image_id) for image_id in of_ben):
                other.wait_for_timeout(50)
            assert [[entry.annotator for entry in study.history(image_id)] for image_id in of_ben] == [["ben"], ["ben"]]
            assert not other.locator("#refused").is_visible()
            name = shown_image(page)  # of anna, in whose browser the link of ben is open now
            page.keyboard.press("Space")
            page.locator("#saved", has_text="Signed out: open the link again; kept here").wait_for()
            other.goto(f"http://127.0.0.1:{port}/?person={anna}")
            page.evaluate("window.dispatchEvent(new Event('online'))")  # rather than after the pause
            saved(page)
            assert [entry.annotator for entry in study.history(name)] == ["anna"] and not page.locator("#refused").is_visible()


class TestTwice:
    def test_an_image_opened_from_the_list_while_it_is_fetched_ahead_does_not_come_again(self, waiting_study, browsing):
        study = waiting_study("full")
        name, held = study.ask().image_ids[1], []

        def hold(page):
            page.route(f"**/images/{name}", lambda route: held.append(route) if not held else route.continue_())

        with serving(study) as port:
            page = opened(browsing, port, prepare=hold)
            while not held:
                page.wait_for_timeout(50)
            page.locator("#queue summary").click()
            with page.expect_response("**/api/open"):
                page.locator(".queued", has_text=name).click()
            held[0].continue_()
            page.wait_for_function("name => document.querySelector('#image-name').textContent === name", arg=name)
            seen(page)
            drag(page, record_of(study, name), (10, 10), (40, 40))
            page.unroute(f"**/images/{name}")
            assert hand_in(page) == name
            while not page.locator("#waiting").is_visible():
                hand_in(page)
            assert [len(study.history(image_id)) for image_id in study.query(1).image_ids] == [1] * 5
            assert len(study.annotation(name).boxes) == 1


class TestPictures:
    def test_a_picture_that_the_network_lost_comes_later_and_is_not_handed_in_before(self, waiting_study, browsing):
        study = waiting_study("full")
        with serving(study) as port:
            page = opened(browsing, port, prepare=lambda page: page.route("**/images/**", lambda route: route.abort()))
            name = shown_image(page)
            page.locator(".picture.broken", has_text="The picture has not come yet").wait_for()
            page.wait_for_timeout(600)
            page.keyboard.press("Space")
            page.locator("#hint", has_text="The picture has not come yet").wait_for()
            assert study.history(name) == [] and shown_image(page) == name
            page.unroute("**/images/**")
            seen(page)
            assert page.locator(".picture img").evaluate("image => image.naturalWidth") == record_of(study, name).width
            assert hand_in(page) == name and len(study.history(name)) == 1

    def test_a_picture_that_is_none_is_flagged_or_skipped_and_not_handed_in(self, waiting_study, browsing):
        study = waiting_study("full")

        def spoil(page):
            page.route(f"**/images/{name}", lambda route: route.fulfill(body=b"no image", content_type="image/png"))

        name = study.ask().image_ids[0]
        with serving(study) as port:
            page = opened(browsing, port, prepare=spoil)
            page.locator(".picture.broken", has_text="The browser cannot show this picture").wait_for()
            page.wait_for_timeout(600)
            page.keyboard.press("Space")
            page.locator("#hint", has_text="The browser cannot show this picture").wait_for()
            assert study.history(name) == []
            skip(page)
            hand_in(page)
            assert study.history(name) == []


class TestOvertaken:
    def test_a_draft_of_labels_that_another_has_given_meanwhile_becomes_a_late_answer(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            page = person(port, "anna")
            name, address = shown_image(page), page.url
            drag(page, record_of(study, name), (10, 10), (40, 40))
            saved(page)
            page.goto("about:blank")
            study.labelling.release([name], "anna")  # as after a night
            assert post(port, "open", annotator="ben", image_id=name).status_code == 200
            boxes = [{"action": "add", "xyxy": [1, 1, 20, 20], "label": 1}, {"action": "add", "xyxy": [30, 30, 60, 60], "label": 2}]
            body = {"annotator": "ben", "image_id": name, "round": 1, "key": "key-of-ben", "complete": True, "seconds": 9}
            assert post(port, "answers", **body, verdicts=boxes).json()["late"] is False
            for _ in range(2):  # a second reload changes nothing
                page.goto(address)
                page.locator("#lost").wait_for(state="visible")
                seen(page)
                assert shown_image(page) == name and boxes_in_list(page).count() == 1
            page.keyboard.press("Space")
            page.locator("#hint", has_text=f"{name} came late").wait_for()
            assert [(entry.annotator, entry.late) for entry in study.history(name)] == [("ben", False), ("anna", True)]
            assert study.labelling.answerer(name) == "ben" and len(study.annotation(name).boxes) == 2

    def test_a_correction_of_anothers_labels_that_was_begun_with_them_is_none(self, waiting_study, person):
        study = waiting_study("full")
        with serving(study) as port:
            name = study.ask().image_ids[0]
            post(port, "open", annotator="ben", image_id=name)
            post(port, "answers", annotator="ben", image_id=name, round=1, key="key-of-ben", verdicts=[], complete=True, seconds=9)
            page = person(port, "anna")
            page.goto(f"{page.url}?open={name}")
            page.wait_for_function("name => document.querySelector('#image-name').textContent === name", arg=name)
            drag(page, record_of(study, name), (10, 10), (40, 40))
            saved(page)
            page.reload()
            boxes_in_list(page).first.wait_for()
            assert shown_image(page) == name and not page.locator("#lost").is_visible()
            hand_in(page)
            assert study.labelling.answerer(name) == "anna"

    def test_who_pauses_over_anothers_labels_still_has_them_in_hand(self, waiting_study, browsing):
        study = waiting_study("full")
        with serving(study, lease_seconds=1) as port:
            name = study.ask().image_ids[0]
            post(port, "open", annotator="ben", image_id=name)
            post(port, "answers", annotator="ben", image_id=name, round=1, key="key-of-ben", verdicts=[], complete=True, seconds=9)
            page = opened(browsing, port, prepare=lambda page: page.clock.install())
            page.locator("#queue summary").click()
            page.locator(".queued", has_text=name).click()
            page.wait_for_function("name => document.querySelector('#image-name').textContent === name", arg=name)
            seen(page)
            page.clock.fast_forward(130_000)
            while name in study.labelling.leases(at=time()):
                page.wait_for_timeout(50)
            with page.expect_response("**/api/renew") as renewed:
                page.mouse.move(410, 410)
            assert renewed.value.json()["lost"] == [] and not page.locator("#lost").is_visible()
            hand_in(page)
            assert study.labelling.answerer(name) == "anna"


def look(page, seconds):
    """Move the mouse every fifteen seconds; the page's clock is the test's."""
    for step in range(seconds // 15):
        page.mouse.move(400 + step % 2, 400)
        page.clock.fast_forward(15_000)
    page.mouse.move(400, 410)


class TestTime:
    def test_all_that_was_spent_on_an_image_counts_however_it_was_left(self, waiting_study, browsing):
        study = waiting_study("full")

        def go_to(image_id):
            page.locator("#queue .queued", has_text=image_id).click()
            page.wait_for_function("name => document.querySelector('#image-name').textContent === name", arg=image_id)
            seen(page)

        with serving(study) as port:
            page = opened(browsing, port, prepare=lambda page: page.clock.install())
            sent = []
            kept = ("/answers", "/skips")
            page.on("request", lambda request: sent.append(request.post_data_json) if request.url.endswith(kept) else None)
            seen(page)
            name, other = shown_image(page), study.ask().image_ids[-1]
            page.locator("#queue summary").click()
            page.locator("#queue .queued").first.wait_for()  # a request under way would end with its time, which `look` lets pass at once
            look(page, 45)
            go_to(other)  # without a gesture
            go_to(name)
            drag(page, record_of(study, name), (10, 10), (40, 40))
            look(page, 30)
            go_to(other)
            go_to(name)
            look(page, 30)
            page.reload()
            seen(page)
            page.clock.fast_forward(15_000)  # they look before they do anything
            assert hand_in(page) == name and boxes_in_list(page).count() == 0
            assert 120 <= sent[0]["seconds"] < 140
            skipped = shown_image(page)
            look(page, 45)
            skip(page)
            assert 45 <= sent[1]["seconds"] < 60
            page.keyboard.press("u")  # its seconds are stored, and count
            page.wait_for_function("name => document.querySelector('#image-name').textContent === name", arg=skipped)
            assert hand_in(page) == skipped and sent[2]["seconds"] < 15
            page.reload()
            seen(page)
            page.clock.fast_forward(15_000)
            put_off = shown_image(page)
            page.locator("#queue summary").click()
            drag(page, record_of(study, put_off), (10, 10), (40, 40))
            skip(page)
            assert 15 <= sent[3]["seconds"] < 30
            go_to(put_off)
            assert hand_in(page) == put_off and sent[4]["seconds"] < 10 and sent[4]["verdicts"][0]["seconds"] == 0
            assert abs(study.people()["anna"].seconds - sum(one["seconds"] for one in sent)) < 0.01

    def test_seconds_before_another_window_or_out_of_sight_are_not_charged(self, waiting_study, browsing):
        study = waiting_study("full")
        with serving(study) as port:
            page = opened(browsing, port, prepare=lambda page: page.clock.install())
            beside = page.context.new_page()
            beside.goto(page.url)
            beside.locator("#editor").wait_for(state="visible")
            sent = []
            page.on("request", lambda request: sent.append(request.post_data_json) if request.url.endswith("answers") else None)
            seen(page)
            drag(page, record_of(study, shown_image(page)), (10, 10), (40, 40))
            saved(page)
            beside.mouse.move(400, 400)
            beside.wait_for_timeout(100)
            page.clock.fast_forward(60_000)  # at the other window
            page.add_init_script("Object.defineProperty(document, 'hidden', { get: () => !window.shown })")
            page.reload()
            seen(page)
            page.clock.fast_forward(60_000)  # loaded where nobody sees it
            page.evaluate("window.shown = true")
            hand_in(page)
            assert sent[0]["seconds"] < 15

    def test_what_is_taken_back_is_charged_once(self, waiting_study, browsing):
        study = waiting_study("full")
        with serving(study) as port:
            page = opened(browsing, port, prepare=lambda page: page.clock.install())
            sent = []
            page.on("request", lambda request: sent.append(request.post_data_json) if request.url.endswith("/api/answers") else None)
            seen(page)
            name = shown_image(page)
            page.mouse.move(400, 400)
            page.clock.fast_forward(15_000)
            drag(page, record_of(study, name), (10, 10), (40, 40))
            hand_in(page)
            page.keyboard.press("u")
            page.wait_for_function("name => document.querySelector('#image-name').textContent === name", arg=name)
            seen(page)
            assert boxes_in_list(page).count() == 1
            hand_in(page)
            first, second = sent
            assert first["seconds"] > 15 and first["verdicts"][0]["seconds"] > 14
            assert second["seconds"] < 10 and second["verdicts"][0]["seconds"] == 0

    def test_nobody_keeps_an_image_that_nobody_looks_at(self, waiting_study, browsing):
        study = waiting_study("full")

        def leases():
            return {image_id: lease.until for image_id, lease in study.labelling.leases(at=time()).items()}

        with serving(study) as port:
            page = opened(browsing, port, prepare=lambda page: page.clock.install())
            seen(page)
            name = shown_image(page)
            while len(leases()) < 4:
                page.wait_for_timeout(50)
            before = leases()[name]
            page.mouse.move(400, 400)
            page.clock.fast_forward(100_000)
            while leases()[name] == before:  # somebody was here a hundred seconds ago
                page.wait_for_timeout(50)
            before = leases()[name]
            with page.expect_response("**/api/release"):
                page.clock.fast_forward(100_000)
            page.wait_for_timeout(300)
            assert leases() == {name: before}
            with page.expect_response("**/api/renew"):
                page.mouse.move(410, 410)
            assert leases()[name] > before
