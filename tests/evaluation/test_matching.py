import numpy as np

from boxwise.evaluation.matching import greedy_pairs


def test_the_highest_pair_first_and_each_side_once():
    assert greedy_pairs(np.float32([[0.9, 0.8], [0.95, 0.7], [0.6, 0.1]]), 0.5) == [(1, 0), (0, 1)]


def test_the_limit_is_included_as_float32():
    assert greedy_pairs(np.float32([[0.7]]), 0.7) == [(0, 0)] and greedy_pairs(np.float32([[0.7]]), 0.71) == []


def test_ties_go_by_row_then_column():
    assert greedy_pairs(np.ones((2, 3), np.float32), 0.5) == [(0, 0), (1, 1)]


def test_nothing_to_match():
    assert greedy_pairs(np.zeros((0, 3), np.float32), 0.0) == [] and greedy_pairs(np.zeros((3, 0), np.float32), 0.0) == []
