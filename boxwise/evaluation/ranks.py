"""Ranks of several arms over many blocks, such as data set × seed: which is best, second and so on, for figures of any scale.

Returns plain numbers. Knows nothing of curves, arms or detectors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Ranks(NamedTuple):
    """Mean rank of each of k arms over n blocks, 1 the best; p of Friedman's test that all are alike, None where it cannot be had.

    critical: the distance of two mean ranks that Nemenyi's test at .05 calls a difference; None likewise.
    """

    mean: tuple[float, ...]
    blocks: int
    p: float | None
    critical: float | None


def mean_ranks(values: NDArray[np.float64]) -> Ranks:
    """Ranks of arms in `values` [blocks, arms] by falling value within each block, equals sharing theirs (Demsar, JMLR 2006).

    Demsar's blocks are data sets. Seeds of one data set are closer to one another than that, so p is too small where they are blocks.
    """
    from scipy import stats  # slow to import

    values = np.asarray(values, np.float64)
    blocks, arms = values.shape
    if blocks == 0 or arms == 0:
        return Ranks((float("nan"),) * arms, blocks, None, None)
    ranks = stats.rankdata(-values, axis=1)
    means = tuple(ranks.mean(axis=0).tolist())
    if blocks < 2 or arms < 3 or np.ptp(ranks, axis=1).max() == 0:
        return Ranks(means, blocks, None, None)
    p = float(stats.friedmanchisquare(*values.T).pvalue)
    critical = float(stats.studentized_range.ppf(0.95, arms, np.inf) / np.sqrt(2) * np.sqrt(arms * (arms + 1) / (6 * blocks)))
    return Ranks(means, blocks, p, critical)
