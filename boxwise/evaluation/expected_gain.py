"""What the next labels are likely to bring: a saturating learning curve through the rounds so far, with its uncertainty.

Returns figures. Knows nothing of studies, prices or what a round is; never give it test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST_ROUNDS = 3
_EXPONENTS = np.geomspace(0.05, 2.0, 24)  # from nearly logarithmic to hardly anything left to gain
_NOISE, _NOISE_ROUNDS = 0.01, 2.0  # AP by which two trainings on the same labels differ, worth as much as two rounds of evidence
_LEVELS = (np.arange(400) + 0.5) / 400
_FEW_LEVELS = (np.arange(60) + 0.5) / 60  # where two unknowns are drawn together


@dataclass(frozen=True)
class Gain:
    """AP that the labels between two amounts add: the mean, and the limits within which it lies with a chance of 80%."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Needed:
    """The labelled amount at which a quality is reached: the median, and the limits within which it lies with a chance of 80%.

    inf: more likely than not, or at that limit, it never is. chance: that it ever is.
    """

    median: float
    low: float
    high: float
    chance: float


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Quality = a - b · n^-c: the inverse power law that learning curves follow (Figueroa et al., BMC Med. Inform. Decis. Mak. 2012).

    A few rounds do not tell c. So a and b are fitted by least squares for each of 24 exponents, and the fits are averaged by how well
    they explain the rounds: their marginal likelihood, under flat priors on the level and on what the quality gained over the rounds so
    far, and for the noise a prior of .01 AP worth two rounds, so that three points on a smooth curve do not pass for certainty.
    slopes, errors: b and its standard error [E]; mean, mean_errors: quality at the centre of the rounds and its standard error [E];
    centres: n^-c there [E]; weights [E], sum 1; freedom: degrees of freedom of Student's t.
    """

    weights: NDArray[np.float64]
    slopes: NDArray[np.float64]
    errors: NDArray[np.float64]
    centres: NDArray[np.float64]
    mean_errors: NDArray[np.float64]
    mean: float
    freedom: float

    @classmethod
    def fit(cls, amounts: Sequence[float], qualities: Sequence[float]) -> LearningCurve | None:
        """The curve through (labelled amount, quality) of each round; None with fewer than three different amounts that are known."""
        x, y = np.asarray(amounts, np.float64), np.asarray(qualities, np.float64)
        usable = np.isfinite(x) & np.isfinite(y) & (x > 0)
        x, y = x[usable], y[usable]
        if len(np.unique(x)) < FEWEST_ROUNDS:
            return None
        terms = _remaining(x)
        centres = terms.mean(axis=1)
        spread = terms - centres[:, None]
        squares = (spread**2).sum(axis=1)
        slopes = -(spread @ (y - y.mean())) / squares
        residuals = y - y.mean() + slopes[:, None] * spread
        freedom = len(y) - 2 + _NOISE_ROUNDS
        variance = ((residuals**2).sum(axis=1) + _NOISE_ROUNDS * _NOISE**2) / freedom
        evidence = -(freedom * np.log(variance) + np.log(squares / np.ptp(terms, axis=1) ** 2)) / 2
        weights = np.exp(evidence - evidence.max())
        errors, mean_errors = np.sqrt(variance / squares), np.sqrt(variance / len(y))
        return cls(weights / weights.sum(), slopes, errors, centres, mean_errors, float(y.mean()), freedom)

    def at(self, amount: float) -> float:
        """The mean quality that the curve expects at an amount."""
        return float(self.mean - self.weights @ (self.slopes * (_remaining(np.array([amount]))[:, 0] - self.centres)))

    def gain(self, amount: float, more: float) -> Gain:
        """What `more` labels beyond `amount` add to the curve itself; a single training scatters around that by its own noise."""
        from scipy.special import stdtrit  # slow to import: only the dashboard's first sight needs it

        before, after = _remaining(np.array([amount, amount + more])).T
        step = before - after
        draws = (self.slopes * step)[:, None] + (self.errors * step)[:, None] * stdtrit(self.freedom, _LEVELS)
        order = np.argsort(draws, axis=None)
        share = np.cumsum(np.repeat(self.weights / len(_LEVELS), len(_LEVELS))[order])
        low, high = np.interp([0.1, 0.9], share, draws.ravel()[order])
        return Gain(float(self.weights @ (self.slopes * step)), float(low), float(high))

    def needed(self, quality: float) -> Needed:
        """How many labels in all the curve itself needs for a quality; slope and level are drawn as if apart."""
        from scipy.special import stdtrit  # slow to import: only the dashboard's first sight needs it

        scatter = stdtrit(self.freedom, _FEW_LEVELS)
        slopes = (self.slopes[:, None] + self.errors[:, None] * scatter)[:, :, None]
        means = (self.mean + self.mean_errors[:, None] * scatter)[:, None, :]
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            remaining = self.centres[:, None, None] + (means - quality) / slopes
            amounts = np.where((slopes > 0) & (remaining > 0), remaining ** (-1 / _EXPONENTS[:, None, None]), np.inf).ravel()
        order = np.argsort(amounts)
        weights = np.repeat(self.weights / scatter.size**2, scatter.size**2)[order]
        low, median, high = amounts[order][np.searchsorted(np.cumsum(weights), [0.1, 0.5, 0.9])]
        return Needed(float(median), float(low), float(high), float(weights[np.isfinite(amounts[order])].sum()))


def _remaining(amounts: NDArray[np.float64]) -> NDArray[np.float64]:
    """n^-c for every exponent: what is left to gain; float64 [E, N]."""
    return amounts[None, :] ** -_EXPONENTS[:, None]
