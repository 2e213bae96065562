import numpy as np
import pytest
from scipy.stats import zscore

from boxwise.evaluation.normalize import NORMALIZERS, ranked, standardized


def test_z_has_mean_zero_and_deviation_one():
    values = np.random.default_rng(0).normal(1e4, 3e3, 50)
    assert standardized(values) == pytest.approx(zscore(values))


@pytest.mark.parametrize("constant", [0.0, 7.3, -1e-300, 1e12, 0.1])
def test_a_constant_term_says_nothing(constant):
    assert np.array_equal(standardized(np.full(7, constant)), np.zeros(7))


def test_a_term_that_is_constant_but_for_rounding_says_nothing():
    values = np.full(7, 0.1)
    values[3] = np.nextafter(0.1, 1)
    assert np.array_equal(standardized(values), np.zeros(7))


def test_ranks_lie_in_0_to_1_and_equals_share_one():
    assert ranked(np.array([5.0, -1.0, 5.0, 100.0])).tolist() == pytest.approx([0.5, 0, 0.5, 1])


@pytest.mark.parametrize("name", NORMALIZERS)
@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_images_give_finite_values(name, count):
    found = NORMALIZERS[name](np.arange(float(count)))
    assert len(found) == count and np.isfinite(found).all()


@pytest.mark.parametrize("name", NORMALIZERS)
def test_order_is_kept_and_the_input_too(name):
    values = np.random.default_rng(0).normal(size=30)
    before = values.copy()
    assert np.array_equal(np.argsort(NORMALIZERS[name](values)), np.argsort(values))
    assert np.array_equal(values, before)
