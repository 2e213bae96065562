"""A package of its own: installed by pip, found by its entry points, held to the promises, and run through a study."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from commands import commands

from boxwise.data.formats.names import FORMATS

PACKAGE = Path(__file__).parent / "plugin"
METHODS = (
    *("detector.name=bright_box", "scorer.name=brightness", "scorer.brightness.wanted=bright"),
    *("strategy.name=crowded", "strategy.crowded.most=3", "policy.name=newest"),
    *(
        "strategy.duplicates=0.999",
        "embedding.name=colours",
        "embedding.colours.cells=2",
        "cold_start.name=k_center",
        "cold_start.embedding=colours",
    ),
)


pytestmark = pytest.mark.slow  # a package is built and installed, and a process of it imports torch


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The environment of processes for which the package is installed."""
    target = tmp_path_factory.mktemp("installed")
    source = tmp_path_factory.mktemp("source") / "plugin"
    shutil.copytree(PACKAGE, source)  # nothing is built in the checkout
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", target]
    subprocess.run([*install, source], check=True, capture_output=True)
    path = os.pathsep.join([str(target), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path}


@pytest.fixture
def run(environment, tmp_path):
    """A function that runs commands in one process for which the package is installed."""
    with commands(tmp_path, environment) as boxwise:
        yield boxwise


@pytest.fixture(scope="module")
def refused(environment, digits, tmp_path_factory):
    """A function from settings to how a creation of a study with them ends."""
    folder = tmp_path_factory.mktemp("refused")
    (folder / "images").mkdir()
    shutil.copy(digits.images[0].uri, folder / "images")
    with commands(folder, environment) as boxwise:
        yield lambda *settings: (boxwise("init", "study", "--images", "images", "--classes", "a,b", *settings), folder / "study")


@pytest.fixture
def images(digits, tmp_path):
    """A folder of a dozen images without labels."""
    (tmp_path / "images").mkdir()
    for record in digits.images[:12]:
        shutil.copy(record.uri, tmp_path / "images")
    return tmp_path / "images"


def hand_in(run, digits, tmp_path, number):
    """Label what is asked and import it."""
    run("query", "study", "--out", f"asked{number}.txt")
    asked = {Path(line).name for line in (tmp_path / f"asked{number}.txt").read_text().splitlines()}
    records = tuple(record for record in digits.images if Path(record.uri).name in asked)
    FORMATS["voc"].write(replace(digits, images=records), tmp_path / f"labels{number}", copy_images=True)
    return run("import", "study", f"labels{number}")


def test_its_methods_are_listed_with_their_options(run):
    listed = json.loads(run("methods", "--json").stdout)
    names = {"detectors": "bright_box", "scorers": "brightness", "strategies": "crowded", "policies": "newest", "embedders": "colours"}
    assert all(listed[kind][name]["package"] == "boxwise-example" for kind, name in names.items())
    assert listed["strategies"]["crowded"]["options"]["most"]["default"] == 100
    assert "strategy.crowded.most" in run("methods", "crowded").stdout


def test_they_keep_the_promises(environment, tmp_path):
    suite = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", PACKAGE / "tests", "--rootdir", tmp_path, "-c", os.devnull]
    ran = subprocess.run(suite, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr
    assert "passed" in ran.stdout and "skipped" not in ran.stdout


def test_a_study_of_nothing_else_runs_to_its_end(run, images, digits, tmp_path):
    budget = ("budget.initial=3", "budget.per_round=2", "budget.validation=2", "budget.rounds=1")
    made = run("init", "study", "--images", images, "--classes", ",".join(digits.classes), *METHODS, *budget)
    assert made.code == 0, made.stderr
    for number in range(2):
        ran = run("run", "study")
        assert ran.code == 0 and f"Round {number} waits for labels" in ran.stdout, ran.stderr
        handed = hand_in(run, digits, tmp_path, number)
        assert handed.code == 0 and "0 findings" in handed.stdout, handed.stderr
    ended = run("run", "study")
    assert ended.code == 0 and "The study is done" in ended.stdout, ended.stderr
    assert "newest trains on 2 images" in ended.stdout
    assert [path.name.partition("-")[0] for path in (tmp_path / "study" / "embeddings").iterdir() if path.is_dir()] == ["colours"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("strategy.crowded.least=3", r"options of crowded: Unknown key 'least'\. Known: most\.$"),
        ("strategy.crowded.mots=3", r"options of crowded: Unknown key 'mots'\. Did you mean 'most'\? Known: most\.$"),
        ("strategy.crowded.most=0", "options of crowded: most: .*greater than or equal to 1, found 0"),
        ("scorer.name=uncertainty", "scorer uncertainty needs an expected loss, which detector bright_box has not"),
        ("strategy.name=ppal", "strategy ppal needs features of single boxes, which detector bright_box has not"),
        ("embedding.colours.cells=0", "options of colours: cells.*greater than or equal to 1"),
        ("policy.name=newst", "Unknown policy 'newst'. Did you mean 'newest'"),
        ("strategy.crowdd.most=3", "Unknown strategy with options in strategy 'crowdd'. Did you mean 'crowded'"),
    ],
)
def test_a_wrong_option_or_an_unmet_need_is_said_before_any_work(refused, override, message):
    done, study = refused(*METHODS, override)
    assert done.code == 2 and re.search(message, done.stderr), done.stderr
    assert len(done.stderr.splitlines()) == 1 and not study.exists()
