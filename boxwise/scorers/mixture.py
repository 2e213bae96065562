"""How unsure mixture heads are of the boxes they find: of the class and of the place, by scatter and by disagreement.

Returns one value an image, read off the pool pass's view. Knows nothing of embeddings, budgets or ground truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from boxwise.detectors.base import Detector, View
from boxwise.records import Scores
from boxwise.scorers.base import Scorer, Terms
from boxwise.scorers.per_box import MEASURED, placed

COLUMNS = ("class_aleatoric", "class_epistemic", "box_aleatoric", "box_epistemic")

Values = NDArray[np.float64]


class Mixture(Scorer):
    """AL-MDN (Choi et al., ICCV 2021): the largest of four uncertainties, each the largest of the image's detections, as z-scores.

    Aleatoric Σ π σ² and epistemic Σ π (μ - Σ π μ)², of the class and of the box; detections of score >= 0.05 count. A detector without
    mixture heads raises ConfigError.

    Deviations. Detections count from 0.05, not from 0.5 as in the paper's code: a detector of the first rounds is sure of little. The
    z-scores are those of the images' maxima, not of all boxes, so that each of the four has the same spread where it is compared. An
    image without detections comes last in the paper's code; here it is placed by its expected loss as in `PerBox`, between an
    image of no uncertainty at all and the most uncertain one. In a pool where nothing is detected the expected loss is the score.
    Cost: the pool pass's one forward pass of a network with wider heads, no further training.

    An arm is only comparable with arms on the same detector, and other heads are another detector. So a grid over plain detectors has
    `--arms al_mdn+detector.name=tiny_ssd_mixture,random+detector.name=tiny_ssd_mixture --baseline random+detector.name=tiny_ssd_mixture`.
    """

    def measure(self, detector: Detector, view: View) -> Terms:
        """Raw terms: the four maxima (0 where nothing is detected), "detected", boxes measured, and "expected", the expected loss."""
        scores = [boxes.scores for boxes in detector.detections(view)]
        images = zip(detector.mixture_uncertainties(view), scores, strict=True)
        measured = [values[each >= np.float32(MEASURED)] for values, each in images if each is not None]  # detections have scores
        largest = np.array([values.max(axis=0, initial=0.0) for values in measured], np.float64).reshape(-1, len(COLUMNS))
        return {
            **{name: largest[:, column] for column, name in enumerate(COLUMNS)},
            "detected": np.array([len(values) for values in measured], np.float64),
            "expected": detector.expected_losses(view).astype(np.float64),
        }

    def score(self, image_ids: Sequence[str], terms: Mapping[str, NDArray[np.float64]]) -> Scores:
        if not image_ids:  # an empty pool was never measured
            return Scores((), np.zeros(0), {name: np.zeros(0) for name in COLUMNS})
        columns = {name: terms[name].copy() for name in COLUMNS}
        values = _scores(np.stack(list(columns.values()), axis=1), terms["expected"], terms["detected"] > 0)
        return Scores(tuple(image_ids), values, columns)


def _scores(largest: Values, expected: Values, known: NDArray[np.bool_]) -> Values:
    """The largest z-score of each row of `largest` [N, 4] over the `known` rows, the others placed by `expected`; [N]."""
    if not known.any():
        return expected.copy()
    mean, spread = largest[known].mean(axis=0), largest[known].std(axis=0)
    differs = spread > 1e-9 * mean  # a column that is the same everywhere would hold all z-scores up at 0
    if not differs.any():
        return np.zeros(len(largest))
    z = ((largest - mean)[:, differs] / spread[differs]).max(axis=1)
    least = (-mean[differs] / spread[differs]).max()  # of an image without any uncertainty
    return placed(z - least, expected, known) + least
