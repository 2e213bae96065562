from pathlib import Path

import numpy as np

from boxwise.report.facts import Cell, Round, arms_of, curve, judged_on, number, read_vae_history, train_losses


class TestCell:
    def test_curve_holds_the_cumulative_costs_and_the_metrics_of_the_split(self, make_cells):
        cell = make_cells(("dual",), 1)[0]
        got = curve(cell, "test")
        assert list(got.images) == [20, 40, 60, 80]
        assert list(got.ap) == [r.facts["evaluate"]["test"]["ap"] for r in cell.rounds]
        assert list(curve(cell, "val").ap50) == [r.facts["evaluate"]["val"]["ap50"] for r in cell.rounds]

    def test_rounds_without_metrics_are_left_out(self, make_cells):
        cell = make_cells(("dual",), 1)[0]
        unfinished = Cell("dual", 0, cell.folder, {}, cell.classes, (cell.rounds[0], Round(1, {"select": {"items": []}})))
        assert list(curve(unfinished, "test").images) == [20]

    def test_unknown_ap_is_nan_and_dropped_from_the_curve(self):
        rounds = tuple(
            Round(i, {"annotate": {"images": i + 1, "boxes": 1, "seconds": 1.0}, "evaluate": {"test": m}})
            for i, m in enumerate([{"ap": None, "ap50": None}, {"ap": 0.5, "ap50": 0.6}])
        )
        got = curve(Cell("a", 0, Path(), {}, ("x",), rounds), "test")
        assert np.isnan(got.ap[0])
        assert got.curve("images").quality.tolist() == [0.5]

    def test_labels_corrected_to_fewer_boxes_give_no_labour_back(self):
        spent = [{"images": i + 1, "boxes": boxes, "seconds": 9.0 * (i + 1)} for i, boxes in enumerate([10, 8, 15])]
        rounds = tuple(Round(i, {"annotate": cost, "evaluate": {"test": {"ap": 0.1, "ap50": 0.2}}}) for i, cost in enumerate(spent))
        got = curve(Cell("a", 0, Path(), {}, ("x",), rounds), "test")
        assert list(got.boxes) == [10, 10, 15]
        assert len(got.curve("boxes")) == 2

    def test_an_artefact_is_there_or_none(self, make_cells):
        dual, random = make_cells(("dual", "random"), 1)
        assert dual.artefact(2, "reconstructions.png").is_file()
        assert random.artefact(2, "reconstructions.png") is None

    def test_upper_bounds_carry_it_in_their_label(self, make_cells):
        assert [c.label for c in make_cells(("oracle_loss", "dual"), 1)] == ["oracle_loss (upper bound)", "dual"]


def test_val_is_read_only_where_no_cell_has_the_wanted_split(make_cells):
    assert judged_on(make_cells(("dual",), 1), "test") == "test"
    assert judged_on(make_cells(("dual",), 1, test=False), "test") == "val"


def test_baseline_and_upper_bounds_come_last(make_cells):
    assert arms_of(make_cells(("oracle_loss", "random", "dual"), 1), "random") == ["dual", "random", "oracle_loss"]


def test_loss_names_leave_out_what_is_no_loss(make_cells):
    assert train_losses(make_cells(("dual",), 1)[0].rounds[0]) == ["box", "class"]
    assert train_losses(Round(0, {})) == []


def test_vae_history_is_read_as_numbers(make_cells):
    rows = read_vae_history(make_cells(("dual",), 1)[0].artefact(0, "vae_history.csv"))
    assert rows[0].keys() == {"step", "reconstruction", "kl"}
    assert rows[0]["step"] == 50.0
    assert len(rows) == 30


def test_json_null_is_nan():
    assert np.isnan(number(None))
    assert number(3) == 3.0
