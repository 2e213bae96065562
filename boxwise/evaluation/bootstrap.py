"""How far the AP of a set of images would move if other images of the same kind had been drawn: a bootstrap over images.

Returns intervals. Knows nothing of detectors or of what the images serve.

The boxes of an image match its truth in the same way however often it is drawn, so matching is done once for all draws; what is left for a
draw is to rank its detections. The AP of each draw is to the last bit the one of `coco_metrics` for the images drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from boxwise.boxes import Boxes
from boxwise.evaluation.average_precision import ap_by_class, matched, mean_of_known

DRAWS = 100
Limits = tuple[float, float]
_RECALLS = np.linspace(0, 1, 101)
_IOUS = 10
_IMAGES_AT_ONCE = 256  # whose matches lie in memory as Python's lists
_AT_ONCE = 2**18  # numbers of an array, so that it stays small beside the matches


class _Matches(NamedTuple):
    """What the images hold of one class. right, wrong: bool [10 IoUs, N + 1], of which the last stands for no detection."""

    truths: NDArray[np.int64]  # [images], without crowd regions
    first: NDArray[np.int64]  # [images], where its detections begin
    many: NDArray[np.int64]  # [images], how many they are
    scores: NDArray[np.float64]  # [N + 1]
    right: NDArray[np.bool_]
    wrong: NDArray[np.bool_]


def ap_intervals(
    predictions: Mapping[str, Boxes], truths: Mapping[str, Boxes], classes: tuple[str, ...], *, draws: int = DRAWS, seed: int = 0
) -> dict[str, Limits]:
    """95% percentile intervals of "ap" and "ap50" (Efron, 1979): the images of `truths` drawn anew with replacement, `draws` times.

    Both mappings are by image_id. The same images and seed give the same interval. Of few images it is somewhat too narrow: it held the
    long-run AP50 for 24 of 30 sets of 40 images (tests/evaluation/test_bootstrap.py). Empty where an AP is not defined, as without truth,
    and for fewer than two images, which say nothing of others.
    """
    names, rng = sorted(truths), np.random.default_rng(seed)
    if len(names) < 2 or not classes:
        return {}
    rows = np.stack([rng.integers(len(names), size=len(names)) for _ in range(draws)])
    rows = rows[:, sorted(range(len(names)), key=str)]  # equal scores are ranked as `coco_metrics` ranks them where "10" is before "2"
    found = drawn_aps(predictions, truths, classes, rows)
    limits = np.nanquantile(found, [0.025, 0.975], axis=0) if not np.isnan(found).all() else np.full((2, 2), np.nan)
    return {name: (float(low), float(high)) for name, low, high in zip(("ap", "ap50"), *limits, strict=True) if not np.isnan(low)}


def drawn_aps(
    predictions: Mapping[str, Boxes], truths: Mapping[str, Boxes], classes: tuple[str, ...], rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """AP and AP50 of each draw, float64 [draws, 2]; a draw is a row of places in the sorted ids of `truths`, int64 [draws, images]."""
    matches = _matches(predictions, truths, classes)
    found: list[tuple[float, ...]] = []
    most = max((int(of_class.many[rows].sum(axis=1).max()) for of_class in matches), default=0)
    at_once = max(1, _AT_ONCE // (_IOUS * max(most, len(classes) * len(_RECALLS))))
    for begin in range(0, len(rows), at_once):
        part = rows[begin : begin + at_once]
        precision = np.stack([_precision(of_class, part) for of_class in matches], axis=-1)
        found += zip(*(map(mean_of_known, ap_by_class(ious)) for ious in (precision, precision[:, :1])), strict=True)
    return np.array(found)


def _matches(predictions: Mapping[str, Boxes], truths: Mapping[str, Boxes], classes: tuple[str, ...]) -> list[_Matches]:
    """The matches of each class."""
    names = sorted(truths)
    count, true = (np.zeros((len(classes), len(names)), np.int64) for _ in range(2))
    scores: list[list[float]] = [[] for _ in classes]
    flags: list[list[NDArray[np.bool_]]] = [[np.zeros((2, _IOUS, 0), np.bool_)] for _ in classes]
    for begin in range(0, len(names) if classes else 0, _IMAGES_AT_ONCE):
        here = names[begin : begin + _IMAGES_AT_ONCE]
        pairs = matched({name: predictions[name] for name in here if name in predictions}, {name: truths[name] for name in here}, classes)
        for pair in sorted(filter(None, pairs.eval_imgs), key=lambda pair: pair["image_id"]):
            number, image = pair["category_id"] - 1, begin + pair["image_id"] - 1
            count[number, image], true[number, image] = len(pair["dtScores"]), sum(pair["gtInDenominator"])
            scores[number] += pair["dtScores"]
            right, ignored = np.array(pair["dtMatched"], np.bool_), np.array(pair["dtIgnore"], np.bool_)
            flags[number].append(np.stack([right & ~ignored, ~right & ~ignored]))
    found = []
    for number in range(len(classes)):
        right, wrong = np.concatenate([*flags[number], np.zeros((2, _IOUS, 1), np.bool_)], axis=2)
        first = count[number].cumsum() - count[number]
        found.append(_Matches(true[number], first, count[number], np.array([*scores[number], -np.inf]), right, wrong))
    return found


def _precision(of: _Matches, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """COCO's precision at 101 recalls of each draw, float64 [draws, 10 IoUs, 101]; -1 in a draw without truth."""
    truths, some = of.truths[rows].sum(axis=1), of.right.any(axis=1)  # at an IoU at which nothing is right, every precision is 0
    at_precision = np.where(truths > 0, 0.0, -1.0)[:, None, None].repeat(_IOUS, axis=1).repeat(len(_RECALLS), axis=2)
    if not some.any():
        return at_precision
    ranked = _ranked(of, rows)
    right, wrong = (flags[some][:, ranked].swapaxes(0, 1) for flags in (of.right, of.wrong))  # [draws, those IoUs, rank]
    found = right.cumsum(axis=2)
    precision = found / (found + wrong.cumsum(axis=2) + np.spacing(1))
    envelope = np.maximum.accumulate(precision[..., ::-1], axis=2)[..., ::-1]
    best = np.zeros((*found.shape[:2], int(truths.max()) + 2))  # by how many objects are found; what is never found has 0
    best[..., 0] = envelope[..., 0]
    draw, iou, _ = places = right.nonzero()
    best[draw, iou, found[places]] = envelope[places]
    for count in set(truths.tolist()) - {0}:
        needed = np.searchsorted(np.arange(count + 1) / count, _RECALLS)
        at_precision[np.ix_(truths == count, some)] = best[truths == count][..., needed]
    return at_precision


def _ranked(of: _Matches, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The detections of each draw, best first, int64 [draws, as many as a draw has at most]; at the end of a row what stands for none."""
    counts = of.many[rows]
    totals, flat = counts.sum(axis=1), counts.reshape(-1)
    within = np.arange(flat.sum()) - np.repeat(flat.cumsum() - flat, flat)
    ranked = np.full((len(rows), max(1, int(totals.max()))), len(of.scores) - 1)
    ranked[np.arange(ranked.shape[1]) < totals[:, None]] = np.repeat(of.first[rows].reshape(-1), flat) + within
    order = np.argsort(-of.scores[ranked], axis=1, kind="stable")
    return np.take_along_axis(ranked, order, axis=1)
