"""How unsure the detector is of the boxes it finds, from boxes to the image.

Returns one value an image, read off the pool pass's view. Knows nothing of embeddings, budgets or ground truth.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from boxwise.boxes import Boxes
from boxwise.detectors.base import Detector, View
from boxwise.evaluation.entropy import box_entropy, distribution
from boxwise.evaluation.self_paced import self_paced_losses
from boxwise.scorers.per_box import PerBox, Values, references


def least_confidence(probabilities: Values, class_count: int) -> Values:
    """1 - the largest probability, background included; [N]."""
    return 1 - distribution(probabilities, class_count).max(axis=1)


def margin(probabilities: Values, class_count: int) -> Values:
    """1 - (largest - second largest probability), so that higher is less sure; [N]. Not squared, see `Uncertainty`."""
    top = np.partition(distribution(probabilities, class_count), -2, axis=1)[:, -2:]
    return 1 - (top[:, 1] - top[:, 0])


def gate(probabilities: Values, class_count: int) -> Values:
    """The self-paced loss summed over classes, which sends a box to a person (Wang et al., CVPR 2018); [N]."""
    return self_paced_losses(probabilities, class_count).sum(axis=1)


# From probabilities [N, C + 1] of a softmax family or [N, C] of a sigmoid family, and C, to [N].
MEASURES: dict[str, Callable[[Values, int], Values]] = {
    "least_confidence": least_confidence,
    "margin": margin,
    "entropy": box_entropy,
    "gate": gate,
}


class Uncertainty(PerBox):
    """Least confidence, 1-vs-2 margin (Brust et al., VISAPP 2019), entropy or self-paced loss of the detections, as max, mean or sum.

    Each detection of score >= 0.05 is measured on its full distribution, background included; the entropy of a sigmoid family's is summed
    over its classes. The term is "uncertainty". Costs nothing
    beyond the pool pass.

    Deviations. The 1-vs-2 margin of Brust et al. is (1 - (p1 - p2))^2; here it is not squared. Under max images have the same order,
    under sum and mean they do not: the square gives the least sure boxes more weight. Background counts as a class, so a box between
    one class and nothing is as unsure as one between two classes.
    """

    name = "uncertainty"

    def __init__(self, measure: str = "entropy", aggregate: str = "max") -> None:
        super().__init__(aggregate)
        self._measure = MEASURES[measure]

    def box_values(self, detector: Detector, view: View) -> list[Values]:
        return [self._of_boxes(boxes, len(detector.classes)) for boxes in references(detector, view)]

    def _of_boxes(self, boxes: Boxes, class_count: int) -> Values:
        if boxes.probabilities is None:
            raise ValueError("uncertainty needs detections with scores and probabilities, found boxes without")
        return self._measure(boxes.probabilities.astype(np.float64), class_count)
