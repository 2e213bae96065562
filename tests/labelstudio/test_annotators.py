"""Who gave an annotation, and whose counts: over HTTP from servers that give what Label Studio gives."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest
from exchanges import serving
from labelstudio_scenario import CLASSES, FIRST, SIZES, made_study, region

from boxwise.labelstudio.backend import create_backend
from boxwise.labelstudio.client import Client
from boxwise.labelstudio.sync import MEMORY, pull, push
from boxwise.labelstudio.tasks import labelling_config
from boxwise.study import Study

KEY = "0123456789abcdef"
PROJECT = {"id": 5, "description": KEY, "label_config": labelling_config(CLASSES), "model_version": "round 00", "maximum_annotations": 1}
PEOPLE = [{"id": 1, "email": "anna@example.com"}, {"id": 2, "email": "bob@example.com"}]
DRAWN = region((1, 2, 30, 40), CLASSES[0], SIZES[0])
TASKS = "GET /api/tasks/?project=5&fields=all&page=1&page_size=100"


def given(number, result, *, by, minute, lead=5.0):
    at = f"2026-01-01T10:{minute:02d}:00Z"
    return {"id": number, "result": result, "was_cancelled": False, "lead_time": lead, "completed_by": by, "updated_at": at}


def task(number, image_id, *annotations, round_index=0):
    return {"id": number, "data": {"image_id": image_id, "round": round_index}, "annotations": list(annotations)}


def answer(call, value=None, status=200):
    return {"call": call, "status": status, "answer": value}


@contextmanager
def server(*calls):
    calls = list(calls)
    with serving(calls) as (url, faults), Client(url, "0123456789abcdef") as client:
        yield client
    assert not faults and not calls


def pulled(study, *tasks, people=True):
    """What a pull says of these tasks. people: whether it has to ask who is who."""
    told = [answer("GET /api/users/", PEOPLE)] if people else []
    found = answer(TASKS, {"total": len(tasks), "tasks": list(tasks)})
    with server(answer("GET /api/projects/5/", PROJECT), found, *told) as client:
        return pull(study, client)


@pytest.fixture
def made(tmp_path):
    def make(**options):
        study = made_study(tmp_path, **options)
        study.remember(MEMORY, {"key": KEY, "pulled": {}, "project": 5})
        return study

    return make


def announce(study, task, annotation):
    """Let the server tell of an annotation by itself."""
    from starlette.testclient import TestClient

    body = {"action": "ANNOTATION_CREATED", "task": {key: task[key] for key in ("id", "data")}, "annotation": annotation}
    told = TestClient(create_backend(study)).post("/webhook", content=json.dumps(body), headers={"content-type": "application/json"})
    assert told.status_code == 201 and told.json()["recorded"]


def who(study, image_id="a.png"):
    return [(entry.annotator, entry.late, len(entry.annotation.boxes)) for entry in study.history(image_id)]


def test_a_correction_is_of_who_the_annotation_was_before_whichever_way_either_came(made):
    study = made()
    announce(study, task(1, "a.png"), given(7, [], by=1, minute=1))
    found = pulled(study, task(1, "a.png", given(7, [DRAWN], by=1, minute=9)))
    assert (found.taken, found.late) == (1, ())
    assert who(study) == [("Label Studio user 1", False, 0), ("Label Studio user 1", False, 1)] and len(study.people()) == 1


def test_a_person_has_one_name_in_the_study(made):
    study = made()
    pulled(study, task(1, "a.png", given(7, [], by=1, minute=1)))
    announce(study, task(1, "a.png"), given(7, [DRAWN], by=1, minute=9))
    announce(study, task(2, "c.tif"), given(8, [], by=1, minute=9))
    announce(study, task(3, "b/ü 1.png"), given(9, [], by={"id": 2, "email": "bob@example.com"}, minute=9))
    announce(study, task(3, "b/ü 1.png"), given(9, [], by=2, minute=10))
    assert study.people().keys() == {"anna@example.com", "bob@example.com"} and who(study)[-1] == ("anna@example.com", False, 1)


def test_an_earlier_version_s_annotation_is_corrected_under_another_name(made):
    study = made()
    announce(study, task(1, "a.png"), given(7, [], by=1, minute=1))
    memory = study.recall(MEMORY)
    del memory["people"], memory["pulled"]["7"]["annotator"]
    study.remember(MEMORY, memory)
    found = pulled(study, task(1, "a.png", given(7, [DRAWN], by=1, minute=9)))
    assert (found.taken, found.late, who(study)[-1]) == (1, (), ("anna@example.com", False, 1))


def test_what_comes_after_another_person_s_answer_is_late_and_named(made):
    study = made()
    pulled(study, task(1, "a.png", given(7, [], by=1, minute=1)))
    found = pulled(study, task(1, "a.png", given(7, [], by=1, minute=1), given(8, [DRAWN], by=2, minute=2)))
    assert (found.taken, found.late, len(study.annotation("a.png").boxes)) == (0, ("a.png",), 0)


def test_of_an_image_asked_twice_each_person_s_latest_annotation_is_taken(made):
    study = made(twice=["a.png"])
    others = [task(2, "c.tif", given(3, [], by=1, minute=1)), task(3, "b/ü 1.png", given(4, [], by=1, minute=1))]
    found = pulled(study, task(1, "a.png", given(7, [], by=1, minute=1)), *others)
    assert (found.taken, found.waiting) == (3, 1)
    both = [given(7, [], by=1, minute=1), given(8, [DRAWN], by=2, minute=3), given(9, [], by=2, minute=2)]
    found = pulled(study, task(1, "a.png", *both), *others)
    assert (found.taken, found.known, found.late, found.waiting) == (1, 3, (), 0)
    assert who(study) == [("anna@example.com", False, 0), ("bob@example.com", False, 1)]
    assert len(study.reviews.answers("a.png")) == 2


def test_a_push_lets_an_image_asked_twice_be_served_to_two_people(made):
    study = made(twice=["a.png"])
    there = [task(number, name) for number, name in enumerate(FIRST)]
    calls = [
        answer("GET /api/projects/5/", PROJECT),
        answer(TASKS, {"total": 3, "tasks": there}),
        {**answer("PATCH /api/projects/5/", PROJECT), "body": {"maximum_annotations": 2}},
    ]
    with server(*calls) as client:
        (said,) = push(study, client).findings
    assert said.startswith("1 image is for two people, each alone: a.png.")
    calls = [answer("GET /api/projects/5/", PROJECT | {"maximum_annotations": 3}), answer(TASKS, {"total": 3, "tasks": there})]
    with server(*calls) as client:
        assert push(study, client).findings == (said,)


def test_what_a_review_sent_back_is_named_until_it_is_corrected(made):
    study = made()
    first = task(1, "a.png", given(7, [], by=1, minute=1))
    pulled(study, first)
    (found,) = study.reviews.answers("a.png")
    assert study.reviews.send_back("a.png", found.number, "the second one is missing", who="lead", round_index=0, seconds=1.0)
    (said,) = pulled(study, first, people=False).sent_back
    assert said.startswith('a.png: lead sent it back to anna@example.com: "the second one is missing".')
    assert "/projects/5/data?task=1" in said
    there = [first, *(task(number, name) for number, name in enumerate(FIRST[1:], 2))]
    with server(answer("GET /api/projects/5/", PROJECT), answer(TASKS, {"total": 3, "tasks": there})) as client:
        assert push(study, client).findings[0].partition("Correct")[0] == said.partition("Correct")[0]
    found = pulled(study, task(1, "a.png", given(7, [DRAWN], by=1, minute=5)))
    assert (found.taken, found.late, found.sent_back, len(study.annotation("a.png").boxes)) == (1, (), (), 1)


def test_what_is_sent_back_of_another_place_s_answer_is_not_named(made):
    study = made()
    study.tell("a.png", [], annotator="elsewhere", key="page")
    late = task(1, "a.png", given(7, [DRAWN], by=1, minute=1))
    assert pulled(study, late).late == ("a.png",)
    (found,) = study.reviews.answers("a.png")
    assert study.reviews.send_back("a.png", found.number, "no", who="lead", round_index=0, seconds=1.0)
    assert pulled(study, late, people=False).sent_back == ()


class Elsewhere:
    """A Label Studio with a project of its own, whose numbers begin anew. people: user number → name."""

    def __init__(self, made_at, people):
        self.url, self.made_at, self.who, self.made, self.there = "http://localhost", made_at, people, None, []

    def project(self, number):
        return self.made

    def projects(self, title):
        return [self.made] if self.made else []

    def create_project(self, values):
        self.made = {**PROJECT, **values, "created_at": self.made_at}
        return self.made

    def change_project(self, number, values):
        self.made |= values
        return self.made

    def tasks(self, number):
        return self.there

    def people(self):
        return self.who

    def upload(self, number, files):
        return ["/data/x" for _ in files]

    def import_tasks(self, number, tasks):
        pass

    def task(self, number):
        return next((each for each in self.there if each["id"] == number), None)

    def delete_task(self, number):
        self.there = [each for each in self.there if each["id"] != number]


def test_on_another_server_the_same_numbers_are_other_people_and_other_annotations(made):
    study = made()
    first = Elsewhere("2026-01-01T00:00:00Z", {1: "anna@example.com"})
    second = Elsewhere("2026-02-02T00:00:00Z", {1: "bob@example.com"})
    push(study, first)
    first.there = [task(1, "a.png", given(7, [DRAWN], by=1, minute=1))]
    assert pull(study, first).taken == 1
    push(study, second)
    second.there = [task(1, "a.png", given(7, [], by=1, minute=9)), task(2, "c.tif", given(8, [], by=1, minute=9))]
    found = pull(study, second)
    assert (found.taken, found.late) == (1, ("a.png",)) and len(study.annotation("a.png").boxes) == 1
    assert who(study) == [("anna@example.com", False, 1), ("bob@example.com", True, 0)]
    assert who(study, "c.tif") == [("bob@example.com", False, 0)]
    push(study, first)
    pull(study, first)
    assert len(study.history("a.png")) == 2  # what the first one has is known from before


def test_two_pushes_side_by_side_send_each_image_once(made):
    study, server, second = made(), Elsewhere("2026-01-01T00:00:00Z", {}), Event()

    def slowly(_, tasks):
        second.wait(1)  # would be set by another push that comes as far as this
        second.set()
        server.there += [each | {"id": number} for number, each in enumerate(tasks)]

    server.import_tasks = slowly
    server.create_project({})
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda each: push(each, server), [study, Study.open(study.folder)]))
    assert sorted((each.made, each.there) for each in found) == [(0, 3), (3, 0)] and len(server.there) == 3


def test_a_task_that_somebody_has_worked_on_since_the_tasks_were_listed_is_not_withdrawn(made):
    study, server = made(), Elsewhere("2026-01-01T00:00:00Z", {})
    push(study, server)
    server.there = [task(number, name) for number, name in enumerate(FIRST)]
    for name in FIRST[:2]:
        study.tell(name, [], annotator="elsewhere")
    listed = list(server.there)
    server.tasks = lambda number: listed
    server.there = [task(0, FIRST[0], given(7, [DRAWN], by=1, minute=1)), *listed[1:]]
    assert push(study, server).withdrawn == 1 and [each["id"] for each in server.there] == [0, 2]
