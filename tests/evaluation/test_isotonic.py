import numpy as np
import pytest

from boxwise.evaluation.isotonic import RisingCurve


def test_a_fall_is_levelled_by_weight():
    curve = RisingCurve.fit(np.array([0.1, 0.2, 0.3]), np.array([0.2, 0.8, 0.5]), np.array([1.0, 1.0, 2.0]))
    assert curve(np.array([0.1, 0.2, 0.3])) == pytest.approx([0.2, 0.6, 0.6])


def test_linear_between_and_constant_outside():
    curve = RisingCurve.fit(np.array([0.2, 0.4]), np.array([0.0, 1.0]), np.ones(2))
    assert curve(np.array([0.0, 0.3, 0.9])) == pytest.approx([0, 0.5, 1])
    assert len(curve(np.zeros(0))) == 0
