"""Reviews over two servers on SQLite and PostgreSQL, over HTTP by role, and in a real browser: accepted, corrected, sent back, decided."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest
import sqlalchemy as sa
from driving import HOST, boxes_in_list, drag, hand_in, record_of, seen, serving, shown_image
from teams import BOX, NEAR, OTHER, answer, boxes, on_each, server_of, team_study  # noqa: F401 (fixtures)

from boxwise.annotation.class_change import class_change
from boxwise.errors import BoxwiseError
from boxwise.records import Phase, Role, Split
from boxwise.store import Member, ReviewStore, Store
from boxwise.store.schema import EVENTS
from boxwise.web.answers import Answer
from boxwise.web.keeping import KEPT_SECONDS
from boxwise.web.members import may_open
from boxwise.web.tasks import task_to_json

TOKEN = "a-token-of-some-length"
COMPOSING = """(place) => document.querySelector(place).dispatchEvent(
    new KeyboardEvent("keydown", { key: "Enter", code: "Enter", isComposing: true, bubbles: true, cancelable: true }))"""
SAID = {"who": "rita", "round_index": 0, "seconds": 2.0}


def number_of(study, image_id, name):
    return next(one.number for one in study.reviews.answers(image_id) if one.annotator == name)


def test_what_others_handed_in_is_due_until_it_is_accepted(on_each):  # noqa: F811
    study = on_each("budget.initial=2")
    here, there = server_of(study), server_of(study)
    first, second = study.ask().image_ids
    answer(here, "anna", first, BOX)
    answer(here, "rita", second, BOX)
    assert there.study.reviews.due("rita") == [first] and study.reviews.due("anna") == [second]
    number = number_of(study, first, "anna")
    assert study.reviews.accept(first, number, **SAID | {"who": "anna"}) is False  # nobody judges an answer of their own
    assert there.study.reviews.accept(first, number, **SAID) is True
    assert study.reviews.due("rita") == [] and study.reviews.accept(first, number, **SAID | {"who": "lea"}) is False
    event = study.events(first)[-1]
    assert (event.kind, event.who, event.body) == ("accepted", "rita", {"annotator": "anna", "seconds": 2.0})
    answer(here, "anna", first, NEAR)
    assert study.reviews.due("rita") == [first]  # another answer is another matter


def test_what_is_sent_back_is_not_trained_on_and_comes_back_to_its_person_first(on_each):  # noqa: F811
    study = on_each("budget.initial=3")
    here, there = server_of(study), server_of(study)
    first, second, third = study.ask().image_ids
    for image_id in (first, second):
        answer(here, "anna", image_id, BOX, OTHER)
    assert there.study.reviews.send_back(second, number_of(study, second, "anna"), "the cat is missing", **SAID) is True
    assert study.waiting(0) == {second, third} and second not in study.annotations(Split.TRAIN) and study.annotation(second) is None
    assert there.next("ben").record.image_id == third and here.next("anna").record.image_id == second
    there.release([third], "ben")
    answer(there, "ben", third)
    assert there.next("ben") == "others" and study.step() is Phase.ANNOTATE
    task = task_to_json(here.next("anna"))
    assert task["remark"] == {"by": "rita", "words": "the cat is missing"} and len(task["labels"]) == 2
    answer(here, "anna", second, BOX)
    assert study.reviews.sent_back() == {} and study.waiting(0) == frozenset() and study.step() is not Phase.ANNOTATE
    assert [entry.late for entry in study.history(second)] == [True, False]
    assert study.events(second)[-1].body["remark"] == "the cat is missing"


def test_what_is_due_is_found_at_once_however_many_images_two_people_labelled(team_study):  # noqa: F811
    study, said = team_study("labelling.double=1", "budget.initial=3"), []
    queue, asked = server_of(study), study.ask().image_ids
    for image_id in asked:
        answer(queue, "anna", image_id, BOX)
        answer(queue, "ben", image_id, NEAR)
    sa.event.listen(study.store.engine, "before_cursor_execute", lambda *given: said.append(given[2]))
    assert study.reviews.due("rita", of="anna") == list(asked) and study.reviews.due("ben") == []
    assert len([one for one in said if one.startswith("SELECT")]) == 4


def test_one_who_skips_what_was_sent_back_gets_it_after_the_rest(team_study):  # noqa: F811
    study = team_study("budget.initial=2")
    queue, (first, second) = server_of(study), study.ask().image_ids
    answer(queue, "anna", second, BOX)
    study.reviews.send_back(second, number_of(study, second, "anna"), "no", **SAID)
    queue.skip(second, 0, "anna", "later")
    assert queue.next("anna").record.image_id == first
    answer(queue, "anna", first)
    assert queue.next("anna").record.image_id == second


def test_after_a_day_it_is_for_all_and_a_withdrawn_answer_leaves_it_sent_back(team_study):  # noqa: F811
    study = team_study("budget.initial=1")
    queue, (image_id,) = server_of(study), study.ask().image_ids
    answer(queue, "anna", image_id, BOX)
    study.reviews.send_back(image_id, number_of(study, image_id, "anna"), "look again", **SAID)
    assert queue.kept_for(image_id) == "anna" and queue.next("ben") == "others"
    answer(queue, "anna", image_id, NEAR)
    assert queue.kept_for(image_id) is None
    queue.withdraw(f"anna on {image_id} after 1", image_id, 0, "anna")
    queue.release([image_id], "anna")
    assert queue.kept_for(image_id) == "anna"
    clock = queue.clock
    queue.clock = lambda: clock() + KEPT_SECONDS
    assert queue.kept_for(image_id) is None and queue.next("ben").record.image_id == image_id


def test_what_was_sent_back_by_a_clock_that_was_ahead_is_for_all_once_it_is_right(team_study):  # noqa: F811
    study = team_study("budget.initial=1")
    queue, (image_id,) = server_of(study), study.ask().image_ids
    answer(queue, "anna", image_id, BOX)
    study.reviews.send_back(image_id, number_of(study, image_id, "anna"), "look again", **SAID)
    clock = queue.clock
    queue.clock = lambda: clock() - 60  # a machine whose clock is a little behind
    assert queue.kept_for(image_id) == "anna"
    queue.clock = lambda: clock() - 400 * KEPT_SECONDS
    assert queue.kept_for(image_id) is None and queue.next("ben").record.image_id == image_id


@pytest.mark.parametrize("days", [1, 1e-7], ids=["revoked", "expired"])
def test_what_was_sent_back_to_somebody_whose_link_has_ended_is_for_all_at_once(team_study, boxwise, days):  # noqa: F811
    study = team_study("budget.initial=1")
    queue, (image_id,) = server_of(study), study.ask().image_ids
    study.team.invite("anna", Role.ANNOTATOR, who="lea", days=days)
    answer(queue, "anna", image_id, BOX)
    study.reviews.send_back(image_id, number_of(study, image_id, "anna"), "look again", **SAID)
    if days == 1:
        assert queue.kept_for(image_id) == "anna"
        study.team.revoke("anna", who="lea")
    assert queue.kept_for(image_id) is None and queue.next("ben").record.image_id == image_id
    assert f"{image_id} (to anna, whose link has ended, since" in boxwise("status", study.folder)[1].replace("\n", " ")


def test_what_was_imported_and_sent_back_is_for_all_at_once(on_each, boxwise):  # noqa: F811
    study = on_each("budget.initial=3")
    queue, (first, second, third) = server_of(study), study.ask().image_ids
    for image_id, name in ((first, "imp"), (second, "ben"), (third, "human")):
        study.tell_all({image_id: boxes(BOX)}, annotator=name)
    study.team.invite("ben", Role.ANNOTATOR, who="lea")
    for image_id, name in ((first, "imp"), (second, "ben"), (third, "human")):
        study.reviews.send_back(image_id, number_of(study, image_id, name), "look again", **SAID)
    assert [queue.kept_for(image_id) for image_id in (first, second, third)] == [None, "ben", None]  # ben can come
    assert queue.next("zoe").record.image_id == first
    said = boxwise("status", study.folder)[1].replace("\n", " ")
    assert f"{first} (to imp, whose labels were imported, since" in said and f"{second} (to ben, since" in said
    back = json.loads(boxwise("status", study.folder, "--json")[1])["sent_back"]
    assert {one["image_id"]: one["imported"] for one in back} == {first: True, second: False, third: True}
    study.team.revoke("ben", who="lea")
    assert queue.kept_for(second) is None
    answer(queue, "zoe", first, NEAR)
    study.reviews.send_back(first, number_of(study, first, "zoe"), "and again", **SAID)
    assert queue.kept_for(first) == "zoe"  # who answered on the page can come without a link


def test_after_a_day_an_answer_of_an_earlier_round_is_for_all_too(team_study, boxwise):  # noqa: F811
    study = team_study("budget.initial=1")
    queue, (image_id,) = server_of(study), study.ask().image_ids
    answer(queue, "anna", image_id, BOX)
    study.store.put("position", [1, "annotate"])  # a round that asks about nothing
    study.reviews.send_back(image_id, number_of(study, image_id, "anna"), "too wide", **SAID | {"round_index": 1})
    assert queue.next("ben") == "answered"
    with study.store.engine.begin() as connection:
        connection.execute(EVENTS.update().where(EVENTS.c.image_id == image_id).values(at="2020-01-01T00:00:00.000+00:00"))
    for phase in ("annotate", "train", "done"):
        study.store.put("position", [1, phase])
        assert queue.next("ben").record.image_id == image_id
        assert queue.next("zoe") == {"annotate": "answered", "train": "training", "done": "done"}[phase]
        queue.release([image_id], "ben")
    (back,) = json.loads(boxwise("status", study.folder, "--json")[1])["sent_back"]
    assert (back["image_id"], back["to"]) == (image_id, "anna")
    assert f"1 image is sent back and unanswered: {image_id} (to anna, since {back['since'][:16]})." in boxwise("status", study.folder)[1]
    with serving(study, token=TOKEN) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", follow_redirects=True) as ben:
        ben.get("/", params={"person": study.team.invite("ben", Role.ANNOTATOR, who="lea")})
        task = ben.post("/api/next", json={"annotator": "ben"}).json()["task"]
        assert task["image_id"] == image_id and task["remark"]["words"] == "too wide" and len(task["labels"]) == 1
        assert ben.post("/api/renew", json={"annotator": "ben", "image_ids": [image_id]}).json()["lost"] == []
        body = {"annotator": "ben", "image_id": image_id, "round": 1, "key": "key-of-ben", "verdicts": [], "complete": True, "seconds": 1.0}
        assert ben.post("/api/answers", json=body).json()["late"] is False
    assert study.reviews.sent_back() == {} and study.labelling.answerer(image_id) == "ben"


def test_an_answer_of_an_earlier_round_is_sent_back_with_its_boxes_to_be_mended(waiting_study):
    study = waiting_study("full")
    queue, image_id = server_of(study), next(item.image_id for item in study.query(0).items if item.split is Split.TRAIN)
    (given,) = study.reviews.answers(image_id)
    assert study.reviews.send_back(image_id, given.number, "too wide", **SAID | {"round_index": 1})
    assert image_id not in study.annotations(Split.TRAIN)
    task = queue.next("simulated")
    assert task.record.image_id == image_id and len(task.labels.boxes) == len(given.annotation.boxes) > 0
    answer(queue, "simulated", image_id, BOX)
    assert image_id in study.annotations(Split.TRAIN)


def test_where_boxes_were_asked_the_boxes_of_before_count_again(waiting_study):
    study = waiting_study("boxes")
    queue = server_of(study)
    item = next(item for item in study.unanswered().items if item.box_ids)
    queue.answer(Answer("key-of-zoe", "zoe", item.image_id, 0, (), True, 1.0))
    queue.answer(Answer("key-of-anna", "anna", item.image_id, 1, (), True, 1.0))
    study.reviews.send_back(item.image_id, number_of(study, item.image_id, "anna"), "answer them", **SAID | {"round_index": 1})
    assert study.labelling.answerer(item.image_id) == "zoe" and item.image_id in study.waiting(1)
    study.store.put("position", [2, "train"])  # what it has is another's, and anna is to answer it all the same
    anna, ben = (Member(number, name, Role.ANNOTATOR, 0.0) for number, name in enumerate(("anna", "ben")))
    assert may_open(anna, queue, item.image_id) and not may_open(ben, queue, item.image_id)


def test_older_labels_in_changed_classes_are_no_answer_to_what_was_sent_back(waiting_study):
    study = waiting_study("boxes")
    queue, item = server_of(study), next(item for item in study.unanswered().items if item.box_ids)
    queue.answer(Answer("key-of-zoe", "zoe", item.image_id, 0, (BOX,), True, 1.0))
    queue.answer(Answer("key-of-anna", "anna", item.image_id, 1, (), True, 1.0))
    study.reviews.send_back(item.image_id, number_of(study, item.image_id, "anna"), "answer them", **SAID | {"round_index": 1})
    before = study.annotation(item.image_id).boxes.labels.tolist()
    study.change_classes(class_change(study.classes, remove=[study.classes[0]]))
    assert study.annotation(item.image_id).boxes.labels.tolist() != before
    assert study.reviews.sent_back()[item.image_id].remark == "answer them"


def test_a_reviewer_who_corrects_gives_the_verdict_by_it(on_each):  # noqa: F811
    study = on_each("budget.initial=2")
    queue, (first, second) = server_of(study), study.ask().image_ids
    study.team.invite("rita", Role.REVIEWER, who="lea")
    for image_id in (first, second):
        answer(queue, "anna", image_id, BOX)
    answer(queue, "rita", first, NEAR)
    answer(queue, "rita", second, BOX)
    kinds = [[(event.kind, event.body["annotator"]) for event in study.events(image_id)] for image_id in (first, second)]
    assert kinds == [[("corrected", "anna"), ("settled in review", "rita")], [("accepted", "anna"), ("settled in review", "rita")]]
    assert study.reviews.due("lea") == [] and study.labelling.answerer(first) == "rita"


def test_a_correction_that_is_taken_back_is_no_verdict(on_each):  # noqa: F811
    study = on_each("budget.initial=1")
    queue, (image_id,) = server_of(study), study.ask().image_ids
    study.team.invite("rita", Role.REVIEWER, who="lea")
    answer(queue, "anna", image_id, BOX)
    answer(queue, "rita", image_id, NEAR)
    queue.withdraw(f"rita on {image_id} after 1", image_id, 0, "rita")
    queue.release([image_id], "rita")
    assert study.reviews.due("lea") == [image_id] == study.reviews.due("rita") and study.labelling.answerer(image_id) == "anna"
    given = {one.name: (one.reviewed, one.reviews) for one in study.team_table()}
    assert given["anna"] == given["rita"] == (0, 0)
    assert {one.name: one.seconds for one in study.team_table()} == {"anna": 10.0, "rita": 10.0}  # what is no verdict was labelling
    assert [event.kind for event in study.events(image_id)] == ["corrected", "settled in review", *["verdict taken back"] * 2]
    answer(queue, "rita", image_id, BOX)
    given = {one.name: (one.reviewed, one.accepted, one.reviews) for one in study.team_table()}
    assert study.reviews.due("lea") == [] and given["anna"] == (1, 1.0, 0) and given["rita"][2] == 1


def test_an_accepted_answer_that_is_taken_back_leaves_the_verdicts_before_it(team_study):  # noqa: F811
    study = team_study("budget.initial=1")
    queue, (image_id,) = server_of(study), study.ask().image_ids
    study.team.invite("rita", Role.REVIEWER, who="lea")
    answer(queue, "anna", image_id, BOX)
    study.reviews.accept(image_id, number_of(study, image_id, "anna"), **SAID)
    answer(queue, "anna", image_id, NEAR)
    study.reviews.accept(image_id, number_of(study, image_id, "anna"), **SAID)
    queue.withdraw(f"anna on {image_id} after 1", image_id, 0, "anna")
    assert [event.kind for event in study.events(image_id)] == ["accepted", "accepted"] and study.reviews.due("lea") == []


def as_imported(study, image_id):
    study.tell_all({image_id: boxes(BOX)}, annotator="anna")


def after_a_lapse(study, image_id):
    answer_of("anna", server_of(study), image_id)


def answer_of(name, queue, image_id, *, judges=None):
    """Hand an image in that is open already, or that somebody else has."""
    assert queue.answer(Answer(f"key of {name}", name, image_id, 0, (NEAR,), True, 10.0, judges=judges)) is False


@pytest.mark.parametrize("come", [as_imported, after_a_lapse])
def test_an_answer_that_came_while_a_reviewer_labelled_is_not_judged_by_theirs(on_each, come):  # noqa: F811
    study = on_each("budget.initial=1")
    queue, (image_id,) = server_of(study), study.ask().image_ids
    study.team.invite("rita", Role.REVIEWER, who="lea")
    begun_on = queue.open(image_id, "rita").begun_on
    come(study, image_id)
    answer_of("rita", queue, image_id, judges=begun_on)
    assert study.events(image_id) == [] and study.reviews.due("lea") == [image_id] and study.labelling.answerer(image_id) == "rita"
    rita = next(one for one in study.team_table() if one.name == "rita")
    assert (rita.images, rita.seconds, rita.reviews) == (1, 10.0, 0)


@pytest.mark.parametrize(
    ("role", "says", "kinds"),
    [(Role.ANNOTATOR, True, []), (Role.REVIEWER, True, ["corrected", "settled in review"]), (Role.REVIEWER, False, [])],
    ids=["annotator", "reviewer", "page of before"],
)
def test_whose_correction_is_a_verdict(team_study, role, says, kinds):  # noqa: F811
    study = team_study("budget.initial=1")
    queue, (image_id,) = server_of(study), study.ask().image_ids
    answer(queue, "anna", image_id, BOX)
    body = {"annotator": "zoe", "image_id": image_id, "round": 0, "key": "key-of-zoe", "verdicts": [], "complete": True, "seconds": 1.0}
    begun_on = queue.open(image_id, "zoe").begun_on
    with serving(study, token=TOKEN) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", follow_redirects=True) as zoe:
        zoe.get("/", params={"person": study.team.invite("zoe", role, who="lea")})
        assert zoe.post("/api/answers", json=body | ({"begun_on": begun_on} if says else {})).json()["late"] is False
    assert [event.kind for event in study.events(image_id)] == kinds and study.labelling.answerer(image_id) == "zoe"


def test_without_a_team_a_correction_is_a_correction_as_ever(team_study):  # noqa: F811
    study = team_study("budget.initial=1")
    queue, (image_id,) = server_of(study), study.ask().image_ids
    answer(queue, "anna", image_id, BOX)
    answer(queue, "ben", image_id, NEAR)
    assert study.events() == []


class TestDeciding:
    @pytest.fixture
    def decided(self, on_each):  # noqa: F811
        """A study in which anna and ben have labelled the one image, and two servers of it."""
        study = on_each("labelling.double=1", "budget.initial=1")
        here, there = server_of(study), server_of(study)
        (image_id,) = study.ask().image_ids
        answer(here, "anna", image_id, BOX)
        assert study.reviews.due("rita") == [] and study.reviews.answers(image_id) == []
        answer(there, "ben", image_id, NEAR, OTHER)
        return study, here, there, image_id

    def test_the_one_that_is_taken_counts(self, decided):
        study, here, there, image_id = decided
        assert study.reviews.due("rita") == [image_id] and study.reviews.due("anna") == study.reviews.due("ben") == []
        assert [one.annotator for one in study.reviews.answers(image_id)] == ["anna", "ben"]
        number = number_of(study, image_id, "anna")
        assert study.reviews.accept(image_id, number, **SAID) is False  # one of two is taken, not accepted
        assert study.reviews.take(image_id, number, **SAID | {"who": "ben"}) is False
        with ThreadPoolExecutor(2) as at_once:  # two reviewers on two servers
            judges = [(here.study.reviews, number, "rita"), (there.study.reviews, number_of(study, image_id, "ben"), "lea")]
            done = list(at_once.map(lambda judge: judge[0].take(image_id, judge[1], **SAID | {"who": judge[2]}), judges))
        assert sorted(done) == [False, True]
        who, boxes = ("rita", [[1, 2, 30, 40]]) if done[0] else ("lea", [[1, 2, 30, 38], [1, 2, 31, 40]])
        assert study.annotation(image_id).boxes.xyxy.tolist() == boxes and study.labelling.answerer(image_id) == who
        assert study.reviews.due("zoe") == [] and study.agreement().every.images == 1
        assert sorted(event.kind for event in study.events(image_id)) == ["accepted", "overruled", "settled in review"]

    def test_neither_is_right(self, decided):
        study, here, _, image_id = decided
        study.team.invite("rita", Role.REVIEWER, who="lea")
        answer(here, "rita", image_id, OTHER)
        assert [event.kind for event in study.events(image_id)] == ["overruled", "overruled", "settled in review"]
        assert study.annotation(image_id).boxes.labels.tolist() == [5] and study.reviews.due("lea") == []
        here.withdraw(f"rita on {image_id} after 2", image_id, 0, "rita")
        assert study.reviews.due("lea") == [image_id] and [one.annotator for one in study.reviews.answers(image_id)] == ["anna", "ben"]

    def test_what_one_of_them_corrects_is_what_is_shown_and_taken(self, decided):
        study, here, there, image_id = decided
        seen_before = [one.number for one in study.reviews.answers(image_id)]
        answer(here, "anna", image_id, BOX, OTHER)
        shown = study.reviews.answers(image_id)
        assert [(one.annotator, len(one.annotation.boxes)) for one in shown] == [("anna", 2), ("ben", 2)]
        assert study.reviews.due("lea", of="anna") == [image_id] and study.agreement().every.boxes == 3  # as each gave it alone
        assert there.study.reviews.take(image_id, seen_before[1], beside=seen_before[0], **SAID) is False
        assert there.study.reviews.take(image_id, shown[0].number, beside=shown[1].number, **SAID) is True
        assert study.annotation(image_id).boxes.labels.tolist() == [3, 5] and study.reviews.due("lea") == []

    def test_what_a_third_decides_without_a_team_is_what_is_reviewed(self, decided):
        study, here, there, image_id = decided
        answer(here, "rita", image_id, OTHER)
        assert study.reviews.due("rita") == [] and study.reviews.due("lea") == study.reviews.due("lea", of="rita") == [image_id]
        (given,) = there.study.reviews.answers(image_id)
        assert given.annotator == "rita" and study.reviews.due("lea", of="anna") == []
        assert there.study.reviews.take(image_id, given.number - 1, **SAID | {"who": "lea"}) is False
        assert (
            there.study.reviews.send_back(image_id, given.number, "no", **SAID | {"who": "lea"}) is False
        )  # nor with it what both gave alone
        assert there.study.reviews.accept(image_id, given.number, **SAID | {"who": "lea"}) is True
        assert study.labelling.answerer(image_id) == "rita" and study.reviews.due("zoe") == []

    def test_one_of_the_two_does_not_decide_by_correcting(self, decided):
        study, here, _, image_id = decided
        study.team.invite("anna", Role.REVIEWER, who="lea")
        answer(here, "anna", image_id, BOX)
        assert study.events(image_id) == [] and study.reviews.due("lea") == [image_id] and study.reviews.due("anna") == []
        assert {one.name: (one.reviewed, one.reviews) for one in study.team_table()} == {"anna": (0, 0), "ben": (0, 0)}


@pytest.mark.parametrize(
    "change", [lambda classes: {"add": ["new"]}, lambda classes: {"rename": {classes[3]: "new"}}], ids=["add", "rename"]
)
def test_what_was_sent_back_keeps_its_boxes_where_labels_mean_the_same(team_study, change):  # noqa: F811
    study = team_study("budget.initial=1")
    queue, (image_id,) = server_of(study), study.ask().image_ids
    answer(queue, "anna", image_id, BOX, OTHER)
    study.reviews.send_back(image_id, number_of(study, image_id, "anna"), "a cat is missing", **SAID)
    queue.release([image_id], "anna")
    study.change_classes(class_change(study.classes, **change(study.classes)))
    assert server_of(study).open(image_id, "anna").labels.boxes.labels.tolist() == [3, 5]


def test_a_review_stays_with_the_answer_when_classes_change(team_study):  # noqa: F811
    study = team_study("budget.initial=2")
    queue, (first, second) = server_of(study), study.ask().image_ids
    for image_id in (first, second):
        answer(queue, "anna", image_id, BOX)
    study.reviews.accept(first, number_of(study, first, "anna"), **SAID)
    study.reviews.send_back(second, number_of(study, second, "anna"), "no", **SAID)
    study.change_classes(class_change(study.classes, merge={study.classes[3]: study.classes[0], study.classes[0]: study.classes[0]}))
    assert study.annotation(first).boxes.labels.tolist() == [0]
    assert study.reviews.due("rita") == [] and study.reviews.sent_back()[second].answer is None


@pytest.mark.parametrize(("role", "status"), [(Role.ANNOTATOR, 403), (Role.REVIEWER, 200), (Role.LEAD, 200)])
def test_who_may_review(team_study, role, status):  # noqa: F811
    study = team_study("budget.initial=2")
    queue, (image_id, other) = server_of(study), study.ask().image_ids
    for one in (image_id, other):
        answer(queue, "anna", one, BOX)
    body = {"annotator": "zoe", "image_id": image_id, "number": number_of(study, image_id, "anna"), "verdict": "accept"}
    with serving(study, token=TOKEN) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", follow_redirects=True) as zoe:
        zoe.get("/", params={"person": study.team.invite("zoe", role, who="lea")})
        assert zoe.get("/review").status_code == status
        found = zoe.get("/api/review", params={"annotator": "zoe"})
        refused = zoe.post("/api/reviews", json=body | {"annotator": "rita"})
        assert found.status_code == status and refused.status_code == 403 and "zoe" in refused.json()["error"]
        assert zoe.post("/api/reviews", json=body).status_code == status
        if status == 403:
            assert "this is for reviewers and leads" in found.json()["error"] and len(study.reviews.due("lea")) == 2
            return
        assert found.json()["item"]["answers"][0]["annotator"] == "anna" and zoe.post("/api/reviews", json=body).status_code == 409
        assert zoe.post("/api/reviews", json=body | {"image_id": "none.png"}).status_code == 404
        back = body | {"image_id": other, "number": number_of(study, other, "anna"), "verdict": "send back"}
        assert zoe.post("/api/reviews", json=back).status_code == 422 and study.waiting(0) == frozenset()
        assert zoe.post("/api/reviews", json=back | {"remark": "no"}).json() == {"left": 0} and study.waiting(0) == {other}


def test_an_image_that_was_sent_back_is_not_opened_by_another_annotator(team_study):  # noqa: F811
    study = team_study("budget.initial=1")
    queue, (image_id,) = server_of(study), study.ask().image_ids
    answer(queue, "anna", image_id, BOX)
    study.reviews.send_back(image_id, number_of(study, image_id, "anna"), "no", **SAID)
    with serving(study, token=TOKEN) as port:
        for name, role, status in [("ben", Role.ANNOTATOR, 403), ("anna", Role.ANNOTATOR, 200), ("rita", Role.REVIEWER, 409)]:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", follow_redirects=True) as client:
                client.get("/", params={"person": study.team.invite(name, role, who="lea")})
                reply = client.post("/api/open", json={"annotator": name, "image_id": image_id})
                assert reply.status_code == status and (status == 200 or "anna" in reply.json()["error"])


def test_a_kill_between_review_and_answer_leaves_it_sent_back(on_each):  # noqa: F811
    """What is acknowledged is in the database: a store that is opened anew says the same."""
    study = on_each("budget.initial=1")
    queue, (image_id,) = server_of(study), study.ask().image_ids
    answer(queue, "anna", image_id, BOX)
    study.reviews.send_back(image_id, number_of(study, image_id, "anna"), "no", **SAID)
    anew = Store.open(study.store.engine.url)
    assert ReviewStore(anew).sent_back()[image_id].to == "anna" and anew.annotation(image_id) is None
    anew.close()


def test_the_remark_is_in_the_history_of_the_image(team_study, boxwise):  # noqa: F811
    study = team_study("budget.initial=1")
    queue, (image_id,) = server_of(study), study.ask().image_ids
    answer(queue, "anna", image_id, BOX)
    study.reviews.send_back(image_id, number_of(study, image_id, "anna"), "the cat is missing", **SAID)
    assert "sent back by rita: the cat is missing, round 0, 2 s" in boxwise("history", study.folder, image_id)[1]


def test_unknown_images_are_refused(team_study):  # noqa: F811
    with pytest.raises(BoxwiseError, match="not in the study"):
        team_study("budget.initial=1").reviews.accept("none.png", 1, **SAID)


def test_in_the_browser_a_reviewer_sends_back_and_the_annotator_sees_why(team_study, browsing):  # noqa: F811
    study = team_study("budget.initial=2")
    with serving(study, token=TOKEN) as port:

        def come(name, role, path=""):
            page = browsing().new_page()
            page.goto(f"http://{HOST}:{port}/{path}?person={study.team.invite(name, role, who='lea')}")
            return page

        anna = come("anna", Role.ANNOTATOR)
        seen(anna)
        assert anna.locator("#to-review").is_hidden()
        drag(anna, record_of(study, shown_image(anna)), (10, 10), (50, 50))
        first = hand_in(anna)
        rita = come("rita", Role.REVIEWER, "review")
        rita.locator("#item").wait_for()
        assert rita.locator("#image").inner_text() == first and rita.locator("#answers rect:not(.behind)").count() >= 1
        rita.keyboard.press("s")
        rita.get_by_text("Say why in a remark first").wait_for()
        rita.keyboard.type("<b>the cat</b> is missing")
        rita.keyboard.press("Enter")
        rita.get_by_text("Nothing is to be reviewed now.").wait_for()
        hand_in(anna)
        anna.locator("#remark").get_by_text("Sent back by rita: <b>the cat</b> is missing").wait_for()
        seen(anna)
        assert shown_image(anna) == first and boxes_in_list(anna).count() == 1
        anna.keyboard.press("Space")
        anna.get_by_text("The batch is done").wait_for()
        for left in ("1", "Nothing"):
            rita.reload()
            rita.locator("#item").wait_for()
            rita.keyboard.press("a")
            rita.get_by_text("To be reviewed: 1" if left == "1" else "Nothing is to be reviewed now.").wait_for()
        assert study.reviews.due("rita") == [] and len(study.annotations(Split.TRAIN)) == 2


def test_in_the_browser_a_reviewer_corrects_and_one_who_labelled_meanwhile_does_not(team_study, browsing):  # noqa: F811
    study = team_study("budget.initial=2")
    queue, (first, second) = server_of(study), study.ask().image_ids
    answer(queue, "anna", first, BOX)
    with serving(study, token=TOKEN) as port:
        page = browsing().new_page()
        page.goto(f"http://{HOST}:{port}/?person={study.team.invite('rita', Role.REVIEWER, who='lea')}&open={first}")
        seen(page)
        drag(page, record_of(study, first), (10, 10), (50, 50))
        assert hand_in(page) == first and shown_image(page) == second
        answer_of("anna", queue, second)
        seen(page)
        page.keyboard.press("Space")
        page.get_by_text("The batch is done").wait_for()
    assert [event.kind for event in study.events(first)] == ["corrected", "settled in review"]
    assert study.events(second) == [] and study.reviews.due("lea") == [second]


def test_a_reviewer_may_look_at_the_answers_of_one_person(on_each):  # noqa: F811
    study = on_each("labelling.double=0.25", "budget.initial=4")
    queue, (twice, *rest) = server_of(study), sorted(study.query(0).items, key=lambda item: not item.twice)
    for name, item in zip(("anna", "ben", "anna", "ben", "zoe"), (twice, twice, *rest), strict=True):
        answer(queue, name, item.image_id, BOX)
    one, two, three = (item.image_id for item in rest)
    assert study.reviews.due("rita", of="anna") == [twice.image_id, one] and study.reviews.due("rita", of="ben") == [twice.image_id, two]
    assert (
        study.reviews.due("rita", of="zoe") == [three] and study.reviews.due("anna", of="anna") == study.reviews.due("rita", of="lea") == []
    )
    with serving(study) as port:
        found = httpx.get(f"http://127.0.0.1:{port}/api/review", params={"annotator": "rita", "of": "zoe"}).json()
        assert (found["left"], found["item"]["image_id"]) == (1, three)


def as_rita(browsing, port):
    """The review's page in the browser of one who has said her name before."""
    context = browsing()
    context.add_init_script("try { localStorage.setItem('boxwise/annotator', JSON.stringify('rita')); } catch {}")
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{port}/review")
    return page


def test_in_the_browser_enter_of_an_input_method_sends_nothing_back(team_study, browsing):  # noqa: F811
    study = team_study("budget.initial=1")
    queue, (image_id,) = server_of(study), study.ask().image_ids
    answer(queue, "anna", image_id, BOX)
    with serving(study) as port:
        page = as_rita(browsing, port)
        page.locator("#item").wait_for()
        page.locator("#remark").fill("猫")
        sent = []
        page.on("request", lambda request: sent.append(request.method))
        page.evaluate(COMPOSING, "#remark")
        page.evaluate("fetch('/api/study').then((reply) => reply.status)")  # what was sent before is known by then
        assert sent == ["GET"] and study.reviews.sent_back() == {}
        page.locator("#remark").press("Enter")
        page.get_by_text("Nothing is to be reviewed now.").wait_for()
        assert study.reviews.sent_back()[image_id].remark == "猫"


def test_in_the_browser_answers_are_shown_under_the_classes_of_now(team_study, browsing):  # noqa: F811
    study = team_study("budget.initial=2")
    queue, (first, second) = server_of(study), study.ask().image_ids
    for image_id in (first, second):
        answer(queue, "anna", image_id, BOX)
    with serving(study) as port:
        page = as_rita(browsing, port)
        page.locator("#answers figure").get_by_text(f"{study.classes[3]}: 1").wait_for()
        study.change_classes(class_change(study.classes, rename={study.classes[3]: "anew"}))
        page.keyboard.press("n")
        page.locator("#answers figure").get_by_text("anew: 1").wait_for()


def test_in_the_browser_a_review_is_by_the_name_that_the_page_shows_and_its_first_look_counts(team_study, browsing):  # noqa: F811
    study = team_study("budget.initial=1")
    queue, (image_id,) = server_of(study), study.ask().image_ids
    answer(queue, "anna", image_id, BOX)
    with serving(study) as port:
        page = as_rita(browsing, port)
        page.locator("#annotator", has_text="rita").wait_for()
        page.once("dialog", lambda dialog: dialog.accept("zoe"))
        with page.expect_navigation():
            page.locator("#annotator").click()
        page.locator("#item").wait_for()
        assert page.locator("#annotator").inner_text() == "zoe"
        page.wait_for_timeout(300)
        page.keyboard.press("a")
        page.get_by_text("Nothing is to be reviewed now.").wait_for()
        review = study.events(image_id)[-1]
        assert (review.kind, review.who) == ("accepted", "zoe") and 0.3 <= review.body["seconds"] < 10


def test_in_the_browser_two_answers_stand_side_by_side_and_one_is_taken(team_study, browsing):  # noqa: F811
    study = team_study("labelling.double=1", "budget.initial=1")
    queue, (image_id,) = server_of(study), study.ask().image_ids
    answer(queue, "anna", image_id, BOX)
    answer(queue, "ben", image_id, NEAR, replace(OTHER, xyxy=(50.0, 50.0, 80.0, 80.0)))
    with serving(study, token=TOKEN) as port:
        page = browsing().new_page()
        page.goto(f"http://{HOST}:{port}/review?person={study.team.invite('lea', Role.LEAD, who='lea')}")
        page.locator("#answers figure").nth(1).wait_for()
        assert page.locator("#answers rect.apart").count() == 1 and page.locator("#one").is_hidden()
        left, right = (page.locator("#answers figure").nth(row).bounding_box() for row in (0, 1))
        assert left["y"] == right["y"] and left["x"] < right["x"]
        page.keyboard.press("2")
        page.get_by_text("Nothing is to be reviewed now.").wait_for()
        assert study.labelling.answerer(image_id) == "lea" and len(study.annotation(image_id).boxes) == 2
