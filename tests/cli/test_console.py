"""The tables of the terminal: who labelled, and what it cost."""

import json
from datetime import datetime

import pytest
from made_rounds import made_round

from boxwise.cli import console
from boxwise.evaluation.curves import AXES, CellCurve, compare_arms
from boxwise.records import Phase
from boxwise.results.tables import ArmResult
from boxwise.rounds import Event

LABOUR = {"images": 50, "boxes": 120, "seconds": 900.0}


def rounds(facts):
    return [made_round(number, steps) for number, steps in facts.items()]


@pytest.fixture
def shown(capsys):
    """The lines that a table prints."""
    return lambda: capsys.readouterr().out.splitlines()


class TestRounds:
    def test_a_round_that_waits_for_labels_has_no_row_yet(self, shown):
        console.rounds_table(
            rounds({0: {"annotate": LABOUR, "evaluate": {"val": {"ap": 0.1, "ap50": 0.2}, "test": None}}, 1: {"select": {}}})
        )
        lines = shown()
        assert any(line.startswith("│ 0 ") and "0.200" in line for line in lines)
        assert not any(line.startswith("│ 1 ") for line in lines)

    def test_nothing_labelled_is_no_table(self, shown):
        console.rounds_table(rounds({0: {"select": {}}}))
        assert not shown()

    def test_the_models_boxes_have_a_column_where_there_are_any(self, shown):
        console.rounds_table(rounds({0: {"annotate": LABOUR | {"model_boxes": 0}}}))
        assert not any("by the model" in line for line in shown())
        console.rounds_table(rounds({0: {"annotate": LABOUR | {"model_boxes": 0}}, 1: {"annotate": LABOUR | {"model_boxes": 77}}}))
        lines = shown()
        assert any("by the model" in line for line in lines) and any("77" in line for line in lines)


def test_results_tell_the_time_saved_beside_the_images(shown):
    ap = [0.1, 0.2, 0.3]
    curves = [CellCurve("random", 0, [10, 20, 30], [40, 80, 120], [100, 200, 300], ap, ap)]
    curves.append(CellCurve("review", 0, [10, 20, 30], [40, 80, 120], [50, 100, 150], ap, ap))
    summaries = {(summary.arm, summary.axis): summary for summary in compare_arms(curves, baseline="random")}
    of_review = {axis: summaries["review", axis] for axis in AXES}
    final = of_review["images"].final
    console.results_table([ArmResult("review", "review", False, 1, final, final, of_review)])
    lines = shown()
    head, row = (next(line for line in lines if word in line) for word in ("time saved", "│ review"))
    column = [cell.strip() for cell in head.split("┃")].index("time saved")
    assert row.split("│")[column].strip() == f"{100 * of_review['seconds'].saving.mean:.0f}%"
    assert row.split("│")[column - 1].strip() == "0%"


def test_a_small_figure_is_not_told_as_nothing(shown):
    console.table("t", ("image", "utility"), [["a", 0.00042], ["b", 0.0], ["c", 0.25], ["d", 1234.5]])
    assert [line.split()[3] for line in shown() if line.startswith("│")] == ["0.00042", "0.000", "0.250", "1,234"]


class TestProgress:
    def test_says_what_is_left_once_there_is_a_pace(self, monkeypatch):
        clock = iter([0.0, 10.0, 30.0])
        monkeypatch.setattr(console, "monotonic", lambda: next(clock))
        pace = console.Pace()
        said = [pace.left(Event(1, Phase.TRAIN, step, 100)) for step in (10, 20, 40)]
        assert said == ["", ", 80 s left", ", 60 s left"]

    def test_the_pool_pass_has_a_pace_of_its_own_after_the_training_of_a_vae(self, monkeypatch):
        clock = iter((0.0, 100.0, 200.0, 201.0))
        monkeypatch.setattr(console, "monotonic", lambda: next(clock))
        pace = console.Pace()
        said = [pace.left(Event(1, Phase.SCORE, step, steps)) for step, steps in ((1, 1500), (1500, 1500), (16, 48), (32, 48))]
        assert said == ["", ", 0 s left", "", ", 1 s left"]

    def test_the_same_step_of_another_cell_has_a_pace_of_its_own(self, monkeypatch):
        clock = iter((0.0, 10.0, 3600.0, 3610.0))
        monkeypatch.setattr(console, "monotonic", lambda: next(clock))
        pace = console.Pace()
        said = [pace.left(Event(1, Phase.TRAIN, step, 100), who) for who in ("seed 0 ", "seed 1 ") for step in (10, 20)]
        assert said == ["", ", 80 s left"] * 2

    def test_an_hour_of_sleep_is_forgotten(self, monkeypatch):
        clock = iter((0.0, 10.0, 3610.0, 3620.0))
        monkeypatch.setattr(console, "monotonic", lambda: next(clock))
        pace = console.Pace()
        assert [pace.left(Event(1, Phase.TRAIN, step, 100)) for step in (10, 20, 30, 40)][-1] == ", 60 s left"

    @pytest.mark.parametrize(("seconds", "said"), [(40, "40 s"), (89, "89 s"), (720, "12 min"), (11_100, "3 h 05 min")])
    def test_spans_are_said_as_people_say_them(self, seconds, said):
        assert console.span(seconds) == said

    def test_the_log_has_a_line_for_a_step_under_way_and_one_for_what_is_said(self, tmp_path, monkeypatch):
        monkeypatch.setattr(console, "_SECONDS_BETWEEN_LINES", 0.0)
        with console.RunLog(tmp_path / "run.log") as log:
            log.event(Event(0, Phase.TRAIN, 1, 50, {"loss": 2.5}))
            log.line("round 0 train: 50 steps")
        first, second = (tmp_path / "run.log").read_text().splitlines()
        assert first.endswith("round 0 train 1/50 loss 2.5") and second.endswith("round 0 train: 50 steps")

    def test_the_log_for_programs_has_an_object_a_line(self, tmp_path, monkeypatch):
        monkeypatch.setattr(console, "_SECONDS_BETWEEN_LINES", 0.0)
        with console.RunLog(tmp_path / "run.log", as_json=True) as log:
            log.event(Event(0, Phase.TRAIN, 1, 50, {"loss": 2.5, "ap": None}))
            log.line("round 0 train: 50 steps", round=0, step="train", finished=True)
        first, second = map(json.loads, (tmp_path / "run.log").read_text().splitlines())
        assert datetime.fromisoformat(first.pop("at")).tzinfo is not None
        message = "round 0 train 1/50 loss 2.5"
        assert first == {"message": message, "round": 0, "step": "train", "done": 1, "of": 50, "figures": {"loss": 2.5}}
        assert second["message"] == "round 0 train: 50 steps" and second["finished"] is True

    def test_val_says_how_many_images_it_has_and_its_interval(self, capsys):
        val = {"ap": 0.31, "ap50": 0.5, "images": 12, "intervals": {"ap": [0.25, 0.37], "ap50": [0.4, 0.6]}}
        console.rounds_table(rounds({0: {"annotate": LABOUR, "evaluate": {"val": val, "test": None}}}))
        out = capsys.readouterr().out
        assert any("0.310 (0.25 to 0.37)" in line and " 12 " in line for line in out.splitlines())
        assert "95% intervals over the images, fewer than 30 say little" in out
