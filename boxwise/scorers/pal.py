"""PAL's uncertainty: whether a detection is right, judged by its confidence and by how many raw boxes agree with it.

Returns the uncertainty of each class on each image, after one pass over what is labelled. Knows nothing of budgets or the pool's truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
from boxwise.strategies.pal import TERM

MIN_EACH = 10  # right, and wrong, detections of a class from which it has a fit of its own

Values = NDArray[np.float64]
Chance = Callable[[Values], Values]  # P(correct) of N detections from their features [N, 2]: pre-NMS support, confidence


class PalUncertainty:
    """Portable active learning (CVPR 2026): entropy of P(true positive | pre-NMS support, confidence), a logistic regression a class.

    Each is fitted on the detections of score >= .05 on the completely labelled images, true where they find an object of their class that
    a person labelled (IoU >= .5).
    Terms "pal:<class index>": the uncertainty (nats) of the image's least certain detection of that class, 0 where there is none.
    The score is the largest of them; strategies/pal.py spends the budget class by class. Cost: in the pool no forward pass but the pool
    pass's own, and for the supports half of a second postprocessing; at fit one forward pass for each labelled image.

    Beside the paper: classes with fewer than ten true or ten false detections take the fit of all classes together, and where that
    lacks one of the two kinds (a detector that finds nothing, or nothing wrong) P is the confidence itself. Features are standardised and
    their coefficients have a standard normal prior (scikit-learn's C = 1). On images it was trained on a detector is right more often
    than on new ones, so P is too high for the pool.
    """

    def __init__(self) -> None:
        self._chances: list[Chance] | None = None  # of each class; None before fit

    def fit(
        self, labeled: Sequence[Sample], unlabeled: Sequence[ImageRecord], *, detector: Detector, rng: Generator, folder: Path | None = None
    ) -> dict[str, float]:
        """Figures: "judged", detections fitted on, "correct", their share that is, and "fits", classes with a fit of their own."""
        matches = labeled_matches(detector, labeled, least=MEASURED, supports=True)
        self._chances, fits = class_chances(matches, len(detector.classes))
        correct = float(matches.correct.mean()) if len(matches.correct) else 0.0
        return {"judged": float(len(matches.labels)), "correct": correct, "fits": float(fits)}

    def measure(self, detector: Detector, view: View) -> Terms:
        images = zip(detector.detections(view), detector.supports(view), strict=True)
        uncertainties = np.array([self._of_image(*image) for image in images]).reshape(-1, len(detector.classes))
        return {f"{TERM}{label}": uncertainties[:, label].copy() for label in range(len(detector.classes))}

    def _of_image(self, boxes: Boxes, supports: NDArray[np.int64]) -> Values:
        """The largest uncertainty of each class; float64 [C]."""
        if self._chances is None or boxes.scores is None:
            raise ValueError("PAL needs a fit and detections with scores")
        given, counted = features(supports, boxes.scores), boxes.scores >= np.float32(MEASURED)
        classes = (counted & (boxes.labels == label) for label in range(len(self._chances)))
        of_class = (binary_entropy(chance(given[mine])) for chance, mine in zip(self._chances, classes, strict=True))
        return np.array([values.max(initial=0) for values in of_class])

    def score(self, image_ids: Sequence[str], terms: Mapping[str, NDArray[np.float64]]) -> Scores:
        columns = {name: values.copy() for name, values in terms.items()} if image_ids else {}  # an empty pool was never measured
        values = np.max(list(columns.values()), axis=0) if columns else np.zeros(len(image_ids))
        return Scores(tuple(image_ids), values, columns)


def features(supports: NDArray[np.int64], scores: NDArray[np.float32]) -> Values:
    """What P(correct) is read from; [N, 2]."""
    return np.column_stack([supports, scores]).astype(np.float64)


def confidence(given: Values) -> Values:
    """P(correct) where nothing could be fitted: the confidence; [N] from [N, 2]."""
    return given[:, 1]


def class_chances(matches: LabeledMatches, class_count: int) -> tuple[list[Chance], int]:
    """P(correct) for the detections of each class, and how many classes have a fit of their own."""
    pooled = _fitted(matches, np.ones(len(matches.labels), bool), least=1) or confidence
    own = [_fitted(matches, matches.labels == label, least=MIN_EACH) for label in range(class_count)]
    return [chance or pooled for chance in own], sum(chance is not None for chance in own)


def _fitted(matches: LabeledMatches, rows: NDArray[np.bool_], *, least: int) -> Chance | None:
    """The regression on the detections `rows`; None where fewer than `least` of them are right, or wrong."""
    given, correct = features(matches.supports, matches.scores)[rows], matches.correct[rows]
    if min(correct.sum(), (~correct).sum()) < least:
        return None
    return logistic(given, correct)


@dataclass(frozen=True)
class Logistic:
    """1 / (1 + exp(-((x - mean) · slope + intercept))) of features [N, 2]; [N]."""

    mean: Values
    slope: Values
    intercept: float

    def __call__(self, given: Values) -> Values:
        return 1 / (1 + np.exp(-np.clip((given - self.mean) @ self.slope + self.intercept, -500, 500)))


def logistic(given: Values, correct: NDArray[np.bool_]) -> Chance:
    """P(correct) by logistic regression on standardised features [N, 2]; both outcomes must be there."""
    from sklearn.linear_model import LogisticRegression  # a second or two of imports that only this scorer pays

    mean, spread = given.mean(axis=0), given.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    model = LogisticRegression(C=1.0).fit((given - mean) / spread, correct)
    return Logistic(mean, model.coef_[0] / spread, float(model.intercept_[0]))
