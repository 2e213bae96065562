"""What deploy/ runs in containers is run here without them: the page answers its probe, the worker's command goes on."""

import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from time import monotonic, sleep

import httpx
import processes
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 300.0


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load((ROOT / "deploy/compose.yaml").read_text(encoding="utf-8"))["services"]


def test_every_service_has_an_image_a_volume_and_no_password_in_the_file(services):
    assert services.keys() == {"db", "page", "worker"}
    assert all(service["image"] and service["volumes"] for service in services.values())
    passwords = [value for s in services.values() for key, value in s["environment"].items() if "PASSWORD" in key]
    assert len(passwords) == 3 and all(value.startswith("${") for value in passwords)


def test_what_the_environment_is_to_hold_is_said_at_the_top(services):
    text = (ROOT / "deploy/compose.yaml").read_text(encoding="utf-8")
    head = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    assert (
        set(re.findall(r"\$\{(\w+):\?\}", text)) == set(re.findall(r'echo "(\w+)=', head)) == {"PGPASSWORD", "BOXWISE_TOKEN", "BOXWISE_URL"}
    )
    assert all(service["environment"]["BOXWISE_LOG"] == "json" for name, service in services.items() if name != "db")


def test_the_image_installs_what_the_repository_names():
    text = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")
    extras = re.search(r'"/src\[([\w,]+)\]"', text)[1].split(",")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"postgres", "metrics", "remote"} == set(extras) <= project["optional-dependencies"].keys()
    assert 'ENTRYPOINT ["boxwise"]' in text and "boxwise" in project["scripts"] and "USER boxwise" in text
    pinned = set(re.findall(r"^([\w-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
    assert {re.split(r"[<>=]", line)[0] for extra in extras for line in project["optional-dependencies"][extra]} <= pinned


def test_the_build_is_given_all_that_the_package_is_made_of():
    given = [line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert all((ROOT / name).exists() for name in given)
    assert {"boxwise", "pyproject.toml", "constraints.txt", project["readme"], *project["license-files"]} == set(given)


def test_the_worker_ends_where_labels_are_needed_and_the_page_answers_its_probe(services, boxwise, waiting_study, tmp_path):
    study = waiting_study("full")
    worker = [str(study.folder) if word == "study" else word for word in services["worker"]["command"]]
    code, out, err = boxwise(*worker)
    assert code == 0 and "Round 1 waits for labels" in out, err

    words = {"study": str(study.folder), "0.0.0.0": "127.0.0.1", "8123": "0", "${BOXWISE_TOKEN:?}": "secret"}
    page = [words.get(word, word) for word in services["page"]["command"]]
    log = tmp_path / "log"
    log.write_text("")
    process, end = processes.start("-m", "boxwise", *page, out=log, err=log), monotonic() + _PATIENCE
    try:
        while not (found := re.search(r"(http://\S+:\d+)\S*\s", log.read_text())):
            assert process.is_alive() and monotonic() < end, log.read_text()
            sleep(0.05)
        link = found[1]
        kind, *ask = services["page"]["healthcheck"]["test"]
        ask = [sys.executable, *(word.replace("http://127.0.0.1:8123", link) for word in ask[1:])]
        assert kind == "CMD" and link in ask[-1] and subprocess.run(ask, check=False).returncode == 0
        assert httpx.get(f"{link}/healthz", headers={"Host": "10.0.0.7"}).json() == {"status": "ok"}
        assert httpx.get(f"{link}/api/study").status_code == 401
        os.kill(process.pid, signal.SIGTERM)
        process.join(_PATIENCE)
        assert process.exitcode == 0
        assert subprocess.run(ask, check=False, capture_output=True).returncode != 0
    finally:
        process.kill()
        process.join()


def test_the_page_and_the_links_have_the_names_that_the_environment_gives(services, boxwise, waiting_study, tmp_path, monkeypatch):
    assert services["page"]["environment"]["BOXWISE_URL"] == services["worker"]["environment"]["BOXWISE_URL"] == "${BOXWISE_URL:?}"
    monkeypatch.setenv("BOXWISE_URL", "http://labels.example.com:8123/ http://page:8123")
    study, log = waiting_study("full"), tmp_path / "log"
    assert "http://labels.example.com:8123/?person=" in boxwise("team", study.folder, "--add", "anna")[1]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    page = ["label", study.folder, "--port", port, "--no-browser", "--token", "secret"]
    process, end = processes.start("-m", "boxwise", *page, out=log, err=log), monotonic() + _PATIENCE
    try:
        while "http://labels.example.com:8123/?token=secret" not in (log.read_text() if log.exists() else ""):
            assert process.is_alive() and monotonic() < end, log.read_text()
            sleep(0.05)
        status = {
            host: httpx.get(f"http://127.0.0.1:{port}/api/study", headers={"Host": host, "Authorization": "Bearer secret"}).status_code
            for host in ("labels.example.com:8123", "page:8123", "labels.example.com", "127.0.0.1", "evil.example")
        }
        assert status == dict.fromkeys(status, 200) | {"evil.example": 400}
    finally:
        process.terminate()
        process.join()
