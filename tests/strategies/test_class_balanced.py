import numpy as np
import pytest

from boxwise.records import Scores
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.class_balanced import FIRST_LOOK, ClassBalanced, gains


def pool(expected, labeled, *, counts=None, seconds=None) -> Candidates:
    expected = np.asarray(expected, np.float64)
    ids = tuple(map(str, range(len(expected))))
    nothing = np.zeros((len(expected), 2), np.float32)
    return Candidates(
        1,
        ids,
        Scores(ids, np.zeros(len(expected))),
        nothing,
        nothing[:0],
        np.ones(len(expected)) if counts is None else np.asarray(counts, np.float64),
        seconds=np.zeros(0) if seconds is None else np.asarray(seconds, np.float64),
        class_counts=expected,
        labeled_class_counts=np.asarray(labeled, np.float64),
    )


def query(candidates, amount, unit="images", seed=0):
    return ClassBalanced().select(candidates, Budget(amount, unit), rng=np.random.default_rng(seed))


def rows(candidates, amount, unit="images") -> list[int]:
    return [int(image_id) for image_id in query(candidates, amount, unit).image_ids]


def test_gains_by_hand():
    # 9 and 0 objects there: 5 more of the first make ln(15 / 10), 1 of the second ln(2 / 1), both the sum
    found = gains(np.array([[5.0, 0], [0, 1], [5, 1], [0, 0]]), np.array([9.0, 0]))
    assert found == pytest.approx([np.log(1.5), np.log(2), np.log(3), 0])


def test_one_of_a_rare_class_is_worth_more_than_many_of_a_common_one_until_it_is_there():
    candidates = pool([[8, 0], [0, 1], [0, 1]], [9, 0])
    # ln 2 = .693 against ln 1.8 = .588; then the second rare one has ln 1.5 = .405
    found = query(candidates, 3)
    assert found.image_ids[1] == "0"
    assert [item.utility for item in found.items] == pytest.approx([np.log(2), np.log(1.8), np.log(1.5)])


def test_levels_the_classes():
    expected = np.repeat(np.eye(3), 30, axis=0)
    picks = np.array(rows(pool(expected, [100, 0, 4]), 20))
    assert np.bincount(picks // 30, minlength=3).tolist() == [0, 12, 8]  # 0, 12 and 4 + 8


@pytest.mark.parametrize(("unit", "amount"), [("images", 60), ("boxes", 300), ("seconds", 2000)])
def test_picks_as_a_greedy_search_that_measures_every_image_before_each_pick(unit, amount):
    rng = np.random.default_rng(3)
    expected = rng.gamma(0.4, 2, size=(8 * FIRST_LOOK, 5))
    counts, seconds = expected.sum(axis=1).round(), 2 + 7 * expected.sum(axis=1)
    candidates = pool(expected, [50, 3, 0, 10, 1], counts=counts, seconds=seconds)
    costs = {"images": np.ones(len(expected)), "boxes": np.maximum(counts, 1), "seconds": seconds}[unit]
    have, left, found, spent = np.array([50.0, 3, 0, 10, 1]), set(range(len(expected))), [], 0.0
    while spent < amount:
        worth = {row: np.log((1 + have + expected[row]) / (1 + have)).sum() / costs[row] for row in left}
        best = max(left, key=lambda row, worth=worth: worth[row])
        left.remove(best)
        found.append(best)
        have = have + expected[best]
        spent += costs[best]
    assert rows(candidates, amount, unit) == found


def test_in_images_a_crowd_gains_more_and_in_boxes_it_pays_for_itself():
    candidates = pool([[20.0, 0], [0, 2]], [3, 3], counts=[20, 2])
    assert rows(candidates, 1) == [0]
    assert rows(candidates, 1, "boxes") == [1]  # ln 6 / 20 = .09 against ln 1.5 / 2 = .20


def test_where_no_class_is_expected_it_draws_at_random():
    drawn = {query(pool(np.zeros((50, 3)), [1, 2, 3]), 4, seed=seed).image_ids for seed in range(6)}
    assert len(drawn) == 6
