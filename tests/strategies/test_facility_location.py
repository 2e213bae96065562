import numpy as np
import pytest
from scipy.spatial.distance import cdist

from boxwise.records import Scores
from boxwise.strategies import facility_location, greedy
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.facility_location import FacilityLocation
from boxwise.strategies.k_center import KCenter


def candidates(points, labeled):
    points = np.asarray(points, np.float32)
    ids = tuple(str(index) for index in range(len(points)))
    labeled = np.asarray(labeled, np.float32).reshape(-1, points.shape[1])
    return Candidates(0, ids, Scores(ids, np.zeros(len(points))), points, labeled, np.ones(len(points)))


def select(points, labeled, amount, *, seed=0):
    return FacilityLocation().select(candidates(points, labeled), Budget(amount), rng=np.random.default_rng(seed))


def mean_distance(points, centers):
    return cdist(points, centers).min(axis=1).mean()


def test_the_gain_worked_out_by_hand():
    """On a line with 0 labelled, 32 away in all: 4 brings 3, 4 and 5 nearer by 2, 4 and 4, 20 by 4; 20 itself by 20, and nothing else."""
    query = select([[3], [4], [5], [20]], [[0]], 2)
    assert query.image_ids[0] == "3" and query.items[0].utility == pytest.approx(20 / 32)
    crowd = select([[3], [4], [5], [3.5], [4.5], [5.5], [12]], [[0]], 1)
    # They are 37.5 away in all. 4.5 brings the seven nearer by 1.5, 3.5, 4.5, 2.5, 4.5, 4.5 and 4.5; 12 brings itself nearer by 12, and
    # nothing else.
    assert crowd.image_ids == ("4",) and crowd.items[0].utility == pytest.approx(25.5 / 37.5)


def test_a_crowd_comes_before_an_outlier_to_which_k_center_goes():
    crowd = np.random.default_rng(0).normal(size=(50, 3)) + 6
    given = candidates(np.concatenate([crowd, [[-9, -9, -9]]]), np.zeros((1, 3)))
    (first,) = FacilityLocation().select(given, Budget(1), rng=np.random.default_rng(0)).image_ids
    assert first != "50"
    assert KCenter().select(given, Budget(1), rng=np.random.default_rng(0)).image_ids == ("50",)


def test_equals_the_plain_greedy_algorithm():
    rng = np.random.default_rng(3)
    points, labeled = rng.normal(size=(150, 6)).astype(np.float32), rng.normal(size=(9, 6)).astype(np.float32)
    expected, utility, centers = [], [], list(labeled)
    for _ in range(12):
        means = [mean_distance(points, [*centers, point]) for point in points]
        expected.append(int(np.argmin(means)))
        utility.append((mean_distance(points, np.array(centers)) - min(means)) / mean_distance(points, labeled))
        centers.append(points[expected[-1]])
    query = select(points, labeled, 12)
    assert [int(image_id) for image_id in query.image_ids] == expected
    assert [item.utility for item in query.items] == pytest.approx(utility, abs=1e-5)


@pytest.mark.parametrize("size", [1, 7, 60])
def test_a_short_list_makes_the_same_picks(size, monkeypatch):
    """So few that no two images gain the same; of two that are nearest to each other either gains as much."""
    points = np.random.default_rng(4).normal(size=(500, 6)) * np.linspace(0.2, 2, 500)[:, None]
    monkeypatch.setattr(greedy, "SHORTLIST", 10**9)
    every = select(points, points[:3] + 1, 40)
    monkeypatch.setattr(greedy, "SHORTLIST", size)
    few = select(points, points[:3] + 1, 40)
    assert few.image_ids == every.image_ids
    assert [item.utility for item in few.items] == pytest.approx([item.utility for item in every.items], rel=1e-4)


@pytest.mark.parametrize("labeled", [np.zeros((0, 3)), np.full((1, 3), 30.0)])
def test_each_of_the_groups_gets_an_image_the_largest_first(labeled):
    rng = np.random.default_rng(1)
    sizes = (40, 25, 10, 5)
    points = np.concatenate(
        [rng.uniform(-0.5, 0.5, (size, 3)) + 10 * corner for size, corner in zip(sizes, [*np.eye(3), np.zeros(3)], strict=True)]
    )
    group = np.repeat(range(4), sizes)
    assert {int(group[int(image_id)]) for image_id in select(points, labeled, 4).image_ids} == {0, 1, 2, 3}


def test_buys_one_of_two_duplicates():
    assert set(select([[5, 0], [5, 0], [0, 5], [0, 5]], [[0, 0]], 2).image_ids) in ({"0", "2"}, {"0", "3"}, {"1", "2"}, {"1", "3"})


def test_a_draw_stands_for_a_large_pool_and_all_of_it_can_be_picked(monkeypatch):
    monkeypatch.setattr(facility_location, "DEMAND", 60)
    monkeypatch.setattr(facility_location, "_CHUNK", 50)
    points = np.random.default_rng(2).normal(size=(600, 4)).astype(np.float32)
    query = select(points, np.zeros((0, 4)), 30)
    picked = points[[int(image_id) for image_id in query.image_ids]]
    drawn = np.random.default_rng(5)
    at_random = np.mean([mean_distance(points, points[drawn.choice(600, 30, replace=False)]) for _ in range(20)])
    assert len(set(query.image_ids)) == 30 and mean_distance(points, picked) < at_random
    order = np.random.default_rng(0).permutation(600)
    assert not {int(image_id) for image_id in query.image_ids} <= set(order[:60].tolist())
