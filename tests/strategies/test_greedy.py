"""A greedy choice that looks at few rows makes the picks of one that looks at all of them."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from boxwise.records import Scores
from boxwise.strategies import greedy
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.gain_per_second import GainPerSecond
from boxwise.strategies.k_center import KCenter, Reach


def clustered(rng, rows=400, *, twice=20):
    """Tight clusters of very different sizes; so many points are there twice."""
    centers = rng.normal(size=(12, 5)) * 8
    points = centers[rng.integers(12, size=rows) ** 2 % 12] + rng.normal(size=(rows, 5)) * 0.3
    points[rows - twice :] = points[:twice]
    return points.astype(np.float32)


def candidates(rng, points):
    ids, counts = tuple(map(str, range(len(points)))), rng.gamma(0.4, 2.0, (len(points), 3))
    known = {"class_counts": counts, "labeled_class_counts": np.array([30.0, 2.0, 0.0]), "seconds": 2 + counts.sum(axis=1)}
    return Candidates(1, ids, Scores(ids, rng.normal(size=len(points))), points, points[:3] + 20, counts.sum(axis=1), **known)


def picked(strategy, given, amount):
    query = strategy.select(given, Budget(amount), rng=np.random.default_rng(5))
    return query.image_ids, [item.utility for item in query.items]


@pytest.mark.parametrize(
    "strategy",
    [
        KCenter(),
        GainPerSecond(weight=0.5),
        GainPerSecond(weight=1),
        GainPerSecond(weight=1, novelty=0),
        GainPerSecond(weight=0.8, rarity=0, per_second=False),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 60])
def test_a_short_list_makes_the_same_picks(strategy, size, monkeypatch):
    given = candidates(np.random.default_rng(2), clustered(np.random.default_rng(1)))
    monkeypatch.setattr(greedy, "SHORTLIST", 10**9)
    ids, values = picked(strategy, given, 150)
    monkeypatch.setattr(greedy, "SHORTLIST", size)
    again, also = picked(strategy, given, 150)
    assert len(set(ids)) == 150
    assert also == pytest.approx(values, rel=1e-4, abs=1e-3)
    assert sum(one == other for one, other in zip(ids, again, strict=True)) >= 148  # rounding may turn the order of equals


def test_it_is_the_plain_greedy_algorithm(monkeypatch):
    monkeypatch.setattr(greedy, "SHORTLIST", 9)
    points, expected = clustered(np.random.default_rng(3), twice=0).astype(np.float64), []
    centers = list(points[:3] + 20)
    for _ in range(40):
        expected.append(int(cdist(points, np.array(centers)).min(axis=1).argmax()))
        centers.append(points[expected[-1]])
    given = candidates(np.random.default_rng(2), points.astype(np.float32))
    assert [int(image_id) for image_id in picked(KCenter(), given, 40)[0]] == expected


def test_equals_beyond_the_short_list_are_drawn_at_random(monkeypatch):
    monkeypatch.setattr(greedy, "SHORTLIST", 4)
    points = np.zeros((200, 2), np.float32)
    given = Candidates(1, tuple(map(str, range(200))), Scores((), np.zeros(0)), points, points[:0], np.ones(200))
    ids = [int(image_id) for image_id in picked(KCenter(), given, 50)[0]]
    assert len(set(ids)) == 50 and max(ids) > 150 and min(ids) < 50 and ids != sorted(ids)


def test_few_passes_are_made_over_the_pool(monkeypatch):
    monkeypatch.setattr(greedy, "SHORTLIST", 512)
    whole, join = [], Reach.join
    monkeypatch.setattr(Reach, "join", lambda self, centers: (whole.append(len(self.squared) == 20_000), join(self, centers))[1])
    points = np.random.default_rng(0).normal(size=(20_000, 16)).astype(np.float32)
    given = Candidates(1, tuple(map(str, range(20_000))), Scores((), np.zeros(0)), points, points[:5], np.ones(20_000))
    assert len(picked(KCenter(), given, 200)[0]) == 200
    assert sum(whole) < 20
