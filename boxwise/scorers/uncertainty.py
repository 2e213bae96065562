"""How unsure the detector is of the boxes it finds, from boxes to the image.

Returns one value an image, read off the pool pass's view. Knows nothing of embeddings, budgets or ground truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.boxes import Boxes
from boxwise.detectors.base import Detector, View
from boxwise.evaluation.entropy import entropy
from boxwise.evaluation.self_paced import self_paced_losses
from boxwise.records import ImageRecord, Scores
from boxwise.scorers.base import Terms

COUNTED = 0.05  # least score of a detection that is measured: below, most boxes are background seen many times over

Values = NDArray[np.float64]


def least_confidence(probabilities: Values) -> Values:
    """1 - the largest probability; [N] from [N, C + 1]."""
    return 1 - probabilities.max(axis=1)


def margin(probabilities: Values) -> Values:
    """1 - (largest - second largest probability), so that higher is less sure; [N] from [N, C + 1]."""
    top = np.partition(probabilities, -2, axis=1)[:, -2:]
    return 1 - (top[:, 1] - top[:, 0])


def gate(probabilities: Values) -> Values:
    """The self-paced loss summed over classes, which sends a box to a person (Wang et al., CVPR 2018); [N] from [N, C + 1]."""
    return self_paced_losses(probabilities).sum(axis=1)


MEASURES: dict[str, Callable[[Values], Values]] = {
    "least_confidence": least_confidence,
    "margin": margin,
    "entropy": entropy,
    "gate": gate,
}
AGGREGATES: dict[str, Callable[[Values], float]] = {"max": np.max, "mean": np.mean, "sum": np.sum}


class Uncertainty:
    """Least confidence, 1-vs-2 margin (Brust et al., VISAPP 2019), entropy or self-paced loss of the detections, as max, mean or sum.

    Each detection of score >= 0.05 is measured on its full distribution, background included. The term is "uncertainty".

    An image with no such detection has nothing to measure; 0 would send it to the end, also where many half-believed objects lie below the
    threshold. `score` places it by its expected loss, which reads every anchor: where that loss lies among those of the images with
    detections, the image gets the uncertainty that lies at the same quantile, interpolated, and below the least of them falling to 0 with
    the loss. So it is never above the most uncertain image with detections, and low only where the detector sees little anywhere. In a
    pool where nothing is detected at all the expected loss itself is the score.
    """

    def __init__(self, measure: str = "entropy", aggregate: str = "max") -> None:
        self._measure = MEASURES[measure]
        self._aggregate = AGGREGATES[aggregate]

    def fit(
        self, labeled: Sequence[ImageRecord], unlabeled: Sequence[ImageRecord], *, rng: Generator, folder: Path | None = None
    ) -> dict[str, float]:
        return {}

    def measure(self, detector: Detector, view: View) -> Terms:
        """Raw terms "uncertainty" (0 where nothing is detected), "detected", boxes measured, and "expected", the expected loss."""
        measured = [self._of_boxes(boxes) for boxes in detector.detections(view)]
        return {
            "uncertainty": np.array([self._aggregate(values) if len(values) else 0.0 for values in measured], np.float64),
            "detected": np.array([len(values) for values in measured], np.float64),
            "expected": detector.expected_losses(view).astype(np.float64),
        }

    def _of_boxes(self, boxes: Boxes) -> Values:
        if boxes.scores is None or boxes.probabilities is None:
            raise ValueError("uncertainty needs detections with scores and probabilities, found boxes without")
        return self._measure(boxes.probabilities[boxes.scores >= np.float32(COUNTED)].astype(np.float64))

    def score(self, image_ids: Sequence[str], terms: Mapping[str, NDArray[np.float64]]) -> Scores:
        values = placed(terms["uncertainty"], terms["expected"], terms["detected"] > 0) if image_ids else np.zeros(0)
        return Scores(tuple(image_ids), values, {"uncertainty": values.copy()})


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
