import numpy as np

from boxwise.records import Scores
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.score_then_diversity import ScoreThenDiversity

IDS = ("best", "twin of best", "other place", "bad but far")
CANDIDATES = Candidates(
    0,
    IDS,
    Scores(IDS, np.array([9.0, 8.9, 8.0, 1.0])),
    np.array([[1, 0], [0.99, 0], [0, 1], [-1, -1]], np.float32),
    np.array([[0.5, 0]], np.float32),
    np.array([2.0, 2.0, 2.0, 2.0]),
)


def select(oversample: float, budget: Budget):
    return ScoreThenDiversity(oversample).select(CANDIDATES, budget, rng=np.random.default_rng(0)).image_ids


def test_leaves_the_twin_and_the_badly_scored_alone():
    assert select(1.5, Budget(2)) == ("other place", "best")


def test_without_oversampling_it_takes_the_top_scores():
    assert set(select(1.0, Budget(2))) == {"best", "twin of best"}


def test_the_shortlist_is_counted_in_boxes_too():
    assert select(1.5, Budget(4, "boxes")) == ("other place", "best")
