import numpy as np
import pytest

from boxwise.records import Scores
from boxwise.strategies import typiclust
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.typiclust import TypiClust, by_cluster, most_typical, typicality


def rng(seed=0):
    return np.random.default_rng(seed)


def candidates(points, labeled=()) -> Candidates:
    points = np.asarray(points, np.float32)
    ids = tuple(str(index) for index in range(len(points)))
    labeled = np.asarray(labeled, np.float32).reshape(-1, points.shape[1])
    return Candidates(0, ids, Scores(ids, np.zeros(len(points))), points, labeled, np.ones(len(points)))


def groups(*sizes, spread=0.05, seed=0):
    """Points around (10, 0), (0, 10), (-10, 0)..., as many as asked; and the group of each."""
    centers = [(10, 0), (0, 10), (-10, 0), (0, -10)]
    noise = rng(seed)
    points = [np.array(center) + spread * noise.normal(size=(size, 2)) for center, size in zip(centers, sizes, strict=False)]
    return np.concatenate(points), np.repeat(np.arange(len(sizes)), sizes)


def chosen(points, amount, labeled=(), seed=0):
    return [int(i) for i in TypiClust().select(candidates(points, labeled), Budget(amount), rng=rng(seed)).image_ids]


def test_typicality_is_the_inverse_mean_distance_to_the_nearest_half():
    """Of 0, 1, 2, 10 the two nearest lie at 1 and 2; 1 and 1; 1 and 2; 8 and 9."""
    values = typicality(np.array([[0], [1], [2], [10]], np.float32))
    assert values == pytest.approx([1 / 1.5, 1 / 1, 1 / 1.5, 1 / 8.5], rel=1e-4)


def test_typicality_looks_at_no_more_than_twenty_neighbours():
    line = np.arange(101, dtype=np.float32)[:, None]
    assert typicality(line)[50] == pytest.approx(1 / 5.5, rel=1e-4)  # 1 to 10 on either side
    assert typicality(line)[0] == pytest.approx(1 / 10.5, rel=1e-4)  # 1 to 20 on one side


def test_one_image_alone_is_typical_of_nothing_and_equals_are_finite():
    assert typicality(np.ones((1, 3), np.float32)).tolist() == [0]
    assert np.isfinite(typicality(np.full((30, 3), 0.3, np.float32))).all()


def test_clusters_are_asked_by_how_few_of_them_are_labelled_then_by_size():
    """Clusters of 8, 7, 6 images, the largest with one label: 7, 6, then 8 and again 7, as each pick counts as labelled."""
    pool = np.repeat([0, 1, 2], [8, 7, 6])
    points = np.arange(21, dtype=np.float32)[:, None]
    found = [int(pool[row]) for row, _ in by_cluster(points, pool, np.array([0]), rng=rng())]
    assert found[:6] == [1, 2, 0, 1, 2, 0] and len(found) == 21


def order_of_clusters(*sizes):
    pool = np.repeat(np.arange(len(sizes)), sizes)
    points = np.arange(len(pool), dtype=np.float32)[:, None]
    return [int(pool[row]) for row, _ in by_cluster(points, pool, np.zeros(0, int), rng=rng())]


def test_small_clusters_come_last():
    found = order_of_clusters(5, 20)
    assert found == [1] * 20 + [0] * 5


def test_a_cluster_is_small_beside_the_others_only():
    """Clusters of 2 to 4 beside a run of 6 near-duplicates: each gives an image before the run gives its second."""
    found = order_of_clusters(6, 4, 3, 2, 2, 3)
    assert sorted(found[:6]) == [0, 1, 2, 3, 4, 5] and found[0] == 0


@pytest.mark.parametrize("seed", range(5))
def test_one_image_of_each_kind_however_unequal_the_kinds(seed):
    points, kinds = groups(300, 40, 20, 8, seed=seed)
    assert sorted(kinds[chosen(points, 4, seed=seed)]) == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(5))
def test_what_is_labelled_is_covered(seed):
    points, kinds = groups(300, 40, 20, 8, seed=seed)
    assert sorted(kinds[chosen(points, 2, labeled=[[10, 0], [0, 10]], seed=seed)]) == [2, 3]


def test_the_most_typical_is_in_the_midst_of_its_kind():
    points, _ = groups(200, spread=1.0)
    (pick,) = chosen(points, 1)
    assert np.linalg.norm(points[pick] - points.mean(axis=0)) < 0.6


def test_a_large_cluster_is_judged_by_a_sample_and_still_gives_all_its_images(monkeypatch):
    monkeypatch.setattr(typiclust, "MOST_COMPARED", 10)
    found = list(most_typical(np.arange(40, dtype=np.float32)[:, None], np.arange(40), rng=rng()))
    assert sorted(row for row, _ in found) == list(range(40))
    assert all(value > 0 for _, value in found[:10]) and all(value == 0 for _, value in found[10:])


def test_more_images_than_clusters(monkeypatch):
    monkeypatch.setattr(typiclust, "MOST_CLUSTERS", 2)
    points, kinds = groups(30, 20)
    assert np.bincount(kinds[chosen(points, 10)]).tolist() == [5, 5]


def test_the_utility_is_the_typicality():
    points, _ = groups(30)
    item = TypiClust().select(candidates(points), Budget(1), rng=rng()).items[0]
    distances = np.sort(np.linalg.norm(points - points[int(item.image_id)], axis=1))[1:16]
    assert item.utility == pytest.approx(1 / distances.mean(), rel=1e-2)
