from itertools import permutations

import numpy as np
import pytest

from boxwise.config import StrategyConfig
from boxwise.records import Scores
from boxwise.registry import STRATEGIES, strategy_of
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.score_sampling import ScoreSampling, draw_probabilities


def pool(values, box_counts=None) -> Candidates:
    values = np.asarray(values, np.float64)
    ids = tuple(map(str, range(len(values))))
    nothing = np.zeros((len(values), 2), np.float32)
    return Candidates(1, ids, Scores(ids, values), nothing, nothing[:0], np.ones(len(values)) if box_counts is None else box_counts)


def draw(values, amount, *, temperature=0.5, seed=0, unit="images", box_counts=None):
    """(rows, probabilities) of one query."""
    budget = Budget(amount, unit)
    query = ScoreSampling(temperature).select(pool(values, box_counts), budget, rng=np.random.default_rng(seed))
    return [int(image_id) for image_id in query.image_ids], np.array([item.probability for item in query.items])


def by_definition(values, rows, temperature):
    """q_m, with every draw's weights summed afresh over what is left."""
    z = (values - values.mean()) / values.std()
    left, found = list(range(len(values))), []
    for row in rows:
        weights = np.exp(z[left] / temperature)
        found.append(weights[left.index(row)] / weights.sum())
        left.remove(row)
    return found


@pytest.mark.parametrize("temperature", [0.1, 0.5, 3.0])
def test_tells_the_probability_of_each_draw_among_what_was_left(temperature):
    values = np.random.default_rng(1).gamma(2, size=40)
    rows, probabilities = draw(values, 25, temperature=temperature)
    assert probabilities == pytest.approx(by_definition(values, rows, temperature))


@pytest.mark.slow
def test_draws_each_order_as_often_as_its_probabilities_say():
    values, draws = np.array([0.0, 1.0, 3.0]), 6000
    seen = dict.fromkeys(permutations(range(3)), 0)
    for seed in range(draws):
        seen[tuple(draw(values, 3, temperature=1.0, seed=seed)[0])] += 1
    for order, count in seen.items():
        expected = float(np.prod(by_definition(values, order, 1.0)))
        assert abs(count / draws - expected) < 4 * np.sqrt(expected * (1 - expected) / draws)


def test_equal_scores_are_drawn_uniformly():
    rows, probabilities = draw(np.full(50, 7.0), 50)
    assert probabilities == pytest.approx(1 / np.arange(50, 0, -1))
    assert rows != sorted(rows)


def test_the_last_of_the_pool_is_certain():
    assert draw([1.0, 2.0, 3.0], 5)[1][-1] == 1.0


def test_a_low_temperature_is_top_k_and_a_high_one_is_random():
    values = np.arange(30.0)
    assert draw(values, 5, temperature=1e-4)[0] == [29, 28, 27, 26, 25]
    assert draw(values, 30, temperature=1e6)[1] == pytest.approx(1 / np.arange(30, 0, -1), rel=1e-4)


def test_stays_finite_where_one_score_outweighs_all_others():
    values = np.zeros(10_000)
    values[123] = 1e9  # z = 100: e^(100 / 0.01) overflows, e^-10000 vanishes
    rows, probabilities = draw(values, 100, temperature=0.01)
    assert rows[0] == 123 and probabilities[0] == 1.0
    assert probabilities[1:] == pytest.approx(1 / np.arange(9999, 9900, -1))


def test_nothing_is_lost_behind_a_draw_that_held_almost_all_the_weight():
    log_weights = np.array([40.0, 0.0, 0.0, 0.0])  # subtracting e^40 from the sum would leave 0
    assert draw_probabilities(log_weights, 3) == pytest.approx([1.0, 1 / 3, 1 / 2])


def test_a_budget_in_boxes_changes_nothing_but_where_it_stops():
    values, counts = np.random.default_rng(2).normal(size=30), np.full(30, 4.0)
    rows, probabilities = draw(values, 10, unit="boxes", box_counts=counts)
    in_images = draw(values, 3)
    assert rows == in_images[0] and np.array_equal(probabilities, in_images[1])


def test_the_utility_is_the_score():
    query = ScoreSampling().select(pool([4.0, 5.0, 6.0]), Budget(3), rng=np.random.default_rng(0))
    assert {item.image_id: item.utility for item in query.items} == {"0": 4, "1": 5, "2": 6}


def test_no_strategy_that_does_not_draw_by_probability_claims_one():
    for name in STRATEGIES:
        strategy = strategy_of(StrategyConfig(name=name))
        items = strategy.select(pool(np.arange(9.0)), Budget(4), rng=np.random.default_rng(0)).items
        assert items and all((item.probability is not None) == (name == "score_sampling") for item in items), name
