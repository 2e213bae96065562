"""Arms whose figures rest on more training are named."""

import pytest
from made_cells import cell

from boxwise.results.training_steps import steps_behind, steps_ratio, uneven_steps

# Both go on from their last weights, 100 steps a round; the slow one spends half as much a round.
RANDOM = [cell("random", seed, (0.1, 0.2, 0.3), (10, 30, 50), train=(100, 200, 300)) for seed in range(2)]
SLOW = [cell("slow", seed, (0.1, 0.2, 0.3), (10, 20, 30), train=(100, 200, 300)) for seed in range(2)]
EVEN = [cell("even", seed, (0.1, 0.2, 0.3), (10, 28, 50), train=(100, 200, 300)) for seed in range(2)]


def test_steps_at_equal_cost():
    assert steps_ratio([*RANDOM, *SLOW], "slow", baseline="random", split="test") == pytest.approx(300 / 200)


def test_an_arm_with_half_as_many_steps_again_is_named():
    assert [text.split()[0] for text in uneven_steps([*RANDOM, *SLOW, *EVEN], baseline="random", split="test")] == ["slow"]
    assert "1.5 ×" in uneven_steps([*RANDOM, *SLOW], baseline="random", split="test")[0]


def test_trainings_from_scratch_count_alone():
    assert steps_behind(cell("old", 0, (0.1, 0.2), (10, 20)), "test") == [100, 100]


def test_nothing_to_compare_is_no_difference():
    assert uneven_steps(SLOW, baseline="random", split="test") == []
