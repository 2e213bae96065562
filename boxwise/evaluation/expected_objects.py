"""How many objects an image holds, estimated from what was detected on it: the one estimate behind gains, seconds and budgets.

Returns expected objects by class. Knows nothing of detectors, images or stores, nor which split it is fitted on: the caller gives it val.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from boxwise.boxes import Boxes, iou
from boxwise.evaluation.isotonic import RisingCurve
from boxwise.evaluation.matching import greedy_pairs

LEAST = 0.05  # score from which a detection speaks for an object
SAME = 0.5  # IoU from which two detections, of any classes, are of one object
PRIOR = 10.0  # detections that the belief is worth that a score is the chance of an object
UNSEEN = 0.5  # objects that an image is believed to hold beside those detected; worth one image of evidence

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ObjectCounts:
    """Expected objects of an image: the chances that its detections are of objects, and what detections miss of an image on average.

    chance: P(object) from the score of a detection. unseen: float64 [C], objects of each class that an image holds undetected.
    images, detections: of val, that this rests on. Two detections at one place are one object, of the surer one's score, whose class
    probabilities say what it may be. On val itself the sum over images is the number of objects there, but for the priors.
    """

    chance: RisingCurve
    unseen: Values
    images: int = 0
    detections: int = 0

    @classmethod
    def fit(cls, detections: Mapping[str, Boxes], truths: Mapping[str, Boxes], class_count: int) -> Self:
        """From detections and labels of val, by image_id; every box that is drawn counts, difficult ones and crowds too.

        A detection is of an object at IoU >= .5, of any classes, one to one, the largest IoU first. P(object) is an isotonic
        regression on the score, drawn towards the score itself by the worth of ten detections. What no detection finds is unseen, together
        with a prior of half an object on one image, spread over the classes: without any val that and the bare scores are the estimate.
        """
        images = [_judged(detections.get(image_id), truth[~truth.repeats_region]) for image_id, truth in truths.items()]
        scores = np.concatenate([np.zeros(0), *(image[0] for image in images)])
        correct = np.concatenate([np.zeros(0), *(image[1] for image in images)])
        missed = np.concatenate([np.zeros(0, np.int64), *(image[2] for image in images)])
        unseen = np.bincount(missed, minlength=class_count) + UNSEEN / class_count
        return cls(_chance(scores, correct), unseen / (len(images) + 1), len(images), len(scores))

    def by_class(self, boxes: Boxes) -> Values:
        """Expected objects of each class on an image with these detections; float64 [C]."""
        seen = distinct(boxes)
        chances = self.chance(_scores(seen).astype(np.float64))
        return self.unseen + chances @ _class_shares(seen, len(self.unseen))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"unseen": float(self.unseen.sum()), "images": self.images, "detections": self.detections}


def uncalibrated(class_count: int) -> ObjectCounts:
    """The estimate where there is no val: the scores themselves, and half an object unseen."""
    return ObjectCounts.fit({}, {}, class_count)


def distinct(boxes: Boxes) -> Boxes:
    """The detections of score >= .05, best first, less those that lie where a surer one does (IoU >= .5), of any class."""
    scores = _scores(boxes)
    order = np.argsort(-scores, kind="stable")
    boxes = boxes[order[scores[order] >= np.float32(LEAST)]]
    covers, free = np.triu(iou(boxes.xyxy, boxes.xyxy) >= SAME, 1), np.ones(len(boxes), bool)
    for row in np.flatnonzero(covers.any(axis=1)):
        if free[row]:
            free &= ~covers[row]
    return boxes[free]


def _judged(found: Boxes | None, truth: Boxes) -> tuple[Values, Values, NDArray[np.int64]]:
    """Of one image: the score of each detection, whether it is of an object (0 or 1), and the classes of the objects that none is of."""
    seen = Boxes.empty() if found is None else distinct(found)
    pairs = greedy_pairs(iou(seen.xyxy, truth.xyxy), SAME)
    correct, missed = np.zeros(len(seen)), np.ones(len(truth), bool)
    for row, column in pairs:
        correct[row], missed[column] = 1, False
    return _scores(seen).astype(np.float64), correct, truth.labels[missed]


def _chance(scores: Values, correct: Values) -> RisingCurve:
    if not len(scores):
        return RisingCurve(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    weights = np.repeat([1.0, PRIOR / len(scores)], len(scores))
    return RisingCurve.fit(np.tile(scores, 2), np.concatenate([correct, scores]), weights)


def _class_shares(boxes: Boxes, class_count: int) -> Values:
    """What each of N detections may be, rows of sum 1; float64 [N, C]: its label alone where there are no probabilities."""
    if boxes.probabilities is None:
        return np.eye(class_count)[boxes.labels]
    foreground = boxes.probabilities[:, :class_count].astype(np.float64)
    return foreground / np.maximum(foreground.sum(axis=1, keepdims=True), 1e-12)


def _scores(boxes: Boxes) -> NDArray[np.float32]:
    """Scores of detections; 1 where there are none, as of boxes that a person drew."""
    return np.ones(len(boxes), np.float32) if boxes.scores is None else boxes.scores
