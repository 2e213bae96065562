from pathlib import Path

import numpy as np
import pytest
from made_rounds import made_round

from boxwise.artifacts.facts import AnnotateFacts
from boxwise.artifacts.vae_history import read_vae_history
from boxwise.boxes import Boxes
from boxwise.results.facts import (
    Cell,
    ap_shifts,
    arms_of,
    curve,
    hardest,
    judged_on,
    mean_value,
    number,
    time_saved,
    train_losses,
)


class TestCell:
    def test_curve_holds_the_cumulative_costs_and_the_metrics_of_the_split(self, make_cells):
        cell = make_cells(("dual",), 1)[0]
        got = curve(cell, "test")
        assert list(got.images) == [20, 40, 60, 80]
        assert list(got.ap) == [r.evaluate.test["ap"] for r in cell.rounds]
        assert list(curve(cell, "val").ap50) == [r.evaluate.val["ap50"] for r in cell.rounds]

    def test_rounds_without_metrics_are_left_out(self, make_cells):
        cell = make_cells(("dual",), 1)[0]
        unfinished = Cell("dual", 0, cell.folder, {}, cell.classes, (cell.rounds[0], made_round(1, {"select": {"items": []}})))
        assert list(curve(unfinished, "test").images) == [20]

    def test_unknown_ap_is_nan_and_dropped_from_the_curve(self):
        rounds = tuple(
            made_round(i, {"annotate": {"images": i + 1, "boxes": 1, "seconds": 1.0}, "evaluate": {"test": m}})
            for i, m in enumerate([{"ap": None, "ap50": None}, {"ap": 0.5, "ap50": 0.6}])
        )
        got = curve(Cell("a", 0, Path(), {}, ("x",), rounds), "test")
        assert np.isnan(got.ap[0])
        assert got.curve("images").quality.tolist() == [0.5]

    def test_labels_corrected_to_fewer_boxes_give_no_labour_back(self):
        spent = [{"images": i + 1, "boxes": boxes, "seconds": 9.0 * (i + 1)} for i, boxes in enumerate([10, 8, 15])]
        rounds = tuple(made_round(i, {"annotate": cost, "evaluate": {"test": {"ap": 0.1, "ap50": 0.2}}}) for i, cost in enumerate(spent))
        got = curve(Cell("a", 0, Path(), {}, ("x",), rounds), "test")
        assert list(got.boxes) == [10, 10, 15]
        assert len(got.curve("boxes")) == 2

    def test_an_artefact_is_there_or_none(self, make_cells):
        dual, random = make_cells(("dual", "random"), 1)
        assert dual.files(2).reconstructions.is_file()
        assert random.files(2).reconstructions.is_file() is False

    def test_upper_bounds_carry_it_in_their_label(self, make_cells):
        assert [c.label for c in make_cells(("oracle_loss", "dual"), 1)] == ["oracle_loss (upper bound)", "dual"]


def test_val_is_read_only_where_no_cell_has_the_wanted_split(make_cells):
    assert judged_on(make_cells(("dual",), 1), "test") == "test"
    assert judged_on(make_cells(("dual",), 1, test=False), "test") == "val"


def test_baseline_and_upper_bounds_come_last(make_cells):
    assert arms_of(make_cells(("oracle_loss", "random", "dual"), 1), "random") == ["dual", "random", "oracle_loss"]


def test_loss_names_leave_out_what_is_no_loss(make_cells):
    assert train_losses(make_cells(("dual",), 1)[0].rounds[0]) == ["box", "class"]
    assert train_losses(made_round(0, {})) == []


def test_vae_history_is_read_as_numbers(make_cells):
    rows = read_vae_history(make_cells(("dual",), 1)[0].files(0).vae_history)
    assert rows[0].keys() == {"step", "reconstruction", "kl"}
    assert rows[0]["step"] == 50.0
    assert len(rows) == 30


def test_json_null_is_nan():
    assert np.isnan(number(None))
    assert number(3) == 3.0


class TestCooperation:
    def test_a_study_older_than_the_choice_drew_everything(self):
        cell = Cell("a", 0, Path(), {}, ("x",), ())
        assert (cell.ask, cell.policy, cell.cooperates) == ("full", "all_labeled", False)

    def test_another_way_of_asking_or_of_training_is_cooperation(self):
        for config in ({"ask": {"mode": "boxes"}}, {"policy": {"name": "ceal"}}):
            assert Cell("a", 0, Path(), config, ("x",), ()).cooperates
        plain = {"ask": {"mode": "full"}, "policy": {"name": "all_labeled"}}
        assert not Cell("a", 0, Path(), plain, ("x",), (made_round(1, {"audit": {"lure": None}}),)).cooperates

    def test_the_shift_needs_a_full_window_and_skips_what_was_not_judged(self):
        aps = [0.1, None, 0.3, 0.3]
        rounds = tuple(made_round(i, {"evaluate": {"val": {"ap": ap}}}) for i, ap in enumerate(aps))
        shifts = ap_shifts(Cell("a", 0, Path(), {"stop": {"ap_range": 2}}, ("x",), rounds))
        assert shifts == {2: pytest.approx(0.1), 3: 0.0}

    def test_time_saved_is_unknown_without_the_time_by_hand(self):
        assert time_saved(AnnotateFacts(seconds=30.0, by_hand_seconds=120.0)) == (90.0, 0.75)
        assert np.isnan(time_saved(AnnotateFacts(seconds=30.0))).all()
        assert np.isnan(time_saved(AnnotateFacts(seconds=0.0, by_hand_seconds=0.0))[1])

    def test_the_shift_follows_the_part_of_val_that_does_not_change(self):
        facts = [{"val": {"ap": 0.9 * i}, "val_parts": {"original": {"ap": 0.2}, "round 1": {"ap": 0.8}}} for i in range(2)]
        rounds = tuple(made_round(i, {"evaluate": one}) for i, one in enumerate(facts))
        assert ap_shifts(Cell("a", 0, Path(), {"stop": {"ap_range": 2}}, ("x",), rounds)) == {1: 0.0}


class TestHardest:
    def judged(self, facts, mode="review"):
        round_index = made_round(1, facts)
        return hardest(
            Cell("a", 0, Path(), {"ask": {"mode": mode}}, ("x",), (round_index,), labels=dict.fromkeys("abc", Boxes.empty())), round_index
        )

    def test_images_need_labels_and_a_value(self):
        losses = {"audit": {"true_losses": {"a": 1.0, "b": 3.0, "c": None, "elsewhere": 9.0}}}
        assert self.judged(losses, "full") == ("true loss", [("b", 3.0), ("a", 1.0)])

    def test_losses_known_of_some_images_only_judge_none(self):
        """Those labelled by people throughout: the sheet would show no box by the model."""
        some = {"audit": {"true_losses": {"a": 1.0}}, "compose": {"al_ratio": {"a": 0.2, "b": 0.7}}}
        assert self.judged(some) == ("AL ratio", [("b", 0.7), ("a", 0.2)])
        every = {"audit": {"true_losses": {"a": 1.0, "b": 0.5}}, "compose": some["compose"]}
        assert self.judged(every) == ("true loss", [("a", 1.0), ("b", 0.5)])

    def test_a_round_drawn_by_hand_without_losses_has_none(self):
        assert self.judged({"compose": {"al_ratio": {"a": 1.0}}}, "full")[1] == []


def test_the_mean_over_images_leaves_out_what_is_unknown():
    assert mean_value({"a": 1.0, "b": None, "c": 0.0}) == 0.5
    assert np.isnan(mean_value(None))
