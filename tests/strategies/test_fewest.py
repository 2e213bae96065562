"""The floor: the emptiest images first."""

import numpy as np

from boxwise.records import Scores
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.fewest import Fewest


def candidates(box_counts) -> Candidates:
    count = len(box_counts)
    ids = tuple("abcdefgh"[:count])
    empty = np.zeros((count, 2), np.float32)
    return Candidates(1, ids, Scores(ids, np.arange(count, dtype=np.float64)), empty, empty[:0], np.array(box_counts, np.float64))


def test_the_fewest_expected_objects_first():
    query = Fewest().select(candidates([3, 0, 5, 1]), Budget(3), rng=np.random.default_rng(0))
    assert query.image_ids == ("b", "d", "a")
    assert [item.utility for item in query.items] == [0, -1, -3]


def test_parts_of_an_object_order_images_too():
    query = Fewest().select(candidates([0.2, 0.3, 0.05, 3]), Budget(2), rng=np.random.default_rng(0))
    assert query.image_ids == ("c", "a")


def test_equals_are_drawn_by_chance():
    drawn = {Fewest().select(candidates([0] * 8), Budget(1), rng=np.random.default_rng(seed)).image_ids for seed in range(30)}
    assert len(drawn) > 3
