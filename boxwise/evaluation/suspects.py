"""Labels that a model contradicts, and images it gets most wrong: what is worth a second look.

Returns them worst first. Knows nothing of where detections come from; they must not be of the training that saw these labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from boxwise.boxes import Boxes, FloatArray, iou
from boxwise.evaluation.confusion import confusion_matrix, inside

CONFIDENT, FAINT, OVERLAP = 0.7, 0.1, 0.5
LEAST_RECALL = 0.5


class Doubt(StrEnum):
    """How model and label disagree."""

    MISSING = "missing"  # the model is sure of an object that has no label
    UNSEEN = "unseen"  # a label where the model sees nothing at all
    CLASS = "class"  # both see an object, of different classes


@dataclass(frozen=True)
class Suspect:
    """One disagreement. strength in [0, 1]: how much it weighs; label, found: class indices, None where there is none."""

    image_id: str
    doubt: Doubt
    xyxy: tuple[float, float, float, float]
    label: int | None
    found: int | None
    strength: float


@dataclass(frozen=True)
class Faults:
    """What a model gets wrong in one image at score .5 and IoU .5."""

    image_id: str
    missed: int
    imagined: int
    confused: int

    @property
    def total(self) -> int:
        return self.missed + self.imagined + self.confused


def suspects(found: Mapping[str, Boxes], labels: Mapping[str, Boxes], *, rejected: Mapping[str, FloatArray] | None = None) -> list[Suspect]:
    """Every disagreement on the images that both know, the weightiest first.

    MISSING: a detection of `CONFIDENT` or more that no label overlaps; weighs its score. CLASS: such a detection on labels of other
    classes only; weighs its score. UNSEEN: a label that no detection of `FAINT` or more overlaps; weighs the share of its class's labels
    that are seen, and is no doubt below `LEAST_RECALL`: what the model seldom finds tells little. Overlap is an IoU of `OVERLAP`.
    Crowd regions answer for what lies in them and are never missed; difficult labels neither. rejected: boxes by image_id of which a
    person has said already that they are no object.
    """
    both = sorted(found.keys() & labels.keys())
    seen = {image_id: _seen(found[image_id], labels[image_id]) for image_id in both}
    recall = _recall(seen, labels)
    doubts = [doubt for i in both for doubt in _missing_or_class(i, found[i], labels[i], (rejected or {}).get(i))]
    doubts += [doubt for i in both for doubt in _unseen(i, labels[i], seen[i], recall)]
    return sorted(doubts, key=lambda doubt: (-doubt.strength, doubt.image_id))


def worst(found: Mapping[str, Boxes], truths: Mapping[str, Boxes], class_count: int) -> list[Faults]:
    """The images in which a model gets anything wrong, most faults first; matching and crowd regions as in `confusion_matrix`."""
    faults = [_faults(image_id, found[image_id], truths[image_id], class_count) for image_id in sorted(found.keys() & truths.keys())]
    return sorted((fault for fault in faults if fault.total), key=lambda fault: -fault.total)


def _faults(image_id: str, found: Boxes, truth: Boxes, class_count: int) -> Faults:
    counts = confusion_matrix({image_id: found}, {image_id: truth}, class_count, min_score=0.5)
    missed, imagined = int(counts[:-1, -1].sum()), int(counts[-1, :-1].sum())
    return Faults(image_id, missed, imagined, int(counts.sum() - np.trace(counts)) - missed - imagined)


def _seen(found: Boxes, labels: Boxes) -> NDArray[np.bool_]:
    """Which labels any detection of `FAINT` or more overlaps; bool [N]."""
    overlaps: NDArray[np.bool_] = iou(labels.xyxy, found.at_least(FAINT).xyxy) >= OVERLAP
    return np.asarray(overlaps.any(axis=1))


def _judged(labels: Boxes) -> NDArray[np.bool_]:
    """The labels that a model ought to find."""
    judged = np.ones(len(labels), bool)
    for column in (labels.crowd, labels.difficult):
        if column is not None:
            judged &= ~column
    return judged


def _recall(seen: Mapping[str, NDArray[np.bool_]], labels: Mapping[str, Boxes]) -> dict[int, float]:
    """Class → share of its labels that are seen."""
    all_labels = np.concatenate([labels[i].labels[_judged(labels[i])] for i in seen] or [np.zeros(0, np.int64)])
    all_seen = np.concatenate([seen[i][_judged(labels[i])] for i in seen] or [np.zeros(0, bool)])
    return {int(label): float(all_seen[all_labels == label].mean()) for label in np.unique(all_labels)}


def _missing_or_class(image_id: str, found: Boxes, labels: Boxes, rejected: FloatArray | None) -> Iterator[Suspect]:
    sure = found.at_least(CONFIDENT)
    over = iou(sure.xyxy, labels.xyxy) >= OVERLAP
    excused = _excused(sure, labels, rejected)
    for row in np.flatnonzero(~excused):
        under = labels.labels[over[row]]
        found_label = int(sure.labels[row])
        if found_label not in under:
            score = float(sure.scores[row]) if sure.scores is not None else 1.0
            doubt, label = (Doubt.CLASS, int(under[0])) if len(under) else (Doubt.MISSING, None)
            yield Suspect(image_id, doubt, _corners(sure.xyxy[row]), label, found_label, score)


def _excused(sure: Boxes, labels: Boxes, rejected: FloatArray | None) -> NDArray[np.bool_]:
    """Detections in a crowd region, or where a person has said that there is no object; bool [N]."""
    excused = np.zeros(len(sure), bool)
    if labels.crowd is not None:
        excused |= inside(sure.xyxy, labels.xyxy[labels.crowd], OVERLAP)
    if rejected is not None:
        excused |= (iou(sure.xyxy, rejected) >= OVERLAP).any(axis=1)
    return excused


def _unseen(image_id: str, labels: Boxes, seen: NDArray[np.bool_], recall: Mapping[int, float]) -> Iterator[Suspect]:
    for row in np.flatnonzero(_judged(labels) & ~seen):
        label = int(labels.labels[row])
        if recall[label] >= LEAST_RECALL:
            yield Suspect(image_id, Doubt.UNSEEN, _corners(labels.xyxy[row]), label, None, recall[label])


def _corners(xyxy: FloatArray) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (float(edge) for edge in xyxy)
    return x1, y1, x2, y2
