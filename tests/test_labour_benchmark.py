"""What each step of the tool saves: seconds until one AP50, read off each cell's curve; a step that does not get there has no figure."""

import runpy
from pathlib import Path

import pytest

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parents[1] / "benchmarks" / "labour.py"))
Row, seconds_to, table, tables = SCRIPT["Row"], SCRIPT["_seconds"], SCRIPT["_table"], SCRIPT["_tables"]


def cell(step, seed, *rounds):
    return [Row("set", step, seed, number, 0, seconds, ap50, ap50 / 2) for number, (seconds, ap50) in enumerate(rounds)]


SLOW, FAST, NEVER = ((100, 0.2), (500, 0.6)), ((100, 0.4), (300, 0.8)), ((100, 0.1), (900, 0.3))


def test_seconds_are_read_between_rounds_at_the_level_that_every_cell_reaches():
    level, found = seconds_to([*cell("a", 0, *SLOW), *cell("a", 1, *SLOW), *cell("b", 0, *FAST)], None)
    assert level == pytest.approx(0.6)
    assert found == {"a": [pytest.approx(500), pytest.approx(500)], "b": [pytest.approx(200)]}


def test_the_table_says_what_a_step_saves_and_what_all_of_them_do():
    level, found = seconds_to([*cell("a", 0, *SLOW), *cell("b", 0, *FAST), *cell("c", 0, *FAST)], 0.6)
    rows = [line.split(" | ")[2:] for line in table("set", level, found).splitlines()[4:]]
    assert rows == [["500 (500 to 500; 1)", "–", "– |"], ["200 (200 to 200; 1)", "60%", "60% |"], ["200 (200 to 200; 1)", "0%", "60% |"]]


def test_a_step_that_does_not_get_there_in_every_seed_has_no_figure():
    level, found = seconds_to([*cell("a", 0, *SLOW), *cell("b", 0, *FAST), *cell("b", 1, *NEVER)], 0.5)
    assert "| not reached (1 of 2 seeds) | – | – |" in table("set", level, found)


def test_steps_are_compared_over_the_seeds_that_all_have_by_ap_as_by_ap50():
    rows = [*cell("a", 0, *SLOW), *cell("a", 1, *NEVER), *cell("b", 0, *FAST)]
    (half,) = tables(rows, "ap", [0.3])
    assert "until AP 0.30 on test" in half and "| 500 (500 to 500; 1) |" in half and "| 200 (200 to 200; 1) | 60% |" in half
