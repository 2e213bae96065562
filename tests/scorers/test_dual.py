import numpy as np
import pytest

from boxwise.scorers.detection_loss import ExpectedLoss, LearnedLoss
from boxwise.scorers.dual import Dual

IDS = ["a", "b", "c"]
TERMS = {"expected": np.array([0.0, 1.0, 2.0]), "learned": np.array([5000.0, 0.0, 10000.0])}
Z = np.sqrt(1.5)  # of 0, 1, 2: -Z, 0, Z


def test_adds_standardised_terms_so_that_no_unit_wins():
    scores = Dual(ExpectedLoss(), LearnedLoss(), alpha=1.0, beta=2.0).score(IDS, TERMS)
    assert scores.terms["L_rec"] == pytest.approx([-Z, 0, Z])
    assert scores.terms["L_det"] == pytest.approx([0, -Z, Z])
    assert scores.values == pytest.approx([-Z, -2 * Z, 3 * Z])


def test_adds_ranks_where_configured():
    scores = Dual(ExpectedLoss(), LearnedLoss(), alpha=0.5, beta=0.5, normalize="rank").score(IDS, TERMS)
    assert scores.values == pytest.approx([0.25, 0.25, 1])


def test_keeps_the_raw_terms_visible():
    terms = Dual(ExpectedLoss(), LearnedLoss()).score(IDS, TERMS).terms
    assert list(terms) == ["expected", "learned", "L_rec", "L_det"]
    assert np.array_equal(terms["learned"], TERMS["learned"])
