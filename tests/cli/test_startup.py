"""Verbs that answer from the store and the files start at once: none of them imports torch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import sys
from boxwise.cli import main
sys.argv = ["boxwise", *sys.argv[1:]]
try:
    main()
finally:
    print(sorted({"torch", "torchvision"} & sys.modules.keys()), file=sys.stderr)
"""
METHODS = ("detector.name=tiny_ssd", "detector.pretrained=false", "budget.initial=4", "budget.validation=2")


@pytest.fixture(scope="module")
def run(digits_folder, digits, tmp_path_factory):
    """A function that runs `boxwise ...` in a process of its own, in a folder with a study that waits for labels."""
    folder = tmp_path_factory.mktemp("startup")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}

    def boxwise(*arguments):
        command = [sys.executable, "-c", RUN, *map(str, arguments)]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)

    made = boxwise("init", "study", "--images", digits_folder / "JPEGImages", "--classes", ",".join(digits.classes), *METHODS)
    assert made.stderr.splitlines()[-1] == "[]", made.stderr
    return boxwise


@pytest.mark.parametrize(
    "command",
    [
        ("status", "study"),
        ("query", "study"),
        ("query", "study", "--out", "asked"),
        ("set", "study"),
        ("set", "study", "train.lr=0.5"),
        ("doctor", "study"),
        ("methods",),
        ("methods", "ppal"),
        ("init", "study", "--images", "nowhere"),
        ("init", "other", "--images", "nowhere", "detector.name=tiny_sdd"),
    ],
    ids=" ".join,
)
def test_it_imports_no_torch(run, command):
    assert run(*command).stderr.splitlines()[-1] == "[]"


def test_neither_do_an_import_and_a_look_at_a_data_set(run, digits_folder):
    taken = run("import", "study", digits_folder)
    assert taken.returncode == 0 and "images labelled" in taken.stdout and taken.stderr.splitlines()[-1] == "[]", taken.stderr
    assert run("doctor", digits_folder).stderr.splitlines()[-1] == "[]"


def test_a_name_that_nothing_has_is_said_before_the_images_are_read(run):
    refused = run("init", "other", "--images", "nowhere", "detector.name=tiny_sdd")
    assert refused.returncode == 2 and "Did you mean 'tiny_ssd'" in refused.stderr and "nowhere" not in refused.stderr


def test_a_study_that_is_there_already_is_said_before_the_images_are_read(run):
    refused = run("init", "study", "--images", "nowhere")
    assert refused.returncode == 2 and "there is a study already" in refused.stderr


def test_status_and_query_speak_json(run):
    state, asked = (json.loads(run(verb, "study", "--json").stdout) for verb in ("status", "query"))
    assert state["next"] in ("annotate", "select") and state["labeled"].keys() == {"images", "boxes", "seconds"}
    assert {image["image"] for image in asked["images"]} == set(json.loads(run("status", "study", "--json").stdout)["waiting"])
