"""The variance of AP is split into what is owed to the choice of labels and to the training's chance."""

import runpy
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def spread(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return runpy.run_path(str(FOLDER / "choice_or_chance.py"))["spread"]


def test_a_case_worked_by_hand(spread):
    # Means of the draws 2 and 6. Within: ((1² + 1²) + (1² + 1²)) / 2 = 2. Between: 2 · var(2, 6) = 16, so the choice has (16 − 2) / 2 = 7.
    found = spread([[1.0, 3.0], [5.0, 7.0]])
    assert (found.mean, found.choice**2, found.chance**2) == pytest.approx((4, 7, 2))
    assert found.p == pytest.approx(0.1056, abs=1e-4)  # F = 8 at (1, 2): t = 2.828 with 2 degrees of freedom


def test_draws_closer_than_chance_allows_owe_it_nothing(spread):
    assert spread([[1.0, 3.0], [3.0, 1.0]]).choice == 0


def test_many_draws_give_back_what_they_were_made_with(spread):
    numbers = np.random.default_rng(0)
    groups = 0.5 + numbers.normal(0, 0.02, (3000, 1)) + numbers.normal(0, 0.01, (3000, 2))
    found = spread(groups)
    assert found.choice == pytest.approx(0.02, rel=0.05) and found.chance == pytest.approx(0.01, rel=0.05) and found.p < 1e-6
