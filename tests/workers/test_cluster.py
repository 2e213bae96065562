"""Work on a real local Ray: what two workers leave is what one process leaves, also where one of them is killed in the middle."""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

import processes
import pytest

from boxwise.config import load_config
from boxwise.errors import BoxwiseError, ConfigError
from boxwise.records import Phase
from boxwise.simulation.simulate import Plan, simulate
from boxwise.study import Study
from boxwise.workers.cluster import address_of, ray_cluster

# What Ray reads as it is imported. Its workers give way to others (nice 15), which beside the rest of the suite leaves them no time.
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "of_this_test_alone_0123456789abcdef", "RAY_worker_niceness": "0"}
PATIENCE = 300
RESULTS = ("scores.parquet", "detections.parquet", "embeddings.npz")
GRID = {
    "data": {"digits": {"digits": 20}},
    "detectors": {"tiny": ["detector.name=tiny_ssd", "detector.imgsz=64", "detector.pretrained=false"]},
    "arms": ["random", "fewest"],
    "seeds": 1,
    "config": {
        "train": {"min_steps": 2, "max_steps": 2, "batch": 2, "warmup_steps": 1, "augment": "none"},
        "budget": {"initial": 4, "per_round": 2, "rounds": 1},
    },
}
needs_proc = pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the worker to kill in /proc")


@pytest.fixture(scope="module")
def head():
    """The address of a cluster of two processors that runs already, and the id of its process."""
    pytest.importorskip("ray", reason="needs the extra [ray]")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={port}"]
    options = ["--num-cpus=2", "--object-store-memory=100000000", "--include-dashboard=false", "--disable-usage-stats"]
    patient = os.environ | {"RAY_raylet_start_wait_time_s": f"{PATIENCE}"}  # on a busy machine
    running = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=patient)
    deadline = monotonic() + PATIENCE
    while socket.socket().connect_ex(("127.0.0.1", port)):
        assert running.poll() is None and monotonic() < deadline, running.stdout.read()
        sleep(0.1)
    yield f"127.0.0.1:{port}", running.pid
    running.terminate()
    running.wait(timeout=60)


def kill_a_worker(of: int) -> None:
    """SIGKILL a process below `of` that is at a task."""
    at_work = [pid for pid, line in descendants(of).items() if line.startswith("ray::_call")]
    assert at_work
    os.kill(at_work[0], signal.SIGKILL)


def descendants(pid: int) -> dict[int, str]:
    """Process id → command line of everything below a process."""
    parents, lines = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                lines[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
    below, found = {pid}, {}
    while new := {child for child, parent in parents.items() if parent in below} - below:
        below |= new
        found |= {child: lines[child] for child in new}
    return found


@pytest.mark.parametrize(("on", "address"), [("ray", None), ("ray=10.0.0.1:6379", "10.0.0.1:6379")])
def test_where_it_runs_is_read(on, address):
    assert address_of(on) == address


@pytest.mark.parametrize("on", ["", "dask", "ray=", "rays", "ray=10.0.0.1", "ray=:1", "ray=host:port", "ray=host:99999"])
def test_anything_else_is_refused(on):
    with pytest.raises(ConfigError, match="expected ray, for this machine, or ray=HOST:PORT of a cluster"):
        address_of(on)


def test_a_cluster_that_does_not_answer_is_one_message(boxwise, hidden, tmp_path):
    pytest.importorskip("ray", reason="needs the extra [ray]")
    Study.create(tmp_path / "study", hidden[1]).store.close()
    began = monotonic()
    code, _, err = boxwise("run", tmp_path / "study", "--on", "ray=127.0.0.1:1")
    assert code == 2 and "--on ray=127.0.0.1:1: nothing answers there (Connection refused)" in err and monotonic() - began < 30
    assert Study.open(tmp_path / "study").position == (0, Phase.SELECT)


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BoxwiseError, match=r"pip install 'boxwise\[ray\]'"), ray_cluster(None):
        pass


@pytest.mark.parametrize("command", ["run STUDY --label", "benchmark --jobs=2", "simulate --data=. --jobs=2"])
def test_what_is_of_this_machine_alone_does_not_go_with_a_cluster(boxwise, tmp_path, command):
    code, _, err = boxwise(*command.replace("STUDY", str(tmp_path)).split(), "--on", "ray")
    assert code == 2 and f"--on and {command.split()[-1].removesuffix('=2')}: give one of them" in err


@needs_proc
@pytest.mark.slow
class TestARunningCluster:
    def test_another_version_on_a_node_is_named_before_any_work(self, head, monkeypatch):
        monkeypatch.setattr("boxwise.__version__", "0.0.9")
        has = r"node [0-9.]+ of the cluster has boxwise .*, this machine has boxwise 0\.0\.9"
        with pytest.raises(BoxwiseError, match=has), ray_cluster(head[0]):
            pass

    def test_a_wrong_token_is_one_message_that_does_not_show_it(self, head, hidden, tmp_path):
        Study.create(tmp_path / "study", hidden[1]).store.close()
        wrong = os.environ | {"RAY_AUTH_TOKEN": "another_0123456789abcdef_0123456789"}
        command = [sys.executable, "-m", "boxwise", "run", str(tmp_path / "study"), "--on", f"ray={head[0]}"]
        done = subprocess.run(command, env=wrong, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 2 and "is RAY_AUTH_MODE=token set here" in done.stderr and "Traceback" not in done.stderr
        assert wrong["RAY_AUTH_TOKEN"] not in done.stderr + done.stdout

    def test_more_threads_than_a_node_has_are_refused(self, head):
        with ray_cluster(head[0]) as cluster, pytest.raises(BoxwiseError, match="no node of the cluster has threads=64 processors"):
            cluster.workers(threads=64)

    def test_cells_of_a_simulation_are_those_of_one_process_though_a_worker_is_killed(self, head, digits, tiny_overrides, tmp_path):
        config = load_config(None, (*tiny_overrides, "threads=1", "device=cpu", "budget.rounds=1"))
        alone = Plan(digits, config, ("random", "dual"), (0,), tmp_path / "alone")
        killed = []

        def kill_one(message):
            if not killed and message[2].phase is Phase.TRAIN:
                killed.append(kill_a_worker(head[1]))

        with ray_cluster(head[0]) as cluster:
            there = simulate(replace(alone, folder=tmp_path / "there"), cluster=cluster, on_event=kill_one)
        assert killed
        for cell, same in zip(there, simulate(alone), strict=True):
            assert cell.finished and [r.evaluate for r in cell.rounds] == [r.evaluate for r in same.rounds]
            assert [r.train.history for r in cell.rounds] == [r.train.history for r in same.rounds]
            scores = "rounds/round_00/scores.parquet"
            assert (cell.folder / scores).read_bytes() == (same.folder / scores).read_bytes()

    def test_a_benchmark_of_the_command_is_that_of_one_process(self, head, tmp_path):
        grid = tmp_path / "grid.yaml"
        grid.write_text(json.dumps(GRID))  # JSON is YAML
        rows = []
        for name, on in (("there", ["--on", f"ray={head[0]}"]), ("alone", [])):
            done = processes.run("-m", "boxwise", "benchmark", "--grid", grid, "--out", tmp_path / name, *on, "threads=1", "device=cpu")
            assert done.returncode == 0 and "Report: " in done.stdout, done.stderr
            with (tmp_path / name / "results.csv").open(newline="") as file:
                rows.append([{key: value for key, value in row.items() if "second" not in key} for row in csv.DictReader(file)])
        assert rows[0] == rows[1] and [(row["arm"], row["round"]) for row in rows[0]] == [
            (arm, number) for arm in GRID["arms"] for number in ("0", "1")
        ]

    def test_a_task_whose_workers_keep_dying_is_one_message(self, head):
        with (
            ray_cluster(head[0]) as cluster,
            pytest.raises(BoxwiseError, match=r"a worker of the cluster failed: .* What was done is kept"),
        ):
            cluster.workers().submit(os._exit, 1).result()

    def test_a_fault_in_a_task_is_the_message_that_it_is_on_one_machine_and_where(self, head, digits, tiny_overrides, tmp_path):
        plan = Plan(digits, load_config(None, tiny_overrides), ("random",), (0,), tmp_path)
        broken = plan.folder / "cells/.trunk_seed0"
        broken.mkdir(parents=True)
        (broken / "config.yaml").write_text("nonsense: true\n")
        with ray_cluster(head[0]) as cluster, pytest.raises(BoxwiseError, match=r"^on a node of the cluster: .*nonsense") as fault:
            simulate(plan, cluster=cluster)
        assert "Traceback" not in str(fault.value)


@needs_proc
@pytest.mark.slow
def test_a_killed_worker_changes_no_byte_of_a_pool_pass(hidden, tiny_overrides, tmp_path):
    """Three hundred images in three parts on two workers of this machine, one of which is killed when the first part is there."""
    pytest.importorskip("ray", reason="needs the extra [ray]")
    annotator, dataset = hidden
    pool = [image for image in dataset.images if image.image_id not in dataset.labels]
    copies = [replace(image, image_id=f"{image.image_id}.{copy}") for copy in range(300 // len(pool)) for image in pool]
    overrides = (*tiny_overrides, "threads=1", "device=cpu", "budget.rounds=1", "budget.val_per_round=0")
    study = Study.create(tmp_path / "study", replace(dataset, images=(*dataset.images, *copies)), config=load_config(None, overrides))
    for item in study.ask().items:
        original = replace(item, image_id=item.image_id.partition(".png")[0] + ".png")
        study.tell(item.image_id, *annotator.annotate(original, None)[:1])
    while study.position != (0, Phase.SCORE):
        study.step()
    study.store.close()
    alone = Study.open(shutil.copytree(study.folder, tmp_path / "alone"))
    alone.step()
    said, parts, deadline = tmp_path / "said", study.folder / "rounds/round_00/pool_pass", monotonic() + PATIENCE
    running = processes.start("-m", "boxwise", "run", study.folder, "--on", "ray", out=said, err=said)
    while not list(parts.glob("part_*")):
        assert running.is_alive() and monotonic() < deadline, said.read_text()
        sleep(0.01)
    kill_a_worker(running.pid)
    running.join(PATIENCE)
    assert running.exitcode == 0 and "Round 1 waits for labels of 4 images" in said.read_text(), said.read_text()
    for name in RESULTS:
        assert (study.folder / "rounds/round_00" / name).read_bytes() == (alone.folder / "rounds/round_00" / name).read_bytes()
