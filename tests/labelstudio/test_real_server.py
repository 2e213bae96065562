"""Against a really running Label Studio: `make test-labelstudio`. With BOXWISE_RECORD=1 its answers become those of test_client.py."""

import os
import secrets
import signal
import socket
import subprocess
import time

import httpx
import pytest
from exchanges import record_into, save
from labelstudio_scenario import Person, made_study, region, tokens, two_rounds

from boxwise.config import load_config
from boxwise.labelstudio.client import Client
from boxwise.labelstudio.sync import MEMORY, pull, push
from boxwise.records import Action, Phase, Split
from boxwise.study import Study

PROGRAM = os.environ.get("BOXWISE_LABEL_STUDIO", "")
pytestmark = pytest.mark.skipif(not PROGRAM, reason="needs a Label Studio of its own: make test-labelstudio")
START_SECONDS = 600  # half a minute where nobody else needs the processor


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """(URL, legacy token, personal access token) of a Label Studio on loopback with SQLite in a temporary folder and telemetry off."""
    folder, token = tmp_path_factory.mktemp("labelstudio"), secrets.token_hex(20)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    quiet = {"COLLECT_ANALYTICS": "False", "SENTRY_DSN": "", "FRONTEND_SENTRY_DSN": "", "LATEST_VERSION_CHECK": "False"}
    environment = os.environ | quiet | {"LABEL_STUDIO_BASE_DATA_DIR": str(folder)}
    person = ["--username", "person@example.com", "--password", secrets.token_hex(8), "--user-token", token, "--enable-legacy-api-token"]
    place = ["--no-browser", "--internal-host", "127.0.0.1", "--port", port, "--data-dir", folder, "--log-level", "ERROR"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [PROGRAM, "start", *place, *person], env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process, folder / "log")
        made = httpx.post(f"{url}/api/token/", headers={"Authorization": f"Token {token}"}, timeout=60)
        yield url, token, made.json()["token"]
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _wait(url, process, log):
    for _ in range(START_SECONDS):
        try:
            if httpx.get(f"{url}/api/version", timeout=10).is_success:
                return
        except httpx.HTTPError:
            pass
        assert process.poll() is None, log.read_text()
        time.sleep(1)
    pytest.fail(f"no answer in {START_SECONDS} s: {log.read_text()}")


def _keep(name, exchanges):
    if os.environ.get("BOXWISE_RECORD"):
        save(name, exchanges)


def test_two_rounds(server, tmp_path):
    url, token, _ = server
    exchanges, person = [], Person(url, token)
    with Client(url, token) as client:
        record_into(client, exchanges)
        print("Label Studio", client.version())
        two_rounds(made_study(tmp_path), client, person)
    assert person.served == ["c.tif", "b/ü 1.png", "a.png", "d.png", "e.png", "f.png"]
    _keep("two_rounds", exchanges)


def test_tokens(server):
    url, _, personal = server
    exchanges = []

    def connect(url, token):
        client = Client(url, token)
        record_into(client, exchanges)
        return client

    tokens(connect, url, personal)
    _keep("tokens", exchanges)


def test_a_study_trains_between_two_rounds_labelled_there(server, hidden, digits, tmp_path, tiny_overrides):
    """Round 0 drawn, round 1 corrected from the real model's boxes, in the study's order, by a person who knows the truth."""
    url, token, personal = server
    unsure = ("ask.mode=review", "ask.certain=0.34", "ask.uncertain=0.2", "scorer.name=none", "strategy.name=random")
    study = Study.create(tmp_path / "digits", hidden[1], config=load_config(None, [*tiny_overrides, *unsure]))
    sizes = {record.image_id: (record.width, record.height) for record in digits.images}
    person, seconds, timings = Person(url, token), 0.0, []
    with Client(url, personal) as client:
        for round_index in (0, 1):
            assert study.run() is Phase.ANNOTATE and study.store.position[0] == round_index
            asked = study.ask().image_ids
            start = time.monotonic()
            assert push(study, client).made == len(asked)
            timings.append(time.monotonic() - start)
            project = study.store.get(MEMORY)["project"]
            for lead in range(len(asked)):
                task = person.next(project)
                image_id = task["data"]["image_id"]
                truth = digits.labels[image_id]
                drawn = [
                    region(box.tolist(), digits.classes[label], sizes[image_id], name=f"d{row}")
                    for row, (box, label) in enumerate(zip(truth.xyxy, truth.labels, strict=True))
                ]
                person.submit(task, drawn, lead + 1.5)
                seconds += lead + 1.5
            assert tuple(person.served[-len(asked) :]) == asked
            pulled = pull(study, client)
            assert (pulled.taken, pulled.findings, pulled.waiting) == (len(asked), (), 0)
            assert pull(study, client).taken == 0
    labelled = study.store.annotations(Split.TRAIN)
    for image_id, annotation in labelled.items():
        assert abs(annotation.boxes.xyxy[annotation.boxes.xyxy[:, 0].argsort()] - digits.labels[image_id].xyxy[
            digits.labels[image_id].xyxy[:, 0].argsort()
        ]).max(initial=0) <= 0.5  # fmt: skip
    assert study.store.labour(Split.TRAIN).seconds == pytest.approx(seconds)
    actions = study.store.actions(1, Split.TRAIN)
    print("round 1:", {action.value: count for action, count in actions.items()}, "push seconds:", timings)
    assert actions[Action.DELETE] > 0 and actions[Action.ADD] > 0  # the model had boxes to judge, and missed some
    study.run()
    assert study.store.position == (2, Phase.ANNOTATE)
