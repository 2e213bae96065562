"""Signed links, on real SQLite and, where there is one, real PostgreSQL: what opens, what does not, what stays in the history."""

import threading
from pathlib import Path

import pytest
from joining import join
from pydantic import ValidationError

from boxwise.boxes import Boxes
from boxwise.errors import StudyError
from boxwise.records import Annotation, ImageRecord, Role
from boxwise.store import Journal, LabellingStore, Store, TeamStore
from boxwise.store.salvage import salvage
from boxwise.study.team import Team
from boxwise.web.requests import PersonBody


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    return f"sqlite:///{tmp_path / 'study.sqlite'}" if request.param == "sqlite" else request.getfixturevalue("empty_postgres")


@pytest.fixture
def store(url):
    made = Store.create(url, {"classes": ["cat"]}, images=[ImageRecord("a.jpg", Path("/a.jpg"), 40, 30)])
    yield made
    made.close()


def test_a_link_says_who_comes_and_as_what(store):
    token = Team(store).invite(" anna ", Role.REVIEWER, who="ben")
    member = Team(store).member(token)
    assert (member.name, member.role) == ("anna", Role.REVIEWER)


def test_another_server_on_the_database_knows_a_link_and_its_end_at_once(store, url):
    other = Store.open(url)
    token = Team(store).invite("anna", Role.LEAD, who="ben")
    assert Team(other).member(token).name == "anna"
    Team(other).revoke("anna", who="ben")
    assert Team(store).member(token) is None and Team(store).members() == {}
    other.close()


@pytest.mark.parametrize("forged", ["", "-", "1", "1-", "1-0", "x-y", "2-{signature}", "1-{signature}0", "1-é"])
def test_what_was_not_signed_opens_nothing(store, forged):
    Team(store).invite("anna", Role.LEAD, who="ben")
    signature = Team(store).invite("zoe", Role.ANNOTATOR, who="ben").partition("-")[2]
    numbers = [member.number for member in Team(store).members().values()]
    assert numbers == [1, 2]
    token = forged.format(signature=signature)
    assert (Team(store).member(token) is None) == (token != f"2-{signature}")


def test_the_link_of_another_study_opens_nothing(store, tmp_path):
    other = Store.create(f"sqlite:///{tmp_path / 'other.sqlite'}", {"classes": ["cat"]})
    Team(store).invite("anna", Role.LEAD, who="ben")
    assert Team(store).member(Team(other).invite("anna", Role.LEAD, who="ben")) is None
    other.close()


def test_a_link_ends_by_time_and_by_a_newer_one(store, monkeypatch):
    team = Team(store)
    first = team.invite("anna", Role.LEAD, who="ben", days=1)
    second = team.invite("anna", Role.ANNOTATOR, who="ben", days=2)
    assert team.member(first) is None and team.member(second).role is Role.ANNOTATOR
    until = team.members()["anna"].until
    monkeypatch.setattr(store, "clock", lambda: until - 1)
    assert team.member(second) is not None
    monkeypatch.setattr(store, "clock", lambda: until)
    assert team.member(second) is None and "anna" in team.members()


def test_links_made_and_revoked_stay_in_the_history_without_the_secret(store):
    team = Team(store)
    token = team.invite("anna", Role.LEAD, who="ben")
    team.revoke("anna", who="zoe")
    events = Journal(store).events()
    assert [(event.kind, event.who, event.body["name"]) for event in events] == [
        ("link made", "ben", "anna"),
        ("link revoked", "zoe", "anna"),
    ]
    assert token.partition("-")[2] not in str(events) and TeamStore(store).secret() not in str(events)


def test_servers_that_make_the_first_link_together_sign_with_one_secret(store):
    tokens = {}

    def invite(name):
        tokens[name] = Team(store).invite(name, Role.ANNOTATOR, who="ben")

    threads = [threading.Thread(target=invite, args=(f"p{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tokens) == 6 and all(Team(store).member(token).name == name for name, token in tokens.items())


@pytest.mark.parametrize(("name", "days"), [("", 1), ("a\nb", 1), ("x" * 101, 1), ("anna", 0), ("anna", float("nan"))])
def test_no_link_for_a_name_that_the_page_refuses_or_for_no_time(store, name, days):
    with pytest.raises(StudyError, match="expected"):
        Team(store).invite(name, Role.LEAD, who="ben", days=days)
    assert Team(store).members() == {}


def test_a_name_without_a_link_cannot_be_revoked(store):
    with pytest.raises(StudyError, match="no link"):
        Team(store).revoke("anna", who="ben")


def test_a_link_outlives_the_repair_of_a_database_without_labels(tmp_path):
    path = tmp_path / "study.sqlite"
    made = Store.create(f"sqlite:///{path}", {"classes": ["cat"]}, images=[ImageRecord("a.jpg", Path("/a.jpg"), 40, 30)])
    token = Team(made).invite("anna", Role.LEAD, who="ben")
    made.close()
    salvage(path)
    again = Store.open(f"sqlite:///{path}")
    assert Team(again).member(token).name == "anna"
    again.close()


def test_whose_labels_an_image_has(store):
    labelling, annotation = LabellingStore(store), Annotation("a.jpg", Boxes.empty(), (), True)
    assert labelling.answerer("a.jpg") is None
    join(store, labels=[annotation])
    assert labelling.answerer("a.jpg") is None
    store.annotate(annotation, [], round_index=0, annotator="anna", seconds=1)
    assert labelling.answerer("a.jpg") == "anna"


@pytest.mark.parametrize("name", ["model", " given "])
def test_nobody_is_called_as_labels_are_that_no_person_gave(store, name):
    with pytest.raises(StudyError, match="kept for labels that no person gave"):
        Team(store).invite(name, Role.REVIEWER, who="ben")
    annotation = Annotation("a.jpg", Boxes.empty(), (), True)
    with pytest.raises(StudyError, match="kept for labels that no person gave"):
        store.annotate(annotation, (), round_index=0, annotator=name.strip(), seconds=1.0)
    with pytest.raises(ValidationError, match="kept for labels that no person gave"):
        PersonBody(annotator=name)
    assert store.annotation("a.jpg") is None and not Team(store).members()
