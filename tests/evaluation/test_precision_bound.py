import numpy as np
import pytest

from boxwise.evaluation.precision_bound import first_look, lowest_threshold, precision_bound


class TestBound:
    """A threshold keeps its promise with the confidence that is stated, however many detections val has."""

    SCORES = np.linspace(0.3, 1, 20_001)

    def broken_promises(self, chance, *, count, target, threshold, samples=400):
        """The share of samples of val whose threshold has a lower true precision than `target`; chance: P(correct) from the score."""
        rng = np.random.default_rng(0)
        above = np.cumsum(chance(self.SCORES)[::-1])[::-1] / np.arange(len(self.SCORES), 0, -1)  # true precision from each score on
        broken = 0
        for _ in range(samples):
            scores = rng.uniform(0.3, 1, count)
            found = threshold(scores, rng.random(count) < chance(scores), target)
            broken += np.isfinite(found) and above[np.searchsorted(self.SCORES, found)] < target
        return broken / samples

    @pytest.mark.parametrize("count", [60, 200, 1000])
    @pytest.mark.parametrize("target", [0.85, 0.95])
    @pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
    def test_the_promise_is_broken_no_more_often_than_stated(self, count, target, slope):
        """Detections whose precision rises with the score by `slope`, or not at all and lies just below the target."""
        chance = (lambda s: np.full(len(s), target - 0.005)) if slope == 0 else (lambda s: np.clip(1 - slope * (1 - s), 0, 1))
        bounded = lambda scores, correct, target: lowest_threshold(scores, correct, target=target, confidence=0.9)  # noqa: E731
        assert self.broken_promises(chance, count=count, target=target, threshold=bounded) <= 0.1 + 2 * np.sqrt(0.1 * 0.9 / 400)

    def test_judging_by_the_same_detections_would_break_it(self):
        """The share right as it was seen on val, from the smallest score at which it reaches the target: so the test above could fail."""

        def as_seen(scores, correct, target):
            order = np.argsort(-scores)
            share = np.cumsum(correct[order]) / np.arange(1, len(scores) + 1)
            reached = np.flatnonzero((share >= target) & (np.arange(len(scores)) >= 9))
            return scores[order][reached[-1]] if len(reached) else np.inf

        assert self.broken_promises(lambda s: 0.5 + 0.5 * s, count=200, target=0.85, threshold=as_seen) > 0.4

    def test_what_can_be_shown_is_found(self):
        rng = np.random.default_rng(0)
        scores = rng.uniform(0.3, 1, 1000)
        found = lowest_threshold(scores, rng.random(1000) < scores, target=0.85, confidence=0.9)
        assert 0.7 < found < 0.85  # from .7 on they are right in 85 of 100

    def test_limit_by_hand(self):
        """Twenty right of twenty: p ** 20 = .1 at the limit; none right shows nothing."""
        assert precision_bound(20, 20, confidence=0.9) == pytest.approx(0.1 ** (1 / 20))
        assert precision_bound(0, 20, confidence=0.9) == 0

    def test_the_first_look_survives_one_error(self):
        for target in (0.5, 0.85, 0.95, 0.99):
            count = first_look(target, 0.9)
            assert precision_bound(count - 1, count, confidence=0.9) >= target - 0.01
        assert [first_look(target, 0.9) for target in (0.1, 0.85, 0.95)] == [10, 29, 90]
