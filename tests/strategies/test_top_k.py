import numpy as np

from boxwise.records import Scores
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.top_k import TopK, falling

IDS = ("low", "high", "middle", "lowest")


def candidates(box_counts) -> Candidates:
    scores = Scores(IDS, np.array([1.0, 9.0, 5.0, -2.0]))
    return Candidates(1, IDS, scores, np.zeros((4, 2), np.float32), np.zeros((0, 2), np.float32), np.array(box_counts, float))


def test_takes_the_highest_scores_first_with_the_score_as_utility():
    query = TopK().select(candidates([1, 1, 1, 1]), Budget(3), rng=np.random.default_rng(0))
    assert query.image_ids == ("high", "middle", "low")
    assert [item.utility for item in query.items] == [9, 5, 1]


def test_a_budget_in_boxes_charges_the_expected_boxes():
    query = TopK().select(candidates([1, 3, 4, 1]), Budget(7, "boxes"), rng=np.random.default_rng(0))
    assert query.image_ids == ("high", "middle")


def test_falling_orders_ties_at_random_and_others_by_value():
    rng = np.random.default_rng(0)
    orders = [falling(np.array([1.0, 2.0, 2.0, 2.0]), rng) for _ in range(20)]
    assert all(order[-1] == 0 for order in orders)
    assert {int(order[0]) for order in orders} == {1, 2, 3}
