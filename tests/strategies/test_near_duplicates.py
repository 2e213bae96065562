from dataclasses import replace

import numpy as np
import pytest

from boxwise.config import StrategyConfig
from boxwise.records import DetectedBoxes, Scores
from boxwise.registry import STRATEGIES, strategy_of
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.near_duplicates import WithoutNearDuplicates
from boxwise.strategies.random import Random
from boxwise.strategies.score_sampling import ScoreSampling
from boxwise.strategies.top_k import TopK


def rng(seed=0):
    return np.random.default_rng(seed)


def pool(embeddings, values, labeled=None, box_counts=None) -> Candidates:
    embeddings = np.asarray(embeddings, np.float32)
    ids = tuple(str(index) for index in range(len(embeddings)))
    labeled = np.zeros((0, embeddings.shape[1]), np.float32) if labeled is None else np.asarray(labeled, np.float32)
    counts = np.ones(len(ids)) if box_counts is None else np.asarray(box_counts, float)
    return Candidates(2, ids, Scores(ids, np.asarray(values, float)), embeddings, labeled, counts)


def at_degrees(*degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def chosen(candidates, amount, similarity=0.99, unit="images", strategy=None):
    wrapped = WithoutNearDuplicates(strategy or TopK(), similarity)
    return [int(i) for i in wrapped.select(candidates, Budget(amount, unit), rng=rng()).image_ids]


class TestOneOfAKind:
    """cos 8° = 0.9903 is near at 0.99, cos 9° = 0.9877 is not."""

    def test_near_an_earlier_pick_is_left_out_and_replaced(self):
        candidates = pool(at_degrees(0, 5, 90, 9, 45), [9, 8, 7, 6, 5])
        assert chosen(candidates, 3) == [0, 2, 3]  # 5° is near 0°; 9° is not

    def test_near_a_labelled_image_is_left_out(self):
        candidates = pool(at_degrees(0, 30, 60), [9, 8, 7], labeled=at_degrees(-7, 200))
        assert chosen(candidates, 2) == [1, 2]

    def test_nearness_is_to_kept_picks_not_to_left_out_ones(self):
        candidates = pool(at_degrees(0, 6, 12), [9, 8, 7])
        assert chosen(candidates, 2) == [0, 2]

    def test_lengths_do_not_matter(self):
        candidates = pool(at_degrees(0, 5, 90) * [[1], [7], [0.01]], [9, 8, 7])
        assert chosen(candidates, 2) == [0, 2]

    def test_an_empty_embedding_is_like_nothing(self):
        assert chosen(pool([[0, 0], [0, 0], [1, 0]], [3, 2, 1]), 3) == [0, 1, 2]

    def test_a_burst_of_thirty_frames_spends_one_label(self):
        noise = rng(1)
        places = np.eye(12)[:, :12]
        burst = places[0] + 0.01 * noise.normal(size=(30, 12))
        candidates = pool(np.concatenate([burst, places[1:]]), np.concatenate([np.full(30, 9.0), np.arange(11) / 2]))
        assert all(int(i) < 30 for i in TopK().select(candidates, Budget(10), rng=rng()).image_ids)
        picks = chosen(candidates, 10, similarity=0.95)
        assert sum(pick < 30 for pick in picks) == 1 and len(set(picks)) == 10


class TestTheBudget:
    def test_duplicates_fill_up_what_nothing_else_can(self):
        candidates = pool(at_degrees(0, 1, 2, 90), [9, 8, 7, 1])
        assert chosen(candidates, 3) == [0, 3, 1]

    def test_in_boxes_it_is_crossed_by_the_last_image_only(self):
        candidates = pool(at_degrees(0, 1, 40, 80, 120), [9, 8, 7, 6, 5], box_counts=[4, 4, 4, 4, 4])
        assert chosen(candidates, 9, unit="boxes") == [0, 2, 3]

    def test_left_overs_of_a_budget_in_seconds_may_be_fractions(self):
        candidates = replace(pool(at_degrees(0, 1, 40, 80, 120), [9, 8, 7, 6, 5]), seconds=np.array([2.3, 2.3, 2.3, 2.3, 2.3]))
        assert chosen(candidates, 5, unit="seconds") == [0, 2, 3]

    @pytest.mark.parametrize("unit", ["images", "boxes", "seconds"])
    @pytest.mark.parametrize("name", STRATEGIES)
    def test_every_strategy_spends_it_once(self, name, unit):
        noise = rng(3)
        centers = noise.normal(size=(12, 8))
        embeddings = (np.repeat(centers, 5, axis=0) + 0.001 * noise.normal(size=(60, 8))).astype(np.float32)
        starts = np.arange(0, 121, 2)
        boxes = DetectedBoxes(
            starts,
            noise.integers(0, 3, 120),
            noise.random(120, np.float32),
            noise.random(120, np.float32),
            noise.normal(size=(120, 4)).astype(np.float16),
        )
        candidates = replace(
            pool(embeddings, noise.normal(size=60), labeled=centers[:2], box_counts=np.full(60, 2.0)),
            seconds=np.full(60, 16.0),
            class_counts=noise.random((60, 3)),
            labeled_class_counts=np.array([3.0, 2.0, 1.0]),
            boxes=boxes,
        )
        amount = {"images": 10, "boxes": 20, "seconds": 160}[unit]
        strategy = strategy_of(StrategyConfig(name=name, duplicates=0.99))
        picks = [int(i) for i in strategy.select(candidates, Budget(amount, unit), rng=rng()).image_ids]
        assert sorted(pick // 5 for pick in picks) == list(range(2, 12))  # one of each kind that is not labelled

    def test_an_empty_pool_or_budget_asks_for_nothing(self):
        assert chosen(pool(np.zeros((0, 2)), []), 5) == [] and chosen(pool(at_degrees(0), [1]), 0) == []


class TestTheStrategyWithin:
    def test_sees_earlier_picks_as_labelled(self):
        seen = []

        class Watching(Random):
            def select(self, candidates, budget, *, rng):
                seen.append((candidates.image_ids, candidates.labeled_embeddings.tolist(), candidates.labeled_class_counts.tolist()))
                return TopK().select(candidates, budget, rng=rng)

        candidates = replace(
            pool([[1, 0], [1, 0.01], [0, 1]], [9, 8, 7], labeled=[[-1, 0]]),
            class_counts=np.array([[2.0, 1.0], [0, 0], [0, 0]]),
            labeled_class_counts=np.array([5.0, 5.0]),
        )
        assert chosen(candidates, 2, strategy=Watching()) == [0, 2]
        assert seen == [(("0", "1", "2"), [[-1, 0]], [5, 5]), (("2",), [[-1, 0], [1, 0]], [7, 6])]

    def test_looks_at_boxes_if_it_does_and_always_at_embeddings(self):
        wrapped = {name: strategy_of(StrategyConfig(name=name, duplicates=0.9)) for name in STRATEGIES}
        assert all(strategy.uses_embeddings for strategy in wrapped.values())
        assert all(strategy.uses_boxes == strategy_of(StrategyConfig(name=name)).uses_boxes for name, strategy in wrapped.items())
        assert wrapped["badge"].uses_boxes and not wrapped["random"].uses_boxes

    def test_draw_probabilities_are_not_passed_on(self):
        query = WithoutNearDuplicates(ScoreSampling(), 0.99).select(pool(at_degrees(0, 40, 80), [1, 2, 3]), Budget(2), rng=rng())
        assert [item.probability for item in query.items] == [None, None]

    def test_off_by_default(self):
        twins = pool([[1, 0], [1, 0], [0, 1]], [9, 8, 7])
        query = strategy_of(StrategyConfig(name="top_k")).select(twins, Budget(2), rng=rng())
        assert query.image_ids == ("0", "1")
