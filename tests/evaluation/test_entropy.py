"""Entropy and divergence in nats, also of certainty."""

from math import log

import numpy as np
import pytest

from boxwise.evaluation.entropy import binary_entropy, box_entropy, distribution, entropy, jensen_shannon

A, B = [0.8, 0.1, 0.1], [0.2, 0.6, 0.2]


def rows(*distributions):
    return np.array(distributions, np.float64)


def test_entropy_in_nats_with_background():
    found = entropy(np.array([[1, 0, 0], [0.5, 0.5, 0], [0.25, 0.25, 0.5]], np.float32))
    assert found == pytest.approx([0, log(2), 0.5 * log(4) + 0.5 * log(2)])
    sure = np.array([[0.995, 0.0, 0.005], [0.999, 0.0, 0.001], [0.9, 0.05, 0.05]], np.float32)
    assert entropy(sure) == pytest.approx([0.0315, 0.0079, 0.394], abs=5e-4)


def test_no_rows():
    assert entropy(np.zeros((0, 4), np.float32)).shape == (0,)


def test_entropy_of_a_score():
    assert binary_entropy(np.array([0.5, 0.9, 0.0, 1.0])) == pytest.approx([0.693147, 0.325083, 0, 0], abs=1e-6)


def test_jensen_shannon_by_hand():
    m = [0.5, 0.35, 0.15]
    expected = sum(x / 2 * log(x / y) for x, y in zip(A, m, strict=True)) + sum(x / 2 * log(x / y) for x, y in zip(B, m, strict=True))
    assert jensen_shannon(rows(A, A, [1, 0, 0]), rows(B, A, [0, 0, 1])) == pytest.approx([expected, 0, log(2)], abs=1e-12)


def test_jensen_shannon_is_the_square_of_a_metric_and_bounded():
    p, q, r = (np.random.default_rng(seed).dirichlet(np.ones(4), 500) for seed in range(3))
    divergence = jensen_shannon(p, q)
    assert (divergence >= 0).all() and (divergence <= log(2)).all() and divergence == pytest.approx(jensen_shannon(q, p))
    assert (np.sqrt(divergence) <= np.sqrt(jensen_shannon(p, r)) + np.sqrt(jensen_shannon(r, q)) + 1e-12).all()


def test_jensen_shannon_of_many_rows_and_one():
    p, q = np.random.default_rng(0).dirichlet(np.ones(3), 5), rows(B)
    assert jensen_shannon(p, q).tolist() == [float(jensen_shannon(p[row : row + 1], q)[0]) for row in range(5)]
    assert jensen_shannon(p[:0], q).shape == (0,)


class TestFamilies:
    def test_a_softmax_family_has_a_distribution_already(self):
        assert np.array_equal(distribution(rows(A, B), 2), rows(A, B))
        assert box_entropy(rows(A, B), 2) == pytest.approx(entropy(rows(A, B)))

    def test_a_sigmoid_family_gets_a_background_and_sums_entropies_over_classes(self):
        chances = rows([0.5, 0.9], [0.0, 1.0])
        assert distribution(chances, 2) == pytest.approx(rows([0.5 / 1.5, 0.9 / 1.5, 0.1 / 1.5], [0, 1, 0]))
        assert box_entropy(chances, 2) == pytest.approx([log(2) + 0.325083, 0], abs=1e-6)

    def test_of_no_boxes(self):
        assert distribution(np.zeros((0, 2)), 2).shape == (0, 3) and box_entropy(np.zeros((0, 2)), 2).shape == (0,)

    def test_another_width_is_refused(self):
        with pytest.raises(ValueError, match="5 columns, expected 3 with background or 2 without"):
            box_entropy(np.zeros((1, 5)), 2)
