"""How right the model's own labels were: counts by round and class, where ground truth is known.

Only simulation can judge self-labels; a real study has none of this. Knows nothing of how it is shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from boxwise.results.facts import Cell, Facts

# Where self-labelled boxes can be, and how the page calls it.
PLACES = {"annotated": "in annotations", "pool": "for the training alone"}


@dataclass(frozen=True)
class SelfLabelQuality:
    """Self-labelled boxes, how many of them were right, and the objects there were in the same images."""

    self_labeled: int
    correct: int
    objects: int

    @property
    def precision(self) -> float:
        """Right among the self-labelled; NaN where nothing was self-labelled."""
        return self.correct / self.self_labeled if self.self_labeled else math.nan

    @property
    def recall(self) -> float:
        """Found among the objects; NaN where there was none."""
        return self.correct / self.objects if self.objects else math.nan


def quality_of(cell: Cell, round_index: int, places: Iterable[str] = PLACES) -> SelfLabelQuality | None:
    """All classes and `places` together; None where nothing is known of the round."""
    found = [row for place in places for row in by_class(cell, round_index, place).values()]
    return _sum(found) if found else None


def last_quality(cell: Cell) -> SelfLabelQuality | None:
    """The quality in the last round that self-labelled anything."""
    qualities = (quality_of(cell, one_round.round) for one_round in reversed(cell.rounds))
    return next((quality for quality in qualities if quality and quality.self_labeled), None)


def by_class(cell: Cell, round_index: int, place: str) -> Mapping[str, SelfLabelQuality]:
    """Class name → quality of the self-labels in one of PLACES; empty where nothing is known."""
    found: Mapping[str, Facts] = (cell.self_labels.get(str(round_index)) or {}).get(place) or {}
    return {
        name: SelfLabelQuality(*(int(row.get(key) or 0) for key in ("self_labeled", "correct", "objects"))) for name, row in found.items()
    }


def _sum(rows: Iterable[SelfLabelQuality]) -> SelfLabelQuality:
    columns = zip(*((row.self_labeled, row.correct, row.objects) for row in rows), strict=True)
    return SelfLabelQuality(*map(sum, columns))
