"""What a few seeds can say: confidence intervals and a paired test.

Returns plain numbers. Knows nothing of curves, arms or detectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

MIN_SEEDS = 6  # the exact two-sided signed-rank test of 5 pairs cannot fall below p = .0625


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
    known = np.asarray([value for value in values if np.isfinite(value)], np.float64)
    if len(known) == 0:
        return Interval(float("nan"), None, None)
    mean = float(known.mean())
    if len(known) == 1:
        return Interval(mean, None, None)
    half = float(stats.t.ppf((1 + confidence) / 2, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known)))
    return Interval(mean, mean - half, mean + half)


def paired_test(a: Sequence[float], b: Sequence[float]) -> PairedTest:
    """Two-sided exact Wilcoxon signed-rank test (Wilcoxon, 1945) of paired values; pairs with a NaN are left out.

    Pairs without a difference count as seeds but carry no sign. Fewer than 6 seeds: no p.
    """
    differences = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    differences = differences[np.isfinite(differences)]
    seeds = len(differences)
    if seeds < MIN_SEEDS:
        return PairedTest(None, seeds, f"not enough seeds ({seeds} of {MIN_SEEDS})")
    signed = differences[differences != 0]
    p = float(stats.wilcoxon(signed, method="exact").pvalue) if len(signed) else 1.0
    return PairedTest(p, seeds, "p < 0.001" if p < 0.001 else f"p = {p:.3f}")
