"""Intervals and the paired test, against textbook values, and their silence when seeds are few."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import rankdata, wilcoxon

from boxwise.evaluation.significance import holm, interval, paired_test, pooled_ratio, sign_test


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

    def test_equal_differences_share_their_ranks(self):
        # ranks 2, 2, -2, 4, 5, 6: W- = 2; of 64 sign patterns 4 give a sum of 2 or less, by which none of the three is told from another
        assert paired_test([1, 1, -1, 2, 3, 4], [0] * 6).p == pytest.approx(2 * 4 / 64)

    def test_with_ties_as_by_every_pattern_of_signs(self):
        differences = [3, 3, -1, 1, 1, -2, 2, 5]
        ranks = rankdata(np.abs(differences))
        sums = [np.dot(ranks, signs) for signs in itertools.product((0, 1), repeat=8)]
        off = abs(ranks[np.array(differences) > 0].sum() - ranks.sum() / 2)
        assert paired_test(differences, [0] * 8).p == pytest.approx(np.mean(np.abs(np.array(sums) - ranks.sum() / 2) >= off - 1e-9))

    @pytest.mark.parametrize("seeds", [6, 9, 25])
    def test_without_ties_as_scipy(self, seeds):
        differences = np.random.default_rng(seeds).normal(0.3, 1, seeds)
        assert paired_test(differences, [0] * seeds).p == pytest.approx(wilcoxon(differences, method="exact").pvalue)

    def test_a_pair_without_a_difference_is_a_seed_without_a_sign(self):
        assert paired_test([2, 3, 4, 5, 6, 7, 1], [1] * 7)[:2] == (pytest.approx(2 / 2**6), 7)

    def test_no_difference_at_all(self):
        assert paired_test([1.0] * 6, [1.0] * 6).p == 1

    def test_a_pair_with_nan_is_no_seed(self):
        assert paired_test([1, 2, 3, 4, 5, math.nan], [0] * 6).seeds == 5


class TestHolm:
    def test_by_hand(self):
        # sorted .005 .01 .03 .04 times 4 3 2 1: .02 .03 .06 .04, the last lifted to .06
        assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])

    def test_never_above_one(self):
        assert holm([0.6, 0.5]) == [1.0, 1.0]

    def test_one_test_needs_none(self):
        assert holm([0.03]) == [0.03]

    def test_no_tests(self):
        assert holm([]) == []


class TestPooledRatio:
    def test_one_ratio_has_no_limits(self):
        assert pooled_ratio([0.5]) == (pytest.approx(0.5), None, None)

    def test_twice_and_half_cancel(self):
        mean, low, high = pooled_ratio([0.5, 2.0])
        assert mean == pytest.approx(1.0) and low == pytest.approx(1 / high)

    def test_nothing_known(self):
        assert math.isnan(pooled_ratio([]).mean) and pooled_ratio([math.nan, 0.5]) == pooled_ratio([0.5])

    def test_the_same_ratios_have_the_same_limits(self):
        assert pooled_ratio([0.7, 0.9, 1.2]) == pooled_ratio([0.7, 0.9, 1.2])

    def test_arms_that_are_equal_seem_to_save_nothing(self):
        """Ratios of single seeds are noisy and skewed: the mean of 1 - ratio is biased towards a loss, the pooled one is not."""
        rng = np.random.default_rng(0)
        ratios = np.exp(rng.normal(0, 0.5, (300, 6)))
        pooled = np.array([1 - pooled_ratio(row).mean for row in ratios])
        assert abs(np.median(pooled)) < 0.03
        assert (1 - ratios).mean() < -0.1

    @pytest.mark.parametrize("seeds", [2, 3, 4, 6])
    def test_the_limits_hold_the_truth_as_often_as_they_say(self, seeds):
        """Log ratios of standard deviation .2 around .8; plain percentiles of six hold it in about 85 of 100, the range of two in 50."""
        rng = np.random.default_rng(0)
        found = [pooled_ratio(np.exp(rng.normal(np.log(0.8), 0.2, seeds))) for _ in range(400)]
        held = np.mean([one.low <= 0.8 <= one.high for one in found])
        assert 0.92 < held < 0.98

    def test_of_three_seeds_by_hand(self):
        # logs -log 2, 0, log 2: mean 0, standard error log 2 / sqrt 3, t of two degrees of freedom 4.3027
        mean, low, high = pooled_ratio([0.5, 1.0, 2.0])
        assert (mean, low, high) == (
            pytest.approx(1.0),
            pytest.approx(2 ** (-4.3027 / 3**0.5), rel=1e-3),
            pytest.approx(2 ** (4.3027 / 3**0.5), rel=1e-3),
        )


class TestSignTest:
    def test_six_of_six(self):
        assert sign_test([0.1] * 6) == (pytest.approx(2 / 2**6), 6, "p = 0.031")

    def test_by_hand(self):
        # of 7 signs 1 or fewer against: 2 (1 + 7) / 2^7
        assert sign_test([1, 1, 1, 1, 1, 1, -1]).p == pytest.approx(16 / 128)

    def test_fewer_than_six_decide_nothing_and_zeros_have_no_sign(self):
        assert sign_test([1, 1, 1, 1, 1, 0, math.nan]) == (None, 5, "not enough (5 of 6)")
