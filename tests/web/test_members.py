"""People who come by links of their own, over a real server and in a real browser: under their name alone, as far as their role goes."""

from contextlib import contextmanager

import httpx
import pytest
from driving import HOST, enter, hand_in, seen, serving

from boxwise.records import Role, Split
from boxwise.web.dashboard import Dashboard

TOKEN = "a-token-of-some-length"


@pytest.fixture
def study(waiting_study):
    return waiting_study("full")


@contextmanager
def coming(port, *, path="/", **query):
    """A client that has opened a link."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", follow_redirects=True) as client:
        client.get(path, params=query)
        yield client


def link_of(study, name, role):
    return study.team.invite(name, role, who="lead")


def answer(client, name, image_id, *, key="key-number-1", round_index=1, **more):
    body = {"annotator": name, "image_id": image_id, "round": round_index, "key": key, "verdicts": [], "complete": True, "seconds": 1.0}
    return client.post("/api/answers", json=body | more)


def test_a_link_opens_the_guarded_page_and_leaves_no_token_in_the_address(study):
    with serving(study, token=TOKEN) as port, coming(port) as stranger:
        assert stranger.get("/api/study").status_code == 401
        entered = stranger.get("/?person=" + link_of(study, "anna", Role.ANNOTATOR) + "&open=a")
        assert str(entered.url).endswith("/?open=a") and entered.status_code == 200
        assert stranger.get("/api/study").json()["member"] == {"name": "anna", "role": "annotator"}


def test_under_their_own_name_alone(study):
    with serving(study, token=TOKEN) as port, coming(port, person=link_of(study, "anna", Role.ANNOTATOR)) as anna:
        image_id = anna.post("/api/next", json={"annotator": "anna"}).json()["task"]["image_id"]
        for path, body in [("next", {}), ("open", {"image_id": image_id}), ("renew", {"image_ids": [image_id]})]:
            assert anna.post(f"/api/{path}", json={"annotator": "ben", **body}).status_code == 403
        refused = answer(anna, "ben", image_id)
        assert refused.status_code == 403 and "anna" in refused.json()["error"] and study.store.history(image_id) == []
        assert anna.post("/api/next", json=["anna"]).status_code == 403
        assert answer(anna, "anna", image_id).status_code == 200


def test_annotators_open_no_image_that_another_person_has_answered(study):
    with serving(study, token=TOKEN) as port:
        with coming(port, person=link_of(study, "anna", Role.ANNOTATOR)) as anna:
            image_id = anna.post("/api/next", json={"annotator": "anna"}).json()["task"]["image_id"]
            answer(anna, "anna", image_id)
            assert anna.post("/api/open", json={"annotator": "anna", "image_id": image_id}).status_code == 200
            anna.post("/api/release", json={"annotator": "anna", "image_ids": [image_id]})
        with coming(port, person=link_of(study, "ben", Role.ANNOTATOR)) as ben:
            refused = ben.post("/api/open", json={"annotator": "ben", "image_id": image_id})
            assert refused.status_code == 403 and "anna has answered it" in refused.json()["error"]
            assert ben.post("/api/renew", json={"annotator": "ben", "image_ids": [image_id]}).json()["lost"] == [image_id]
        with coming(port, person=link_of(study, "rita", Role.REVIEWER)) as rita:
            assert rita.post("/api/open", json={"annotator": "rita", "image_id": image_id}).status_code == 200
            assert answer(rita, "rita", image_id, key="key-number-2").json()["late"] is False
            assert study.labelling.answerer(image_id) == "rita"


def test_annotators_change_no_labels_that_another_person_gave_in_an_earlier_round(study):
    image_id = study.query(0).image_ids[0]
    assert study.labelling.answerer(image_id) == "simulated"
    with serving(study, token=TOKEN) as port, coming(port, person=link_of(study, "anna", Role.ANNOTATOR)) as anna:
        assert anna.post("/api/renew", json={"annotator": "anna", "image_ids": [image_id]}).json()["lost"] == [image_id]
        for number in (1, 0):  # as an answer of now, and as one of the round that asked
            answer(anna, "anna", image_id, key=f"key-number-{number}", round_index=number)
        assert study.labelling.answerer(image_id) == "simulated"
        assert [entry.late for entry in study.history(image_id)] == [False, True]


def test_a_correction_that_is_stored_and_was_corrected_since_may_come_again(study):
    image_id = study.query(0).image_ids[0]
    study.tell(image_id, (), annotator="anna")
    begun_on = study.history(image_id)[-1].number
    with serving(study, token=TOKEN) as port, coming(port, person=link_of(study, "anna", Role.ANNOTATOR)) as anna:
        first = answer(anna, "anna", image_id, begun_on=begun_on).json()
        with coming(port, person=link_of(study, "rita", Role.REVIEWER)) as rita:
            begun_on = rita.post("/api/open", json={"annotator": "rita", "image_id": image_id}).json()["task"]["begun_on"]
            answer(rita, "rita", image_id, key="key-number-2", begun_on=begun_on)
        assert answer(anna, "anna", image_id).json() == first and first["late"] is False
        assert answer(anna, "anna", image_id, key="key-number-3").status_code == 403


def test_annotators_take_no_image_out_of_use_that_is_none_of_theirs(study):
    asked, answered = study.unanswered().image_ids[0], study.query(0).image_ids[0]
    tested = next(image.image_id for image in study.images() if image.split is Split.TEST)

    def flag(client, name, image_id, path="skips", **more):
        body = {"annotator": name, "image_id": image_id} | ({"round": 1, "reason": "blurred", "flag": True} if path == "skips" else {})
        return client.post(f"/api/{path}", json=body | more).status_code

    with serving(study, token=TOKEN) as port, coming(port, person=link_of(study, "anna", Role.ANNOTATOR)) as anna:
        assert [flag(anna, "anna", image_id) for image_id in (answered, tested, asked)] == [403, 403, 200]
        assert flag(anna, "anna", answered, round=0) == 403  # as if by a page of the round that asked
        assert study.quarantined().keys() == {asked}
        with coming(port, person=link_of(study, "rita", Role.REVIEWER)) as rita:
            assert [flag(rita, "rita", image_id) for image_id in (answered, tested)] == [200, 200]
        assert [flag(anna, "anna", image_id, "unflags") for image_id in (answered, tested, asked)] == [403, 403, 200]
        assert study.quarantined().keys() == {answered, tested}


def test_annotators_take_no_image_out_of_use_that_only_an_earlier_round_asked_about(study):
    image_id = study.query(0).image_ids[0]
    study.unlabel([image_id])
    body = {"annotator": "anna", "image_id": image_id, "round": 0, "reason": "blurred", "flag": True}
    with serving(study, token=TOKEN) as port, coming(port, person=link_of(study, "anna", Role.ANNOTATOR)) as anna:
        assert anna.post("/api/skips", json=body).status_code == 403
        assert study.quarantined() == {}


@pytest.mark.parametrize(("role", "seen_by"), [("annotator", []), ("reviewer", [{"doubt": "unseen"}])])
def test_what_is_doubted_of_anothers_labels_is_for_those_who_may_see_them(study, monkeypatch, role, seen_by):
    monkeypatch.setattr(Dashboard, "doubts", lambda _self, _image_id: [{"doubt": "unseen"}])  # a real one takes a trained model
    answered, waiting = study.query(0).image_ids[0], study.unanswered().image_ids[0]
    with serving(study, token=TOKEN) as port, coming(port, person=link_of(study, "anna", Role(role))) as anna:
        assert anna.get(f"/api/doubts/{answered}").json() == seen_by
        assert anna.get(f"/api/doubts/{waiting}").json() == [{"doubt": "unseen"}]


@pytest.mark.parametrize(("role", "status", "sees_people"), [("annotator", 403, None), ("reviewer", 200, False), ("lead", 200, True)])
def test_what_each_role_sees_of_the_dashboard(study, role, status, sees_people):
    with serving(study, token=TOKEN) as port, coming(port, person=link_of(study, "anna", Role(role))) as anna:
        assert anna.get("/dashboard").status_code == status
        reply = anna.get("/api/dashboard")
        assert reply.status_code == status
        assert anna.get("/pool").status_code == anna.get("/api/pool").status_code == status
        flag = {"act": "flag", "image_ids": [study.images()[0].image_id], "reason": "blurred"}
        assert anna.post("/api/pool/acts", json=flag | {"annotator": "ben"}).status_code == 403
        assert anna.post("/api/pool/acts", json=flag | {"annotator": "anna"}).status_code == status
        assert status == 403 or (reply.json()["labour"]["people"] is not None) is sees_people


def test_a_name_that_is_searched_for_is_no_link(study):
    by = {image_id for image_id, given in study.labelled_by().items() if given.annotator == "simulated"}
    with serving(study, token=TOKEN) as port:
        for link, name in (({"token": TOKEN}, None), ({"person": link_of(study, "rita", Role.REVIEWER)}, "rita")):
            with coming(port, **link) as client:
                reply = client.get("/api/pool/images", params={"person": "simulated"})
                assert reply.status_code == 200 and by and set(reply.json()["ids"]) == by
                assert (client.get("/api/study").json()["member"] or {"name": None})["name"] == name


def test_a_revoked_link_ends_at_once_and_the_shared_one_stays(study):
    with serving(study, token=TOKEN) as port, coming(port, person=link_of(study, "anna", Role.LEAD)) as anna:
        assert anna.get("/api/study").status_code == 200
        study.team.revoke("anna", who="lead")
        assert anna.get("/api/study").status_code == 401
        assert anna.get("/", params={"token": TOKEN}).status_code == 200
        assert anna.get("/api/study").json()["member"] is None
        assert anna.post("/api/next", json={"annotator": "whoever"}).json()["task"] is not None


def test_a_forged_link_is_refused_also_where_no_token_is_asked_for(study):
    with serving(study) as port, coming(port) as client:
        assert client.get("/", params={"person": "1-abc"}).status_code == 401
        assert client.get("/api/study").json()["member"] is None


def test_the_shared_link_opened_later_is_the_shared_link(study):
    with serving(study, token=TOKEN) as port, coming(port, person=link_of(study, "anna", Role.ANNOTATOR)) as client:
        client.get("/", params={"token": TOKEN})
        assert client.get("/api/study").json()["member"] is None and client.get("/dashboard").status_code == 200


def test_in_the_browser_a_link_asks_for_no_name_and_offers_what_the_role_may(study, browsing):
    with serving(study, token=TOKEN) as port:
        page = browsing().new_page()
        page.goto(f"http://127.0.0.1:{port}/?person={link_of(study, 'anna', Role.ANNOTATOR)}")
        page.locator("#editor").wait_for(state="visible")
        seen(page)
        shown = page.locator("#annotator")
        assert shown.inner_text() == "anna · annotator" and shown.is_disabled()
        assert page.locator("header a[href='/dashboard']").is_hidden() and page.url == f"http://127.0.0.1:{port}/"
        assert study.labelling.answerer(hand_in(page)) == "anna"
        lead = browsing().new_page()
        lead.goto(f"http://127.0.0.1:{port}/?person={link_of(study, 'lea', Role.LEAD)}")
        lead.get_by_text("lea · lead").wait_for()
        assert lead.locator("header a[href='/dashboard']").is_visible()


def test_in_the_browser_the_reviewers_dashboard_keeps_people_to_the_lead(study, browsing):
    with serving(study, token=TOKEN) as port:
        page = browsing().new_page()
        page.goto(f"http://{HOST}:{port}/?token={TOKEN}")
        enter(page, "anna")
        hand_in(page)
        page.goto(f"http://{HOST}:{port}/dashboard?person={link_of(study, 'rita', Role.REVIEWER)}")
        page.locator("#people p").wait_for()
        assert page.locator("#people").inner_text() == "What each person has done is for the lead."


def test_while_the_studys_database_is_away_a_person_is_told_so_and_sends_again(study):
    waiting = study.unanswered().image_ids[0]
    here, away = study.folder / "study.sqlite", study.folder / "away"
    with serving(study, token=TOKEN) as port, coming(port, person=link_of(study, "anna", Role.ANNOTATOR)) as anna:
        here.rename(away)
        reply = answer(anna, "anna", waiting)
        assert reply.status_code == 503 and "expected the study's database, found no such file" in reply.json()["error"]
        assert "content-security-policy" in reply.headers
        away.rename(here)
        assert answer(anna, "anna", waiting).status_code == 200
