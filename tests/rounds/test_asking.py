"""What a person is asked decides how far a budget goes, and not what an image is worth."""

import numpy as np
import pytest

from boxwise.config import CostConfig
from boxwise.records import Scores
from boxwise.rounds.asking import Questions, charged
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.class_balanced import ClassBalanced
from boxwise.strategies.gain_per_second import GainPerSecond

SURE, DOUBTFUL = Questions(0, 5, 5), Questions(5, 5, 5)  # uncertain, proposed and present boxes
ASKED = {f"{row}": SURE if row < 20 else DOUBTFUL for row in range(40)}


@pytest.fixture
def offered():
    """Forty images of five objects, of which the scorer rates the later ones higher."""
    ids, count, none = tuple(ASKED), len(ASKED), np.zeros((len(ASKED), 2), np.float32)
    objects = np.full((count, 1), 5.0)
    objects[20:] += 0.01
    return Candidates(
        3,
        ids,
        Scores(ids, np.arange(count, dtype=float)),
        none,
        none[:0],
        objects[:, 0],
        seconds=2 + 7 * objects[:, 0],
        class_counts=objects,
        labeled_class_counts=np.array([50.0]),
    )


@pytest.mark.parametrize("strategy", [GainPerSecond(weight=1.0, novelty=0), ClassBalanced()])
@pytest.mark.parametrize("mode", ["review", "trust"])
@pytest.mark.parametrize(("unit", "amount"), [("images", 8), ("seconds", 64), ("boxes", 40)])
def test_images_that_ask_nothing_are_not_chosen_for_being_cheap(offered, strategy, mode, unit, amount):
    asked = charged(offered, ASKED, mode=mode, cost=CostConfig())
    plain = strategy.select(offered, Budget(9999, unit), rng=np.random.default_rng(0)).image_ids
    found = strategy.select(asked, Budget(amount, unit), rng=np.random.default_rng(0)).image_ids
    assert found and found == plain[: len(found)]


@pytest.mark.parametrize("unit", ["seconds", "boxes"])
def test_a_budget_goes_further_where_less_is_asked(offered, unit):
    asked = charged(offered, ASKED, mode="trust", cost=CostConfig())
    costs, drawn = Budget(1, unit).costs(asked), Budget(1, unit).drawing(asked)
    assert (costs[:20] == 1).all() and (costs <= drawn).all()
    assert (drawn == Budget(1, unit).costs(offered)).all()
