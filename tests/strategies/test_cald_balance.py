from math import log

import numpy as np
import pytest

from boxwise.records import Scores
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.cald import CaldBalance, farthest_classes

IDS = ("cats", "more cats", "dogs", "unknown", "badly scored dogs")
COUNTS = np.array([[3.0, 0.0], [6.0, 0.0], [0.0, 2.0], [0.0, 0.0], [0.0, 9.0]])
LABELED = np.array([3.0, 1.0])


def candidates(labeled=LABELED, counts=COUNTS, boxes=(3, 6, 2, 1, 9)) -> Candidates:
    nothing = np.zeros((5, 0), np.float32)
    scores = Scores(IDS, np.array([9.0, 8.0, 7.0, 6.0, 1.0]))
    return Candidates(0, IDS, scores, nothing, nothing, np.array(boxes, np.float64), class_counts=counts, labeled_class_counts=labeled)


def select(budget: Budget, oversample=1.34, **changes):
    return CaldBalance(oversample).select(candidates(**changes), budget, rng=np.random.default_rng(0))


def js(p, q):
    m = [(x + y) / 2 for x, y in zip(p, q, strict=True)]
    return sum(x * log(x / z) for each in (p, q) for x, z in zip(each, m, strict=True) if x > 0) / 2


def test_takes_the_class_that_is_rare_then_what_is_rare_with_it():
    """Labelled: 3 cats, 1 dog. Dogs first; then 3 and 3, all cats alike far: the better scored; then 6 and 3, more cats or unknown."""
    query = select(Budget(3))
    assert query.image_ids == ("dogs", "cats", "more cats")
    expected = [js([0, 1], [0.75, 0.25]), js([1, 0], [0.5, 0.5]), js([1, 0], [6 / 9, 3 / 9])]
    assert [item.utility for item in query.items] == pytest.approx(expected)


def test_where_nobody_knows_what_is_labelled_all_classes_count_as_alike():
    assert select(Budget(2), labeled=np.zeros(0)).image_ids == select(Budget(2), labeled=np.zeros(2)).image_ids


def test_every_pick_changes_the_histogram():
    """Were it not updated, the three images of dogs would come first."""
    counts = np.array([[0, 9.0], [0, 9.0], [0, 9.0], [1.0, 0], [0.5, 0.5]])
    assert farthest_classes(counts, np.array([2.0, 1.0]), np.ones(5), amount=3)[0] == [0, 3, 1]


def test_the_shortlist_keeps_badly_scored_images_out():
    assert "badly scored dogs" not in select(Budget(4), oversample=1.0).image_ids
    assert select(Budget(1), oversample=5.0).image_ids == ("dogs",)


def test_nothing_expected_is_as_all_classes_alike():
    picks, divergence = farthest_classes(np.zeros((1, 2)), LABELED, np.ones(1), amount=1)
    assert picks == [0] and divergence == pytest.approx([js([0.5, 0.5], [0.75, 0.25])])


def test_nothing_labelled_is_as_all_classes_alike():
    _, divergence = farthest_classes(COUNTS[:1], np.zeros(2), np.ones(1), amount=1)
    assert divergence == pytest.approx([js([1, 0], [0.5, 0.5])])


def test_a_budget_in_boxes_counts_boxes():
    assert select(Budget(4, "boxes"), oversample=3.0).image_ids == ("dogs", "cats")


def test_where_nobody_knows_classes_the_scores_decide():
    assert select(Budget(2), counts=np.zeros((5, 0)), labeled=np.zeros(0)).image_ids == ("cats", "more cats")
