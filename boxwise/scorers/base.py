"""What every scorer promises: fit on what may be looked at, measure batch by batch, then score the whole pool.

`measure` streams, so that memory does not grow with the pool; `score` sees only the numbers it left behind.
Knows nothing of stores, budgets or ground truth of the pool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.detectors.base import Detector, View
from boxwise.records import ImageRecord, Sample, Scores

Terms = dict[str, NDArray[np.float64]]


class Scorer(Protocol):
    """Ranks unlabelled images. Higher is worth more to label, always.

    Promises, checked by tests/contracts/test_scorer.py for every recipe: values are finite for images with no detections,
    one detection and many; inputs unchanged; same seed same answer; an empty pool gives empty Scores; once fitted it can be pickled, for
    processes that inspect other parts of the pool, and measures and scores there as here.
    """

    def fit(
        self, labeled: Sequence[Sample], unlabeled: Sequence[ImageRecord], *, detector: Detector, rng: Generator, folder: Path | None = None
    ) -> dict[str, float]:
        """Learn what the scorer needs from labelled samples and unlabelled images; returns figures worth a line in the report.

        A figure may be None: unknown. `detector` is the one that will measure; it is looked at and left as it is. `folder` receives
        artefacts (weights, curves, sheets). A scorer with nothing to train inherits this: {}.
        """
        return {}

    def measure(self, detector: Detector, view: View) -> Terms:
        """Raw terms of one batch: name → float64 [B], finite."""
        ...

    def score(self, image_ids: Sequence[str], terms: Mapping[str, NDArray[np.float64]]) -> Scores:
        """The pool's scores from the raw terms of all its images (each float64 [N])."""
        ...
