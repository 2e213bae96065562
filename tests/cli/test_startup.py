"""Verbs that answer from the store and the files start at once: none of them imports torch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import commands

METHODS = ("detector.name=tiny_ssd", "detector.pretrained=false", "budget.initial=4", "budget.validation=2")


@pytest.fixture(scope="module")
def run(digits_folder, digits, tmp_path_factory):
    """A function that runs `boxwise ...` in a folder with a study that waits for labels; one process for all commands, without torch."""
    folder = tmp_path_factory.mktemp("startup")
    with commands(folder, os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}) as boxwise:
        made = boxwise("init", "study", "--images", digits_folder / "JPEGImages", "--classes", ",".join(digits.classes), *METHODS)
        assert made.code == 0 and not made.heavy, made.stderr
        yield boxwise


@pytest.mark.parametrize(
    "command",
    [
        ("status", "study"),
        ("query", "study"),
        ("query", "study", "--out", "asked"),
        ("set", "study"),
        ("set", "study", "train.lr=0.5"),
        ("doctor", "study"),
        ("export", "study", "exported"),
        ("methods",),
        ("methods", "ppal"),
        ("methods", "embedders"),
        ("set", "study", "embedding.name=dino"),
        ("init", "study", "--images", "nowhere"),
        ("init", "other", "--images", "nowhere", "detector.name=tiny_sdd"),
        ("simulate", "--data", "nowhere", "detector.name=tiny_sdd"),
        ("benchmark", "lr=0.1"),
        ("run", "study", "--epochs", "3"),
        ("predict", "stury", "photo.jpg"),
        ("predict", "stury"),
        ("predict", "study", "photo.jpg"),
        ("predict", "weights.pt", "photo.jpg"),
        ("export-model", "stury", "model.onnx"),
        ("export-model", "study", "model.onnx"),
    ],
    ids=" ".join,
)
def test_it_imports_no_torch(run, command):
    assert not run(*command).heavy


def test_neither_do_an_import_and_a_look_at_a_data_set(run, digits_folder):
    taken = run("import", "study", digits_folder)
    assert taken.code == 0 and "images labelled" in taken.stdout and not taken.heavy, taken.stderr
    assert not run("doctor", digits_folder).heavy


def test_neither_do_the_verbs_that_mend_a_study(run, digits, digits_folder):
    name = next(record.image_id for record in digits.images)
    for command in (
        ("exclude", "study", name, "--reason", "too dark"),
        ("include", "study", name),
        ("history", "study", name),
        ("relocate", "study", "--images", digits_folder / "JPEGImages"),
        ("add", "study", "--images", digits_folder / "JPEGImages"),
        ("classes", "study", "--rename", f"{digits.classes[0]}=nil"),
        ("repair", "study"),
    ):
        done = run(*command)
        assert done.code == 0 and not done.heavy, (command, done)


def test_a_name_that_nothing_has_is_said_before_the_images_are_read(run):
    refused = run("init", "other", "--images", "nowhere", "detector.name=tiny_sdd")
    assert refused.code == 2 and "Did you mean 'tiny_ssd'" in refused.stderr and "nowhere" not in refused.stderr


def test_so_it_is_of_a_simulation(run):
    refused = run("simulate", "--data", "nowhere", "detector.name=tiny_sdd")
    assert refused.code == 2 and "Did you mean 'tiny_ssd'" in refused.stderr and "nowhere" not in refused.stderr


def test_a_study_that_is_there_already_is_said_before_the_images_are_read(run):
    refused = run("init", "study", "--images", "nowhere")
    assert refused.code == 2 and "there is a study already" in refused.stderr


def test_status_and_query_speak_json(run):
    state, asked = (json.loads(run(verb, "study", "--json").stdout) for verb in ("status", "query"))
    assert state["next"] in ("annotate", "select") and state["labeled"].keys() == {"images", "boxes", "seconds"}
    assert {image["image"] for image in asked["images"]} == set(json.loads(run("status", "study", "--json").stdout)["waiting"])


def test_questions_to_a_study_need_no_parquet():
    """PyArrow alone takes a fifth of such a command's time."""
    modules = "boxwise.cli.looking, boxwise.study, boxwise.report.queries"
    asked = f"import sys, {modules}; print(sorted({{'pyarrow', 'torch', 'scipy'}} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
