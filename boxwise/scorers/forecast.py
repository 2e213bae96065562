"""The forecast: how large the detection loss of an image will turn out, from all that the pool pass says of it.

Returns a value in [0, 1] an image; its weights are learned from the rounds already labelled. Knows nothing of costs, classes or batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.detectors.base import Detector, View
from boxwise.evaluation.normalize import ranked
from boxwise.records import ImageRecord, Sample, Scores
from boxwise.scorers.base import Scorer, Terms

TERM = "forecast:"  # + name of a part: its rank in the pool


class Forecast:
    """Weighted mean of the ranks in the pool of several surrogates of the true loss; weights are those that predicted it best so far.

    What was labelled has a true loss under the detector that chose it (rounds/audit.py), so after each round the weights are fitted again
    to all losses seen (evaluation/fidelity.py:fit_weights). A part without a weight counts as much as the mean of the others. Terms: the
    raw terms of the parts, and "forecast:<part>", the rank of each in [0, 1]. Costs what its parts cost.
    """

    def __init__(self, parts: Mapping[str, Scorer], weights: Mapping[str, float]) -> None:
        self._parts = dict(parts)
        learned = {name: weights[name] for name in parts if name in weights}
        if sum(learned.values()) <= 0:
            learned = dict.fromkeys(parts, 1.0)
        usual = sum(learned.values()) / len(learned)
        self._weights = {name: learned.get(name, usual) for name in parts}

    def fit(
        self, labeled: Sequence[Sample], unlabeled: Sequence[ImageRecord], *, detector: Detector, rng: Generator, folder: Path | None = None
    ) -> dict[str, float]:
        figures = {f"weight_{name}": weight for name, weight in self._weights.items()}
        for part in self._parts.values():
            figures |= part.fit(labeled, unlabeled, detector=detector, rng=rng, folder=folder)
        return figures

    def measure(self, detector: Detector, view: View) -> Terms:
        terms: Terms = {}
        for part in self._parts.values():
            terms |= part.measure(detector, view)
        return terms

    def score(self, image_ids: Sequence[str], terms: Mapping[str, NDArray[np.float64]]) -> Scores:
        columns = {name: values.copy() for name, values in terms.items()}
        total = np.zeros(len(image_ids))
        for name, part in self._parts.items():
            ranks = ranked(part.score(image_ids, terms).values)
            total += self._weights[name] * ranks
            columns[TERM + name] = ranks
        return Scores(tuple(image_ids), total / sum(self._weights.values()), columns)
