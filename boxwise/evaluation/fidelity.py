"""Fidelity: how well scores of chosen images agree with the true loss of these images, and weights learned from that.

Returns a rank correlation, or a weight for each term. Knows nothing of detectors, pools or how a loss was measured.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

SHRINK = 50.0


def spearman(score: ArrayLike, true_loss: ArrayLike) -> float | None:
    """Spearman's rank correlation of two [N] arrays, over the images where both are finite.

    None when fewer than 3 remain, or when one of the two is constant: then there is no order to agree with.
    """
    scores, losses = np.asarray(score, np.float64), np.asarray(true_loss, np.float64)
    finite = np.isfinite(scores) & np.isfinite(losses)
    scores, losses = scores[finite], losses[finite]
    if len(scores) < 3 or np.ptp(scores) == 0 or np.ptp(losses) == 0:
        return None
    from scipy import stats  # slow to import, and every process opens a study

    return float(stats.spearmanr(scores, losses).statistic)


def fit_weights(
    terms: Mapping[str, ArrayLike], losses: ArrayLike, *, rounds: ArrayLike | None = None, shrink: float = SHRINK
) -> dict[str, float]:
    """Non-negative weights, summing to 1, with which the terms predict the true loss of n labelled images.

    terms: name → [n], standardised over the pool. losses: [n]. rounds: [n], which detector each loss was measured with; None: one for
    all. Images with a value that is not finite are left out.
    Loss and terms are centred within each round: from round to round all losses fall, and so does every term that has anything to do with
    training, whether or not it can tell one image from another. The loss is fitted on the terms by non-negative least squares (Lawson &
    Hanson, 1974); the solution is scaled to sum 1, so the loss's own scale cancels, and shrunk toward equal weights:
    w = (n · w_nnls + shrink · w_equal) / (n + shrink), so that the prior counts as much as `shrink` images. Equal weights where the fit
    finds nothing: losses that are constant in every round, fewer than 2 images, no term that helps.
    """
    equal = np.full(len(terms), 1 / max(len(terms), 1))
    columns = np.column_stack([*(np.asarray(term, np.float64) for term in terms.values()), np.asarray(losses, np.float64)])
    finite = np.isfinite(columns).all(axis=1)
    numbers = np.zeros(len(columns)) if rounds is None else np.asarray(rounds)
    columns = _centred(columns[finite], numbers[finite])
    fitted = _non_negative(columns[:, :-1], columns[:, -1])
    n = len(columns)
    weights = equal if fitted is None else (n * fitted + shrink * equal) / (n + shrink)
    return {name: float(weight) for name, weight in zip(terms, weights, strict=True)}


def _centred(columns: NDArray[np.float64], rounds: NDArray[np.generic]) -> NDArray[np.float64]:
    """Each column [n] of [n, T] less its mean in the row's round; exactly 0 where it is constant there."""
    centred = np.zeros_like(columns)
    for number in np.unique(rounds):
        of_round = columns[rounds == number]
        centred[rounds == number] = np.where(np.ptp(of_round, axis=0) == 0, 0.0, of_round - of_round.mean(axis=0))
    return centred


def _non_negative(terms: NDArray[np.float64], loss: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Weights [T] that sum to 1, or None where nothing can be fitted; terms [n, T] and loss [n] are centred."""
    if terms.shape[1] == 0 or not loss.any():
        return None
    from scipy import optimize

    weights, _ = optimize.nnls(terms, loss)
    return weights / weights.sum() if weights.sum() > 0 else None
