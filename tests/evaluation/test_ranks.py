"""Mean ranks and Friedman's test, worked by hand."""

import math

import numpy as np
import pytest

from boxwise.evaluation.ranks import mean_ranks


def test_ranks_by_hand():
    ranks = mean_ranks(np.array([[0.3, 0.2, 0.1], [0.3, 0.1, 0.2], [0.2, 0.2, 0.1], [0.9, 0.8, 0.7]]))
    # ranks 1 2 3 / 1 3 2 / 1.5 1.5 3 / 1 2 3
    assert ranks.mean == pytest.approx((4.5 / 4, 8.5 / 4, 11 / 4)) and ranks.blocks == 4


def test_friedman_and_nemenyi_by_hand():
    ranks = mean_ranks(np.array([[3.0, 2, 1]] * 4))
    # chi2 = 12 n / (k (k + 1)) * sum(mean rank^2) - 3 n (k + 1) = 4 * 14 - 48 = 8 with 2 degrees: p = exp(-4)
    assert ranks.p == pytest.approx(math.exp(-4))
    # q(.05, 3) = 2.343 by Demsar's table, times sqrt(k (k + 1) / (6 n)) = sqrt(.5)
    assert ranks.critical == pytest.approx(2.343 * math.sqrt(0.5), abs=2e-3)


def test_two_arms_have_ranks_but_no_friedman():
    assert mean_ranks(np.array([[1.0, 2.0], [3.0, 1.0]])) == ((1.5, 1.5), 2, None, None)


def test_all_alike():
    assert mean_ranks(np.ones((3, 3))) == ((2.0, 2.0, 2.0), 3, None, None)


def test_no_block():
    assert [math.isnan(rank) for rank in mean_ranks(np.zeros((0, 2))).mean] == [True, True]
