import numpy as np
import pytest
from scipy.spatial.distance import cdist

from boxwise.records import Scores
from boxwise.strategies import k_center
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.k_center import KCenter, Reach


def select(points, labeled, amount, *, counts=None, unit="images", seed=0):
    points = np.asarray(points, np.float32)
    ids = tuple(str(index) for index in range(len(points)))
    labeled = np.asarray(labeled, np.float32).reshape(-1, points.shape[1])
    counts = np.ones(len(points)) if counts is None else np.asarray(counts, float)
    candidates = Candidates(0, ids, Scores(ids, np.zeros(len(points))), points, labeled, counts)
    return KCenter().select(candidates, Budget(amount, unit), rng=np.random.default_rng(seed))


def covering_radius(points, centers):
    return cdist(points, centers).min(axis=1).max()


def test_picks_the_farthest_from_labelled_then_the_farthest_from_both():
    query = select([[1, 0], [10, 0], [4, 0], [9, 0]], [[0, 0]], 2)
    assert query.image_ids == ("1", "2")
    assert [item.utility for item in query.items] == pytest.approx([10, 4])


def test_equals_the_plain_greedy_algorithm():
    rng = np.random.default_rng(3)
    points, labeled = rng.normal(size=(200, 6)).astype(np.float32), rng.normal(size=(9, 6)).astype(np.float32)
    expected, centers = [], list(labeled)
    for _ in range(15):
        expected.append(int(cdist(points, np.array(centers)).min(axis=1).argmax()))
        centers.append(points[expected[-1]])
    assert [int(image_id) for image_id in select(points, labeled, 15).image_ids] == expected


@pytest.mark.parametrize("seed", range(5))
def test_covers_within_twice_the_best_radius(seed):
    rng = np.random.default_rng(seed)
    groups = rng.normal(size=(4, 3)) * 10
    points = np.concatenate([group + rng.uniform(-0.5, 0.5, (25, 3)) for group in groups]).astype(np.float32)
    picks = [int(image_id) for image_id in select(points, np.zeros((0, 3)), 4, seed=seed).image_ids]
    assert covering_radius(points, points[picks]) <= 2 * covering_radius(points, groups)


def test_buys_one_of_two_duplicates():
    assert set(select([[5, 0], [5, 0], [0, 5], [0, 5]], [[0, 0]], 2).image_ids) in ({"0", "2"}, {"0", "3"}, {"1", "2"}, {"1", "3"})


def test_a_budget_in_boxes_stops_at_the_image_that_crosses_it():
    assert select([[1], [9], [5]], [[0]], 4, counts=[1, 3, 3], unit="boxes").image_ids == ("1", "2")


def test_a_cold_start_is_random():
    first = {select(np.random.default_rng(0).normal(size=(30, 4)), np.zeros((0, 4)), 1, seed=seed).image_ids for seed in range(12)}
    assert len(first) > 5


def test_distances_do_not_depend_on_the_chunking(monkeypatch):
    rng = np.random.default_rng(0)
    points, labeled = rng.normal(size=(50, 4)).astype(np.float32), rng.normal(size=(33, 4)).astype(np.float32)
    monkeypatch.setattr(k_center, "CHUNK", 7)
    assert np.sqrt(Reach.of(points, labeled).squared) == pytest.approx(cdist(points, labeled).min(axis=1), abs=1e-3)
