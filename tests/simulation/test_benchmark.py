"""The benchmark's promises: a grid of simulations, resumed after a kill, and one clear message for every mistake."""

import csv
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import processes
import pytest
import yaml

from boxwise.cli import main
from boxwise.data.splits import data_facts
from boxwise.errors import BoxwiseError, ConfigError, StudyError
from boxwise.results.files import last_baseline
from boxwise.simulation import simulate as simulation
from boxwise.simulation.benchmark import (
    DataSource,
    benchmark,
    load_grid,
    load_preset,
    parts_of,
    plans_of,
    preset_names,
    read_benchmark,
)
from boxwise.simulation.folder import write_plan
from boxwise.simulation.twins import note_on_twins

GRID = {
    "data": {"one": {"digits": 30}, "two": {"digits": 20, "overrides": ["budget.per_round=3"]}},
    "detectors": {
        "tiny": ["detector.name=tiny_ssd", "detector.imgsz=96", "detector.pretrained=false"],
        "small": ["detector.name=tiny_ssd", "detector.imgsz=64", "detector.pretrained=false"],
    },
    "arms": ["random", "fewest"],
    "seeds": 1,
    "config": {
        "train": {"min_steps": 2, "max_steps": 2, "batch": 2, "warmup_steps": 1, "checkpoint_every": 1, "augment": "none"},
        "budget": {"initial": 4, "per_round": 2, "rounds": 1},
    },
}


@pytest.fixture
def grid(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text(yaml.safe_dump(GRID, sort_keys=False))
    return path


@pytest.fixture
def small(grid):
    """A preset of one panel: "one" with the detector "tiny", arms random and fewest, one seed."""
    whole = load_grid(grid)
    return whole.model_copy(update={"data": {"one": whole.data["one"]}, "detectors": {"tiny": whole.detectors["tiny"]}})


@pytest.fixture(scope="module")
def _finished(tmp_path_factory):
    """The folder of the preset `small`, with cells that another benchmark's grid has run."""
    folder = tmp_path_factory.mktemp("finished")
    path = folder / "my.yaml"
    path.write_text(yaml.safe_dump(GRID | {"data": {"one": {"digits": 30}}, "detectors": {"tiny": GRID["detectors"]["tiny"]}}))
    benchmark(load_grid(path), folder / "out")
    return folder / "out"


@pytest.fixture
def finished(_finished, tmp_path):
    """A copy of its own of a finished benchmark of the preset `small`."""
    return shutil.copytree(_finished, tmp_path / "finished")


@pytest.fixture
def read(monkeypatch):
    """The folders of the cells that are read, in their order."""
    folders = []

    def reading(study, **options):
        folders.append(study.folder)
        return cell_of(study, **options)

    cell_of = simulation.cell_of
    monkeypatch.setattr(simulation, "cell_of", reading)
    return folders


@pytest.fixture
def run(monkeypatch, capsys, _verbs_built_once):
    """The command in this process: a function from its arguments to (exit code, stdout, stderr)."""

    def run(*arguments, verb="benchmark"):
        monkeypatch.setattr(sys, "argv", ["boxwise", verb, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_grid_killed_and_resumed_is_whole(grid, tmp_path, run):
    out = tmp_path / "out"
    process = processes.start("-m", "boxwise", "benchmark", "--grid", grid, "--out", out)
    deadline = time.monotonic() + 300
    while not (out / "one_tiny" / "cells" / "fewest_seed0").exists() and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL, "the run was over before it could be killed"
    done = out / "one_tiny" / "cells" / "random_seed0" / "study.sqlite"
    before = done.stat().st_mtime_ns
    benchmark(load_grid(grid), out)
    assert done.stat().st_mtime_ns == before  # a finished cell was left alone
    # Everything is done: the command has only the files to write, after each panel for all that lie there.
    one = {**GRID, "data": {"one": GRID["data"]["one"]}, "detectors": {"tiny": GRID["detectors"]["tiny"]}}
    grid.write_text(yaml.safe_dump(one, sort_keys=False))
    code, shown, _ = run("--grid", grid, "--out", out)
    assert code == 0 and "Ranks" in shown and "fewest (floor) is" in shown
    rows = rows_of(out / "results.csv")
    cells = {(r["data"], r["detector"], r["arm"], r["seed"]) for r in rows}
    assert len(cells) == 2 * 2 * 2 and len(rows) == 2 * len(cells)
    assert {r["images"] for r in rows if r["data"] == "two" and r["round"] == "1"} == {"7"}
    assert all(r["select_seconds"] for r in rows if r["round"] == "1") and (out / "results.parquet").exists()
    assert len(rows_of(out / "summary.csv")) == 8 and (out / "report.html").exists()


@pytest.mark.slow
def test_more_arms_and_seeds_join_a_folder(grid, tmp_path):
    small = load_grid(grid)
    small = small.model_copy(update={"data": {"one": small.data["one"]}, "detectors": {"small": small.detectors["small"]}, "seeds": 1})
    benchmark(small.model_copy(update={"arms": ("random",)}), tmp_path / "out")
    (panel,) = benchmark(small.model_copy(update={"arms": ("everything",)}), tmp_path / "out")
    assert {(cell.arm, cell.role) for cell in panel.cells} == {("random", "arm"), ("everything", "ceiling")}
    whole = next(cell for cell in panel.cells if cell.role == "ceiling")
    assert [r.annotate.images for r in whole.rounds] == [4, 18]  # 60% of 30 scenes are the pool
    assert (panel.data, panel.detector) == ("one", "small") and len(read_benchmark(tmp_path / "out")) == 1


@pytest.mark.slow
def test_each_cell_is_read_once_for_all_files_and_panels(grid, tmp_path, run, read):
    change = {"data": {"one": {"digits": 20}}, "arms": ["random"], "config": GRID["config"] | {"budget": {"initial": 4, "rounds": 0}}}
    grid.write_text(yaml.safe_dump(GRID | change))
    assert run("--grid", grid, "--out", tmp_path / "out")[0] == 0
    assert sorted(folder.parent.parent.name for folder in read) == ["one_small", "one_tiny"]
    assert {row["detector"] for row in rows_of(tmp_path / "out" / "results.csv")} == {"tiny", "small"}


@pytest.mark.slow
def test_the_others_are_compared_with_the_baseline_that_is_named(finished, grid, small, run):
    grid.write_text(yaml.safe_dump(GRID | {"data": {"one": {"digits": 30}}, "detectors": {"tiny": GRID["detectors"]["tiny"]}}))
    assert run("--grid", grid, "--out", finished, "--baseline", "fewest")[0] == 0
    named = {"fewest": "baseline", "random": "arm"}
    assert {row["arm"]: row["role"] for row in rows_of(finished / "summary.csv")} == named
    for folder in (finished, finished / "one_tiny"):  # written again it is the same comparison
        code, _, error = run(folder, "--baseline", "dual", verb="report")
        assert code == 2 and "baseline 'dual' is none of the arms" in error
        assert run(folder, verb="report")[0] == 0 and last_baseline(folder) == "fewest"
    assert {row["arm"]: row["role"] for row in rows_of(finished / "summary.csv")} == named
    (finished / "results.json").unlink()  # as an older version has left it
    assert last_baseline(finished) == "fewest"


@pytest.mark.slow
class TestReport:
    def test_of_a_benchmark_is_written_anew(self, finished, run):
        for name in ("results.csv", "summary.csv", "report.html"):
            assert not (finished / name).exists()
        code, shown, _ = run(finished, verb="report")
        assert code == 0 and "Ranks" in shown and str(finished / "report.html") in shown
        assert len(rows_of(finished / "results.csv")) == 4 and "Benchmark finished" in (finished / "report.html").read_text()
        assert {row["arm"]: row["role"] for row in rows_of(finished / "summary.csv")} == {"random": "baseline", "fewest": "floor"}

    def test_of_a_panel_is_that_of_its_simulation(self, finished, run):
        code, shown, _ = run(finished / "one_tiny", verb="report")
        assert code == 0 and str(finished / "one_tiny" / "report.html") in shown


@pytest.mark.slow
class TestDigits:
    def test_the_folder_tells_how_many(self, finished):
        assert [folder.name for folder in (finished / "data").iterdir()] == ["one_30"]

    def test_a_folder_that_does_not_tell_goes_on_being_used(self, finished, small):
        (finished / "data" / "one_30").rename(finished / "data" / "one")
        benchmark(small, finished)
        assert [folder.name for folder in (finished / "data").iterdir()] == ["one"]

    @pytest.mark.parametrize("listed", [True, False])
    def test_another_number_in_the_same_folder_is_an_error(self, finished, small, listed):
        if not listed:
            (finished / "data" / "one_30").rename(finished / "data" / "one")
            (finished / "one_tiny" / "data.json").unlink()
        with pytest.raises(StudyError, match=r"one_tiny: holds a simulation of another data set(.|\n)*images: 30 there, 40 given"):
            benchmark(small.model_copy(update={"data": {"one": DataSource(digits=40)}}), finished)


class TestEveryDataSetIsLookedAtBeforeAnyCell:
    @pytest.fixture
    def images_alone(self, tmp_path, finished):
        return shutil.copytree(finished / "data" / "one_30" / "JPEGImages", tmp_path / "pictures")

    @pytest.mark.parametrize("format_name", [None, "voc"])
    def test_nothing_there(self, small, tmp_path, format_name):
        with pytest.raises(BoxwiseError, match="nowhere: expected a data set, found no such file or folder"):
            self.fails(small, DataSource(path=tmp_path / "nowhere", format=format_name), tmp_path)
        assert not (tmp_path / "out").exists()

    @pytest.mark.slow
    def test_no_labels(self, small, images_alone, tmp_path):
        with pytest.raises(BoxwiseError, match="pictures: expected a labelled data set"):
            self.fails(small, DataSource(path=images_alone), tmp_path)
        assert not (tmp_path / "out").exists()

    @pytest.mark.slow
    def test_a_data_set_in_the_only_folder_of_an_archive_is_found(self, small, finished, tmp_path):
        shutil.move(finished / "data" / "one_30", tmp_path / "unpacked" / "a" / "b")
        for path in sorted((tmp_path / "unpacked").rglob("*.xml"))[1:]:
            path.unlink()
        with pytest.raises(StudyError, match="a simulation needs labelled images"):  # it has got as far as reading it
            self.fails(small, DataSource(path=tmp_path / "unpacked"), tmp_path)

    @pytest.mark.slow
    def test_too_few_labels(self, small, finished, tmp_path):
        data = finished / "data" / "one_30"
        for path in sorted((data / "Annotations").glob("*.xml"))[1:]:
            path.unlink()
        with pytest.raises(StudyError, match=r"data set 'two' \(.*one_30\): a simulation needs labelled images"):
            self.fails(small, DataSource(path=data), tmp_path)

    def test_a_threshold_of_a_class_that_it_has_not(self, small, tmp_path):
        with pytest.raises(ConfigError, match=r"ask\.certain_of: Unknown class 'zebra'"):
            self.fails(small, DataSource(digits=20, overrides=("ask.certain_of={zebra: 0.5}",)), tmp_path)

    @pytest.mark.parametrize(
        ("check", "said"),
        [
            ("random+cold_start.embedding=vae", "cold_start.embedding has no effect"),
            ("random+ask.certain_of={zebra: 0.5}", "Unknown class 'zebra'"),
        ],
    )
    def test_an_arm_of_the_checks_that_a_later_data_set_refuses(self, small, tmp_path, check, said):
        spread = DataSource(digits=30, overrides=("cold_start.name=k_center",))
        small = small.model_copy(update={"data": {"one": spread} if "cold" in check else small.data, "checks": (check,)})
        with pytest.raises(ConfigError, match=said):
            self.fails(small, DataSource(digits=20), tmp_path)

    def fails(self, small, second, tmp_path):
        try:
            benchmark(small.model_copy(update={"data": {**small.data, "two": second}}), tmp_path / "out")
        finally:
            assert not (tmp_path / "out" / "one_tiny").exists() and not (tmp_path / "out" / "panels.json").exists()


def test_weights_that_a_later_panel_begins_with_are_asked_for_before_the_first(small, tmp_path, monkeypatch):
    def away(*given, **more):
        raise BoxwiseError("cannot be downloaded")

    monkeypatch.setattr("boxwise.registry.build_detector", away)
    detectors = {**small.detectors, "later": ("detector.name=yolox_nano",)}
    with pytest.raises(BoxwiseError, match="arm random: cannot be downloaded"):
        benchmark(small.model_copy(update={"detectors": detectors}), tmp_path / "out")
    with pytest.raises(BoxwiseError, match=r"arm random\+detector.*: cannot be downloaded"):
        check = "random+detector.name=yolox_nano+detector.pretrained=coco"
        benchmark(small.model_copy(update={"checks": (check,)}), tmp_path / "out")
    assert not (tmp_path / "out" / "one_tiny").exists()


class TestPresets:
    @pytest.mark.parametrize("name", preset_names())
    def test_every_preset_is_valid_down_to_each_arm(self, name, tmp_path):
        from boxwise.simulation.benchmark import _plans

        preset = load_preset(name)
        folders = [] if name == "small" else [tmp_path / "bccd"]
        for folder in folders:
            folder.mkdir()
        assert len(_plans(preset.with_folders(folders), tmp_path, ())) == len(preset.detectors)

    def test_the_command_s_help_names_them_all(self, boxwise):
        code, out, _ = boxwise("benchmark", "--help")
        shown = out.partition("--preset")[2].partition("--grid")[0]
        assert code == 0 and set(preset_names()) == set(re.findall(r"\w+", shown.partition("[default")[0])) - {"str", "or"}

    def test_a_folder_serves_the_data_set_of_its_name(self, tmp_path):
        for name in ("BCCD", "mine"):
            (tmp_path / name).mkdir()
        preset = load_preset("real").with_folders([tmp_path / "BCCD", tmp_path / "mine"])
        assert set(preset.data) == {"bccd", "mine"} and preset.data["bccd"].overrides and not preset.data["mine"].overrides

    def test_a_folder_that_the_grid_names_already_is_not_run_twice(self, tmp_path):
        (tmp_path / "cells").mkdir()
        path = tmp_path / "grid.yaml"
        path.write_text(yaml.safe_dump(GRID | {"data": {"blood": {"path": str(tmp_path / "cells"), "val": 7}}}))
        preset = load_grid(path).with_folders([tmp_path / "cells"])
        assert {name: source.val for name, source in preset.data.items()} == {"blood": 7}

    def test_published_splits_take_a_folder_of_any_name(self, tmp_path):
        (tmp_path / "VOCdevkit").mkdir()
        preset = load_preset("voc").with_folders([tmp_path / "VOCdevkit"])
        assert preset.data["voc"].path == tmp_path / "VOCdevkit" and len(preset.data) == 1

    def test_all_stands_for_every_arm(self):
        assert {"random", "dual", "everything", "alpha=0", "expected"} < set(load_preset("full").arms)


class TestOneConfigUnderTwoNames:
    """Panel "two" has an override that makes an arm of it another; "one" has none."""

    def plans(self, small, out, override, **change):
        data = {"one": DataSource(digits=30), "two": DataSource(digits=30, overrides=(override,))}
        return {plan.folder.name: plan for plan in plans_of(small.model_copy(update={"data": data, **change}), out).values()}

    def test_is_run_once_in_the_panel_where_it_is_one(self, small, tmp_path):
        plans = self.plans(small, tmp_path, "cold_start.name=k_center", arms=("cold_k_center", "random"))
        assert plans["one_tiny"].arms == ("cold_k_center", "random") and plans["two_tiny"].arms == ("random",)  # the baseline stays
        said = note_on_twins(list(plans.values()))
        assert said == "Left out, as one config under another name: cold_k_center is random in two_tiny."

    def test_of_a_check_its_twin_is_run_first(self, small, tmp_path):
        small = small.model_copy(update={"checks": ("fewest+train.length=2",)})
        plans = self.plans(small, tmp_path, "train.length=2")
        parts = {name: [part.arms for part in parts_of(plan, small)] for name, plan in plans.items()}
        assert parts["one_tiny"] == [("random", "fewest+train.length=2"), ("random", "fewest")]
        assert parts["two_tiny"] == [("random", "fewest"), ("random", "fewest")]

    @pytest.mark.parametrize(("override", "twin"), [("scorer.dual.beta=1", "expected"), ("scorer.dual.detection=pseudo", "pseudo")])
    def test_all_is_looked_at_after_the_overrides(self, small, tmp_path, override, twin):
        plans = self.plans(small, tmp_path, override, arms=("random", "alpha=0", "expected", "pseudo"))
        assert plans["two_tiny"].left_out == {twin: "alpha=0"} and plans["one_tiny"].left_out == {"expected": "alpha=0"}

    def test_a_panel_that_was_begun_with_both_goes_on(self, small, tmp_path):
        arms = ("random", "dual", "dual+strategy.name=top_k")
        begun = self.plans(small, tmp_path, "train.length=2")["one_tiny"]
        write_plan(begun.folder, begun.config, data_facts(begun.dataset), {arm: [begun.cell_folder(arm, 0).name] for arm in arms})
        plans = self.plans(small, tmp_path, "train.length=2", arms=arms)
        assert plans["one_tiny"].arms == arms and plans["two_tiny"].arms == arms[:2]


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--preset", "smal"], "Unknown preset 'smal'. Did you mean 'small'?"),
            (["--preset", "full"], "preset 'full' needs data: give --data DIR once for each of bccd"),
            (["--preset", "real", "--data", "nowhere/bccd"], "nowhere/bccd: expected a folder with a data set, found nothing there."),
            (["--arms", "random,duel"], "Unknown arm or part of one 'duel'. Did you mean 'dual'?"),
            (["--grid", "nowhere.yaml"], "nowhere.yaml: expected a grid file"),
            (["train.stepz=3"], "train.stepz"),
            (["--baseline", "rnadom"], "Unknown arm or part of one 'rnadom'. Did you mean 'random'?"),
            (["--arms", "dual,badge"], "baseline 'random' is none of the arms (dual, badge)"),
            (["--arms", "dual,badge", "--baseline", "random"], "or say with --baseline which of them it is"),
            (["seed=3"], "seed: seeds are paired"),
            (["store=postgresql://ann@host/db"], "store: each cell keeps its own database; leave it out"),
            (["--arms", "random,random+seed=3"], "seed: seeds are paired"),
            (["--arms", "random,random+store=postgresql://ann@host/db"], "store: each cell keeps its own database"),
        ],
    )
    def test_is_one_message(self, arguments, said, tmp_path, run):
        code, _, error = run("--out", tmp_path / "out", *arguments)
        assert code == 2 and said in error and error.startswith("Error: ")
        assert not (tmp_path / "out").exists()

    def test_a_devkit_that_is_not_whole(self, tmp_path):
        (tmp_path / "VOCdevkit" / "VOC2007" / "Annotations").mkdir(parents=True)
        preset = load_preset("voc").with_folders([tmp_path / "VOCdevkit"])
        with pytest.raises(BoxwiseError, match="missing: VOC2007/JPEGImages"):
            benchmark(preset, tmp_path / "out")

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"detectors": {}}, r"bad\.yaml: detectors: expected 1 value or more, found nothing\.$"),
            ({"colour": "red"}, r"bad\.yaml: Unknown key 'colour'\. Known: about, arms, .*, seeds, without\.$"),
            ({"sedes": 2}, r"bad\.yaml: Unknown key 'sedes'\. Did you mean 'seeds'\? Known: about, arms, "),
            ({"seeds": "abc"}, r"bad\.yaml: seeds: expected a valid integer, found 'abc'\.$"),
            ({"seeds": 0}, r"bad\.yaml: seeds: expected a number greater than or equal to 1, found 0\.$"),
            (
                {"data": {"d": {"digtis": 30}}},
                r"bad\.yaml: Unknown key 'data\.d\.digtis'\. Did you mean 'data\.d\.digits'\? Known: data\.d\.digits, ",
            ),
            ({"data": {"x": {"format": "cocoo"}}}, "Unknown format 'cocoo'"),
            ({"detectors": {"x": ["detector.name=ssd3000"]}}, "ssd3000"),
            ({"arms": "all", "without": 5}, r"bad\.yaml: without: "),
            ({"arms": "all", "without": "al_mdn"}, r"bad\.yaml: without: "),
            ({"arms": "all", "without": ["al_mnd"]}, r"bad\.yaml: without: Unknown arm 'al_mnd'\. Did you mean 'al_mdn'"),
            ({"without": ["random"]}, r"bad\.yaml: `without` goes with `arms: all` only"),
            ({"baseline": "rnadom"}, "'rnadom'"),
            ({"baseline": "dual"}, "baseline 'dual' is none of the arms"),
            ({"config": GRID["config"] | {"store": "postgresql://ann@host/db"}}, "store: each cell keeps its own database"),
            ({"data": {"one": {"digits": 30, "overrides": ["seed=3"]}}}, "seed: seeds are paired"),
            ({"detectors": {"": []}}, r"bad\.yaml: detectors: expected a name without / and \\ that begins with no dot, found ''"),
            ({"data": {"a/b": {"digits": 30}}}, r"bad\.yaml: data: expected a name without / and \\ that begins with no dot, found 'a/b'"),
            ({"detectors": {".x": ["detector.name=tiny_ssd"]}}, r"bad\.yaml: detectors: expected a name .*, found '\.x'"),
            ({"data": {"a": {"digits": 20}, "a_b": {"digits": 20}}, "detectors": {"b_c": [], "c": []}}, "'a_b' and 'c'.*'a' and 'b_c'"),
            ({"data": {"d": {"digits": 30, "path": "x"}}}, r"bad\.yaml: data\.d: .*digits.*path"),
            ({"arms": "random, dual"}, r"bad\.yaml: arms: expected a list such as \[random, dual\], found 'random, dual'"),
            ({"checks": None}, r"bad\.yaml: checks: expected a list such as \[.*\], found nothing"),
            ({"detectors": {"x": "detector.name=tiny_ssd"}}, r"bad\.yaml: detectors\.x: expected a list such as \[detector\.name=tiny"),
            ({"config": None}, r"bad\.yaml: config: expected a mapping of keys, found nothing\.$"),
            ({"data": {"d": None}}, r"bad\.yaml: data\.d: expected a mapping of keys, found nothing\.$"),
        ],
    )
    def test_in_a_grid_file_names_the_key(self, change, said, tmp_path):
        path = Path(tmp_path / "bad.yaml")
        path.write_text(yaml.safe_dump(GRID | change))
        with pytest.raises(ConfigError, match=said):
            benchmark(load_grid(path).with_folders([]), tmp_path / "out")

    @pytest.mark.parametrize("text", ["", "# nothing yet\n"])
    def test_an_empty_grid_file(self, text, tmp_path):
        (tmp_path / "empty.yaml").write_text(text)
        with pytest.raises(ConfigError, match=r"empty\.yaml: expected a mapping with detectors and arms, found an empty file\.$"):
            load_grid(tmp_path / "empty.yaml")

    def test_two_folders_of_one_name(self, tmp_path):
        for parent in "ab":
            (tmp_path / parent / "bccd").mkdir(parents=True)
        with pytest.raises(BoxwiseError, match="two data sets are called 'bccd'"):
            load_preset("real").with_folders([tmp_path / "a/bccd", tmp_path / "b/bccd"])

    def test_no_benchmark_there(self, tmp_path):
        with pytest.raises(BoxwiseError, match="no benchmark here"):
            read_benchmark(tmp_path)
