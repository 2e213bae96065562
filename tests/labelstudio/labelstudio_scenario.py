"""One way through two rounds of labelling in Label Studio, the same on a real server and on its recorded answers.

The study is made by hand, so that what is sent is the same on every machine; `Person` does through the REST API what a browser would.
"""

from collections.abc import Collection
from itertools import pairwise
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from boxwise.artifacts.box_tables import write_proposals
from boxwise.boxes import Boxes
from boxwise.config import load_config
from boxwise.data.formats.base import Dataset
from boxwise.labelstudio.client import Client, LabelStudioError
from boxwise.labelstudio.sync import MEMORY, pull, push
from boxwise.records import Action, ImageRecord, Phase, Proposals, Query, QueryItem, Source, Split, Verdict
from boxwise.study import Study

CLASSES = ("cat & co", "größe", '<"dog">')
NAMES = ("a.png", "b/ü 1.png", "c.tif", "d.png", "e.png", "f.png", "g.png")
FIRST, SECOND = NAMES[:3], NAMES[3:]
SIZES = [(64 + 7 * number, 48 + 5 * number) for number in range(len(NAMES))]


def made_study(folder: Path, *, twice: Collection[str] = ()) -> Study:
    """Seven images; round 0 asks for the first three, last one first. twice: those of them that it asks two people about."""
    rng = np.random.default_rng(0)
    records = []
    for name, (width, height) in zip(NAMES, SIZES, strict=True):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(path)
        records.append(ImageRecord(name, path, width, height, Split.TRAIN))
    study = Study.create(folder / "pets", Dataset(CLASSES, tuple(records), {}), config=load_config(None, ["ask.mode=review"]))
    study.store.put(MEMORY, {"key": "0123456789abcdef", "pulled": {}})
    items = (QueryItem(name, 3.0 - rank, {"L_det": 0.5}, twice=name in twice) for rank, name in enumerate(reversed(FIRST)))
    query = Query(0, tuple(items))
    study.store.commit(0, Phase.SELECT, {}, then=(0, Phase.ANNOTATE), query=query)
    return study


PROPOSED = {
    "d.png": Proposals(
        "d.png",
        Boxes(
            np.array([[1, 2, 20, 30], [30.25, 5.5, 50.1, 25.7], [5, 40, 25, 60], [60, 40, 80, 62]]),
            np.array([0, 1, 2, 0]),
            np.array([0.95, 0.6, 0.5, 0.4]),
            ids=np.array(["r1-0", "r1-4", "r1-2", "r1-9"], object),
        ),
        np.array([True, False, False, False]),
    ),
    "e.png": Proposals(
        "e.png", Boxes(np.array([[10, 10, 40, 40]]), np.array([0]), np.array([0.7]), ids=np.array(["r1-0"], object)), np.array([False])
    ),
    "f.png": Proposals("f.png", Boxes(np.zeros((0, 4)), np.zeros(0), np.zeros(0), ids=np.zeros(0, object)), np.zeros(0, bool)),
}


def second_round(study: Study) -> None:
    """What training and scoring would leave behind: round 1 asks for d, e, f, g, with proposals on the first two."""
    phases = [Phase.ANNOTATE, Phase.AUDIT, Phase.COMPOSE, Phase.TRAIN, Phase.EVALUATE, Phase.SCORE]
    for phase, following in pairwise(phases):
        study.store.commit(0, phase, {}, then=(0, following))
    study.store.commit(0, Phase.SCORE, {}, then=(1, Phase.SELECT))
    write_proposals(study.files(1).proposals, PROPOSED.values())
    query = Query(1, tuple(QueryItem(name, 2.0 - rank) for rank, name in enumerate(SECOND)))
    study.store.commit(1, Phase.SELECT, {}, then=(1, Phase.ANNOTATE), query=query)


def region(xyxy, label, size, *, name="drawn", **further):
    """What the browser sends for a rectangle."""
    (width, height), (x1, y1, x2, y2) = size, xyxy
    value = {"x": 100 * x1 / width, "y": 100 * y1 / height, "width": 100 * (x2 - x1) / width, "height": 100 * (y2 - y1) / height}
    return {
        "id": name,
        "from_name": "label",
        "to_name": "image",
        "type": "rectanglelabels",
        "origin": "manual",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {**value, "rotation": 0, "rectanglelabels": [label], **further},
    }


class Person:
    """Somebody at the browser of a real Label Studio."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Token {token}"}, timeout=60)
        self.served: list[str] = []
        self.made: dict[str, int] = {}

    def _call(self, method, path, **parts):
        response = self._http.request(method, path, **parts)
        assert response.is_success, response.text
        return response.json()

    def next(self, project):
        """The task that Label Studio serves next, noted in `served`."""
        task = self._call("GET", f"/api/projects/{project}/next")
        self.served.append(task["data"]["image_id"])
        image = self._http.get(task["data"]["image"])
        assert image.is_success and image.headers["content-type"] == "image/png"
        return task

    def submit(self, task, result, lead_time, *, skip=False):
        body = {"result": result, "lead_time": lead_time, "was_cancelled": skip}
        made = self._call("POST", f"/api/tasks/{task['id']}/annotations/", json=body)
        self.made[task["data"]["image_id"]] = made["id"]

    def change(self, image_id, **values):
        self._call("PATCH", f"/api/annotations/{self.made[image_id]}/", json=values)

    def label_first_round(self, project):
        """Label the image served first, call the second empty, skip the third: c, b, a."""
        drawn = [region((1, 2, 30, 40), CLASSES[0], SIZES[2]), region((3, 3, 9, 9), CLASSES[2], SIZES[2], name="other")]
        self.submit(self.next(project), drawn, 12.5)
        self.submit(self.next(project), [], 2.0)
        self.submit(self.next(project), [], 1.0, skip=True)

    def correct_first_round(self, project):
        """Label the skipped image after all; a box of the first one was wrong."""
        self.change("a.png", result=[region((10, 10, 20, 20), CLASSES[1], SIZES[0])], was_cancelled=False, lead_time=6.0)
        self.change("c.tif", result=[region((1, 2, 30, 40), CLASSES[1], SIZES[2])], lead_time=20.0)

    def label_second_round(self, project):
        """d: leave two boxes, drag one far away, delete one, draw one. e: another class. f: a rotated box."""
        task = self.next(project)
        suggested = task["predictions"][0]["result"]
        moved = {**suggested[2], "value": {**suggested[2]["value"], "x": 75.0, "y": 10.0}, "origin": "prediction-changed"}
        self.submit(task, [suggested[0], suggested[1], moved, region((40, 45, 50, 55), CLASSES[0], SIZES[3])], 30.25)
        task = self.next(project)
        (box,) = task["predictions"][0]["result"]
        self.submit(task, [{**box, "value": {**box["value"], "rectanglelabels": [CLASSES[1]]}}], 4.0)
        self.submit(self.next(project), [region((10, 10, 40, 40), CLASSES[0], SIZES[5], rotation=30)], 5.0)

    def come_late(self, project):
        self.change("e.png", result=[], lead_time=9.0)

    def turn_upright(self, project):
        self.change("f.png", result=[region((10, 10, 40, 40), CLASSES[0], SIZES[5])], lead_time=8.0)


class Nobody:
    """In place of the person where the answers were recorded."""

    def __getattr__(self, name):
        return lambda project: None


def two_rounds(study: Study, client: Client, person) -> None:
    """The whole way; every claim about it is asserted here."""
    made = push(study, client)
    assert (made.round, made.made, made.there, made.withdrawn, made.findings) == (0, 3, 0, 0, ())
    again = push(study, client)
    assert (again.made, again.there, again.withdrawn, again.url) == (0, 3, 0, made.url)
    project = study.store.get(MEMORY)["project"]
    person.label_first_round(project)
    pulled = pull(study, client)
    assert (pulled.taken, pulled.known, pulled.skipped, pulled.findings, pulled.waiting) == (2, 0, ("a.png",), (), 1)
    assert (pull(study, client).taken, pull(study, client).known) == (0, 2)
    person.correct_first_round(project)
    pulled = pull(study, client)
    assert (pulled.taken, pulled.known, pulled.skipped, pulled.waiting) == (2, 1, (), 0)
    check_first_round(study)

    second_round(study)
    made = push(study, client)
    assert (made.round, made.made, made.there, made.withdrawn) == (1, 4, 0, 0)
    study.tell("g.png", [], annotator="elsewhere", seconds=1.0)
    made = push(study, client)
    assert (made.made, made.there, made.withdrawn) == (0, 3, 1)
    person.label_second_round(project)
    pulled = pull(study, client)
    assert (pulled.taken, pulled.known, len(pulled.findings), pulled.waiting) == (2, 3, 1, 1)
    assert "f.png" in pulled.findings[0] and "rotated by 30 degrees" in pulled.findings[0]
    assert push(study, client).made == 0
    person.turn_upright(project)
    assert (pull(study, client).taken, pull(study, client).waiting) == (1, 0)
    check_second_round(study)

    study.tell("e.png", [Verdict(Action.ADD, "", (1, 1, 5, 5), 2)], annotator="elsewhere", seconds=0.0)
    person.come_late(project)
    pulled = pull(study, client)
    assert (pulled.taken, pulled.late) == (0, ("e.png",))
    assert len(study.store.history("e.png")) == 3
    assert study.store.annotations(Split.TRAIN)["e.png"].boxes.labels.tolist() == [2]  # what was said elsewhere since then stands
    done = push(study, client)
    assert (done.made, done.there, done.withdrawn) == (0, 0, 0)


def check_first_round(study: Study) -> None:
    labels = study.store.annotations(Split.TRAIN)
    assert np.abs(labels["c.tif"].boxes.xyxy - [[1, 2, 30, 40]]).max() < 1e-4 and labels["c.tif"].boxes.labels.tolist() == [1]
    assert np.abs(labels["a.png"].boxes.xyxy - [[10, 10, 20, 20]]).max() < 1e-4
    assert len(labels["b/ü 1.png"].boxes) == 0 and all(annotation.complete for annotation in labels.values())
    assert [entry.annotator for entry in study.store.history("c.tif")] == ["person@example.com"] * 2
    assert study.store.labour(Split.TRAIN).seconds == 12.5 + 2.0 + 6.0 + 7.5  # of a changed annotation only what came on top


def check_second_round(study: Study) -> None:
    (entry,) = study.store.history("d.png")
    annotation, verdicts = entry.annotation, entry.verdicts
    assert {v.box_id: v.action for v in verdicts} == {
        "r1-4": Action.KEEP,
        "r1-2": Action.MOVE,
        "": Action.ADD,
        "r1-9": Action.DELETE,
    }
    assert sorted(annotation.sources) == [Source.HUMAN] * 3 + [Source.MODEL]
    kept = annotation.boxes.xyxy[(annotation.boxes.labels == 1)]
    assert kept.tobytes() == PROPOSED["d.png"].boxes.xyxy[1:2].tobytes()
    assert annotation.rejected.tobytes() == PROPOSED["d.png"].boxes.xyxy[3:].tobytes()
    (entry,) = study.store.history("e.png")
    verdicts = entry.verdicts
    assert [(v.action, v.box_id, v.label) for v in verdicts] == [(Action.RELABEL, "r1-0", 1)]
    assert study.store.labour(Split.TRAIN).seconds == 28.0 + 1.0 + 30.25 + 4.0 + 8.0


def tokens(connect, url: str, personal: str) -> None:
    """What becomes of good and bad tokens and addresses. connect: (url, token) → Client. personal: a personal access token."""
    with connect(url, personal) as client:
        assert client.version()[0].isdigit()
        assert client.people() == {1: "person@example.com"}
        client._authorization = "Bearer run.out.today"
        assert client.people() == {1: "person@example.com"}
    for wrong, said in (("0123456789abcdef", "Invalid token"), ("x.y.z", "Token is invalid")):
        refused = pytest.raises(LabelStudioError, match=rf"refuses the token \(HTTP 401: {said}.*Copy one")
        with connect(url, wrong) as client, refused as error:
            client.project(1)
        assert wrong not in str(error.value)
    with connect(f"{url}/nowhere", personal) as client, pytest.raises(LabelStudioError, match=r"found one whose|Expected the URL of"):
        list(client.projects("boxwise"))
    with connect(f"{url}/projects/5/data?tab=3", personal) as client:
        assert client.url == url
