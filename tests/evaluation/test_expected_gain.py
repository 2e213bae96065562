"""What the next labels bring: honest on curves whose truth is known."""

import numpy as np
import pytest

from boxwise.evaluation.expected_gain import LearningCurve

AMOUNTS = [50, 100, 150, 200]


def power(n, a=0.6, b=0.3, c=0.5):
    return a - b * (np.asarray(n) / 50) ** -c


def test_a_smooth_curve_is_followed_and_continued():
    curve = LearningCurve.fit(AMOUNTS, power(AMOUNTS))
    assert [curve.at(n) for n in AMOUNTS] == pytest.approx(power(AMOUNTS), abs=0.01)
    gain = curve.gain(200, 50)
    truth = float(power(250) - power(200))
    assert gain.mean == pytest.approx(truth, abs=0.005) and gain.low < truth < gain.high
    assert gain.mean == pytest.approx(curve.at(250) - curve.at(200))


def test_exponents_weigh_by_their_marginal_likelihood():
    """Integrated by brute force over level, gain so far and noise, for the flattest and the steepest exponent."""
    n, y = np.array(AMOUNTS, float), np.array([0.30, 0.36, 0.40, 0.41])

    def evidence(exponent):
        terms = n**-exponent
        gained = (terms[0] - terms) / (terms[0] - terms[-1])
        level, gain, noise = np.meshgrid(
            np.linspace(0.1, 0.5, 161), np.linspace(-0.3, 0.5, 161), np.geomspace(2e-3, 0.3, 120), indexing="ij"
        )
        errors = sum((level + gain * g - q) ** 2 for g, q in zip(gained, y, strict=True))
        log = -(len(y) + 2) * np.log(noise) - (errors + 2 * 0.01**2) / (2 * noise**2)  # Jeffreys' measure d(noise) / noise is the grid's
        return np.exp(log - 20).sum()

    weights = LearningCurve.fit(n, y).weights
    assert weights[-1] / weights[0] == pytest.approx(evidence(2.0) / evidence(0.05), rel=0.02)


def test_it_saturates():
    curve = LearningCurve.fit(AMOUNTS, power(AMOUNTS))
    gains = [curve.gain(n, 50).mean for n in (200, 400, 800, 1600)]
    assert gains == sorted(gains, reverse=True) and gains[-1] > 0


def test_a_flat_curve_promises_nothing():
    gain = LearningCurve.fit(AMOUNTS, [0.4, 0.4, 0.4, 0.4]).gain(200, 50)
    assert gain.mean == pytest.approx(0, abs=1e-9) and gain.low < 0 < gain.high


def test_three_points_on_a_smooth_curve_are_no_certainty_and_more_rounds_are_surer():
    widths = []
    for rounds in (3, 6, 12):
        n = 50 * np.arange(1, rounds + 1)
        gain = LearningCurve.fit(n, power(n)).gain(n[-1], 50)
        widths.append((gain.high - gain.low) / (power(n[-1] + 50) - power(n[-1])))
    assert widths[0] > 0.5 and widths == sorted(widths, reverse=True)


def test_the_limits_hold_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    held, errors = [], []
    for _ in range(400):
        a, b, c = rng.uniform(0.4, 0.8), rng.uniform(0.1, 0.4), rng.uniform(0.1, 1.5)
        n = 50 * np.arange(1, rng.integers(3, 8) + 1)
        gain = LearningCurve.fit(n, power(n, a, b, c) + rng.normal(0, 0.01, len(n))).gain(n[-1], 50)
        truth = power(n[-1] + 50, a, b, c) - power(n[-1], a, b, c)
        held.append(gain.low <= truth <= gain.high)
        errors.append(gain.mean - truth)
    assert 0.75 < np.mean(held) < 0.95
    assert abs(np.mean(errors)) < 0.003


@pytest.mark.parametrize(
    ("amounts", "qualities"),
    [
        ([], []),
        ([50, 100], [0.1, 0.2]),
        ([50, 50, 100], [0.1, 0.2, 0.3]),
        ([50, 100, 150], [0.1, np.nan, 0.3]),
        ([0, 50, 100], [0.1, 0.2, 0.3]),
    ],
)
def test_fewer_than_three_known_amounts_say_nothing(amounts, qualities):
    assert LearningCurve.fit(amounts, qualities) is None


class TestNeeded:
    def test_a_smooth_curve_says_where_it_goes(self):
        amounts = 50 * np.arange(1, 9)
        needed = LearningCurve.fit(amounts, power(amounts)).needed(float(power(800)))
        assert needed.low < 800 < needed.high and needed.median == pytest.approx(800, rel=0.25) and needed.chance > 0.9

    @pytest.mark.slow
    def test_the_interval_holds_the_truth_about_as_often_as_it_says(self):
        rng, amounts, inside, times = np.random.default_rng(0), 50 * np.arange(1, 9), 0, 100
        for _ in range(times):
            shape = {"a": rng.uniform(0.5, 0.8), "b": rng.uniform(0.2, 0.4), "c": rng.uniform(0.2, 1.0)}
            curve = LearningCurve.fit(amounts, power(amounts, **shape) + 0.01 * rng.standard_normal(len(amounts)))
            needed = curve.needed(float(power(600, **shape)))
            inside += needed.low <= 600 <= needed.high
        assert 0.7 * times <= inside <= 0.97 * times

    def test_what_a_curve_cannot_reach_is_infinite(self):
        needed = LearningCurve.fit(AMOUNTS, [0.4, 0.4, 0.4, 0.4]).needed(0.9)
        assert needed.median == needed.high == np.inf and needed.chance < 0.5
