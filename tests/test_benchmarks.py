"""Every script in benchmarks/ starts, says how it is called, and has its place in the folder's README."""

import os
import re
import runpy
import sys
from pathlib import Path

import pytest

from boxwise.data.datasets import read_pool
from boxwise.study import Study

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if "def main(" in path.read_text(encoding="utf-8"))


def test_there_are_scripts_to_start():
    assert {"cooperation.py", "labour.py", "study_overhead.py"} <= {script.name for script in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_it_says_how_it_is_called(script, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))  # which some of them set: undone after the test
    monkeypatch.setattr(sys, "argv", [script.name, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {script.name}")


def test_each_is_named_where_the_readme_shows_what_it_does():
    heads = re.findall("^## (.*?): ", (FOLDER / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {script.name for script in SCRIPTS} == {name for head in heads for name in head.split(", ")}


def test_the_listing_of_a_large_study_is_a_pool_of_as_many_images_as_are_wanted(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.chdir(tmp_path)
    million = runpy.run_path(str(FOLDER / "million.py"))
    images = million["PICTURES"] + 20
    pool = read_pool(million["listing"](Path("here"), images), None, classes=("cat",))
    assert len(pool.images) == images and not pool.findings and all(Path(record.uri).is_file() for record in pool.images)
    study = Study.create(tmp_path / "study", pool)
    million["check_count"](study, images)
    assert study.pool_size() == images
    with pytest.raises(SystemExit, match=f"expected a study of {images + 1} images, found {images}"):
        million["check_count"](study, images + 1)
