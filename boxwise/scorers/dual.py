"""The dual score: how unfamiliar an image is (L_rec) and how wrong the detector probably is on it (L_det).

Returns weighted normalised terms and keeps every part visible.
Knows nothing of how the two losses are made, nor where alpha and beta come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.detectors.base import Detector, View
from boxwise.evaluation.normalize import NORMALIZERS
from boxwise.records import ImageRecord, Sample, Scores
from boxwise.scorers.base import Scorer, Terms


class Dual:
    """score(i) = alpha · norm(L_rec(i)) + beta · norm(L_det(i)), norm = standardised (z) or ranked over the pool pass.

    Terms: the raw terms of both parts, and the normalised "L_rec" and "L_det". A part that is None is neither fitted nor
    measured and counts as 0, which is how alpha=0 and beta=0 arms save their cost.
    """

    def __init__(
        self, reconstruction: Scorer | None, detection: Scorer | None, *, alpha: float = 0.5, beta: float = 0.5, normalize: str = "z"
    ) -> None:
        parts = {"L_rec": (reconstruction, alpha), "L_det": (detection, beta)}
        self._parts = {name: (part, weight) for name, (part, weight) in parts.items() if part is not None}
        self._weights = {"alpha": alpha, "beta": beta}
        self._normalize = NORMALIZERS[normalize]

    def fit(
        self, labeled: Sequence[Sample], unlabeled: Sequence[ImageRecord], *, detector: Detector, rng: Generator, folder: Path | None = None
    ) -> dict[str, float]:
        figures = dict(self._weights)
        for part, _ in self._parts.values():
            figures |= part.fit(labeled, unlabeled, detector=detector, rng=rng, folder=folder)
        return figures

    def measure(self, detector: Detector, view: View) -> Terms:
        terms: Terms = {}
        for part, _ in self._parts.values():
            terms |= part.measure(detector, view)
        return terms

    def score(self, image_ids: Sequence[str], terms: Mapping[str, NDArray[np.float64]]) -> Scores:
        columns = {name: values.copy() for name, values in terms.items()}
        total = np.zeros(len(image_ids))
        for name, (part, weight) in self._parts.items():
            columns[name] = self._normalize(part.score(image_ids, terms).values)
            total += weight * columns[name]
        return Scores(tuple(image_ids), total, columns)
