"""AP shift: its definition, when it stops, and the best of the window."""

import math

import pytest

from boxwise.evaluation.stopping import ApShift, has_stopped_rising


class TestShift:
    def test_is_the_mean_absolute_deviation_of_the_last_window(self):
        stop = ApShift(3, history=[0.9, 0.1, 0.2, 0.6])
        assert stop.shift == pytest.approx((0.2 + 0.1 + 0.3) / 3)

    def test_is_unknown_before_the_window_is_full(self):
        stop = ApShift(3, 0.5, history=[0.3, 0.3])
        assert stop.shift is None
        assert not stop.should_stop

    def test_is_unknown_while_an_ap_in_the_window_is(self):
        stop = ApShift(2, 0.5, history=[0.3, math.nan])
        assert stop.shift is None
        stop.add(0.3)
        assert stop.shift is None
        stop.add(0.3)
        assert stop.shift == 0

    def test_one_evaluation_has_none(self):
        with pytest.raises(ValueError, match="ap_range is 1, expected 2 or more"):
            ApShift(1)


class TestStop:
    def test_stops_below_the_threshold_and_not_at_it(self):
        history = [0.25, 0.75]  # shift exactly .25
        assert ApShift(2, 0.2501, history).should_stop
        assert not ApShift(2, 0.25, history).should_stop

    def test_threshold_zero_never_stops(self):
        assert not ApShift(2, 0.0, [0.5, 0.5, 0.5]).should_stop

    def test_having_learned_nothing_yet_is_not_convergence(self):
        stop = ApShift(2, 0.01, [0.0, 0.0, 0.0])
        assert not stop.should_stop
        stop.add(0.001)
        assert stop.should_stop

    def test_a_rising_curve_stops_only_when_it_levels_off(self):
        stop, stopped = ApShift(4, 0.01), []
        for ap in [0.1, 0.2, 0.3, 0.4, 0.45, 0.46, 0.455, 0.46]:
            stop.add(ap)
            stopped.append(stop.should_stop)
        assert stopped == [False] * 7 + [True]

    def test_a_restored_one_goes_on_as_the_unbroken(self):
        aps = [0.1, 0.4, 0.41, 0.4, 0.41]
        unbroken = ApShift(3, 0.01)
        for ap in aps:
            unbroken.add(ap)
        restored = ApShift(3, 0.01, unbroken.history[:3])
        for ap in aps[3:]:
            restored.add(ap)
        assert (restored.shift, restored.should_stop, restored.best_in_window) == (unbroken.shift, True, unbroken.best_in_window)


class TestBest:
    @pytest.mark.parametrize(
        ("history", "best"),
        [([0.9, 0.1, 0.3, 0.2], 2), ([0.9, 0.3, 0.2, 0.3], 1), ([0.5], 0), ([0.1, math.nan, 0.2], 2), ([math.nan, math.nan], 0)],
        ids=["older are out", "earliest of equals", "shorter than the window", "nan is below all", "only nan"],
    )
    def test_is_counted_over_all_evaluations(self, history, best):
        assert ApShift(3, history=history).best_in_window == best

    def test_needs_an_evaluation(self):
        with pytest.raises(ValueError, match="at least one"):
            _ = ApShift(3).best_in_window


class TestPlateau:
    def judged(self, *aps, patience=0.3):
        return has_stopped_rising([(40 * (index + 1), ap) for index, ap in enumerate(aps)], patience)

    def test_not_while_it_rises(self):
        assert not self.judged(*(0.02 * n for n in range(1, 15)))

    def test_once_the_last_third_brought_nothing(self):
        assert self.judged(0.1, 0.2, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3)

    def test_a_longer_training_is_given_longer(self):
        flat = [0.1, 0.2, 0.3, 0.4, *[0.5] * 4]
        assert not self.judged(*flat, patience=0.5)
        assert self.judged(*flat, *[0.5] * 6, patience=0.5)

    def test_noise_around_a_level_is_no_rise_but_a_single_low_one_is_no_end(self):
        assert self.judged(*[0.3, 0.31, 0.29] * 6)
        assert not self.judged(0.1, 0.12, 0.14, 0.16, 0.18, 0.2, 0.22, 0.1, 0.26, 0.28, 0.3, 0.32)

    def test_never_while_nothing_is_found_nor_from_few_evaluations(self):
        assert not self.judged(*[0.0] * 30)
        assert not self.judged(*[float("nan")] * 30)
        assert not self.judged(0.3, 0.3, 0.3)
        assert not self.judged()
