"""Against answers that a real Label Studio 1.23.2 gave; test_real_server.py recorded them."""

import os

import processes
import pytest
from exchanges import RECORDED, replaying, serving
from labelstudio_scenario import CLASSES, Nobody, made_study, tokens, two_rounds

from boxwise.errors import BoxwiseError
from boxwise.labelstudio.client import Client, LabelStudioError
from boxwise.labelstudio.sync import MEMORY, pull, push

TOKEN = "0123456789abcdef"
PROJECT = {"id": 5, "description": "0123456789abcdef", "label_config": "<View/>", "model_version": ""}


def answer(call, value=None, status=200, **further):
    return {"call": call, "status": status, "answer": value, **further}


def test_two_rounds(tmp_path):
    with replaying("two_rounds") as url, Client(url, TOKEN) as client:
        client.version()
        two_rounds(made_study(tmp_path), client, Nobody())


def test_tokens():
    with replaying("tokens") as url:
        tokens(Client, url, "a.personal.token")


def test_nothing_recorded_is_secret():
    recorded = sorted(RECORDED.glob("*.json"))
    assert [path.stem for path in recorded] == ["tokens", "two_rounds"]
    for path in recorded:
        text = path.read_text(encoding="utf-8")
        assert "eyJ" not in text and "127.0.0.1" not in text and 'password": "' not in text and "Authorization" not in text


@pytest.mark.parametrize(("url", "token", "says"), [
    ("localhost:8080", TOKEN, "expected a URL such as http://localhost:8080"),
    ("http://127.0.0.1:9", TOKEN, "no Label Studio answers here"),
    ("http://[::1", TOKEN, "no Label Studio answers here"),
    ("http://localhost:8080", " ", "expected a token, found none"),
    ("http://localhost:8080", "tökén", "expected a token, found another text"),
])  # fmt: skip
def test_a_wrong_address_or_token_is_one_message(url, token, says):
    with pytest.raises(LabelStudioError, match=says) as error, Client(url, token) as client:
        client.version()
    assert token.strip() == "" or token not in str(error.value)


@pytest.mark.parametrize(("given", "says"), [
    (answer("GET /api/version", text="<html>"), "not JSON"),
    (answer("GET /api/version", []), "states no release"),
    (answer("GET /api/version", {"release": "0.9.1"}), "expected Label Studio 1.0 or later, found 0.9.1"),
    (answer("GET /api/version", status=301, headers={"location": "https://x.test/"}), "sends on to https://x.test/"),
    (answer("GET /api/version", {"detail": "out of order"}, status=503), "HTTP 503: out of order"),
])  # fmt: skip
def test_a_server_that_is_none_is_named(given, says):
    with serving([given]) as (url, _), Client(url, TOKEN) as client, pytest.raises(LabelStudioError, match=says):
        client.version()


def test_many_tasks_come_page_by_page():
    pages = [
        answer(f"GET /api/tasks/?project=5&fields=all&page={page}&page_size=100", {"total": 250, "tasks": [{"id": n} for n in ids]})
        for page, ids in enumerate((range(100), range(100, 200), range(200, 250)), start=1)
    ]
    with serving(pages) as (url, faults), Client(url, TOKEN) as client:
        assert [task["id"] for task in client.tasks(5)] == list(range(250))
    assert not faults and not pages


def test_a_project_of_the_same_number_on_another_server_is_left_alone(tmp_path):
    study = made_study(tmp_path)
    study.store.put(MEMORY, {"key": "0123456789abcdef", "pulled": {}, "project": 5})
    foreign = answer("GET /api/projects/5/", {**PROJECT, "description": "cats of somebody else"})
    with serving([foreign]) as (url, faults), Client(url, TOKEN) as client, pytest.raises(BoxwiseError, match="no project for it"):
        pull(study, client)
    assert not faults


def test_before_the_first_push_there_is_nothing_to_pull(tmp_path):
    with serving([]) as (url, faults), Client(url, TOKEN) as client, pytest.raises(BoxwiseError, match="boxwise labelstudio push"):
        pull(made_study(tmp_path), client)
    assert not faults


def test_an_image_that_cannot_be_read_is_named_and_the_others_are_sent(tmp_path):
    study = made_study(tmp_path)
    (tmp_path / "images" / "a.png").unlink()
    (tmp_path / "images" / "c.tif").write_bytes(b"no picture")
    calls = [
        answer("GET /api/projects/?title=boxwise%3A+pets&page=1&page_size=100", {"count": 1, "results": [{**PROJECT, "id": 8}]}),
        answer("PATCH /api/projects/8/", {**PROJECT, "id": 8}),
        answer("GET /api/tasks/?project=8&fields=all&page=1&page_size=100", {"total": 0, "tasks": []}),
        answer("POST /api/projects/8/import?commit_to_project=false", {"file_upload_ids": [3]}, 201),
        answer("GET /api/import/file-upload/3", {"file": "upload/8/x.png"}),
        answer("POST /api/projects/8/import", {"task_count": 1}, 201),
        answer("PATCH /api/projects/8/", {}),
    ]
    with serving(calls) as (url, faults), Client(url, TOKEN) as client:
        pushed = push(study, client)
    assert not faults and not calls
    assert pushed.made == 1 and sorted(message.split(":")[0] for message in pushed.findings) == ["a.png", "c.tif"]


def test_killed_before_it_remembers_a_pull_records_nothing_twice(tmp_path):
    study = made_study(tmp_path)
    study.store.put(MEMORY, {"key": "0123456789abcdef", "pulled": {}, "project": 5})
    given = {"id": 11, "result": [], "was_cancelled": False, "lead_time": 3.0, "completed_by": 2, "updated_at": "2026-11-22T03:47:10Z"}
    task = {"id": 1, "data": {"image_id": "a.png", "round": 0}, "annotations": [given]}

    def calls():
        return [
            answer("GET /api/projects/5/", PROJECT),
            answer("GET /api/tasks/?project=5&fields=all&page=1&page_size=100", {"total": 1, "tasks": [task]}),
            answer("GET /api/users/", status=403),
        ]

    for _ in range(2):
        with serving(calls()) as (url, _), Client(url, TOKEN) as client:
            assert pull(study, client).taken == 1
        study.store.put(MEMORY, {"key": "0123456789abcdef", "pulled": {}, "project": 5})  # as if the put had never been
    (entry,) = study.store.history("a.png")
    who = entry.annotator
    assert who == "Label Studio user 2"


def test_what_an_earlier_version_pulled_is_not_recorded_again(tmp_path):
    study = made_study(tmp_path)
    given = {"id": 11, "result": [], "was_cancelled": False, "lead_time": 3.0, "completed_by": 2, "updated_at": "2026-11-22T03:47:10Z"}
    task = {"id": 1, "data": {"image_id": "a.png", "round": 0}, "annotations": [given]}
    known = {"11": {"updated_at": given["updated_at"], "lead_time": 3.0}}
    study.store.put(MEMORY, {"key": "0123456789abcdef", "told": known, "project": 5})
    calls = [
        answer("GET /api/projects/5/", PROJECT),
        answer("GET /api/tasks/?project=5&fields=all&page=1&page_size=100", {"total": 1, "tasks": [task]}),
    ]
    with serving(calls) as (url, faults), Client(url, TOKEN) as client:
        pulled = pull(study, client)
    assert (pulled.taken, pulled.known) == (0, 1) and not faults
    assert study.store.get(MEMORY) == {"key": "0123456789abcdef", "pulled": known, "project": 5}


def test_the_command_says_what_it_did(tmp_path):
    made_study(tmp_path)
    with serving([answer("GET /api/version", status=404, value={"detail": "gone"})]) as (url, _):
        environment = os.environ | {"LABEL_STUDIO_URL": url, "LABEL_STUDIO_API_KEY": TOKEN}
        done = processes.run("-m", "boxwise", "labelstudio", "push", tmp_path / "pets", env=environment)
    assert done.returncode == 2 and done.stderr.startswith(f"Error: {url}: knows no GET /api/version (HTTP 404: gone)")
    assert TOKEN not in done.stderr + done.stdout and len(CLASSES) == 3
