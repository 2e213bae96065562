"""A study on a medium that cannot be written, or of another user: it is looked at as any other, and what would change it says why not."""

import os
import shutil
import subprocess
import sys

import pytest
from commands import commands
from test_upkeep import SETTINGS, scenes  # noqa: F401 (fixture)

from boxwise.study import Study

pytestmark = pytest.mark.slow  # processes that begin from nothing


@pytest.fixture
def study(boxwise, scenes, tmp_path):  # noqa: F811
    """A study of six images, one of them labelled, that nothing has open."""
    (tmp_path / "images").mkdir()
    for path in scenes[:6]:
        shutil.copyfile(path, tmp_path / "images" / path.name)
    code, _, err = boxwise("init", tmp_path / "made", "--images", tmp_path / "images", "--classes", "cat,dog", *SETTINGS)
    assert code == 0, err
    opened = Study.open(tmp_path / "made")
    opened.tell(opened.ask().image_ids[0], ())
    opened.store.engine.connect().exec_driver_sql("PRAGMA wal_checkpoint")
    copied = shutil.copytree(opened.folder, tmp_path / "study", ignore=shutil.ignore_patterns("*-wal", "*-shm"))
    yield copied
    copied.chmod(0o755)


@pytest.fixture
def reader():
    """What starts a process that can only read what is not writable."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0  # who may write anything
    if os.name == "nt" or (is_root and shutil.which("setpriv") is None):
        pytest.skip("no way here to run as one who may only read a folder")
    return ["setpriv", "--bounding-set=-all"] if is_root else []


def closed(folder):
    for path in (*folder.rglob("*"), folder):
        path.chmod(path.stat().st_mode & ~0o222)


def test_it_is_looked_at_and_not_changed(reader, study, tmp_path):
    closed(study)
    before = sorted(path.name for path in study.rglob("*"))
    image_id, labels = "scene_0000_00.png", tmp_path / "labels.json"
    with commands(tmp_path, os.environ, by=reader) as boxwise:
        assert "1 labelled" in boxwise("status", study).stdout and image_id in boxwise("history", study, image_id).stdout
        assert boxwise("export", study, labels).code == 0 and labels.exists()
        done = boxwise("exclude", study, image_id)
        assert done.code == 2 and done.stderr.endswith("study.sqlite: cannot be written: it is read-only here. Nothing more was stored.\n")
        done = boxwise("report", study)
        assert done.code == 2 and f"{study}/results.csv: cannot be written" in done.stderr
    assert sorted(path.name for path in study.rglob("*")) == before


def test_nobody_is_asked_to_label_what_cannot_be_stored(reader, study):
    closed(study)
    label = [*reader, sys.executable, "-m", "boxwise", "label", study, "--no-browser", "--port", "0"]
    done = subprocess.run(label, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and "study.sqlite: cannot be written: it is read-only here" in done.stderr and not done.stdout


def test_a_link_to_a_database_elsewhere_is_written_there(reader, study, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(study / "study.sqlite", elsewhere / "study.sqlite")
    closed(study)
    study.chmod(0o755)
    (study / "study.sqlite").symlink_to(elsewhere / "study.sqlite")
    study.chmod(0o555)
    with commands(tmp_path, os.environ, by=reader) as boxwise:
        opened = Study.open(study)  # what it commits lies in a -wal beside the target
        opened.tell(opened.ask().image_ids[1], ())
        assert "2 labelled" in boxwise("status", study).stdout
        opened.store.close()
        done = boxwise("exclude", study, "scene_0000_00.png")
    assert done.code == 0, done.stderr


def test_what_was_written_last_and_lies_beside_it_is_not_passed_over(reader, study, tmp_path):
    (study / "study.sqlite-wal").write_bytes(b"as a machine that went down leaves it")
    closed(study)
    with commands(tmp_path, os.environ, by=reader) as boxwise:
        done = boxwise("status", study)
    assert done.code == 2 and "cannot be opened: expected a file and a folder that can be read and written here" in done.stderr
