from math import log

import numpy as np
import pytest

from boxwise.evaluation.self_paced import self_paced_losses


def test_the_predicted_class_pays_for_its_doubt_and_the_others_for_their_belief():
    losses = self_paced_losses(np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]], np.float32), 2)
    assert losses == pytest.approx(np.array([[-log(0.7), -log(0.8)], [-log(0.9), -log(0.3)]]), rel=1e-6)
    assert losses.dtype == np.float64


def test_it_is_the_paper_s_formula_term_by_term():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(5), 50).astype(np.float32)
    for row, losses in zip(probabilities.astype(float), self_paced_losses(probabilities, 4), strict=True):
        y = [1 if j == max(range(4), key=lambda k: row[k]) else -1 for j in range(4)]
        expected = [-((1 + y[j]) / 2 * log(row[j]) + (1 - y[j]) / 2 * log(1 - row[j])) for j in range(4)]
        assert losses == pytest.approx(expected, rel=1e-6)


def test_certainty_costs_nothing_and_impossibility_a_finite_price():
    losses = self_paced_losses(np.array([[1, 0, 0], [0, 0, 1], [1, 1, 0]], np.float32), 2)
    assert np.isfinite(losses).all() and (losses >= 0).all()
    assert losses[0] == pytest.approx([0, 0], abs=1e-6)
    assert losses[1, 0] > 15  # the background is no class: one of the others is the predicted one, and hopeless
    assert losses[2, 1] > 15


def test_no_boxes_and_a_single_class():
    assert self_paced_losses(np.zeros((0, 4), np.float32), 3).shape == (0, 3)
    assert self_paced_losses(np.array([[0.5, 0.5]], np.float32), 1) == pytest.approx(np.array([[log(2)]]))


def test_independent_chances_are_judged_class_by_class():
    chances = np.array([[0.7, 0.2]], np.float32)
    assert self_paced_losses(chances, 2) == pytest.approx(np.array([[-log(0.7), -log(0.8)]]), rel=1e-6)


def test_its_input_stays_as_it_is():
    probabilities = np.array([[1, 0, 0]], np.float32)
    self_paced_losses(probabilities, 2)
    assert probabilities.tolist() == [[1, 0, 0]]
