from itertools import pairwise

import numpy as np
import pytest

from boxwise.records import DetectedBoxes, Scores
from boxwise.strategies import badge
from boxwise.strategies.badge import Badge, spread_draws, uncertain_sums
from boxwise.strategies.base import Budget, Candidates

THREE_IMAGES = DetectedBoxes(  # two boxes, none, one
    starts=np.array([0, 2, 2, 3]),
    labels=np.array([0, 1, 0]),
    scores=np.array([0.9, 0.5, 0.3], np.float32),
    entropies=np.array([0.5, 1.0, 2.0], np.float32),
    embeddings=np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float16),
)


def detected(vectors) -> DetectedBoxes:
    """One box an image: its entropy is the vector's length, its embedding the direction."""
    vectors = np.asarray(vectors, np.float32)
    lengths = np.linalg.norm(vectors, axis=1)
    count = len(vectors)
    directions = (vectors / np.maximum(lengths, 1e-9)[:, None]).astype(np.float16)
    return DetectedBoxes(np.arange(count + 1), np.zeros(count, np.int64), np.ones(count, np.float32), lengths, directions)


def candidates(boxes: DetectedBoxes | None, count: int, box_counts=None) -> Candidates:
    ids = tuple(str(index) for index in range(count))
    embeddings = np.zeros((count, 2), np.float32)
    counts = np.ones(count) if box_counts is None else np.asarray(box_counts, float)
    return Candidates(1, ids, Scores(ids, np.zeros(count)), embeddings, embeddings[:0], counts, boxes=boxes)


def select(vectors, amount, seed=0):
    return Badge().select(candidates(detected(vectors), len(vectors)), Budget(amount), rng=np.random.default_rng(seed))


def draws(vectors, amount, seed):
    vectors = np.asarray(vectors, np.float32)
    return spread_draws(vectors, np.ones(len(vectors)), amount=amount, rng=np.random.default_rng(seed))


def test_an_image_is_the_sum_of_its_boxes_weighted_by_their_entropy():
    np.testing.assert_allclose(uncertain_sums(THREE_IMAGES), [[0.5, 1.0], [0, 0], [1.2, 1.6]], atol=1e-3)


def test_sums_do_not_depend_on_how_many_images_are_summed_at_a_time(monkeypatch):
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 5, 50)
    total = int(counts.sum())
    starts = np.concatenate([[0], np.cumsum(counts)])
    embeddings = rng.normal(size=(total, 8)).astype(np.float16)
    entropies = rng.random(total).astype(np.float32)
    boxes = DetectedBoxes(starts, np.zeros(total, np.int64), entropies, entropies, embeddings)
    expected = [(entropies[a:b, None] * embeddings[a:b].astype(float)).sum(axis=0) for a, b in pairwise(starts)]
    for chunk in (7, 1 << 15):
        monkeypatch.setattr(badge, "CHUNK", chunk)
        np.testing.assert_allclose(uncertain_sums(boxes), expected, atol=1e-5)


def test_the_first_is_drawn_by_squared_length_and_the_next_by_squared_distance():
    """Lengths 1, 2, 3: the first draw is 1/14, 4/14, 9/14; after (0, 3) the squared distances are 10 and 13 of 23."""
    vectors = [[1, 0], [0, -2 + 5], [-2, 0]]  # squared lengths 1, 9, 4; squared distances from (0, 3): 10 and 13
    found = [draws(vectors, 2, seed)[0] for seed in range(3000)]
    first = np.bincount([picks[0] for picks in found], minlength=3) / 3000
    np.testing.assert_allclose(first, [1 / 14, 9 / 14, 4 / 14], atol=0.03)
    second = [picks[1] for picks in found if picks[0] == 1]
    assert np.mean(np.array(second) == 0) == pytest.approx(10 / 23, abs=0.04)


def test_the_utility_is_the_length_first_and_then_the_distance():
    picks, distances = draws([[0, 0], [3, 4]], 2, seed=0)
    assert picks == [1, 0] and distances == pytest.approx([5, 5])
    assert [item.utility for item in select([[0, 0], [3, 4]], 2).items] == pytest.approx([5, 5], abs=1e-2)


def test_a_crowd_of_one_kind_is_not_drawn_twice_before_the_other_kinds():
    kinds = np.repeat([[10, 0], [0, 10], [-10, 0], [0, -10]], [97, 1, 1, 1], axis=0)
    for seed in range(20):
        picks, _ = draws(kinds, 4, seed)
        assert {tuple(kinds[pick]) for pick in picks} == {(10, 0), (0, 10), (-10, 0), (0, -10)}


def test_certain_images_are_drawn_once_and_then_left():
    """What the model is sure of, and where it found nothing, is one point: it is far from what is uncertain, but only once."""
    vectors = np.concatenate([np.zeros((50, 3)), 5 * np.eye(3), -5 * np.eye(3)])
    for seed in range(20):
        picks = [int(image_id) for image_id in select(vectors, 7, seed).image_ids]
        assert sum(pick < 50 for pick in picks) == 1 and picks[0] >= 50


def test_without_boxes_the_draws_are_uniform():
    first = [int(Badge().select(candidates(None, 4), Budget(1), rng=np.random.default_rng(s)).image_ids[0]) for s in range(800)]
    np.testing.assert_allclose(np.bincount(first, minlength=4) / 800, [0.25] * 4, atol=0.06)


def test_when_all_that_is_left_is_alike_every_image_comes_once():
    query = select([[1, 0]] * 9, 9)
    assert sorted(query.image_ids) == [str(index) for index in range(9)]


def test_a_budget_in_boxes_charges_the_expected_boxes():
    rows = candidates(detected(np.eye(6)), 6, box_counts=[4] * 6)
    assert len(Badge().select(rows, Budget(9, "boxes"), rng=np.random.default_rng(0)).items) == 3
