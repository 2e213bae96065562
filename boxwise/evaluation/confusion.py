"""The confusion matrix of a detector: which class is taken for which, and what is missed or imagined.

Returns counts. Knows nothing of AP, files or detectors.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from boxwise.boxes import Boxes, FloatArray, area, iou


def confusion_matrix(
    predictions: Mapping[str, Boxes],
    truths: Mapping[str, Boxes],
    class_count: int,
    *,
    min_score: float = 0.3,
    min_iou: float = 0.5,
) -> NDArray[np.int64]:
    """int64 [C + 1, C + 1]: rows truth, columns predictions, background last in both.

    Matching ignores classes: detections in order of score each take the free truth they overlap most, at `min_iou` or above.
    A truth without a detection counts as (class, background), a detection without a truth as (background, class); neither counts
    for a detection that lies at least `min_iou` inside a crowd region, nor do crowd regions themselves.
    """
    counts = np.zeros((class_count + 1, class_count + 1), np.int64)
    for image_id, truth in truths.items():
        _count(counts, predictions.get(image_id, Boxes.empty(class_count)), truth, min_score, min_iou)
    return counts


def _count(counts: NDArray[np.int64], found: Boxes, truth: Boxes, min_score: float, min_iou: float) -> None:
    found = _by_score(found, min_score)
    crowd = truth[truth.crowd] if truth.crowd is not None else Boxes.empty()
    truth = truth[~truth.crowd] if truth.crowd is not None else truth
    owner = _match(iou(found.xyxy, truth.xyxy), min_iou)
    matched = owner >= 0
    missed = np.setdiff1d(np.arange(len(truth)), owner[matched])
    imagined = ~matched & ~inside(found.xyxy, crowd.xyxy, min_iou)
    size = len(counts)
    rows = np.concatenate([truth.labels[owner[matched]], truth.labels[missed], np.full(imagined.sum(), size - 1)])
    columns = np.concatenate([found.labels[matched], np.full(len(missed), size - 1), found.labels[imagined]])
    counts += np.bincount(rows * size + columns, minlength=size * size).reshape(size, size)


def _by_score(found: Boxes, min_score: float) -> Boxes:
    if found.scores is None:
        return found
    order = np.argsort(-found.scores, kind="stable")
    return found[order[found.scores[order] >= np.float32(min_score)]]


def _match(overlap: FloatArray, min_iou: float) -> NDArray[np.int64]:
    """The truth that each detection takes, -1 for none; int64 [N] from IoU [N, M], detections in order."""
    overlap = overlap.copy()
    owner = np.full(len(overlap), -1)
    if overlap.shape[1] == 0:
        return owner
    for row in range(len(overlap)):
        best = int(overlap[row].argmax())
        if overlap[row, best] >= min_iou:
            owner[row] = best
            overlap[:, best] = -1
    return owner


def inside(xyxy: FloatArray, regions: FloatArray, share: float) -> NDArray[np.bool_]:
    """Which boxes have at least `share` of their own area in one of the regions; bool [N]."""
    top_left = np.maximum(xyxy[:, None, :2], regions[None, :, :2])
    bottom_right = np.minimum(xyxy[:, None, 2:], regions[None, :, 2:])
    shared = np.clip(bottom_right - top_left, 0, None).prod(axis=2)
    return (shared >= share * np.maximum(area(xyxy), 1e-9)[:, None]).any(axis=1)
