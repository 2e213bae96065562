"""Putting score terms of different units on one scale, over the pool.

Returns float64 [N] from float64 [N]. Knows nothing of what the terms mean: raw sums must never be mixed, or the largest unit wins.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Values = NDArray[np.float64]


def standardized(values: Values) -> Values:
    """(x - mean) / standard deviation; zeros where all values are equal."""
    if len(values) == 0 or np.ptp(values) <= 1e-12 * np.abs(values).max():
        return np.zeros(len(values))
    centered = values - values.mean()
    return centered / np.sqrt(np.mean(centered**2))


def ranked(values: Values) -> Values:
    """Ranks scaled to [0, 1], the largest value 1; equal values share their average rank."""
    if len(values) < 2:
        return np.full(len(values), 0.5)
    return (rankdata(values) - 1) / (len(values) - 1)


NORMALIZERS: dict[str, Callable[[Values], Values]] = {"z": standardized, "rank": ranked}
