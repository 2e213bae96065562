"""Losses and error rates of the whole pool from the few images that an active strategy drew.

Returns plain numbers; unbiased for means over images, such as a loss or an error rate, and not for AP, which is none.
Knows nothing of detectors or strategies: what was measured and with which probability each image was drawn come in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from boxwise.boxes import Boxes
from boxwise.evaluation.confusion import confusion_matrix


def lure(losses: ArrayLike, probabilities: ArrayLike, pool: int) -> float:
    """The mean loss of all `pool` images from the M that were drawn: mean of v_m · loss_m, with the weights of `lure_weights`.

    losses [M]: any figure of an image, a loss or 0/1 for an error, in drawing order. probabilities [M]: as in `lure_weights`.
    Raises ValueError for no draws, shapes that differ and losses that are not finite.
    """
    values = np.asarray(losses, np.float64)
    weights = lure_weights(probabilities, pool)
    if values.shape != weights.shape:
        raise ValueError(f"losses have shape {values.shape}, expected {weights.shape} as probabilities")
    if len(values) == 0:
        raise ValueError("lure needs at least one drawn image, found none")
    if not np.isfinite(values).all():
        raise ValueError("losses must be finite, found NaN or infinity")
    return float(np.mean(weights * values))


def lure_weights(probabilities: ArrayLike, pool: int) -> NDArray[np.float64]:
    """v_m = 1 + (N - M) / (N - m) · (1 / ((N - m + 1) q_m) - 1) of M draws without replacement from N = `pool`; float64 [M].

    The levelled unbiased risk estimator (Farquhar et al., ICLR 2021; for testing: Kossen et al., ICML 2021). q_m: the probability with
    which the m-th image was drawn from the N - m + 1 that were left; M must not depend on what was drawn. Uniform draws weigh 1 each,
    and so does every image once the pool is exhausted. Raises ValueError for q outside (0, 1], other than one dimension, or M > N.
    """
    q = np.asarray(probabilities, np.float64)
    if q.ndim != 1:
        raise ValueError(f"probabilities have shape {q.shape}, expected one dimension")
    if not ((q > 0) & (q <= 1)).all():
        raise ValueError(f"probabilities must be above 0 and at most 1, found {q[~((q > 0) & (q <= 1))][0]}")
    if len(q) > pool:
        raise ValueError(f"{len(q)} images were drawn from a pool of {pool}: expected at most {pool}")
    if len(q) == pool:
        return np.ones(pool)
    left = pool - np.arange(1, len(q) + 1)  # N - m
    return 1 + (pool - len(q)) / left * (1 / ((left + 1) * q) - 1)


def image_error(found: Boxes, truth: Boxes, *, min_score: float = 0.5, min_iou: float = 0.5) -> bool:
    """Whether a detector got anything wrong in an image: a box too many, an object missed or one taken for another class.

    Detections below `min_score` are not counted; matching and crowd regions as in `confusion_matrix`.
    """
    class_count = 1 + max(found.labels.max(initial=-1), truth.labels.max(initial=-1))
    counts = confusion_matrix({"": found}, {"": truth}, class_count, min_score=min_score, min_iou=min_iou)
    return bool(counts.sum() > np.trace(counts))
