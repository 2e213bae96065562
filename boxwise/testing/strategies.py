"""What every strategy promises, as a suite that is run on each name.

Returns verdicts of pytest. Knows nothing of what a strategy goes by.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from boxwise.config import StrategyConfig
from boxwise.records import DetectedBoxes, Query, Scores
from boxwise.registry import STRATEGIES, strategy_of
from boxwise.strategies.base import Budget, Candidates
from boxwise.testing.base import Contract, global_generators_left_alone

UNITS = ("images", "boxes", "seconds")


def pool(count: int, *, labeled: int = 5, seed: int = 0) -> Candidates:
    rng = np.random.default_rng(seed)
    ids = tuple(f"{index:03}.jpg" for index in range(count))
    values = rng.normal(size=count)
    embeddings = rng.normal(size=(count + labeled, 8)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    counts = rng.integers(0, 9, count).astype(np.float64)
    return Candidates(
        3,
        ids,
        Scores(ids, values, {"L_det": 2 * values}),
        embeddings[:count],
        embeddings[count:],
        counts,
        seconds=2 + 7 * counts,
        class_counts=rng.dirichlet(np.ones(3), count) * counts[:, None],
        labeled_class_counts=np.array([9.0, 3.0, 0.0]) if labeled else np.zeros(3),
        boxes=detected(counts.astype(np.int64), rng),
    )


def detected(counts: np.ndarray, rng: np.random.Generator) -> DetectedBoxes:
    """Boxes of three classes, `counts` an image."""
    total = int(counts.sum())
    embeddings = rng.normal(size=(total, 4))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return DetectedBoxes(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        rng.integers(0, 3, total),
        rng.uniform(0.05, 1, total).astype(np.float32),
        rng.uniform(0, 1, total).astype(np.float32),
        embeddings.astype(np.float16),
    )


def barren(count: int) -> Candidates:
    """Nothing detected anywhere, every image scored and embedded alike."""
    full = pool(count)
    scores = Scores(full.image_ids, np.zeros(count))
    nothing = np.zeros(count)
    return replace(
        full,
        scores=scores,
        embeddings=np.full_like(full.embeddings, 0.1),
        box_counts=nothing,
        seconds=nothing + 1,
        class_counts=np.zeros((count, 3)),
        boxes=detected(nothing.astype(np.int64), np.random.default_rng(0)),
    )


def arrays(candidates: Candidates) -> dict[str, np.ndarray]:
    """Everything a strategy could change, by its name."""
    parts = {"candidates": candidates, "scores": candidates.scores, "boxes": candidates.boxes}
    given = {f"{part}.{name}": value for part, found in parts.items() for name, value in vars(found).items()}
    given |= {f"scores.terms[{term!r}]": values for term, values in candidates.scores.terms.items()}
    return {name: value for name, value in given.items() if isinstance(value, np.ndarray)}


def select(name: str, candidates: Candidates, budget: Budget, seed: int = 0) -> Query:
    return strategy_of(StrategyConfig(name=name)).select(candidates, budget, rng=np.random.default_rng(seed))


class StrategyContract(Contract):
    """Promises of a strategy: it spends its budget, picks from the pool, and goes by what it is given and the seed alone."""

    def test_says_what_has_to_be_prepared_for_it(self, name: str) -> None:
        strategy = strategy_of(StrategyConfig(name=name))
        assert {type(strategy.uses_embeddings), type(strategy.uses_boxes)} == {bool}
        assert strategy.uses_boxes == ("box_features" in STRATEGIES[name].needs)

    def test_needs_a_trained_detector_or_serves_a_cold_start(self, name: str) -> None:
        if "trained_detector" not in STRATEGIES[name].needs:
            unscored = replace(pool(60, labeled=0), class_counts=np.zeros((0, 0)), labeled_class_counts=np.zeros(0), boxes=None)
            unscored = replace(unscored, scores=Scores(unscored.image_ids, np.zeros(60)), box_counts=np.zeros(60), seconds=np.zeros(0))
            assert len(set(select(name, unscored, Budget(17)).image_ids)) == 17

    def test_spends_a_budget_in_images_exactly(self, name: str) -> None:
        assert len(select(name, pool(60), Budget(17)).items) == 17

    @pytest.mark.parametrize(("unit", "amount"), [("boxes", 40), ("seconds", 300)])
    def test_spends_a_budget_in_boxes_or_seconds_and_only_the_last_image_crosses_it(self, name: str, unit: str, amount: int) -> None:
        candidates, budget = pool(60), Budget(amount, unit)
        charged = dict(zip(candidates.image_ids, budget.costs(candidates), strict=True))
        spent = np.cumsum([charged[image_id] for image_id in select(name, candidates, budget).image_ids])
        assert spent[-1] >= amount > spent[-2]

    @pytest.mark.parametrize("unit", UNITS)
    def test_never_picks_twice_nor_outside_the_pool(self, name: str, unit: str) -> None:
        candidates = pool(60)
        picked = select(name, candidates, Budget(30, unit)).image_ids
        assert len(set(picked)) == len(picked)
        assert set(picked) <= set(candidates.image_ids)

    def test_same_seed_same_query(self, name: str) -> None:
        assert select(name, pool(60), Budget(10), seed=4) == select(name, pool(60), Budget(10), seed=4)

    def test_one_object_serves_every_query(self, name: str) -> None:
        strategy = strategy_of(StrategyConfig(name=name))
        strategy.select(pool(60, seed=1), Budget(10), rng=np.random.default_rng(9))
        assert strategy.select(pool(60), Budget(10), rng=np.random.default_rng(4)) == select(name, pool(60), Budget(10), seed=4)

    def test_leaves_its_inputs_unchanged(self, name: str) -> None:
        candidates = pool(60)
        before = {part: array.copy() for part, array in arrays(candidates).items()}
        with global_generators_left_alone():
            select(name, candidates, Budget(10))
        for part, array in arrays(candidates).items():
            np.testing.assert_array_equal(array, before[part], err_msg=part)

    @pytest.mark.parametrize("unit", UNITS)
    def test_serves_a_pool_where_nothing_is_detected(self, name: str, unit: str) -> None:
        query = select(name, barren(60), Budget(17, unit))
        assert len(set(query.image_ids)) == 17

    def test_decides_among_equals_by_chance_not_by_file_order(self, name: str) -> None:
        queries = {frozenset(select(name, barren(60), Budget(5), seed=seed).image_ids) for seed in range(5)}
        assert len(queries) == 5

    @pytest.mark.parametrize("unit", UNITS)
    def test_takes_the_whole_pool_when_it_is_smaller_than_the_budget(self, name: str, unit: str) -> None:
        candidates = pool(7)
        assert set(select(name, candidates, Budget(500, unit)).image_ids) == set(candidates.image_ids)

    @pytest.mark.parametrize("unit", UNITS)
    def test_asks_for_nothing_from_an_empty_pool(self, name: str, unit: str) -> None:
        assert select(name, pool(0), Budget(5, unit)).items == ()

    @pytest.mark.parametrize("unit", UNITS)
    def test_asks_for_nothing_without_a_budget(self, name: str, unit: str) -> None:
        assert select(name, pool(20), Budget(0, unit)).items == ()

    def test_starts_cold_when_nothing_is_labelled(self, name: str) -> None:
        assert len(set(select(name, pool(60, labeled=0), Budget(17)).image_ids)) == 17

    def test_tells_round_utility_and_the_terms_behind_each_image(self, name: str) -> None:
        candidates = pool(60)
        query = select(name, candidates, Budget(10))
        values = dict(zip(candidates.image_ids, candidates.scores.values, strict=True))
        assert query.round == 3
        assert all(np.isfinite(item.utility) for item in query.items)
        assert all(item.terms == {"L_det": 2 * values[item.image_id]} for item in query.items)
