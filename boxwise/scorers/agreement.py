"""Do two looks at an image agree? Boxes of one matched with those of the other, and distances between class distributions.

Returns one number a box. Pure arrays: knows nothing of detectors, images or of what made the looks differ.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boxwise.boxes import Boxes, FloatArray, iou
from boxwise.evaluation.entropy import distribution, entropy, jensen_shannon

MATCHED = 0.5  # least IoU at which two boxes are taken for the same object
SMOOTHING = 0.01  # share of the uniform distribution mixed in before a logarithm's ratio: detections below a score of 0.01 are not given

Values = NDArray[np.float64]


def symmetric_kl(p: Values, q: Values) -> Values:
    """(KL(p, q) + KL(q, p)) / 2 of each pair of rows in nats, both smoothed with 1% of the uniform distribution; float64 [N]."""
    p, q = ((1 - SMOOTHING) * np.asarray(each, np.float64) + SMOOTHING / each.shape[1] for each in (p, q))
    return ((p - q) * (np.log(p) - np.log(q))).sum(axis=1) / 2


def mutual_information(distributions: Values) -> Values:
    """How much K members' distributions of a box differ: entropy of their mean less the mean of their entropies (nats).

    BALD (Houlsby et al., 2011): what is left of the uncertainty once each member is sure of its own. float64 [N] from [K, N, C].
    """
    members, boxes, classes = distributions.shape
    of_each = entropy(distributions.reshape(-1, classes)).reshape(members, boxes)
    return np.maximum(entropy(distributions.mean(axis=0)) - of_each.mean(axis=0), 0.0)


def best_matches(xyxy: FloatArray, other: Boxes) -> tuple[NDArray[np.intp], Values]:
    """For each of N boxes the row of `other` that overlaps it most, -1 where none does at all, and their IoU (0 there)."""
    if not len(other):
        return np.full(len(xyxy), -1, np.intp), np.zeros(len(xyxy))
    overlaps = iou(xyxy, other.xyxy).astype(np.float64)
    rows, best = overlaps.argmax(axis=1), overlaps.max(axis=1)
    return np.where(best > 0, rows, -1), best


def distributions_at(xyxy: FloatArray, other: Boxes, class_count: int, *, least: float = MATCHED) -> Values:
    """What `other` says is at each of N boxes: its best match's class distribution, background where none overlaps by `least`.

    float64 [N, C + 1], background last. Every box has its own best match: two may share one.
    """
    rows, overlaps = best_matches(xyxy, other)
    found = np.zeros((len(xyxy), class_count + 1))
    found[:, -1] = 1
    near = (rows >= 0) & (overlaps >= np.float32(least))
    if near.any():
        found[near] = probabilities_of(other, class_count)[rows[near]]
    return found


def consistencies(references: Boxes, places: FloatArray, other: Boxes, class_count: int) -> Values:
    """CALD's M_k = IoU + (1 - JS(p, q)) (max p + max q) / 2 of each reference box and its best match in `other`; 0 to 2, float64 [N].

    p, q: class distributions with background, JS in nats; max p: the score. places: where the reference boxes lie in the other look.
    A reference that nothing overlaps is compared with pure background of score 0.
    """
    _, overlaps = best_matches(places, other)
    p = probabilities_of(references, class_count)
    q = distributions_at(places, other, class_count, least=0.0)
    scores = p[:, :-1].max(axis=1) + q[:, :-1].max(axis=1)
    return overlaps + (1 - jensen_shannon(p, q)) * scores / 2


def probabilities_of(boxes: Boxes, class_count: int) -> Values:
    """Class distributions, background last; float64 [N, C + 1]. ValueError for boxes without any: labels, not detections."""
    if boxes.probabilities is None:
        raise ValueError("agreement needs detections with class probabilities, found boxes without")
    return distribution(boxes.probabilities, class_count)
