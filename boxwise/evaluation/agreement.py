"""How far two people agree who labelled the same images, each without the other's answer.

Returns shares from 0 to 1. Knows boxes; nothing of people, stores or images' files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from boxwise.boxes import Boxes, iou
from boxwise.evaluation.matching import greedy_pairs

SAME_OBJECT = 0.5  # IoU from which two boxes are of one object


@dataclass(frozen=True)
class Agreement:
    """Over the boxes of both people, all or those of one class; what no box says is None.

    boxes: how many both drew together. matched: share of them that have a partner in the other's answer, of any class. iou: mean IoU with
    the partner. same_class: share of the matched boxes whose partner has their class. kappa: Cohen's kappa (Cohen 1960) of the classes of
    matched pairs, chance taken off; None for one class alone, and where chance agrees always.
    """

    images: int
    boxes: int
    matched: float | None
    iou: float | None
    same_class: float | None
    kappa: float | None = None


@dataclass(frozen=True)
class Compared:
    """Two answers for one image. labels: int64 [N], classes of all boxes, the first person's before the second's.

    partners: int64 [N], the class of each box's partner, -1 without one. overlaps: float32 [N], IoU with it, 0 without one.
    first: bool [N], whether the box is the first person's.
    """

    labels: NDArray[np.int64]
    partners: NDArray[np.int64]
    overlaps: NDArray[np.float32]
    first: NDArray[np.bool_]


def compare(a: Boxes, b: Boxes) -> Compared:
    """Match the boxes of two answers one to one, whatever their classes: largest IoU first, from `SAME_OBJECT` on."""
    overlap = iou(a.xyxy, b.xyxy)
    labels = np.concatenate([a.labels, b.labels]).astype(np.int64)
    partners, overlaps = np.full(len(labels), -1, np.int64), np.zeros(len(labels), np.float32)
    for row, column in greedy_pairs(overlap, SAME_OBJECT):
        partners[row], partners[len(a) + column] = b.labels[column], a.labels[row]
        overlaps[[row, len(a) + column]] = overlap[row, column]
    return Compared(labels, partners, overlaps, np.arange(len(labels)) < len(a))


def agreement(compared: Sequence[Compared], *, label: int | None = None) -> Agreement:
    """Over images that were compared; `label`: over the boxes of one class alone, and the images that have one."""
    if label is not None:
        compared = [_of_class(one, label) for one in compared if (one.labels == label).any()]
    every = _joined(compared)
    matched, same = every.partners >= 0, every.labels == every.partners
    pairs = matched & every.first
    beyond_chance = kappa(every.labels[pairs], every.partners[pairs]) if label is None else None
    means = _mean(matched), _mean(every.overlaps[matched]), _mean(same[matched])
    return Agreement(len(compared), len(every.labels), *means, beyond_chance)


def kappa(a: NDArray[np.int64], b: NDArray[np.int64]) -> float | None:
    """Cohen's kappa of two people's classes for the same objects, each int [N]; None without objects, or where both know one class only."""
    if not len(a):
        return None
    classes = np.union1d(a, b)
    chance = sum(float((a == one).mean() * (b == one).mean()) for one in classes)
    return None if chance >= 1 else (float((a == b).mean()) - chance) / (1 - chance)


def _joined(compared: Sequence[Compared]) -> Compared:
    nothing = compare(Boxes.empty(), Boxes.empty())
    parts = [nothing, *compared]
    return Compared(
        np.concatenate([one.labels for one in parts]),
        np.concatenate([one.partners for one in parts]),
        np.concatenate([one.overlaps for one in parts]),
        np.concatenate([one.first for one in parts]),
    )


def _of_class(one: Compared, label: int) -> Compared:
    rows = one.labels == label
    return Compared(one.labels[rows], one.partners[rows], one.overlaps[rows], one.first[rows])


def _mean(values: NDArray[np.bool_] | NDArray[np.float32]) -> float | None:
    return float(values.mean()) if len(values) else None
