"""What a scorer measures and scores is held to what every scorer promises, before it is kept.

Wraps any scorer and returns its numbers, or one message that names the scorer. Knows nothing of what it goes by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.detectors.base import Detector, View
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord, Sample, Scores
from boxwise.scorers.base import Scorer, Terms


class CheckedScorer:
    """What `scorer` says: figures that are numbers, terms of one finite number an image, and a finite score for each image of the pool."""

    def __init__(self, scorer: Scorer, whose: str) -> None:
        """whose: the scorer, in messages."""
        self.scorer, self.whose = scorer, whose

    def fit(
        self, labeled: Sequence[Sample], unlabeled: Sequence[ImageRecord], *, detector: Detector, rng: Generator, folder: Path | None = None
    ) -> dict[str, float]:
        figures = self.scorer.fit(labeled, unlabeled, detector=detector, rng=rng, folder=folder)
        if figures is None:  # a fit without a return has nothing to say
            return {}
        if not isinstance(figures, Mapping):
            raise self._refused("fit", "a dict of figures", _type_in_words(figures))
        found: dict[str, Any] = {}
        for name, value in figures.items():
            try:
                found[name] = _figure(value)
            except (TypeError, ValueError, RuntimeError, OverflowError) as error:
                raise self._refused("fit", f"a number as the figure {name}", _type_in_words(value)) from error
        return found

    def measure(self, detector: Detector, view: View) -> Terms:
        images = len(view.batch.records)
        terms = self._terms("measure", self.scorer.measure(detector, view), images)
        for name, values in terms.items():
            if wrong := int((~np.isfinite(values)).sum()):
                raise self._refused("measure", f"finite values of {name}", f"{wrong} of {images} that are not")
        return terms

    def score(self, image_ids: Sequence[str], terms: Mapping[str, NDArray[np.float64]]) -> Scores:
        scores, images = self.scorer.score(image_ids, terms), len(image_ids)
        if not isinstance(scores, Scores):
            raise self._refused("score", "Scores", _type_in_words(scores))
        if tuple(scores.image_ids) != tuple(image_ids):
            raise self._refused("score", f"a score for each of the {images} images, in their order", "other images or another order")
        values = _numbers(scores.values, images)
        if values is None:
            raise self._refused("score", f"{images} values, one an image", _type_in_words(scores.values))
        if wrong := int((~np.isfinite(values)).sum()):
            raise self._refused("score", "finite scores", f"{wrong} of {images} that are not")
        return Scores(tuple(image_ids), values, self._terms("score", scores.terms, images))

    def _terms(self, asked: str, terms: Mapping[str, Any], images: int) -> Terms:
        if not isinstance(terms, Mapping):
            raise self._refused(asked, "a dict of terms", _type_in_words(terms))
        found = {name: _numbers(values, images) for name, values in terms.items()}
        for name, values in found.items():
            if values is None:
                raise self._refused(asked, f"{images} values of {name}, one an image", _type_in_words(terms[name]))
        return {name: values for name, values in found.items() if values is not None}

    def _refused(self, asked: str, expected: str, found: str) -> BoxwiseError:
        return BoxwiseError(
            f"{self.whose}: {asked}: expected {expected}, found {found}. What was done before is kept: mend the scorer "
            "(boxwise.testing.ScorerContract tests it) and run again."
        )


def _numbers(values: Any, count: int) -> NDArray[np.float64] | None:
    """float64 [count]; None where `values` are others, or no numbers."""
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: a tensor that has a gradient
        return None
    return found if found.shape == (count,) else None


def _figure(value: Any) -> Any:
    """One figure as JSON has it: a number, a flag, or None where it is unknown. An error for anything else."""
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, str | bytes):  # float would read them
        raise TypeError
    return float(value)


def _type_in_words(value: Any) -> str:
    """What somebody returned, in a few words."""
    shape = tuple(getattr(value, "shape", ()))
    return f"a {type(value).__name__}" + (f" of shape {shape}" if shape else "")
