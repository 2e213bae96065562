import dataclasses
import re

import pytest
from made_rounds import made_round

from boxwise.evaluation.curves import AXES, compare_arms
from boxwise.results.facts import curve
from boxwise.results.tables import (
    Quantity,
    Table,
    arm_results,
    count,
    duration,
    figure,
    headline,
    known_columns,
    percent,
    pool_table,
    quality_table,
    reading,
    round_table,
    saved,
    signed,
)


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (figure(0.12345), "0.123"), (figure(-0.5), "−0.500"), (figure(-0.0001), "0.000"), (figure(None), "–"), (figure(float("nan")), "–"),
        (signed(0.1), "+0.100"), (signed(-0.1), "−0.100"), (signed(0.0002), "0.000"), (signed(None), "–"),
        (percent(0.256), "26%"), (percent(-0.1), "−10%"), (percent(-0.001), "0%"), (percent(None), "–"),
        (count(12345.0), "12,345"), (count(None), "–"),
        (duration(90), "90 s"), (duration(600), "10 min"), (duration(9000), "2.5 h"), (duration(None), "–"),
    ],
)  # fmt: skip
def test_figures_as_a_reader_sees_them(shown, text):
    assert shown == text


class TestArmResults:
    def test_every_statistic_is_the_one_of_curves(self, make_cells):
        cells = make_cells(seeds=3)
        summaries = {(s.arm, s.axis): s for s in compare_arms([curve(c, "test") for c in cells])}
        results = arm_results(cells, baseline="random", split="test")
        assert [r.arm for r in results] == ["dual", "random", "oracle_loss"]
        for result in results:
            for axis in AXES:
                summary = summaries[result.arm, axis]
                assert result.by_axis[axis].areas == summary.areas
                assert result.quantity("area", axis).text == figure(summary.area.mean)
                assert result.quantity("saving", axis).text == percent(summary.saving.mean if summary.saving else None)
            assert result.quantity("ap").text == figure(summaries[result.arm, "images"].final.mean)

    def test_limits_of_an_ap_stay_within_what_an_ap_can_be(self, make_cells):
        results = arm_results(make_cells(), baseline="random", split="test")
        assert len(results) == 3
        for result in results:
            for kind in ("ap", "ap50", "area"):
                low, high = map(float, result.quantity(kind).remark.split(" to "))
                assert 0 <= low <= float(result.quantity(kind).text) <= high <= 1

    def test_nothing_saves_more_than_everything(self):
        assert saved(1.66) == "100%" and saved(-1.94) == "−194%" and saved(None) == "–"

    def test_arms_that_ask_alike_are_judged_by_images_others_by_annotator_time(self, make_cells):
        cells = make_cells(("dual", "random"))
        assert {r.judged for r in arm_results(cells, baseline="random", split="test")} == {"images"}
        review = [c if c.arm == "random" else dataclasses.replace(c, config={**c.config, "ask": {"mode": "review"}}) for c in cells]
        results = arm_results(review, baseline="random", split="test")
        assert {r.judged for r in results} == {"seconds"} and results[0].quantity("area") == results[0].quantity("area", "seconds")
        assert "over annotator time" in headline(results, baseline="random", split="test")

    def test_arms_without_an_evaluated_round_are_left_out(self, make_cells):
        cells = make_cells(("dual", "random"), 1)
        waiting = dataclasses.replace(cells[0], rounds=(made_round(0, {}),))
        assert [r.arm for r in arm_results([waiting, cells[1]], baseline="random", split="test")] == ["random"]


class TestVerdict:
    def test_two_seeds_decide_nothing(self, make_cells):
        results = arm_results(make_cells(seeds=2), baseline="random", split="test")
        assert {r.verdict for r in results} == {"undecided"}
        said = headline(results, baseline="random", split="test")
        assert said.startswith("Undecided against random: dual, oracle_loss (upper bound).")
        assert "2 paired seeds" in said
        assert "A verdict needs 6" in said
        assert results[0].quantity("test").text == "not enough seeds (2 of 6)"

    def test_six_seeds_that_agree_win(self, make_cells):
        results = arm_results(make_cells(("dual", "random"), 6), baseline="random", split="test")
        assert results[0].verdict == "win"
        assert headline(results, baseline="random", split="test").startswith("Better than random: dual.")

    def test_the_same_seen_from_the_other_side_is_a_loss(self, make_cells):
        results = arm_results(make_cells(("dual", "random"), 6), baseline="dual", split="test")
        assert results[0].arm == "random"
        assert results[0].verdict == "loss"
        assert headline(results, baseline="dual", split="test").startswith("Worse than dual: random.")

    def test_the_reading_counts_the_seeds_ahead_and_the_savings(self, make_cells):
        results = arm_results(make_cells(("dual", "random"), 6), baseline="random", split="test")
        mine, theirs = (r.by_axis["images"].areas for r in results)
        ahead = sum(a > b for a, b in zip(mine, theirs, strict=True))
        curve_says, cost_says = reading(results[0])
        assert f"ahead on {ahead} of 6 seeds" in curve_says
        assert re.search(r"\d+% (fewer|more) labelled images, .* labelled boxes, .* annotator time", cost_says)

    def test_a_study_alone_is_compared_with_nothing(self, make_cells):
        results = arm_results(make_cells(("dual",), 1), baseline="random", split="test")
        assert "no baseline" in headline(results, baseline="random", split="test")
        assert headline([], baseline="random", split="test") == "No round has been evaluated yet."


class TestTables:
    def test_quality_is_the_mean_over_seeds_and_marks_the_best(self):
        low, high = ({"ap": ap, "ap50": None, "images": 40, "per_class": {"x": {"AP": ap, "AP50": 0.5}}} for ap in (0.2, 0.4))
        table = quality_table({"a": [low, high], "b": [high]}, ["x"])
        assert table.heads == ("", "a", "b")
        assert table.rows[0] == ("AP", Quantity("0.300"), Quantity("0.400", best=True))
        assert table.rows[1][1:] == (Quantity("–"), Quantity("–"))
        assert table.rows[-1] == ("x", Quantity("0.300", "AP50 0.500"), Quantity("0.400", "AP50 0.500", best=True))

    def test_quality_of_one_study_has_the_interval_over_its_images(self):
        known = {"ap": 0.3, "ap50": 0.5, "images": 12, "intervals": {"ap": [0.2, 0.4]}, "per_class": {}}
        table = quality_table({"round 0": [known], "round 1": [{**known, "intervals": None}]}, [])
        assert table.rows[0][1:] == (Quantity("0.300", "0.200 to 0.400, 12 images", best=True), Quantity("0.300", best=True))

    def test_rounds_show_test_only_where_there_is_one(self, make_cells):
        with_test, without = (round_table(make_cells(("dual",), 1, test=test)[0]) for test in (True, False))
        assert "test AP" in with_test.heads
        assert "test AP" not in without.heads
        assert "val AP" in without.heads
        assert [row[0] for row in without.rows] == ["0", "1", "2", "3"]

    def test_a_round_that_waits_for_labels_has_no_row_yet(self, make_cells):
        cell = make_cells(("dual",), 1)[0]
        waiting = dataclasses.replace(cell, rounds=(*cell.rounds, made_round(4, {"select": {"items": []}})))
        assert round_table(waiting) == round_table(cell)

    def test_terms_over_the_pool_only_where_it_was_scored(self, make_cells):
        dual, random = make_cells(("dual", "random"), 1)
        assert pool_table(dual).rows[0] == ("1", "0 ± 1")
        dual.rounds[1].score.terms.clear()
        dual.rounds[1].score.terms.update({"L_det": {"mean": -3.93e-17, "std": 1.0}, "gate": {"mean": -0.25, "std": 0.5}})
        assert pool_table(dual).rows[0][:3] == ("1", "0 ± 1", "−0.25 ± 0.5")
        assert pool_table(random) is None

    def test_unknown_columns_go(self):
        table = Table(("a", "b", "c"), (("1", "–", Quantity("–")), ("2", "–", Quantity("3"))))
        assert known_columns(table) == Table(("a", "c"), (("1", Quantity("–")), ("2", Quantity("3"))))
