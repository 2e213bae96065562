"""A study as Label Studio's machine-learning backend, over HTTP from a real server, in the bodies that Label Studio sends."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep

import httpx
import numpy as np
import processes
import pytest
from labelstudio_scenario import CLASSES, FIRST, PROPOSED, SECOND, SIZES, made_study, region, second_round
from PIL import Image

from boxwise.artifacts.detections_file import writing_detections
from boxwise.boxes import Boxes
from boxwise.data.formats.base import Dataset
from boxwise.labelstudio.backend import LAST, create_backend
from boxwise.labelstudio.sync import MEMORY
from boxwise.labelstudio.tasks import labelling_config, score_of
from boxwise.records import ImageRecord, Split
from boxwise.study import Study
from boxwise.web.server import Server, listen

CONFIG = labelling_config(CLASSES)


@pytest.fixture
def study(tmp_path):
    return made_study(tmp_path)


@pytest.fixture
def serving():
    """A function that serves a study and gives a client of it."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def serve(study, *, password=None, **options):
            address = listen("127.0.0.1", 0)
            stack.enter_context(Server(create_backend(study, password=password), address))
            return stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{address.port}", **options))

        yield serve


def task(image_id, round_index=0, number=1):
    return {"id": number, "data": {"image": f"/data/upload/1/0123abcd-{image_id}", "image_id": image_id, "round": round_index}}


def announced(image_id, result, *, updated="2026-01-01T10:00:00Z", lead=8.0, action="ANNOTATION_CREATED", round_index=0):
    """The body of a webhook."""
    annotation = {"id": 7, "result": result, "lead_time": lead, "updated_at": updated, "completed_by": 1, "was_cancelled": False}
    return {"action": action, "task": task(image_id, round_index), "annotation": annotation, "project": {"id": 5, "title": "pets"}}


def test_it_is_up_and_says_which_model_it_is(study, serving):
    client = serving(study)
    assert client.get("/health").json() == client.get("/").json() == {"status": "UP", "model_class": "boxwise"}
    body = {"project": "5.1700000000", "schema": CONFIG, "hostname": "http://localhost:8080", "access_token": "", "extra_params": None}
    assert client.post("/setup", json=body).json() == {"model_version": "round 00"}
    refused = client.post("/setup", json=body | {"schema": "<View><Text name='t' value='$t'/></View>"})
    assert refused.status_code == 400 and "RectangleLabels" in refused.json()["error"]


def test_predictions_are_the_studys_boxes_in_the_studys_order(study, serving):
    second_round(study)
    client = serving(study)
    names = [*SECOND, "a.png"]
    answer = client.post("/predict", json={"tasks": [task(n, 1) for n in names], "project": "5.1", "label_config": CONFIG, "params": {}})
    found = answer.json()
    assert found["model_version"] == "round 01" and [one["model_version"] for one in found["results"]] == ["round 01"] * 5
    assert [one["score"] for one in found["results"]] == [*(score_of(rank, 4) for rank in range(4)), LAST]
    first = found["results"][0]["result"]
    assert [one["id"] for one in first] == ["r1-0", "r1-4", "r1-2", "r1-9"] and [len(one["result"]) for one in found["results"]] == [
        4,
        1,
        0,
        0,
        0,
    ]
    x = [one["value"]["x"] * SIZES[3][0] / 100 for one in first]
    assert x == pytest.approx(PROPOSED["d.png"].boxes.xyxy[:, 0].tolist(), abs=1e-4)


def test_tasks_of_others_are_known_by_their_files_name_and_get_what_the_last_pass_saw(study, serving):
    second_round(study)
    with writing_detections(study.files(0).detections) as writer:
        writer.add("a.png", Boxes(np.array([[1, 2, 30, 40], [5, 5, 9, 9]]), np.array([1, 2]), np.array([0.9, 0.01], np.float32)))
    client = serving(study)
    config = CONFIG.replace('"label"', '"boxes"').replace('"image"', '"photo"')
    tasks = [{"id": 1, "data": {"photo": "/data/upload/9/0123abcd-a.png"}}, {"id": 2, "data": {"photo": "s3://bucket/elsewhere.png"}}]
    known, unknown = client.post("/predict", json={"tasks": tasks, "label_config": config}).json()["results"]
    (box,) = known["result"]
    assert (box["from_name"], box["to_name"], box["value"]["rectanglelabels"]) == ("boxes", "photo", [CLASSES[1]])
    assert unknown == {"result": [], "score": LAST, "model_version": "round 01"}


def test_an_annotation_that_the_server_tells_of_is_recorded_once(study, serving):
    client, name = serving(study), FIRST[0]
    body = announced(name, [region((1, 2, 30, 40), CLASSES[0], SIZES[0])])
    answer = client.post("/webhook", json=body)
    assert answer.status_code == 201 and answer.json() == {"recorded": True, "waiting": 2}
    assert client.post("/webhook", json=body).json() == {"recorded": False, "waiting": 2}
    (entry,) = study.store.history(name)
    assert entry.annotation.boxes.labels.tolist() == [0] and entry.annotator == "Label Studio user 1"
    changed = announced(name, [], updated="2026-01-01T11:00:00Z", lead=10.0, action="ANNOTATION_UPDATED")
    assert client.post("/webhook", json=changed).json()["recorded"] and len(study.store.history(name)) == 2
    assert study.store.seconds(study.record(name).split) == 10.0  # of the change only what came on top


def test_what_cannot_be_read_or_is_not_ours_stores_nothing(study, serving):
    client = serving(study)
    turned = client.post("/webhook", json=announced(FIRST[0], [region((1, 2, 30, 40), CLASSES[0], SIZES[0], rotation=30)]))
    assert turned.status_code == 400 and "rotated by 30" in turned.json()["error"]
    foreign = announced(FIRST[0], [])
    foreign["task"]["data"] = {"image": "x.png"}
    assert client.post("/webhook", json=foreign).json()["recorded"] is False
    assert client.post("/webhook", json={"action": "PROJECT_UPDATED"}).json() == {"ignored": "PROJECT_UPDATED"}
    assert study.store.history(FIRST[0]) == []


def test_a_wish_to_train_is_answered_with_what_to_run(study, serving):
    client = serving(study)
    assert "round 0 still waits for labels of 3 images" in client.post("/webhook", json={"action": "START_TRAINING"}).json()["next"]
    for name in FIRST:
        study.tell(name, [], annotator="anna", seconds=1.0)
    assert client.post("/train", json={}).json() == {"status": "ok", "next": f"boxwise run {study.folder}"}


def test_beyond_this_machine_it_asks_for_a_password(study, serving):
    assert serving(study, password="geheim").get("/health").status_code == 401
    assert serving(study, password="geheim", auth=("any", "wrong")).get("/health").status_code == 401
    assert serving(study, password="geheim", auth=("any", "geheim")).get("/health").status_code == 200


def test_annotations_that_come_side_by_side_are_all_remembered_and_seconds_are_charged_once(study, serving):
    client = serving(study)

    def tell(number, updated, lead):
        told = announced(FIRST[number], [], updated=updated, lead=lead)
        return client.post("/webhook", json=told | {"annotation": told["annotation"] | {"id": number}}).json()["recorded"]

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(lambda number: tell(number, "2026-01-01T10:00:00Z", 100.0), range(3)))
    assert study.recall(MEMORY)["pulled"].keys() == {"0", "1", "2"} and study.seconds(Split.TRAIN) == 300.0
    for number in range(3):
        assert tell(number, "2026-01-01T10:05:00Z", 110.0)
    assert study.seconds(Split.TRAIN) == 330.0


def test_an_annotation_that_comes_asks_for_its_image_alone(study, serving, monkeypatch):
    client = serving(study)
    for name in ("images", "quarantined", "records"):
        monkeypatch.setattr(Study, name, lambda *_, **__: pytest.fail("reads the table of images"))
    assert client.post("/webhook", json=announced(FIRST[0], [])).json() == {"recorded": True, "waiting": 2}


def test_an_image_out_of_use_has_no_prediction_and_takes_no_annotation(study, serving):
    client = serving(study)
    study.quarantine(FIRST[0], "blurred")
    found = client.post("/predict", json={"tasks": [task(FIRST[0])], "label_config": CONFIG}).json()["results"]
    refused = client.post("/webhook", json=announced(FIRST[0], []))
    assert found[0]["score"] == LAST and refused.status_code == 400 and "expected a usable image" in refused.json()["error"]


def test_images_that_join_while_it_runs_have_predictions(study, serving, tmp_path):
    client = serving(study)
    foreign = [{"id": 1, "data": {"image": "/data/upload/9/0123abcd-new.png"}}, {"id": 2, "data": {"image": "s3://bucket/a.png"}}]

    def predicted(*tasks):
        return [len(one["result"]) for one in client.post("/predict", json={"tasks": tasks, "label_config": CONFIG}).json()["results"]]

    with writing_detections(study.files(0).detections) as writer:
        for name in ("a.png", "later/new.png"):
            writer.add(name, Boxes(np.array([[1, 2, 30, 40]]), np.array([1]), np.array([0.9], np.float32)))
    assert predicted(task("later/new.png"), *foreign) == [0, 0, 1]
    records = [ImageRecord(name, tmp_path / name, *SIZES[0], Split.TRAIN) for name in ("later/new.png", "later/a.png")]
    (tmp_path / "later").mkdir()
    for shade, record in enumerate(records):
        Image.new("RGB", SIZES[0], (shade, 0, 0)).save(record.uri)
    assert study.add(Dataset(CLASSES, tuple(records), {})).images == 2
    assert predicted(task("later/new.png"), *foreign) == [1, 1, 0]  # there are two that are called a.png now


def test_without_a_password_no_page_elsewhere_reaches_it(study, tmp_path):
    study.store.close()
    said = tmp_path / "said"
    server = processes.start("-m", "boxwise", "labelstudio", "serve", study.folder, "--port", 0, out=said)
    try:
        deadline = monotonic() + 120
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", said.read_text() if said.exists() else "")):
            assert monotonic() < deadline and server.is_alive()
            sleep(0.05)
        with httpx.Client(base_url=found[0]) as client:
            body = announced(FIRST[0], [])
            assert client.get("/health", headers={"host": "evil.example"}).status_code == 400
            assert client.post("/webhook", json=body, headers={"origin": "http://evil.example"}).status_code == 403
            assert client.post("/webhook", content=json.dumps(body), headers={"content-type": "text/plain"}).status_code == 415
            assert client.post("/webhook", json=body).json()["recorded"]
    finally:
        server.terminate()
        server.join()
