"""`boxwise label` and `boxwise run --label` as processes, driven over HTTP as the page drives them."""

import json
import os
import re
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic, sleep

import httpx
import processes
import pytest

from boxwise.cli.labelling import _watch, label_and_train
from boxwise.config import load_config
from boxwise.records import Phase, Split
from boxwise.study import Study

PATIENCE = 600.0  # seconds, only for a machine that is busy with something else


@dataclass(frozen=True)
class Served:
    """A running `boxwise` command with a page."""

    process: BaseProcess
    log: Path

    def ended(self, number=None):
        """(exit code, all it printed), after a signal if one is given."""
        if number is not None:
            os.kill(self.process.pid, number)
        self.process.join(PATIENCE)
        return self.process.exitcode, self.log.read_text()


@pytest.fixture
def serving():
    """serving(verb, folder, *options) → the command on a study as a process, and a client of its page."""

    @contextmanager
    def serve(verb, folder, *options):
        log = folder.with_name("log.txt")
        log.write_text("")
        process = processes.start("-m", "boxwise", verb, folder, *options, "--no-browser", "--port", 0, out=log, err=log)
        try:
            found = until(lambda: re.search(r"Label here: (http://[^\s?]+)", log.read_text()), process)
            with httpx.Client(base_url=found[1], timeout=30) as client:
                yield Served(process, log), client
        finally:
            process.terminate()
            process.join()

    return serve


def until(happens, process=None):
    """What `happens` returns as soon as it is true; it will not once `process` has ended."""
    end = monotonic() + PATIENCE
    while not (value := happens()):
        assert monotonic() < end, "it never happened"
        assert process is None or process.exitcode is None, f"ended with {process.exitcode}"
        sleep(0.2)
    return value


def runs(pid):
    """Whether a process still works; one that has ended and that nobody waits for is a zombie."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


def label(client, image_id, boxes, round_index):
    drawn = [
        {"action": "add", "xyxy": box.tolist(), "label": int(k), "seconds": 0.5} for box, k in zip(boxes.xyxy, boxes.labels, strict=True)
    ]
    body = {"annotator": "anna", "image_id": image_id, "round": round_index, "key": f"answer-{round_index}-{image_id}"}
    reply = client.post("/api/answers", json=body | {"verdicts": drawn, "complete": True, "seconds": 1 + 0.5 * len(drawn)})
    assert reply.status_code == 200, reply.text


@pytest.fixture
def made(hidden, tiny_overrides, tmp_path):
    """made(dataset, *overrides) → a new tiny study."""

    def make(dataset, *overrides):
        return Study.create(tmp_path / "study", dataset, config=load_config(None, (*tiny_overrides, "device=cpu", *overrides)))

    return make


@pytest.mark.slow
class TestLabel:
    def test_it_asks_at_once_takes_answers_and_ctrl_c_ends_it(self, serving, made, hidden, digits):
        study = made(hidden[1])
        with serving("label", study.folder) as (served, client):
            task = until(
                lambda: client.post("/api/next", json={"annotator": "anna", "keep": []}).json()["task"]
            )  # served first, then selected
            label(client, task["image_id"], digits.labels[task["image_id"]], 0)
            code, said = served.ended(signal.SIGINT)
        assert code == 0 and "Round 0 waits for labels of" in said and "Stopped. Every answer is stored" in said
        assert "Traceback" not in said
        assert (
            study.store.annotations(Split(task["split"]))[task["image_id"]].boxes.labels.tolist()
            == digits.labels[task["image_id"]].labels.tolist()
        )

    def test_a_study_without_a_question_says_what_to_do_and_is_served(self, serving, made, digits):
        study = made(digits)
        study.store.put("position", [0, "train"])
        with serving("label", study.folder) as (served, client):
            assert client.post("/api/next", json={"annotator": "anna", "keep": []}).json()["reason"] == "training"
            code, said = served.ended(signal.SIGTERM)
        assert code == 0 and f"next comes train of round 0. Run it in another terminal: boxwise run {study.folder}" in said

    def test_beyond_this_machine_it_warns_and_asks_for_a_token(self, serving, made, hidden, boxwise):
        study = made(hidden[1])
        with serving("label", study.folder, "--host", "0.0.0.0") as (served, client):
            assert httpx.get(f"http://127.0.0.1:{client.base_url.port}/api/study").status_code == 401
            assert "nothing on the way is encrypted" in served.ended(signal.SIGINT)[1]
        code, _, err = boxwise("label", study.folder, "--host", "192.0.2.7", "--no-browser")
        assert code == 2 and "192.0.2.7:8123 cannot be served" in err
        code, _, err = boxwise("label", study.folder / "nowhere")
        assert code == 2 and "no boxwise study here" in err


def test_a_batch_that_is_answered_beside_no_run_is_said_once(waiting_study, capsys):
    study = waiting_study("full")
    look = _watch(study)
    for image_id in study.ask().image_ids:
        look()
        assert capsys.readouterr().out == ""
        study.tell(image_id, ())
    look()
    look()
    expected = f"Nothing waits for labels: all of round 1 is answered. Run it in another terminal: boxwise run {study.folder}\n"
    assert capsys.readouterr().out == expected


@pytest.mark.slow
def test_a_run_beside_the_page_leaves_there_why_it_ended_until_one_goes_well(serving, made, hidden, boxwise):
    study = made(hidden[1])
    study.ask()
    config = study.folder / "config.yaml"
    sound = config.read_text()
    with serving("label", study.folder) as (_, client):
        config.write_text(sound.replace("seed:", "sead:"))
        code, _, err = boxwise("run", study.folder)
        trouble = client.get("/api/progress").json()["trouble"]
        assert code == 2 and "sead" in trouble and trouble in err
        config.write_text(sound)
        assert boxwise("run", study.folder)[0] == 0
        assert client.get("/api/progress").json()["trouble"] is None


@pytest.mark.slow
class TestRunLabel:
    def test_two_rounds_over_http_end_with_a_report(self, serving, made, hidden, digits):
        study = made(hidden[1], "budget.rounds=1")
        study.ask()  # the other tests let the training process select
        reasons, running = set(), set()
        with serving("run", study.folder, "--label") as (served, client):

            def advance():
                found = client.post("/api/next", json={"annotator": "anna", "keep": []}).json()
                if task := found["task"]:
                    label(client, task["image_id"], digits.labels[task["image_id"]], task["round"])
                    return False
                reasons.add(found["reason"])
                progress = client.get("/api/progress").json()
                assert progress["goes_on_by"] is None  # it trains by itself
                if training := progress["training"]:
                    running.add(training["phase"])
                    assert 0 <= training["step"] <= training["steps"] and progress["trouble"] is None
                return progress["done"]

            until(advance, served.process)
            assert client.get("/api/dashboard").json()["labour"]["people"][0]["name"] == "anna"
            code, said = served.ended()
        assert code == 0, said
        assert "The study is done: the budget of 1 round is used up. Report:" in said and "boxwise import" not in said
        assert (study.folder / "report.html").stat().st_size > 10_000 and not (study.folder / "progress.json").exists()
        assert "training" in reasons and "train" in running
        assert study.store.position == (1, Phase.DONE)
        asked = [image_id for number in (0, 1) for image_id in study.store.query(number).image_ids]
        assert all(len(study.store.history(image_id)) == 1 for image_id in asked)
        anna = study.store.people()["anna"]
        images, seconds = anna.images, anna.seconds
        assert images == len(asked) and seconds == sum(1 + 0.5 * len(digits.labels[image_id]) for image_id in asked)

    def test_a_study_that_is_done_ends_with_its_report(self, made, digits, monkeypatch):
        study = made(digits, "budget.rounds=0")
        study.store.put("position", [0, "done"])
        monkeypatch.setattr("boxwise.cli.labelling._SECONDS_TO_READ", 0.1)
        label_and_train(study, host="127.0.0.1", port=0, browser=False, token=None)
        assert (study.folder / "report.html").exists() and study.store.position == (0, Phase.DONE)

    def test_a_training_that_fails_is_reported_and_the_page_stays(self, serving, made, digits):
        study = made(digits, "device=cuda:99")
        with serving("run", study.folder, "--label") as (served, client):
            trouble = until(lambda: client.get("/api/progress").json()["trouble"], served.process)
            assert "cuda:99" in trouble and client.get("/api/dashboard").json()["trouble"] == trouble
            assert client.get("/api/study").json()["phase"] == "train"
            code, said = served.ended(signal.SIGINT)
        assert code == 130 and "Round 0 stopped at train" in said and "cuda:99" in said and "Nothing is lost" in said

    def test_a_database_that_is_away_for_a_moment_is_waited_for_and_the_page_stays(self, serving, made, hidden, digits):
        study = made(hidden[1])
        study.ask()
        database = study.folder / "study.sqlite"
        with serving("run", study.folder, "--label") as (served, client):
            until(lambda: "waits for labels" in served.log.read_text(), served.process)
            database.rename(study.folder / "away")
            until(lambda: "goes on by itself once the database can be used" in served.log.read_text(), served.process)
            assert client.post("/api/next", json={"annotator": "anna", "keep": []}).status_code == 503
            sleep(2.5)
            (study.folder / "away").rename(database)
            task = until(lambda: client.post("/api/next", json={"annotator": "anna", "keep": []}).json().get("task"), served.process)
            label(client, task["image_id"], digits.labels[task["image_id"]], 0)
            code, said = served.ended(signal.SIGINT)
        assert code == 130 and said.count("The page stays, and this goes on by itself") == 1 and said.count("waits for labels") == 1

    def test_ctrl_c_ends_the_training_and_the_page_and_nothing_is_lost(self, serving, made, digits):
        study = made(digits, "train.min_steps=100000", "train.max_steps=100000")
        with serving("run", study.folder, "--label") as (served, client):
            until(lambda: (client.get("/api/progress").json()["training"] or {}).get("step", 0) > 8)
            trainer = json.loads((study.folder / "progress.json").read_text())["pid"]
            assert trainer != served.process.pid
            code, said = served.ended(signal.SIGINT)
        assert code == 130 and "Traceback" not in said
        assert said.count("Stopped") == 1
        with pytest.raises(ProcessLookupError):
            os.kill(trainer, 0)
        assert study.store.position == (0, Phase.TRAIN) and (study.files(0).checkpoint).exists()

    def test_a_training_whose_parent_was_killed_stops_as_by_ctrl_c(self, serving, made, digits):
        study = made(digits, "train.min_steps=100000", "train.max_steps=100000")
        with serving("run", study.folder, "--label") as (served, client):
            until(lambda: (client.get("/api/progress").json()["training"] or {}).get("step", 0) > 4)
            trainer = json.loads((study.folder / "progress.json").read_text())["pid"]
            code, said = served.ended(signal.SIGKILL)
            until(lambda: not runs(trainer))
        assert code == -signal.SIGKILL and "Traceback" not in said
        assert not (study.folder / "progress.json").exists() and (study.files(0).checkpoint).exists()
