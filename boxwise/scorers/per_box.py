"""Scorers that measure each detected box: from boxes to the image, and a place for images where nothing is detected.

Returns one value an image. Knows nothing of what is measured: that is each scorer's own.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from boxwise.boxes import Boxes
from boxwise.detectors.base import Detector, View
from boxwise.records import Scores
from boxwise.scorers.base import Scorer, Terms

MEASURED = 0.05  # least score of a detection that is measured: below, most boxes are background seen many times over

Values = NDArray[np.float64]
AGGREGATES: dict[str, Callable[[Values], float]] = {"max": np.max, "mean": np.mean, "sum": np.sum}


class PerBox(Scorer):
    """The max, mean or sum of a value >= 0 of each box; the term is called `name`.

    An image without any box to measure has nothing to go by; 0 would send it to the end, also where many half-believed objects lie below
    the threshold. `score` places it by its expected loss, which reads every anchor: where that loss lies among those of the images with
    boxes, the image gets the value that lies at the same quantile, interpolated, and below the least of them falling to 0 with the loss.
    So it is never above the highest image with boxes, and low only where the detector sees little anywhere. In a pool where nothing is
    detected at all the expected loss itself is the score.
    """

    name: str

    def __init__(self, aggregate: str = "max") -> None:
        self._aggregate = AGGREGATES[aggregate]

    def measure(self, detector: Detector, view: View) -> Terms:
        """Raw terms `name` (0 where nothing is measured), "measured", how many boxes were, and "expected", the expected loss."""
        images = self.box_values(detector, view)
        return {
            self.name: np.array([self._aggregate(values) if len(values) else 0.0 for values in images], np.float64),
            "measured": np.array([len(values) for values in images], np.float64),
            "expected": detector.expected_losses(view).astype(np.float64),
        }

    def score(self, image_ids: Sequence[str], terms: Mapping[str, NDArray[np.float64]]) -> Scores:
        values = placed(terms[self.name], terms["expected"], terms["measured"] > 0) if image_ids else np.zeros(0)
        return Scores(tuple(image_ids), values, {self.name: values.copy()})

    @abstractmethod
    def box_values(self, detector: Detector, view: View) -> list[Values]:
        """One finite value >= 0 a measured box, of each image of the view."""


def placed(values: Values, evidence: Values, known: NDArray[np.bool_]) -> Values:
    """`values` where `known`, elsewhere the value at the quantile where `evidence` lies among that of the known; float64 [N].

    values, evidence: float64 [N], 0 or larger. Without any known value: `evidence`.
    """
    if not known.any():
        return evidence.copy()
    filled = values.copy()
    steps = np.concatenate([[0.0], np.sort(evidence[known])])
    filled[~known] = np.interp(evidence[~known], steps, np.concatenate([[0.0], np.sort(values[known])]))
    return filled


def references(detector: Detector, view: View) -> list[Boxes]:
    """The detections that are measured, or looked at a second time: those of score >= 0.05."""
    return [boxes.at_least(MEASURED) for boxes in detector.detections(view)]
