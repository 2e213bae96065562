"""The lead's table, on SQLite and PostgreSQL, from the command line and on the dashboard: figures worked out by hand."""

import json
from dataclasses import replace

import httpx
import pytest
from driving import HOST, serving
from fastapi.testclient import TestClient
from teams import BOX, NEAR, answer, on_each, server_of, team_study  # noqa: F401 (fixtures)

from boxwise.annotation.class_change import class_change
from boxwise.records import Role
from boxwise.store import TeamStore
from boxwise.web.app import create_app

TOKEN = "a-token-of-some-length"
FAR = replace(BOX, xyxy=(50.0, 50.0, 80.0, 80.0))


def worked(study):
    """anna: 4 images of 10 s, of which one is accepted, one sent back and made again, one overruled. ben: 1 of 30 s, taken."""
    queue = server_of(study)
    twice, *rest = sorted(study.query(0).items, key=lambda item: not item.twice)
    first, second, third = (item.image_id for item in rest)
    study.team.invite("lea", Role.LEAD, who="lea")
    for image_id in (twice.image_id, first, second, third):
        answer(queue, "anna", image_id, BOX)
    answer(queue, "ben", twice.image_id, NEAR, FAR, seconds=30)
    said = {"who": "lea", "round_index": 0, "seconds": 4.0}
    number = {i: study.reviews.answers(i)[-1].number for i in (twice.image_id, first, second)}
    assert study.reviews.accept(first, number[first], **said)
    assert study.reviews.send_back(second, number[second], "no", **said)
    assert study.reviews.take(twice.image_id, number[twice.image_id], **said)
    answer(queue, "anna", second, NEAR, seconds=20)
    return study


def test_what_each_person_has_done(on_each):  # noqa: F811
    study = worked(on_each("labelling.double=0.25", "budget.initial=4"))
    anna, ben, lea = study.team_table()
    assert (anna.name, anna.role, anna.images, anna.seconds, anna.each) == ("anna", None, 4, 60, 15)
    assert (anna.reviewed, anna.accepted, anna.reviews) == (3, pytest.approx(1 / 3), 0)
    assert (ben.name, ben.images, ben.each, ben.reviewed, ben.accepted) == ("ben", 1, 30, 1, 1.0)
    assert (lea.name, lea.role, lea.images, lea.each, lea.accepted, lea.reviews) == ("lea", Role.LEAD, 0, None, None, 4)
    assert anna.agreement == ben.agreement and lea.agreement is None
    assert (anna.agreement.boxes, anna.agreement.matched) == (3, pytest.approx(2 / 3))


def test_the_decisions_of_a_review_are_no_labelling_after_a_change_of_the_classes(on_each):  # noqa: F811
    study = on_each("budget.initial=2")
    for name, role in (("anna", Role.ANNOTATOR), ("rita", Role.REVIEWER)):
        study.team.invite(name, role, who="lea")
    queue, (first, second) = server_of(study), study.ask().image_ids
    answer(queue, "anna", first, BOX)
    answer(queue, "rita", first, FAR, seconds=50)
    answer(queue, "rita", second, BOX, seconds=7)
    before = study.team_table()
    assert [(one.name, one.images, one.seconds, one.reviews) for one in before] == [("anna", 1, 10, 0), ("rita", 1, 7, 1)]
    for change in ({"add": ["fish"]}, {"remove": [study.classes[0]]}, {"remove": [study.classes[1]]}):
        study.change_classes(class_change(study.classes, **change))
        assert study.team_table() == before


def test_the_leads_table_computes_how_far_people_agree_once(team_study, monkeypatch):  # noqa: F811
    read = []
    monkeypatch.setattr(TeamStore, "answered_twice", lambda self: read.append(self) or [])
    app = create_app(server_of(team_study("budget.initial=1")), hosts={"testserver"})
    assert TestClient(app).get("/api/team").status_code == 200 and len(read) == 1


def test_from_the_command_line(team_study, boxwise):  # noqa: F811
    study = worked(team_study("labelling.double=0.25", "budget.initial=4"))
    code, out, _ = boxwise("team", study.folder, "--stats")
    assert code == 0 and all(word in out for word in ("anna", "33.3%", "66.7%", "15.0", "anna – ben"))
    code, out, _ = boxwise("team", study.folder, "--stats", "--json")
    found = json.loads(out)
    assert code == 0 and [one["name"] for one in found["people"]] == ["anna", "ben", "lea"]
    assert found["people"][0]["accepted"] == pytest.approx(1 / 3) and found["agreement"]["all"]["images"] == 1
    code, out, _ = boxwise("team", study.folder, "--json")
    assert code == 0 and [(one["name"], one["role"]) for one in json.loads(out)] == [("lea", "lead")]


def test_nothing_is_divided_where_nothing_was_done(team_study, boxwise):  # noqa: F811
    study = team_study("budget.initial=1")
    assert study.team_table() == []
    code, out, _ = boxwise("team", study.folder, "--stats")
    assert code == 0 and "0 people" in out


def test_who_skipped_what_and_why_is_in_the_history_and_for_leads(team_study, boxwise):  # noqa: F811
    study = team_study("budget.initial=1")
    (image_id,) = study.ask().image_ids
    skipped = {"annotator": "anna", "image_id": image_id, "round": 0, "reason": "too dark"}
    with serving(study, token=TOKEN) as port:
        assert httpx.post(f"http://127.0.0.1:{port}/api/skips", json=skipped, headers={"authorization": f"Bearer {TOKEN}"}).is_success
        for role, seen in ((Role.LEAD, [{"image_id": image_id, "by": "anna", "reason": "too dark"}]), (Role.REVIEWER, [])):
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", follow_redirects=True) as client:
                client.get("/", params={"person": study.team.invite("lea", role, who="lea")})
                assert client.get("/api/dashboard").json()["skipped"] == seen
    assert "skipped by anna: too dark, round 0" in boxwise("history", study.folder, image_id)[1]


def test_in_the_browser_the_lead_sees_it_and_nobody_else(team_study, browsing):  # noqa: F811
    study = worked(team_study("labelling.double=0.25", "budget.initial=4"))
    (skipped, *_), back = study.query(0).image_ids, study.reviews.due("lea")[0]
    server_of(study).skip(skipped, 0, "ben", "<b>too</b> dark")
    study.reviews.send_back(back, study.reviews.answers(back)[0].number, "no", who="lea", round_index=0, seconds=1.0)
    with serving(study, token=TOKEN) as port:
        page = browsing().new_page()
        page.goto(f"http://{HOST}:{port}/dashboard?person={study.team.invite('lea', Role.LEAD, who='lea')}")
        row = page.locator("#team tr", has_text="anna").first
        row.wait_for()
        assert row.locator("td").all_inner_texts() == ["anna", "–", "4", "15.0", "4", "25.0%", "0", "66.7% of 3 boxes"]
        assert page.locator("#to-review").is_visible()
        rows = page.locator("#aside tbody tr")
        assert rows.nth(0).locator("td").all_inner_texts()[:2] == [back, "anna"]
        assert rows.nth(1).locator("td").all_inner_texts() == [skipped, "ben", "<b>too</b> dark"]
        page.locator("#team a", has_text="anna").first.click()
        page.get_by_text("Answers of anna").wait_for()
        page.goto(f"http://{HOST}:{port}/dashboard?person={study.team.invite('rita', Role.REVIEWER, who='lea')}")
        page.locator("#people p").wait_for()
        assert page.locator("#team-section").is_hidden() and page.locator("#to-review").is_visible()
        assert page.locator("#aside tbody tr").count() == 1 and "too" not in page.locator("#aside").inner_text()
        assert page.evaluate("fetch('/api/team').then((reply) => reply.status)") == 403
