"""Fixtures shared by all tests: where the optional real data and weights lie, and quiet, single-threaded torch."""

import atexit
import functools
import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import processes
import pytest
from filelock import FileLock

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAYON_NUM_THREADS", "1")  # of hotcoco: beside other processes its threads wait for each other, a hundred times an AP
# A process that may not keep compiled modules compiles the project and its tests anew, and the suite starts many processes.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
gc.disable()  # until all tests are collected: of the million objects of modules and tests none is garbage, and looking takes a second
# Files of tests lie in memory where there is room: a label is on the disk before it is acknowledged, and the disk takes its time.
_MEMORY = Path("/dev/shm")
if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > 6 * 2**30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))
_SHARED = Path(__file__).resolve().parents[2] / "shared"
collect_ignore = ["plugin"]  # a package of its own, whose tests test_plugin.py runs where it is installed
_LONGEST = {"test_whole_study.py", "test_examples.py", "test_cluster.py", "test_distributed.py", "test_two_servers.py", "test_plugin.py"}
_LONGEST |= {"test_accessibility.py", "test_page_keeping.py"}
_MOST_STEPS = 10  # of an optimizer, in a test of the fast tier: more is a training
_steps_taken = 0


def pytest_configure(config: pytest.Config) -> None:
    """Without the slow tests, a test that trains fails: the mark is missing. Processes that a test starts are not looked into.

    A process that only hands out tests to others runs none, and need not wait for torch.
    """
    processes.prepare(torch=config.option.markexpr != "not slow")
    processes.fork_workers()
    hands_out = getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput")
    if config.option.markexpr == "not slow" and not hands_out:
        from torch.optim.optimizer import register_optimizer_step_pre_hook

        register_optimizer_step_pre_hook(_count_step)


def pytest_collection_finish() -> None:
    """From here on garbage is collected, and what is there by now is no longer looked through each time.

    Nor when pytest ends, which collects twice; but when Python does, or libraries in C++ report what is left as lost. What has become old
    is looked through less often: with nothing old to compare with, Python did so all the time, which took a tenth of the suite.
    """
    gc.freeze()
    gc.set_threshold(700, 10, 200)
    gc.enable()
    atexit.register(gc.unfreeze)


def _count_step(*_: object) -> None:
    global _steps_taken
    _steps_taken += 1
    assert _steps_taken <= _MOST_STEPS, "this test trains a network: mark it with pytest.mark.slow"


def pytest_runtest_setup() -> None:
    global _steps_taken
    _steps_taken = 0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whichever test is the first to want a waiting study trains it, or starts the browser or the server of objects: all are slow.

    The files with the longest tests come first: one that began last would run alone while the other processes have nothing left to do.
    """
    for item in items:
        if {"waiting_study", "object_server", "chromium"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.path.name not in _LONGEST)


def _folder(variable: str, name: str) -> Path:
    folder = Path(os.environ.get(variable, _SHARED / name))
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}: set {variable} to run the tests on real {name}")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with bccd, fod (VOC), pothole (COCO) and coco256 (YOLO); skips where it is absent."""
    return _folder("BOXWISE_DATA", "data")


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """Folder with ImageNet backbone weights; skips where it is absent."""
    return _folder("BOXWISE_WEIGHTS", "weights")


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """`made_once(name, make)` → the folder that `make(folder)` has made, once for all processes of this run; change copies alone."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder_of(name: str, make: Callable[[Path], None]) -> Path:
        folder, making = shared / f"once_{name}", shared / f"once_{name}_making"
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                shutil.rmtree(making, ignore_errors=True)  # of a process that failed
                make(making)
                making.rename(folder)
        return folder

    return folder_of


@pytest.fixture(scope="session")
def digits_folder(made_once) -> Path:  # type: ignore[no-untyped-def]
    """A VOC data set of 60 digit scenes with train, val and test; the tests of all processes read it, so change a copy."""
    from boxwise.data.digits import make_digits

    return made_once("digits", lambda folder: make_digits(folder, seed=1, images=60))


@pytest.fixture(scope="session")
def digits(digits_folder: Path):  # type: ignore[no-untyped-def]
    """The digit scenes as a Dataset, every image labelled."""
    from boxwise.data.datasets import read_dataset

    return read_dataset(digits_folder)


@pytest.fixture(scope="session")
def hidden(digits):  # type: ignore[no-untyped-def]
    """The pool's labels in an annotator's hands, and the data set without them."""
    from boxwise.config import CostConfig
    from boxwise.records import Split
    from boxwise.simulation.annotator import SimulatedAnnotator

    pool = {record.image_id for record in digits.images if record.split is Split.TRAIN}
    annotator = SimulatedAnnotator({name: boxes for name, boxes in digits.labels.items() if name in pool}, CostConfig())
    return annotator, replace(digits, labels={name: boxes for name, boxes in digits.labels.items() if name not in pool})


@pytest.fixture(scope="session")
def tiny_overrides() -> tuple[str, ...]:
    """Config overrides for a study of seconds: a small SSD from scratch, a dozen training steps a round."""
    return (
        "detector.name=tiny_ssd",
        "detector.imgsz=96",
        "detector.pretrained=false",
        "train.min_steps=12",
        "train.max_steps=12",
        "train.batch=4",
        "train.warmup_steps=2",
        "train.augment=ssd",  # with these, after a dozen steps, some boxes are surer than others
        "train.lr=0.0025",
        "train.checkpoint_every=4",
        "scorer.name=dual",  # with a strategy that uses scores and embeddings, so that a round has all its parts
        "strategy.name=score_then_diversity",
        "scorer.vae.size=32",
        "scorer.vae.steps=6",
        "scorer.vae.width=4",
        "scorer.vae.latent=8",
        "budget.initial=6",
        "budget.per_round=4",
        "budget.rounds=2",
    )


@pytest.fixture(scope="session")
def _waiting(hidden, tiny_overrides, made_once):  # type: ignore[no-untyped-def]
    """Mode of asking → folder of a study that waits in round 1; made when first asked for."""
    from boxwise.config import load_config
    from boxwise.records import Phase
    from boxwise.study import Study

    def make(folder: Path, mode: str) -> None:
        overrides = (f"ask.mode={mode}", "ask.certain=0.34", "scorer.name=none", "strategy.name=k_center", "budget.val_per_round=1")
        study = Study.create(folder, hidden[1], config=load_config(None, (*tiny_overrides, *overrides)))
        while study.store.position != (1, Phase.ANNOTATE):
            if study.store.position[1] is Phase.ANNOTATE:
                study.answer(hidden[0])
            study.step()
        study.store.close()  # so that the write-ahead log is in the one file that is copied

    return lambda mode: made_once(f"waiting_{mode}", functools.partial(make, mode=mode))


@pytest.fixture
def waiting_study(_waiting, tmp_path):  # type: ignore[no-untyped-def]
    """A function from a mode of asking to a fresh study that waits for labels in round 1: 4 images for train, 1 for val."""
    from boxwise.study import Study

    return lambda mode: Study.open(shutil.copytree(_waiting(mode), tmp_path / f"waiting_{mode}"))


@pytest.fixture(scope="session")
def _verbs_built_once():  # type: ignore[no-untyped-def]
    """Typer builds all verbs with their options anew for each command, which a process does once and this one a thousand times."""
    import typer.main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture
def boxwise(monkeypatch, capsys, _verbs_built_once):  # type: ignore[no-untyped-def]
    """`boxwise("status", folder)` → (exit code, stdout, stderr)."""

    from boxwise.cli import main

    def run(*arguments):  # type: ignore[no-untyped-def]
        monkeypatch.setattr("sys.argv", ["boxwise", *map(str, arguments)])
        capsys.readouterr()
        try:
            code = main() or 0
        except SystemExit as ended:
            code = ended.code or 0
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL cluster of the tests' own on a socket in a temporary folder, outside of pytest's, which only its user may enter."""
    if given := os.environ.get("BOXWISE_POSTGRES_URL"):
        yield given
        return
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("no PostgreSQL server found: install postgresql or set BOXWISE_POSTGRES_URL to test on it")
    with TemporaryDirectory(prefix="boxwise-postgres-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")) as folder:
        yield from _postgres(Path(folder), programs[-1].parent)


def _postgres(folder: Path, programs: Path) -> Iterator[str]:
    """The URL of a cluster in `folder` that runs until the generator is closed."""
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if as_user:
        shutil.chown(folder, "postgres")
    data = folder / "data"
    subprocess.run([*as_user, programs / "initdb", "-D", data, "-A", "trust", "-U", "boxwise"], check=True, capture_output=True)
    options = f"-k {folder} -c listen_addresses=''"
    control = [*as_user, programs / "pg_ctl", "-D", data, "-w"]
    subprocess.run([*control, "-o", options, "-l", folder / "log", "start"], check=True, capture_output=True)
    yield f"postgresql+pg8000://boxwise@/postgres?unix_sock={folder}/.s.PGSQL.5432"
    subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True)


@pytest.fixture(scope="session")
def _postgres_engine(postgres_url: str):  # type: ignore[no-untyped-def]
    from boxwise.store.connecting import engine

    return engine(postgres_url)


@pytest.fixture
def empty_postgres(postgres_url: str, _postgres_engine) -> str:  # type: ignore[no-untyped-def]
    """The URL of a database without tables."""
    from sqlalchemy import text

    with _postgres_engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
    return postgres_url


@pytest.fixture(scope="session")
def object_server():  # type: ignore[no-untyped-def]
    """An S3-compatible server on loopback, moto's, behind a proxy that can be told to fail: (proxy, its address)."""
    server_module = pytest.importorskip("moto.server", reason="moto is not installed: the tests of remote images need it")
    from faulty_proxy import faulty_proxy

    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with faulty_proxy(f"http://{host}:{port}") as found:
        yield found
    server.stop()


@pytest.fixture
def bucket(object_server, monkeypatch, tmp_path):  # type: ignore[no-untyped-def]
    """An empty bucket s3://photos that this test's processes read, with an empty cache folder; see `faulty_proxy.Bucket`."""
    from faulty_proxy import Bucket

    from boxwise.config import ImagesConfig
    from boxwise.data import image_store
    from boxwise.data.cached_store import CachedStore

    proxy, address = object_server
    variables = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "hunter2",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "XDG_CACHE_HOME": str(tmp_path / "caches"),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    made: list[CachedStore] = []

    class Remembered(CachedStore):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            made.append(self)

    monkeypatch.setattr(image_store, "CachedStore", Remembered)
    yield Bucket(proxy)
    proxy.calm()
    for store in made:
        store._pool.shutdown(cancel_futures=True)  # or what it still downloads would be counted in another test
    proxy.calm()
    image_store.use(ImagesConfig(recheck=0))  # none of another test's files and answers
    image_store.use(ImagesConfig())
