"""Entropy in nats, also of certainty."""

from math import log

import numpy as np
import pytest

from boxwise.evaluation.entropy import entropy


def test_entropy_in_nats_with_background():
    found = entropy(np.array([[1, 0, 0], [0.5, 0.5, 0], [0.25, 0.25, 0.5]], np.float32))
    assert found == pytest.approx([0, log(2), 0.5 * log(4) + 0.5 * log(2)])
    sure = np.array([[0.995, 0.0, 0.005], [0.999, 0.0, 0.001], [0.9, 0.05, 0.05]], np.float32)
    assert entropy(sure) == pytest.approx([0.0315, 0.0079, 0.394], abs=5e-4)


def test_no_rows():
    assert entropy(np.zeros((0, 4), np.float32)).shape == (0,)
