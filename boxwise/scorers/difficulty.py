"""PPAL's first stage: how unsure the detector is of the boxes it finds, more so of classes that it learns badly.

Returns one value an image, read off the pool pass's view, after one pass over what is labelled. Knows nothing of budgets or the pool's
truth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.boxes import Boxes
from boxwise.detectors.base import Detector, View
from boxwise.evaluation.entropy import binary_entropy
from boxwise.records import ImageRecord, Sample, Scores
from boxwise.scorers.base import Terms
from boxwise.scorers.labeled_matches import LabeledMatches, labeled_matches
from boxwise.scorers.per_box import MEASURED

TERM = "difficulty"
PROBABILITY_SHARE = 0.6  # xi of the paper: the probability's exponent in the quality, beside the overlap's 1 - xi
ALPHA, ALPHA_BETA = 0.3, 0.06  # alpha, and alpha times beta of 0.2

Values = NDArray[np.float64]


class Difficulty:
    """Difficulty calibrated uncertainty (Yang et al., CVPR 2024): U = sum over detections of score s >= .05 of w_c · H(s).

    H: entropy of s against 1 - s, in nats. w_c = 1 + .06 · ln((e^(1/.3) - 1)(1 - q_c) + 1), so 1 for a class of quality 1 and 1.2 for
    one of quality 0. q_c: mean of p^.6 · IoU^.4 over the objects of class c, 0 for a class without any. The sum favours crowded images, and
    an image without detections has 0, as in the paper. The term is "difficulty". Cost: in the pool no forward pass but the pool pass's
    own; at fit one for each labelled image.

    Beside the paper: it averages the quality of positive anchors during training, with decay .99. Here it is measured after training on
    the completely labelled images, each object that a person labelled by the detection of score >= .05 that finds it (IoU >= .5), 0 for
    one that none finds. So no training needs a hook and every detector can be measured, but a detector that knows its labels by heart
    has a quality near 1 in every class, and weights near 1.
    """

    def __init__(self) -> None:
        self.weights: Values | None = None  # w_c, [C]; None before fit

    def fit(
        self, labeled: Sequence[Sample], unlabeled: Sequence[ImageRecord], *, detector: Detector, rng: Generator, folder: Path | None = None
    ) -> dict[str, float]:
        """Figures "quality_mean" and "quality_min" over the classes."""
        matches = labeled_matches(detector, labeled, least=MEASURED)
        quality = class_qualities(matches, len(detector.classes))
        self.weights = difficulty_weights(quality)
        return {"quality_mean": float(quality.mean()), "quality_min": float(quality.min())}

    def measure(self, detector: Detector, view: View) -> Terms:
        return {TERM: np.array([self._of_image(boxes) for boxes in detector.detections(view)], np.float64)}

    def _of_image(self, boxes: Boxes) -> float:
        if self.weights is None or boxes.scores is None:
            raise ValueError("difficulty needs a fit and detections with scores")
        counted = boxes.at_least(MEASURED)
        assert counted.scores is not None
        return float((self.weights[counted.labels] * binary_entropy(counted.scores.astype(np.float64))).sum())

    def score(self, image_ids: Sequence[str], terms: Mapping[str, NDArray[np.float64]]) -> Scores:
        values = terms[TERM] if image_ids else np.zeros(0)  # an empty pool was never measured
        return Scores(tuple(image_ids), values.copy(), {TERM: values.copy()})


def class_qualities(matches: LabeledMatches, class_count: int) -> Values:
    """q_c in [0, 1], [C]: the mean over a class's objects of p^.6 · IoU^.4; 0 for a class without objects."""
    quality = matches.probabilities.astype(np.float64) ** PROBABILITY_SHARE * matches.overlaps ** (1 - PROBABILITY_SHARE)
    total = np.bincount(matches.object_labels, weights=quality, minlength=class_count)
    return total / np.maximum(np.bincount(matches.object_labels, minlength=class_count), 1)


def difficulty_weights(quality: Values) -> Values:
    """w_c of classes of quality q_c, [C]."""
    return 1 + ALPHA_BETA * np.log1p(math.expm1(1 / ALPHA) * (1 - quality))
