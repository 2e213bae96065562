"""The score from which a detector's boxes are best kept: where precision and recall together, F1, are highest.

Returns a frozen `OperatingPoint` that travels as JSON. Knows nothing of detectors, images, or of the split it is given: val.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from boxwise.boxes import Boxes
from boxwise.evaluation.voc_average_precision import judge


@dataclass(frozen=True)
class OperatingPoint:
    """Of all boxes that score `threshold` or more, over all classes: the share that is right, the share of objects found, and F1."""

    threshold: float
    precision: float
    recall: float
    f1: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(**values)


def best_f1(predictions: Mapping[str, Boxes], truths: Mapping[str, Boxes]) -> OperatingPoint | None:
    """The threshold of best F1, both by image_id, judged at IoU .5 as VOC's AP is; the highest of several. None where no box is right.

    One threshold for all classes: val is too small for one a class (annotation/calibration.py finds those, drawn towards each other).
    """
    judged = [judge(predictions.get(image_id, Boxes.empty()), truth) for image_id, truth in truths.items()]
    scores = np.concatenate([np.zeros(0), *(scores for scores, _, _ in judged)])
    correct = np.concatenate([np.zeros(0, np.bool_), *(correct for _, _, correct in judged)])
    objects = sum(int((~truth.skipped).sum()) for truth in truths.values())
    if not correct.any():
        return None
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], np.cumsum(correct[order])
    kept = np.arange(1, len(scores) + 1)
    f1 = 2 * hits / (kept + objects)
    f1[np.append(scores[:-1] == scores[1:], False)] = -1  # boxes of equal score are kept together
    best = int(f1.argmax())
    return OperatingPoint(float(scores[best]), float(hits[best] / kept[best]), float(hits[best] / objects), float(f1[best]))
