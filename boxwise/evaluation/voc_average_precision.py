"""PASCAL VOC average precision at IoU .5, by the 11 points of VOC2007 and by the area of VOC2010 on.

Returns one AP a class and their mean. Knows nothing of COCO's AP, which matches and averages differently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from boxwise.boxes import Boxes, iou

MIN_IOU = 0.5


@dataclass(frozen=True)
class VocAp:
    """AP of each class by both rules (Everingham et al., IJCV 2010 and 2015); NaN for a class without countable truth."""

    ap07: Mapping[str, float]
    ap10: Mapping[str, float]

    @property
    def mean07(self) -> float:
        return _mean(self.ap07)

    @property
    def mean10(self) -> float:
        return _mean(self.ap10)


def voc_average_precision(predictions: Mapping[str, Boxes], truths: Mapping[str, Boxes], classes: tuple[str, ...]) -> VocAp:
    """Judge `predictions` against `truths`, both by image_id.

    As in the devkit each detection claims the truth of its class that it overlaps most, if IoU ≥ .5, even when a higher-scored one
    has claimed it before: then it is false. Truth that is `difficult` (or crowd) is neither found nor missed.
    """
    image_ids = sorted(truths)
    empty = Boxes.empty(len(classes))
    judged = [judge(predictions.get(image_id, empty), truths[image_id]) for image_id in image_ids]
    scores = np.concatenate([np.zeros(0), *(scores for scores, _, _ in judged)])
    labels = np.concatenate([np.zeros(0, np.int64), *(labels for _, labels, _ in judged)])
    correct = np.concatenate([np.zeros(0, np.bool_), *(correct for _, _, correct in judged)])
    totals = np.zeros(len(classes), np.int64)
    for image_id in image_ids:
        truth = truths[image_id]
        totals += np.bincount(truth.labels[~truth.skipped], minlength=len(classes))
    ap07, ap10 = {}, {}
    for label, name in enumerate(classes):
        of_class = labels == label
        recall, precision = _curve(scores[of_class], correct[of_class], int(totals[label]))
        ap07[name] = eleven_point(recall, precision) if totals[label] else float("nan")
        ap10[name] = area(recall, precision) if totals[label] else float("nan")
    return VocAp(ap07, ap10)


def eleven_point(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    """VOC2007: the mean, over recalls 0, .1, ... 1, of the best precision at that recall or beyond."""
    return float(np.mean([precision[recall >= level].max(initial=0.0) for level in np.arange(11) / 10]))


def area(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    """VOC2010 on: the area under the precision made monotone from the right."""
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * best))


def judge(found: Boxes, truth: Boxes) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    """Scores, labels and correctness of the detections of one image that count, best score first."""
    scores = np.zeros(0) if found.scores is None else found.scores.astype(np.float64)
    order = np.argsort(-scores, kind="stable")
    found, scores = found[order], scores[order]
    claim = _claims(found, truth)
    first = np.zeros(len(found), np.bool_)
    _, earliest = np.unique(claim, return_index=True)
    first[earliest] = True
    ignored = (claim >= 0) & np.append(truth.skipped, False)[claim]
    return scores[~ignored], found.labels[~ignored], ((claim >= 0) & first)[~ignored]


def _claims(found: Boxes, truth: Boxes) -> NDArray[np.int64]:
    """The truth each detection claims, -1 for none; int64 [N]."""
    if not len(found) or not len(truth):
        return np.full(len(found), -1)
    overlap = np.where(found.labels[:, None] == truth.labels[None, :], iou(found.xyxy, truth.xyxy), -1)
    return np.where(overlap.max(axis=1) >= MIN_IOU, overlap.argmax(axis=1), -1)


def _curve(scores: NDArray[np.float64], correct: NDArray[np.bool_], total: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Recall and precision after each detection, best score first."""
    hits = np.cumsum(correct[np.argsort(-scores, kind="stable")])
    return hits / max(total, 1), hits / np.arange(1, len(hits) + 1)


def _mean(by_class: Mapping[str, float]) -> float:
    finite = [ap for ap in by_class.values() if not np.isnan(ap)]
    return float(np.mean(finite)) if finite else float("nan")
