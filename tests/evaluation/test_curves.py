"""Learning curves by hand: areas, costs at equal quality, savings, and arms compared seed by seed."""

import math
from dataclasses import replace

import numpy as np
import pytest

from boxwise.evaluation.curves import (
    CellCurve,
    Curve,
    area_under,
    band,
    common_range,
    compare_arms,
    cost_at,
    cost_ratio,
)


def curve(cost, quality):
    return Curve(np.asarray(cost, float), np.asarray(quality, float))


def cell(arm, seed, ap, images=None, boxes=None):
    """A run of 10 images a round, 5 boxes and 30 seconds an image unless told otherwise."""
    images = [10 * (index + 1) for index in range(len(ap))] if images is None else images
    boxes = [5 * count for count in images] if boxes is None else boxes
    return CellCurve(arm, seed, images, boxes, [30 * count for count in images], ap, [2 * value for value in ap])


def on(summaries, arm, axis="images"):
    (summary,) = (summary for summary in summaries if (summary.arm, summary.axis) == (arm, axis))
    return summary


RAMP = curve([10, 20, 40], [0.1, 0.3, 0.5])


class TestCurve:
    def test_drops_rounds_that_could_not_be_judged(self):
        assert curve([10, 20, 30], [0.1, math.nan, 0.3]).cost.tolist() == [10, 30]

    def test_keeps_the_last_of_equal_costs(self):
        kept = curve([10, 20, 20], [0.1, 0.2, 0.4])
        assert (kept.cost.tolist(), kept.quality.tolist()) == ([10, 20], [0.1, 0.4])

    def test_refuses_a_falling_cost(self):
        with pytest.raises(ValueError, match="falls"):
            curve([10, 5], [0.1, 0.2])

    def test_refuses_unequal_lengths(self):
        with pytest.raises(ValueError, match="expected \\[R\\] twice"):
            curve([10, 20], [0.1])

    def test_says_nothing_of_costs_it_was_not_run_at(self):
        assert np.isnan(RAMP.at(np.array([5.0, 41.0]))).all()
        assert float(RAMP.at(30.0)) == pytest.approx(0.4)


class TestArea:
    def test_whole_range(self):
        assert area_under(RAMP, 10, 40) == pytest.approx((10 * 0.2 + 20 * 0.4) / 30)

    def test_cuts_between_rounds(self):
        assert area_under(RAMP, 15, 30) == pytest.approx((5 * 0.25 + 10 * 0.35) / 15)

    def test_as_a_share_of_training_on_everything(self):
        assert area_under(RAMP, 10, 40, full_quality=0.5) == pytest.approx(2 * area_under(RAMP, 10, 40))

    def test_a_flat_curve_is_its_quality(self):
        assert area_under(curve([1, 2, 9], [0.4, 0.4, 0.4]), 1, 9) == pytest.approx(0.4)

    def test_a_range_of_no_width(self):
        assert area_under(curve([10], [0.2]), 10, 10) == pytest.approx(0.2)

    def test_a_range_that_was_not_run(self):
        assert math.isnan(area_under(RAMP, 5, 40))

    def test_common_range(self):
        assert common_range([RAMP, curve([15, 30], [0, 1]), curve([], [])]) == (15, 30)
        assert common_range([RAMP, curve([50, 60], [0, 1])]) is None
        assert common_range([]) is None


class TestCostAt:
    def test_is_linear_between_rounds(self):
        assert cost_at(RAMP, 0.4) == pytest.approx(30)

    def test_is_the_first_crossing_of_the_running_maximum(self):
        assert cost_at(curve([10, 20, 30, 40], [0.1, 0.3, 0.2, 0.5]), 0.4) == pytest.approx(35)
        assert cost_at(curve([10, 20, 30, 40], [0.1, 0.3, 0.2, 0.5]), 0.2) == pytest.approx(15)

    @pytest.mark.parametrize(("quality", "cost"), [(0.05, 10), (0.1, 10), (0.5, 40)])
    def test_ends(self, quality, cost):
        assert cost_at(RAMP, quality) == pytest.approx(cost)

    def test_never_reached(self):
        assert cost_at(RAMP, 0.51) is None
        assert cost_at(curve([], []), 0.1) is None


class TestCostRatio:
    def test_twice_as_fast_costs_half(self):
        assert cost_ratio(curve([10, 20, 30], [0.1, 0.5, 0.6]), curve([10, 20, 40], [0.1, 0.3, 0.5])) == pytest.approx(0.5)

    def test_is_above_one_where_the_curve_costs_more(self):
        assert cost_ratio(curve([10, 40], [0.1, 0.3]), curve([10, 20], [0.1, 0.5])) == pytest.approx(40 / 15)

    def test_against_itself_is_one(self):
        assert cost_ratio(RAMP, RAMP) == 1

    def test_at_a_quality_one_never_reaches(self):
        assert cost_ratio(RAMP, curve([10, 20], [0.1, 0.3]), quality=0.4) is None
        assert cost_ratio(curve([], []), RAMP) is None


class TestVal:
    """Labels spent on val are paid for like any others."""

    @staticmethod
    def cells(val_images):
        val = {"images": [val_images] * 2, "seconds": [30 * val_images] * 2}
        return [
            CellCurve(arm, 0, images, [5 * n for n in images], [30 * n for n in images], [0.1, 0.3], [0.2, 0.6], val)
            for arm, images in (("random", [10, 50]), ("dual", [10, 30]))
        ]

    def test_a_saving_shrinks_by_what_val_costs(self):
        """30 images instead of 50, and 70 for val each time: 100 instead of 120."""
        dual = on(compare_arms(self.cells(70)), "dual")
        assert dual.saving.mean == pytest.approx(1 - 100 / 120)
        assert dual.saving_without_val.mean == pytest.approx(1 - 30 / 50)
        assert dual.speed_up.mean == pytest.approx(1.2)

    def test_an_axis_on_which_val_has_no_cost_is_left_alone(self):
        dual = on(compare_arms(self.cells(70)), "dual", "boxes")
        assert dual.saving == dual.saving_without_val

    def test_without_val_both_are_one(self):
        dual = on(compare_arms(self.cells(0)), "dual")
        assert dual.saving == dual.saving_without_val and dual.saving.mean == pytest.approx(0.4)

    def test_the_area_is_over_what_both_spent_in_all(self):
        assert on(compare_arms(self.cells(70)), "dual").area == on(compare_arms(self.cells(0)), "dual").area


class TestBand:
    def test_at_the_rounds_when_all_share_them(self):
        found = band([curve([10, 20], [0.1, 0.2]), curve([10, 20], [0.3, 0.4])])
        assert found.cost.tolist() == [10, 20]
        assert found.mean.tolist() == pytest.approx([0.2, 0.3])
        assert (found.high - found.mean).tolist() == pytest.approx([12.7062 * 0.1] * 2, abs=1e-4)

    def test_over_the_common_range_otherwise(self):
        found = band([curve([10, 30], [0.1, 0.3]), curve([14, 26], [0.2, 0.2])], points=5)
        assert found.cost.tolist() == [14, 17, 20, 23, 26]
        assert found.mean[2] == pytest.approx(0.2)

    def test_one_seed_has_no_limits(self):
        assert np.isnan(band([RAMP]).low).all()

    def test_nothing(self):
        assert len(band([]).cost) == 0


class TestCompareArms:
    def test_every_arm_on_every_axis_in_order(self):
        summaries = compare_arms([cell("random", 0, [0.1, 0.2]), cell("dual", 0, [0.1, 0.3])])
        assert [(summary.axis, summary.arm) for summary in summaries] == [
            (axis, arm) for axis in ("images", "boxes", "seconds") for arm in ("random", "dual")
        ]

    def test_figures_over_two_seeds(self):
        cells = [cell("random", 0, [0.1, 0.2]), cell("dual", 0, [0.1, 0.3]), cell("random", 1, [0.2, 0.3]), cell("dual", 1, [0.2, 0.6])]
        dual = on(compare_arms(cells), "dual")
        assert dual.areas == pytest.approx((0.2, 0.4))
        assert dual.area.mean == pytest.approx(0.3)
        assert dual.difference.mean == pytest.approx((0.05 + 0.15) / 2)
        assert dual.difference.low == pytest.approx(0.1 - 12.7062 * 0.05, abs=1e-4)
        assert dual.final.mean == pytest.approx(0.45)
        assert dual.saving.mean == pytest.approx(1 - math.sqrt((15 / 20) * (12.5 / 20)))
        assert dual.saving.low < dual.saving.mean < dual.saving.high
        assert dual.test.text == "not enough seeds (2 of 6)"

    def test_the_baseline_is_not_compared_with_itself(self):
        random = on(compare_arms([cell("random", 0, [0.1, 0.2])]), "random")
        assert (random.paired_seeds, random.difference, random.test, random.saving) == ((), None, None, None)

    def test_six_seeds_are_tested(self):
        cells = [cell("random", seed, [0.1, 0.2]) for seed in range(6)]
        cells += [cell("dual", seed, [0.1, 0.3 + 0.01 * seed]) for seed in range(6)]
        assert on(compare_arms(cells), "dual").test.p == pytest.approx(2 / 64)

    def test_only_common_seeds_are_paired(self):
        cells = [cell("random", 0, [0.1, 0.2]), cell("random", 1, [0.5, 0.6]), cell("dual", 1, [0.5, 0.8]), cell("dual", 2, [0.0, 0.1])]
        dual = on(compare_arms(cells), "dual")
        assert dual.seeds == (1, 2)
        assert dual.paired_seeds == (1,)
        assert dual.difference == (pytest.approx(0.1), None, None)

    def test_an_arm_without_a_baseline_stands_alone(self):
        dual = on(compare_arms([cell("dual", 0, [0.1, 0.3])]), "dual")
        assert dual.area.mean == pytest.approx(0.2)
        assert dual.difference is None

    def test_a_shorter_run_is_compared_where_both_ran(self):
        cells = [cell("random", 0, [0.1, 0.2, 0.9]), cell("dual", 0, [0.1, 0.3])]
        summaries = compare_arms(cells)
        assert on(summaries, "random").area.mean == pytest.approx(0.15)
        assert on(summaries, "dual").difference.mean == pytest.approx(0.05)

    def test_boxes_are_compared_over_boxes_both_drew(self):
        cells = [cell("random", 0, [0.1, 0.2], boxes=[50, 100]), cell("dual", 0, [0.1, 0.3], boxes=[50, 150])]
        dual = on(compare_arms(cells), "dual", "boxes")
        assert dual.area.mean == pytest.approx(0.15)
        assert dual.difference.mean == pytest.approx(0)

    def test_a_round_without_an_ap_is_skipped_and_an_arm_without_any_is_kept(self):
        cells = [cell("random", 0, [0.1, 0.2, 0.3]), cell("dual", 0, [0.1, math.nan, 0.3]), cell("lost", 0, [math.nan] * 3)]
        summaries = compare_arms(cells)
        assert on(summaries, "dual").difference.mean == pytest.approx(0)
        lost = on(summaries, "lost")
        assert lost.seeds == ()
        assert math.isnan(lost.area.mean)
        assert lost.difference is None

    def test_by_ap50_and_as_a_share_of_full_training(self):
        cells = [cell("random", 0, [0.1, 0.2])]
        (summary,) = compare_arms(cells, metric="ap50", axes=["images"], full_quality=0.6)
        assert summary.area.mean == pytest.approx(0.3 / 0.6)

    def test_an_arm_apart_narrows_nobodys_stretch(self):
        cells = [cell("random", 0, [0.1, 0.2, 0.9]), cell("dual", 0, [0.1, 0.3, 0.8]), cell("cheap", 0, [0.1, 0.2])]
        found = compare_arms(cells, apart={"cheap"})
        assert on(found, "dual") == on(compare_arms(cells[:2]), "dual")
        assert on(found, "cheap").areas == pytest.approx((0.15,))

    def test_a_run_that_ended_early_narrows_nobodys_stretch_and_has_no_area(self):
        cells = [cell(arm, seed, [0.1, 0.2, 0.3 + seed]) for arm in ("random", "dual") for seed in range(2)]
        found = compare_arms([*cells, cell("killed", 0, [0.1]), cell("killed", 1, [0.1, 0.2, 0.2])])
        assert [on(found, arm).early for arm in ("random", "dual", "killed")] == [(), (), (0,)]
        assert on(found, "dual").areas[0] == on(compare_arms(cells), "dual").areas[0] == pytest.approx(0.2)
        assert on(found, "killed").seeds == (1,) and on(found, "killed").paired_seeds == (0, 1)

    @pytest.mark.parametrize(
        ("unit", "images", "early"),
        [("boxes", [10, 12, 15], True), ("boxes", [10, 15, 21], False), ("images", [10, 12, 15], False)],
    )
    def test_a_run_whose_rounds_buy_something_else_is_set_aside_over_less_than_half_of_the_images(self, unit, images, early):
        """Its few images would be all that the others are compared over; those of a policy that asks again are its own."""
        thrifty = replace(cell("thrifty", 0, [0.1, 0.2, 0.2], images=images), unit=unit)
        cells = [cell("random", 0, [0.1, 0.2, 0.3]), thrifty]
        found = compare_arms(cells)
        assert on(found, "thrifty").early == ((0,) if early else ())
        assert (on(found, "random").area == on(compare_arms(cells[:1]), "random").area) is early

    @pytest.mark.parametrize("images", [[45, 55, 65], [30, 40, 50], [1, 2, 3]])
    def test_a_run_from_other_first_images_that_shares_little_or_nothing_is_set_aside(self, images):
        cells = [cell(arm, seed, [0.1, 0.2, 0.3 + seed]) for arm in ("random", "dual") for seed in range(2)]
        found = compare_arms([*cells, *(cell("late", seed, [0.2, 0.3, 0.4], images=images) for seed in range(2))])
        assert [on(found, arm) for arm in ("random", "dual")] == [on(compare_arms(cells), arm) for arm in ("random", "dual")]
        assert on(found, "late").early == (0, 1) and on(found, "late").areas == ()

    def test_runs_that_share_no_cost_are_set_aside_over_that_cost_alone(self):
        """The dearest and the cheapest overlap with the baseline and not with one another: the one that covers less of it goes."""
        cells = [cell(arm, 0, [0.1, 0.2, 0.3]) for arm in ("random", "dual")]
        dear = replace(cell("dear", 0, [0.1, 0.2, 0.3]), seconds=[500, 800, 1500])
        cheap = replace(cell("cheap", 0, [0.1, 0.2, 0.3]), seconds=[250, 300, 450])
        beyond = replace(cell("beyond", 0, [0.1, 0.2, 0.3]), seconds=[901, 1802, 2703])
        found = compare_arms([*cells, dear, cheap, beyond])
        early = {axis: {s.arm for s in found if s.axis == axis and s.early} for axis in ("images", "boxes", "seconds")}
        assert early == {"images": set(), "boxes": set(), "seconds": {"beyond", "cheap"}}
        assert [on(found, arm, "seconds").seeds for arm in ("random", "dual", "dear", "cheap")] == [(0,), (0,), (0,), ()]
        assert on(compare_arms([*cells, cheap]), "cheap", "seconds").seeds == (0,)

    def test_without_a_baseline_of_its_seed_no_run_is_early(self):
        cells = [cell("random", 0, [0.1, 0.2, 0.3]), cell("dual", 1, [0.1, 0.2, 0.3]), cell("short", 1, [0.1])]
        assert on(compare_arms(cells), "short").early == ()

    def test_a_pair_is_compared_over_what_the_two_cover(self):
        cells = [cell("random", 0, [0.1, 0.2, 0.9]), cell("dual", 0, [0.1, 0.3, 0.8]), cell("short", 0, [0.1, 0.2])]
        dual = on(compare_arms(cells), "dual")
        assert dual.areas == pytest.approx((0.2,)) and dual.pairs == ((pytest.approx(0.375), pytest.approx(0.35)),)

    def test_a_curve_that_never_rises_saves_neither_nothing_nor_something(self):
        cells = [cell("random", seed, [0.1, 0.2, 0.3]) for seed in range(3)]
        cells += [cell("dual", 0, [0.1, 0.08, 0.05]), cell("dual", 1, [0.1, 0.3, 0.3]), cell("dual", 2, [0.1, 0.1, 0.1])]
        dual = on(compare_arms(cells), "dual")
        assert dual.saving_seeds == 1 and dual.saving.mean == pytest.approx(1 / 3)
        assert dual.ahead == 1

    def test_the_same_cell_twice_is_refused(self):
        with pytest.raises(ValueError, match="'random' has seed 0 twice"):
            compare_arms([cell("random", 0, [0.1]), cell("random", 0, [0.2])])

    def test_no_cells(self):
        assert compare_arms([]) == []
