"""The scorer of strategies that ask for no score: random, k-center.

Returns zeros and costs nothing. Knows nothing at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from boxwise.detectors.base import Detector, View
from boxwise.records import Scores
from boxwise.scorers.base import Scorer, Terms


class NoScore(Scorer):
    """Every image is worth 0; the pool pass still gives detections and embeddings."""

    def measure(self, detector: Detector, view: View) -> Terms:
        return {}

    def score(self, image_ids: Sequence[str], terms: Mapping[str, NDArray[np.float64]]) -> Scores:
        return Scores(tuple(image_ids), np.zeros(len(image_ids)))
