"""What must hold before curves are believed, and what it costs to get near the ceiling."""

import math

import numpy as np
import pytest
from made_cells import SECONDS, cell

from boxwise.results.convergence import doubled, labels_matter, reach_of, undertrained

IMAGES = (10, 20, 30)


def whole(ap, *, seed=0, val=0):
    return cell("everything", seed, (0.1, ap), (10, 100), role="ceiling", val=val)


class TestUndertrained:
    def test_an_arm_above_the_whole_pool_in_every_seed(self):
        cells = [whole(0.30 + 0.01 * seed, seed=seed) for seed in range(6)]
        cells += [cell("dual", seed, (0.1, 0.2, 0.34 + 0.01 * seed), IMAGES) for seed in range(6)]
        assert undertrained(cells, "test").startswith("undertrained: dual ends 0.040 AP above what the labels of the whole pool give")

    def test_an_arm_above_it_by_no_more_than_noise(self):
        """Ten arms as good as the whole pool, of which the best of six seeds always lies above: seldom is one called better."""
        rng = np.random.default_rng(0)
        called = 0
        for _ in range(60):
            cells = [whole(ap, seed=seed) for seed, ap in enumerate(rng.normal(0.3, 0.01, 6))]
            cells += [cell(f"arm{arm}", seed, (0.1, ap), (10, 20)) for arm in range(10) for seed, ap in enumerate(rng.normal(0.3, 0.01, 6))]
            called += undertrained(cells, "test") is not None
        assert called <= 6

    def test_an_arm_below_it(self):
        cells = [c for seed in range(6) for c in (whole(0.4, seed=seed), cell("dual", seed, (0.1, 0.2, 0.3), IMAGES))]
        assert undertrained(cells, "test") is None

    @pytest.mark.parametrize("seeds", [0, 1])
    def test_fewer_than_two_seeds_show_nothing(self, seeds):
        cells = [whole(0.2, seed=seed) for seed in range(seeds)] + [cell("dual", 0, (0.1, 0.2, 0.9), IMAGES)]
        assert undertrained(cells, "test") is None


class TestDoubled:
    @staticmethod
    def cells(*gains):
        """Random with and without twice the steps, which add the gains in the last round of the seeds; val's AP is test's."""
        longer = [cell("random+train.length=2", seed, (0.1, 0.3 + gain), (10, 20)) for seed, gain in enumerate(gains)]
        return [*longer, *(cell("random", seed, (0.1, 0.3), (10, 20)) for seed in range(len(gains)))]

    def test_more_than_a_hundredth_is_undertrained(self):
        found = doubled(self.cells(0.02, 0.03, 0.04))
        assert (found["first round"].mean, found["last round"].mean) == (pytest.approx(0), pytest.approx(0.03))
        assert (
            undertrained(self.cells(0.02, 0.03, 0.04), "test")
            == "undertrained: twice the training steps add 0.030 AP on val in the last round"
        )

    @pytest.mark.parametrize("gains", [(0.004, 0.006, 0.005), (-0.03, 0.05, 0.02), (0.05,)], ids=["little", "noise", "one seed"])
    def test_less_or_noise_is_not(self, gains):
        assert undertrained(self.cells(*gains), "test") is None

    def test_without_such_an_arm_nothing_is_known(self):
        assert doubled([cell("random", 0, (0.1, 0.2), (10, 20))]) == {}


class TestLabelsMatter:
    def test_the_pool_adds_much(self):
        cells = [c for seed in range(4) for c in (whole(0.5 + 0.01 * seed, seed=seed), cell("random", seed, (0.1, 0.2), (10, 20)))]
        passed, text = labels_matter(cells, "test", baseline="random")
        assert passed and "adds +0.415 AP" in text

    def test_the_pool_adds_nothing_beyond_noise(self):
        cells = [
            c for seed, ap in enumerate((0.28, 0.33, 0.27)) for c in (whole(ap, seed=seed), cell("random", seed, (0.29, 0.3), (10, 20)))
        ]
        assert labels_matter(cells, "test", baseline="random")[0] is False

    def test_one_seed_says_nothing(self):
        assert labels_matter([whole(0.5), cell("random", 0, (0.1, 0.2), (10, 20))], "test", baseline="random") is None


class TestReach:
    def test_the_cost_at_95_percent_of_the_ceiling_val_included(self):
        """The whole pool reaches an AP50 of .8, so .76 is near: halfway from .72 with 20 images to .8 with 30. Val holds 5 images."""
        reach = reach_of([whole(0.4, val=5), cell("dual", 0, (0.1, 0.36, 0.4), IMAGES, val=5)], "dual", "test")
        assert (reach.reached, reach.seeds) == (1, 1)
        assert reach.costs["images"] == pytest.approx(30) and reach.costs["seconds"] == pytest.approx(30 * SECONDS)
        assert reach.of_everything["images"] == pytest.approx(30 / 105)

    def test_the_median_counts_those_that_never_get_there(self):
        cells = [whole(0.4, seed=seed) for seed in range(3)]
        cells += [cell("dual", seed, (0.1, 0.2, last), IMAGES) for seed, last in enumerate((0.4, 0.3, 0.2))]
        reach = reach_of(cells, "dual", "test")
        assert reach.reached == 1 and math.isinf(reach.costs["images"]) and math.isinf(reach.of_everything["images"])

    def test_without_a_ceiling_there_is_nothing_to_reach(self):
        assert reach_of([cell("dual", 0, (0.1, 0.2, 0.3), IMAGES)], "dual", "test") is None
