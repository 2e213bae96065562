"""The tables of the terminal: who labelled, and what it cost."""

import pytest

from boxwise.cli import console
from boxwise.evaluation.curves import AXES, CellCurve, compare_arms
from boxwise.results.tables import ArmResult

LABOUR = {"images": 50, "boxes": 120, "seconds": 900.0}


@pytest.fixture
def shown(capsys):
    """The lines that a table prints."""
    return lambda: capsys.readouterr().out.splitlines()


class TestRounds:
    def test_a_round_that_waits_for_labels_has_no_row_yet(self, shown):
        console.rounds_table({0: {"annotate": LABOUR, "evaluate": {"val": {"ap": 0.1, "ap50": 0.2}, "test": None}}, 1: {"select": {}}})
        lines = shown()
        assert any(line.startswith("│ 0 ") and "0.200" in line for line in lines)
        assert not any(line.startswith("│ 1 ") for line in lines)

    def test_nothing_labelled_is_no_table(self, shown):
        console.rounds_table({0: {"select": {}}})
        assert not shown()

    def test_the_models_boxes_have_a_column_where_there_are_any(self, shown):
        console.rounds_table({0: {"annotate": LABOUR | {"model_boxes": 0}}})
        assert not any("by the model" in line for line in shown())
        console.rounds_table({0: {"annotate": LABOUR | {"model_boxes": 0}}, 1: {"annotate": LABOUR | {"model_boxes": 77}}})
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
