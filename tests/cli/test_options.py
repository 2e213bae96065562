"""An option is done or refused: none is dropped without a word, and what cannot be made is named in one message."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from boxwise.cli.reading import FormatName
from boxwise.cli.simulations import note_idle
from boxwise.config import load_config
from boxwise.data.formats.names import READERS
from boxwise.records import Phase, Split
from boxwise.simulation.simulate import Plan
from boxwise.study import Study

SETTINGS = ("detector.name=tiny_ssd", "detector.pretrained=none", "cold_start.name=random", "budget.initial=3", "budget.validation=0")


@pytest.fixture
def init(boxwise, digits_folder, tmp_path):
    """A function that runs `boxwise init` on a folder of images; by default with two classes."""

    def run(study="study", classes="cat,dog"):
        return boxwise("init", tmp_path / study, "--images", digits_folder / "JPEGImages", "--classes", classes, *SETTINGS)

    return run


@pytest.fixture
def study(init, tmp_path):
    code, _, err = init()
    assert code == 0, err
    return tmp_path / "study"


def test_init_notes_a_device_of_another_machine_and_keys_that_nothing_reads(boxwise, digits_folder, tmp_path):
    idle = ("device=cuda:99", "annotator.miss=0.5", "budget.validation=4")
    code, _, err = boxwise("init", tmp_path / "study", "--labels", digits_folder, *SETTINGS[:2], *idle)
    assert code == 0 and "device=cuda:99 is not available on this machine" in err
    assert "annotator.miss has no effect" in err and "budget.validation has no effect: val has images already" in err


def test_simulate_notes_keys_that_nothing_reads_in_any_arm(digits, tmp_path, capsys):
    plan = Plan(digits, load_config(None, ["detector.name=tiny_ssd"]), ("random", "facility_location"), (0,), tmp_path / "s")
    note_idle([plan], ["budget.validation=1", "embedding.name=vae", "train.lr=0.01"])
    assert capsys.readouterr().err.split("\n") == ["Note: budget.validation has no effect: val has images already.", ""]


def test_reasons_that_differ_between_arms_are_all_said_and_panels_count_together(digits, tmp_path, capsys):
    plan = Plan(digits, load_config(None, ["detector.name=tiny_ssd"]), ("random", "entropy"), (0,), tmp_path / "s")
    note_idle([plan], ["scorer.dual.alpha=0.3"])
    assert capsys.readouterr().err == "Note: scorer.dual.alpha has no effect in any arm: scorer.name is none, scorer.name is uncertainty.\n"
    note_idle([plan, replace(plan, arms=("dual",))], ["scorer.dual.alpha=0.3"])
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_benchmark_notes_keys_that_nothing_reads_in_any_arm(boxwise, tmp_path):
    (tmp_path / "grid.yaml").write_text("data: {d: {digits: 20}}\ndetectors: {tiny: [detector.name=tiny_ssd]}\narms: [random]\nseeds: 1\n")
    code, _, err = boxwise(
        "benchmark", "--grid", tmp_path / "grid.yaml", "--out", tmp_path / "out", "--plan", "scorer.dual.alpha=0.3", "train.lr=0.01"
    )
    assert code == 0 and "Note: scorer.dual.alpha has no effect: scorer.name is none.\n" in err and "train.lr" not in err


@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE"])
def test_a_wrong_number_of_torchrun_is_a_message_that_names_it(boxwise, study, monkeypatch, name):
    monkeypatch.setenv(name, "two")
    code, _, err = boxwise("train", study)
    assert code == 2 and err.splitlines()[-1].startswith(f"Error: {name}='two': expected a whole number")


def test_a_log_in_no_form_that_there_is_is_refused(boxwise, study, monkeypatch):
    monkeypatch.setenv("BOXWISE_LOG", "jsn")
    code, _, err = boxwise("run", study)
    assert code == 2 and "BOXWISE_LOG='jsn': expected json" in err and Study.open(study).position == (0, Phase.SELECT)


@pytest.mark.parametrize("classes", ["cat,dog,", "cat,cat", "cat, cat", ",", ""])
def test_init_takes_no_class_without_a_name_and_none_twice(init, tmp_path, classes):
    code, _, err = init(classes=classes)
    assert code == 2 and "None may be empty or there twice" in err and not (tmp_path / "study").exists()


def test_init_says_what_is_in_the_place_of_its_folder(init, tmp_path):
    (tmp_path / "file").write_text("x")
    code, _, err = init("file")
    assert code == 2 and err.splitlines()[-1] == f"Error: {tmp_path / 'file'}: expected a new folder for the study, found a file."
    code, _, err = init("file/study")
    said = f"{tmp_path / 'file'}: expected a new folder for the study, found a file on the way to {tmp_path / 'file' / 'study'}."
    assert code == 2 and err == f"Error: {said}\n"  # before any image is read


def test_a_file_in_the_place_of_a_folder_is_one_message(boxwise, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("x")
    monkeypatch.setattr(Study, "open", lambda folder: (folder / "file").mkdir())
    code, _, err = boxwise("status", tmp_path)
    assert code == 2 and err == f"Error: {tmp_path / 'file'}: File exists.\n"


def test_the_help_of_format_names_every_format():
    (option,) = FormatName.__metadata__
    named = option.help.partition(";")[0].replace(" or ", ", ").split(", ")
    assert sorted(named) == sorted(READERS)


def test_query_writes_and_speaks_json(boxwise, study, tmp_path):
    code, out, err = boxwise("query", study, "--json", "--out", tmp_path / "list.txt")
    asked = json.loads(out)["images"]
    assert code == 0 and len(asked) == 3 and f"3 images: {tmp_path / 'list.txt'}" in err
    assert (tmp_path / "list.txt").read_text().splitlines() == [image["path"] for image in asked]


@pytest.mark.parametrize("out", [(), ("--out", "list.txt"), ("--out", "list.csv"), ("--before-class", "cat")])
def test_a_format_goes_with_a_folder_to_label_in(boxwise, study, monkeypatch, tmp_path, out):
    monkeypatch.chdir(tmp_path)
    code, printed, err = boxwise("query", study, "--format", "voc", *out)
    assert (code, printed) == (2, "") and "--format: no effect without a folder to label in" in err and not (tmp_path / "list.txt").exists()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--add", "ann", "--json"), "--json: no effect beside --add"),
        (("--role", "reviewer"), "--role: no effect without --add"),
        (("--days", "3", "--stats"), "--days: no effect without --add"),
    ],
)
def test_team_takes_no_option_without_effect(boxwise, study, options, named):
    code, out, err = boxwise("team", study, *options)
    assert (code, out) == (2, "") and named in err and not Study.open(study).team.members()


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_names_that_the_terminal_has_no_letters_for(digits_folder, tmp_path, encoding):
    name = "漢é😀.png"
    (tmp_path / "images").mkdir()
    shutil.copy(next((digits_folder / "JPEGImages").glob("*.png")), tmp_path / "images" / name)

    def run(*words):
        command = [sys.executable, "-m", "boxwise", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding}, check=False)
        return done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding, errors="replace")

    settings = (*SETTINGS[:-2], "budget.initial=1", "budget.validation=0")
    assert run("init", "study", "--images", "images", "--classes", "猫,é", *settings)[0] == 0
    code, out, err = run("query", "study", "--json")
    assert (code, err) == (0, "") and json.loads(out)["images"][0]["path"].endswith(f"/{name}")
    code, out, err = run("query", "study")
    assert (code, err) == (0, "") and "\\u6f22" in out
    code, out, err = run("query", "漢")
    assert code == 2 and err.startswith("Error: ") and "no boxwise study here" in err


def test_query_of_images_before_a_class_writes_and_speaks_json(boxwise, study, tmp_path):
    first = Study.open(study).ask().image_ids[0]
    Study.open(study).tell(first, [], annotator="anna")
    boxwise("classes", study, "--add", "fox")
    code, out, err = boxwise("query", study, "--before-class", "fox", "--json", "--out", tmp_path / "again")
    assert code == 0 and json.loads(out) == {"class": "fox", "images": [first]} and (tmp_path / "again" / "labels.json").is_file()
    assert "1 image with their labels" in err and boxwise("query", study, "--before-class", "fox")[1] == f"{first}\n"
    Study.open(study).tell(first, [], annotator="anna")
    code, out, err = boxwise("query", study, "--before-class", "fox", "--json")
    assert (code, json.loads(out)["images"]) == (0, []) and "all have been looked at since" in err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--port", "0"), "--port: no effect without --label"),
        (("--host", "0.0.0.0", "--no-browser"), "--host and --no-browser: no effect without --label"),
        (("--token", "secret"), "--token: no effect without --label"),
    ],
)
def test_run_takes_options_of_the_page_with_the_page_alone(boxwise, study, options, named):
    code, _, err = boxwise("run", study, *options)
    assert code == 2 and named in err and Study.open(study).position[0] == 0 and not Study.open(study).annotations(Split.TRAIN)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--fix", "copy", "--html", "page.html"), "--fix and --html"),
        (("--format", "voc"), "--format"),
        (("--labels-in", "raw", "--voc-origin", "1"), "--labels-in and --voc-origin"),
    ],
)
def test_doctor_says_which_options_are_of_data_sets_alone(boxwise, study, options, named):
    code, out, err = boxwise("doctor", study, *options)
    assert code == 2 and f"{named}: no effect on a study" in err and out == ""
    code, out, err = boxwise("doctor", *options)
    assert code == 2 and f"{named}: no effect on the machine" in err and out == ""


def test_a_study_alone_is_compared_with_nothing(boxwise, study):
    code, _, err = boxwise("report", study, "--baseline", "random")
    assert code == 2 and f"--baseline: no effect on {study}" in err and not (study / "report.html").exists()


def test_benchmark_takes_a_preset_or_a_grid(boxwise, tmp_path):
    code, _, err = boxwise("benchmark", "--grid", tmp_path / "grid.yaml", "--preset", "small", "--plan")
    assert code == 2 and "--preset small and --grid" in err and "give one" in err


@pytest.mark.parametrize(
    ("option", "value", "override", "fits"),
    [
        ("--ask", "review", "ask.mode=boxes", "ask.mode=review"),
        ("--policy", "v1", "policy.name=ceal", "policy={name: v1}"),
        ("--policy", "v1", "curriculum.name=ceal", "curriculum.name=v1"),
        ("--initial", "6", "budget.initial=7", "budget.initial=6"),
        ("--budget", "5%", "budget.per_round=6%", "budget.per_round=5%"),
        ("--rounds", "2", "budget={rounds: 3}", "budget.rounds=2"),
    ],
)
def test_an_option_and_a_setting_that_says_otherwise_are_refused(boxwise, tmp_path, option, value, override, fits):
    simulate = ("simulate", "--data", tmp_path / "nowhere", "--arms", "random")
    verbs = [simulate, ("init", tmp_path / "s", "--images", tmp_path / "nowhere")] if option in ("--ask", "--policy") else [simulate]
    for verb in verbs:
        code, _, err = boxwise(*verb, option, value, override)
        assert code == 2 and f"{option} {value} and " in err and "give one of them" in err
        code, _, err = boxwise(*verb, option, value, fits)
        assert code == 2 and "nowhere" in err and "give one of them" not in err


def test_doctor_reads_no_labels_at_an_address(boxwise):
    code, out, err = boxwise("doctor", "s3://bucket/photos", "--format", "voc")
    assert code == 2 and "--format: no effect on s3://bucket/photos, of which images alone are read" in err and out == ""


def test_the_list_of_strategies_says_their_usual_scorers(boxwise):
    code, out, _ = boxwise("methods", "strategies")
    rows = [[cell.strip() for cell in line.split("│")] for line in out.splitlines() if line.startswith("│")]
    usual = {row[1]: row[-2] for row in rows if row[1]}
    assert code == 0 and "usual scorer" in out and usual["facility_location"] == "none" and usual["top_k"] == "dual"
