"""Cells that are finished on another machine, or whose studies are gone: they are not run again, and tables say the same."""

import csv
import gzip
import json
import shutil
import sys
from dataclasses import replace

import pytest

from boxwise import __version__
from boxwise.cli import main
from boxwise.config import dump_config, load_config
from boxwise.errors import BoxwiseError, StudyError
from boxwise.records import Phase
from boxwise.results.files import result_rows
from boxwise.results.finished import FINISHED_FILE, keep, read_finished
from boxwise.simulation.benchmark import read_benchmark
from boxwise.simulation.outlook import outlooks
from boxwise.simulation.simulate import Plan, read_simulation, simulate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ran(digits, tiny_overrides, tmp_path_factory, made_once):
    """The plan of one arm and two seeds, and a folder where it has been run."""
    plan = Plan(digits, load_config(None, [*tiny_overrides, "budget.rounds=1"]), ("random",), (0, 1), tmp_path_factory.mktemp("ran"))
    return plan, made_once("ran_elsewhere", lambda folder: simulate(replace(plan, folder=folder)))


@pytest.fixture
def plan(ran, tmp_path):
    """The same plan in a folder with nothing but the file of finished cells."""
    there, folder = ran
    shutil.copy(folder / FINISHED_FILE, tmp_path)
    return replace(there, folder=tmp_path)


def rewritten(folder, change, *, only=(0, 1)):
    """The file with each line changed, or the lines `only`."""
    lines = [json.loads(line) for line in gzip.decompress((folder / FINISHED_FILE).read_bytes()).splitlines()]
    for number in only:
        change(lines[number])
    (folder / FINISHED_FILE).write_bytes(b"".join(gzip.compress(json.dumps(line).encode() + b"\n") for line in lines))


def figures(one_round):
    return {phase: facts.figures() for phase, facts in one_round.steps.items()}


def seeds_read(folder):
    return [cell.seed for cell in read_simulation(folder)]


def test_are_not_run_again_and_give_the_same_figures(plan, ran):
    (left,) = outlooks([plan])
    assert (left.cells, left.unfinished, dict(left.trainings)) == (2, 0, {})
    events = []
    cells = simulate(plan, on_event=events.append)
    assert not events and not (plan.folder / "cells").exists()
    assert result_rows(cells) == result_rows(read_simulation(ran[1])) != []
    here, there = (cells[1], read_simulation(ran[1])[1])
    assert [one.items for one in here.rounds] == [one.items for one in there.rounds]
    assert (here.role, here.classes, here.self_labels) == (there.role, there.classes, there.self_labels)
    assert [figures(one) for one in here.rounds] == [figures(one) for one in there.rounds]


def test_others_are_run_beside_them_and_join_the_file(plan):
    more = replace(plan, arms=("random", "k_center"), seeds=(0,))
    assert outlooks([more])[0].unfinished == 1
    random, other = simulate(more, jobs=2)
    assert not random.labels and other.labels and not random.folder.exists() and other.folder.exists()
    again, made = figures(random.rounds[0]), figures(other.rounds[0])
    assert again[Phase.EVALUATE] == made[Phase.EVALUATE]  # the first round, made anew here, is the same for both
    assert {(one.cell.arm, one.cell.seed) for one in read_finished(plan.folder)} == {("random", 0), ("random", 1), ("k_center", 0)}


def test_a_study_that_is_there_is_read_with_its_labels_and_one_that_is_not_in_the_file_joins_it(ran, tmp_path):
    plan = replace(ran[0], folder=shutil.copytree(ran[1], tmp_path / "whole"))
    (plan.folder / FINISHED_FILE).unlink()
    events = []
    assert [bool(cell.labels) for cell in simulate(plan, on_event=events.append)] == [True, True]
    assert [one.cell.seed for one in read_finished(plan.folder)] == [0, 1] and not events
    before = (plan.folder / FINISHED_FILE).read_bytes()
    simulate(plan)
    assert (plan.folder / FINISHED_FILE).read_bytes() == before


def test_one_that_was_left_half_way_here_counts_as_it_ended_elsewhere(plan):
    class KilledError(Exception):
        pass

    def kill(message):
        if message[2].finished and message[2].round == 1:
            raise KilledError

    finished = (plan.folder / FINISHED_FILE).read_bytes()
    (plan.folder / FINISHED_FILE).unlink()
    with pytest.raises(KilledError):
        simulate(plan, on_event=kill)
    assert not read_simulation(plan.folder)[0].finished
    (plan.folder / FINISHED_FILE).write_bytes(finished)
    assert all(cell.finished for cell in read_simulation(plan.folder)) and all(cell.finished for cell in simulate(plan))


def test_files_of_several_machines_are_put_one_behind_the_other(plan):
    halves = [plan.folder / "one", plan.folder / "other"]
    for folder, found in zip(halves, read_finished(plan.folder), strict=True):
        folder.mkdir()
        keep(folder, found.cell, found.data)
    together = b"".join((folder / FINISHED_FILE).read_bytes() for folder in (*halves, halves[0]))
    (plan.folder / FINISHED_FILE).write_bytes(together)
    assert [found.cell.seed for found in read_finished(plan.folder)] == [0, 1]
    assert b'"stopping_labels"' in gzip.decompress(together) and b'"val_labels"' not in gzip.decompress(together)  # a line for each image


def test_the_command_says_so_and_its_report_has_the_figures_without_pictures(plan, ran, digits_folder, tmp_path, monkeypatch, capsys):
    config = tmp_path / "as_run.yaml"
    config.write_text(dump_config(plan.config))
    command = ("simulate", "--data", digits_folder, "--config", config, "--arms", "random", "--seeds", "2", "--out", plan.folder)
    monkeypatch.setattr(sys, "argv", ["boxwise", *map(str, command)])
    with pytest.raises(SystemExit, match=r"^0$"):
        main()
    assert f"{FINISHED_FILE}: 2 cells finished elsewhere, not run again" in capsys.readouterr().err
    assert not (plan.folder / "cells").exists() and (plan.folder / "report.html").exists()
    with (plan.folder / "results.csv").open() as file:
        shown = [float(row["test_ap"]) for row in csv.DictReader(file)]
    assert shown == [pytest.approx(one.metrics("test")["ap"]) for cell in read_simulation(ran[1]) for one in cell.evaluated("test")]


def test_put_together_and_not_run_yet_the_report_says_what_to_run(plan, boxwise, tmp_path):
    (tmp_path / "together" / "digits_tiny").mkdir(parents=True)
    shutil.copy(plan.folder / FINISHED_FILE, tmp_path / "together" / "digits_tiny")
    code, _, err = boxwise("report", tmp_path / "together")
    assert code == 2 and "finished cells of 1 panel (digits_tiny)" in err and f"--out {tmp_path / 'together'}: what is left is run" in err


class TestVersions:
    def test_the_version_of_boxwise_is_written_down_and_read_back(self, plan):
        assert [found.boxwise for found in read_finished(plan.folder)] == [__version__] * 2
        rewritten(plan.folder, lambda line: line.update(boxwise="0.0.7"), only=[1])
        assert [found.boxwise for found in read_finished(plan.folder)] == [__version__, "0.0.7"]
        assert seeds_read(plan.folder) == [0, 1]

    def test_older_files_and_studies_do_not_say(self, plan, ran, tmp_path):
        rewritten(plan.folder, lambda line: line.pop("boxwise"))
        assert [found.boxwise for found in read_finished(plan.folder)] == [None, None]
        whole = replace(ran[0], folder=shutil.copytree(ran[1], tmp_path / "whole"))
        (whole.folder / FINISHED_FILE).unlink()
        simulate(whole)  # the studies are finished, by some version
        assert [found.boxwise for found in read_finished(whole.folder)] == [None, None]


class TestMixes:
    """Cells that differ in what no arm sets are of two simulations, and no table may hold both."""

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda line: line["config"]["budget"].update(rounds=2), ["budget.rounds: 1 != 2"]),
            (lambda line: line["config"]["detector"].update(weights="other.pth"), ["detector.weights: None != 'other.pth'"]),
            (lambda line: line["data"].update(images=61, classes=["fish"]), ["images: 60 != 61", "classes: zero, one, ", "nine != fish"]),
            (lambda line: line["data"]["digests"].update(labels="?"), ["labels: not the same"]),
            (lambda line: line["config"]["cost"].update(draw=9), ["cost.draw: 7.0 != 9.0"]),
        ],
        ids=["rounds", "weights", "data set", "labels", "cost"],
    )
    def test_are_refused_by_name(self, plan, boxwise, change, said):
        rewritten(plan.folder, change, only=[1])
        with pytest.raises(StudyError) as refused:
            read_simulation(plan.folder)
        message = str(refused.value)
        assert message.startswith(f"{plan.folder / FINISHED_FILE}: ") and "random, seed 0 != random, seed 1" in message
        assert all(words in message for words in said)
        code, _, err = boxwise("report", plan.folder)
        assert code == 2 and "random, seed 0 != random, seed 1" in err and not (plan.folder / "report.html").exists()

    def test_are_refused_as_a_panel_of_a_benchmark(self, plan, tmp_path):
        (tmp_path / "panels.json").write_text(json.dumps({"one": ["digits", "tiny"]}))
        (tmp_path / "one").mkdir()
        shutil.copy(plan.folder / FINISHED_FILE, tmp_path / "one")
        assert len(read_benchmark(tmp_path)[0].cells) == 2
        rewritten(tmp_path / "one", lambda line: line["data"].update(boxes=1), only=[0])
        with pytest.raises(StudyError, match=rf"one/{FINISHED_FILE}: (.|\n)*boxes: 1 != "):
            read_benchmark(tmp_path)

    def test_are_refused_where_a_cell_stands_in_the_file_twice(self, plan):
        rewritten(plan.folder, lambda line: line.update(seed=0) or line["config"].update(seed=0, score_batch=3), only=[1])
        with pytest.raises(StudyError, match=r"random, seed 0 != random, seed 0(.|\n)*score_batch: \d+ != 3"):
            read_simulation(plan.folder)

    def test_of_a_study_beside_the_file_are_refused(self, plan, ran):
        shutil.copytree(ran[1] / "cells" / "random_seed0", plan.folder / "cells" / "random_seed0")
        shutil.copy(ran[1] / "data.json", plan.folder)
        assert seeds_read(plan.folder) == [0, 1]
        rewritten(plan.folder, lambda line: line["config"].update(score_batch=3))
        with pytest.raises(StudyError, match=r"random, seed 0 != random, seed 0(.|\n)*score_batch: 3 != "):
            read_simulation(plan.folder)

    @pytest.mark.parametrize("lost", [FINISHED_FILE, "data.json", "config.yaml"])
    def test_are_none_in_the_folder_of_an_older_version(self, ran, tmp_path, lost):
        folder = shutil.copytree(ran[1], tmp_path / "older")
        (folder / lost).unlink()
        cells = read_simulation(folder)
        assert [cell.seed for cell in cells] == [0, 1] and all(cell.finished and cell.labels for cell in cells)

    def test_with_an_arm_that_is_not_planned_are_refused_before_anything_is_run(self, plan):
        rewritten(plan.folder, lambda line: line["config"]["budget"].update(rounds=2))
        events = []
        with pytest.raises(StudyError, match=rf"{FINISHED_FILE}: random, seed 0, was run otherwise(.|\n)*budget.rounds: 2 != 1"):
            simulate(replace(plan, arms=("k_center",)), on_event=events.append)
        assert not events

    @pytest.mark.parametrize(
        ("arm", "keys"),
        [
            ("random+budget.rounds=2", {"budget": {"rounds": 2}}),
            ("random+train.steps=50", {"train": {"min_steps": 50, "max_steps": 50}}),
            ("dual+strategy.weight=1", {"strategy": {"name": "top_k", "gain_per_second": {"weight": 1}}, "scorer": {"name": "dual"}}),
            ("random+review", {"ask": {"mode": "review"}}),
            ("random+ask.certain_of={'1': 0.9}", {"ask": {"certain_of": {"1": 0.9}}}),
            ("facility_location", {"strategy": {"name": "facility_location"}}),
            ("an_arm_of_a_later_version", {"train": {"lr": 0.5}}),
        ],
    )
    def test_are_none_where_the_arm_sets_what_differs(self, plan, arm, keys):
        def change(line):
            line["arm"] = arm
            for section, values in keys.items():
                line["config"][section] |= values

        rewritten(plan.folder, change, only=[1])
        assert {cell.arm for cell in read_simulation(plan.folder)} == {"random", arm}
        assert outlooks([replace(plan, arms=("random",), seeds=(0,))])[0].unfinished == 0

    def test_are_none_where_weights_lie_elsewhere_or_an_older_cell_lacks_a_key(self, plan):
        rewritten(plan.folder, lambda line: line["config"]["detector"].update(weights="/there/yolox.pth"), only=[0])
        rewritten(plan.folder, lambda line: line["config"]["detector"].update(weights="yolox.pth"), only=[1])
        rewritten(plan.folder, lambda line: line["config"].pop("labelling"), only=[1])
        assert seeds_read(plan.folder) == [0, 1]


class TestRefusals:
    def test_another_config_or_data_set(self, plan):
        other = plan.config.model_copy(update={"budget": plan.config.budget.model_copy(update={"rounds": 2})})
        with pytest.raises(StudyError, match=rf"{FINISHED_FILE}: random, seed 0, was run otherwise(.|\n)*budget.rounds: 1 != 2"):
            simulate(replace(plan, config=other))
        rewritten(plan.folder, lambda line: line["data"].update(images=61))
        with pytest.raises(StudyError, match="images: 61 there, 60 given"):
            simulate(plan)

    def test_files_of_weights_may_lie_elsewhere(self, plan):
        rewritten(plan.folder, lambda line: line["config"]["detector"].update(weights="yolox.pth"))
        finished, _ = read_finished(plan.folder)

        def with_weights(path):
            config = plan.cell_config("random", 0)
            return config.model_copy(update={"detector": config.detector.model_copy(update={"weights": plan.folder / path})})

        finished.check(with_weights("here/yolox.pth"), finished.data)
        with pytest.raises(StudyError, match=r"detector.weights: 'yolox.pth' != 'other.pth'"):
            finished.check(with_weights("here/other.pth"), finished.data)

    @pytest.mark.parametrize(
        "content",
        [b"no archive", gzip.compress(b"[]\n"), gzip.compress(b'{"arm": "random"}\n'), None],
        ids=["other", "list", "no cell", "cut"],
    )
    def test_a_damaged_file_is_one_message(self, plan, content):
        path = plan.folder / FINISHED_FILE
        path.write_bytes(path.read_bytes()[:-50] if content is None else content)
        with pytest.raises(BoxwiseError, match=f"{FINISHED_FILE}: expected lines of finished cells"):
            simulate(plan)
