"""The scorer of strategies that ask for no score: random, k-center.

Returns zeros and costs nothing. Knows nothing at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.detectors.base import Detector, View
from boxwise.records import ImageRecord, Sample, Scores
from boxwise.scorers.base import Terms


class NoScore:
    """Every image is worth 0; the pool pass still gives detections and embeddings."""

    def fit(
        self, labeled: Sequence[Sample], unlabeled: Sequence[ImageRecord], *, detector: Detector, rng: Generator, folder: Path | None = None
    ) -> dict[str, float]:
        return {}

    def measure(self, detector: Detector, view: View) -> Terms:
        return {}

    def score(self, image_ids: Sequence[str], terms: Mapping[str, NDArray[np.float64]]) -> Scores:
        return Scores(tuple(image_ids), np.zeros(len(image_ids)))
