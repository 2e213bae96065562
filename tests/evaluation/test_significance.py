"""Intervals and the paired test, against textbook values, and their silence when seeds are few."""

import math

import pytest

from boxwise.evaluation.significance import interval, paired_test


class TestInterval:
    def test_by_the_table(self):
        mean, low, high = interval([1.0, 2.0, 3.0])  # t(.975, 2) = 4.303, standard error 1 / sqrt 3
        assert mean == 2
        assert (low, high) == pytest.approx((2 - 4.302653 / math.sqrt(3), 2 + 4.302653 / math.sqrt(3)), abs=1e-5)

    def test_one_seed_has_no_limits(self):
        assert interval([0.4]) == (0.4, None, None)

    def test_no_seed_has_no_mean(self):
        mean, low, high = interval([math.nan])
        assert math.isnan(mean)
        assert (low, high) == (None, None)

    def test_nan_is_left_out(self):
        assert interval([1.0, math.nan, 2.0, 3.0]) == interval([1.0, 2.0, 3.0])


class TestPairedTest:
    def test_five_seeds_are_too_few(self):
        assert paired_test([2, 3, 4, 5, 6], [1, 1, 1, 1, 1]) == (None, 5, "not enough seeds (5 of 6)")

    def test_six_wins_of_six(self):
        p, seeds, text = paired_test([2, 3, 4, 5, 6, 7], [1, 1, 1, 1, 1, 1])
        assert (p, seeds, text) == (pytest.approx(2 / 2**6), 6, "p = 0.031")

    def test_is_two_sided(self):
        a, b = [1, 5, 3, 8, 9, 12, 4], [2, 3, 9, 4, 1, 7, 11]
        assert paired_test(a, b).p == paired_test(b, a).p

    def test_by_enumeration(self):
        # ranks 1 to 6, the two smallest are losses (W- = 3): 5 of 64 sign patterns give a sum of 3 or less
        assert paired_test([-1, -2, 3, 4, 5, 6], [0] * 6).p == pytest.approx(2 * 5 / 64)

    def test_a_pair_without_a_difference_is_a_seed_without_a_sign(self):
        assert paired_test([2, 3, 4, 5, 6, 7, 1], [1] * 7)[:2] == (pytest.approx(2 / 2**6), 7)

    def test_no_difference_at_all(self):
        assert paired_test([1.0] * 6, [1.0] * 6).p == 1

    def test_a_pair_with_nan_is_no_seed(self):
        assert paired_test([1, 2, 3, 4, 5, math.nan], [0] * 6).seeds == 5
