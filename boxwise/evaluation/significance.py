"""What a few seeds can say: confidence intervals, a paired test, and its correction for many arms.

Returns plain numbers. Knows nothing of curves, arms or detectors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MIN_SEEDS = 6  # the exact two-sided signed-rank test of 5 pairs cannot fall below p = .0625, nor can the sign test
RESAMPLES = 10_000


class Interval(NamedTuple):
    """A mean with its 95% confidence limits; both limits are None when one value or none gives no spread."""

    mean: float
    low: float | None
    high: float | None


class PairedTest(NamedTuple):
    """A Wilcoxon signed-rank test over `seeds` pairs. p is None, and `text` says why, when there are too few."""

    p: float | None
    seeds: int
    text: str


def interval(values: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """Student's t interval of the mean over seeds; NaN values are left out, and no value at all gives a NaN mean."""
    finite = np.asarray([value for value in values if np.isfinite(value)], np.float64)
    if len(finite) == 0:
        return Interval(float("nan"), None, None)
    mean = float(finite.mean())
    if len(finite) == 1:
        return Interval(mean, None, None)
    from scipy import stats  # slow to import, and the labelling page's server needs none of it

    half = float(stats.t.ppf((1 + confidence) / 2, len(finite) - 1) * finite.std(ddof=1) / np.sqrt(len(finite)))
    return Interval(mean, mean - half, mean + half)


def paired_test(a: Sequence[float], b: Sequence[float]) -> PairedTest:
    """Two-sided exact Wilcoxon signed-rank test (Wilcoxon, 1945) of paired values; pairs with a NaN are left out.

    Pairs without a difference count as seeds but carry no sign, equal differences share the mean of their ranks. Fewer than 6 seeds: no p.
    """
    differences = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    differences = differences[np.isfinite(differences)]
    seeds = len(differences)
    if seeds < MIN_SEEDS:
        return PairedTest(None, seeds, f"not enough seeds ({seeds} of {MIN_SEEDS})")
    p = _signed_rank_p(differences[differences != 0])
    return PairedTest(p, seeds, "p < 0.001" if p < 0.001 else f"p = {p:.3f}")


def _signed_rank_p(signed: NDArray[np.float64]) -> float:
    """Of all patterns of signs, the share whose rank sum is as far from its mean or farther; 1 for no difference at all."""
    from scipy import stats

    doubled = np.rint(2 * stats.rankdata(np.abs(signed))).astype(np.int64)  # whole numbers, also where ranks are shared
    patterns = np.ones(1)  # at each sum of doubled ranks, the share of patterns that have it
    for rank in doubled:
        patterns = (np.pad(patterns, (0, rank)) + np.pad(patterns, (rank, 0))) / 2
    off = np.abs(2 * np.arange(len(patterns)) - doubled.sum())
    return float(min(1.0, patterns[off >= abs(2 * doubled[signed > 0].sum() - doubled.sum())].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """p corrected for the number of tests, in the given order (Holm, Scandinavian Journal of Statistics 1979).

    The smallest is multiplied by the number of tests, the next by one less, and so on; none falls below an earlier one or passes 1.
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return [float(value) for value in corrected]


def pooled_ratio(ratios: Sequence[float]) -> Interval:
    """The ratio of two costs over several seeds: the geometric mean, so that 2 and 1/2 cancel to 1, with its 95% limits.

    The limits are those of a bootstrap over seeds, its percentiles widened as Student's t is beside the normal distribution (Hesterberg,
    The American Statistician 2015): of six seeds plain percentiles are too narrow by a third. Of fewer than six, percentiles that wide are
    the smallest and the largest seed, which hold the truth in 50, 75 and 88% of cases for two, three and four: there it is Student's t
    interval of the logarithms. One ratio has no limits, none no mean.
    """
    positive = np.asarray([ratio for ratio in ratios if np.isfinite(ratio) and ratio > 0], np.float64)
    count, logs = len(positive), np.log(positive)
    if count < MIN_SEEDS:
        mean, low, high = interval(logs.tolist())
        return Interval(math.exp(mean), *(None if limit is None else math.exp(limit) for limit in (low, high)))
    from scipy import stats

    tail = float(stats.norm.cdf(-np.sqrt(count / (count - 1)) * stats.t.ppf(0.975, count - 1)))
    draws = np.random.default_rng(0).integers(count, size=(RESAMPLES, count))
    low, high = np.exp(np.quantile(logs[draws].mean(axis=1), [tail, 1 - tail]))
    return Interval(float(np.exp(logs.mean())), float(low), float(high))


def sign_test(values: Sequence[float]) -> PairedTest:
    """Two-sided exact sign test that values above and below 0 are equally likely; zeros count for neither, and fewer than 6 give no p."""
    signed = [value for value in values if np.isfinite(value) and value != 0]
    if len(signed) < MIN_SEEDS:
        return PairedTest(None, len(signed), f"not enough ({len(signed)} of {MIN_SEEDS})")
    from scipy import stats

    p = float(stats.binomtest(sum(value > 0 for value in signed), len(signed)).pvalue)
    return PairedTest(p, len(signed), "p < 0.001" if p < 0.001 else f"p = {p:.3f}")
