"""What every strategy promises: candidates and a budget in, a query out.

Pure arrays. Knows nothing of detectors, images, stores or ground truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.records import DetectedBoxes, Query, QueryItem, Scores


@dataclass(frozen=True)
class Candidates:
    """The pool as a strategy sees it: N images, one row each.

    embeddings: float32 [N, D]; labeled_embeddings: float32 [M, D] of what is labelled already.
    class_counts: float64 [N, C], objects of each class that are expected on each image, an object seen as two classes counting once, and
    box_counts: float64 [N], their sum. seconds: float64 [N], what drawing as many takes a person. labeled_class_counts: float64 [C],
    those labelled so far. boxes: of strategies with `uses_boxes`, what was detected. fidelity: Spearman's ρ between scores and true losses
    of the images labelled last, in [-1, 1]. Where they are unknown these are empty or None.
    answers, answer_seconds: float64 [N], the boxes that a person is expected to answer for, certain ones not, and what that takes. They are
    what a budget is charged (`Budget.costs`); what an image is worth goes by all of its objects, as `seconds` does. Empty where each
    expected object is drawn, and where nothing reads them.
    """

    round: int
    image_ids: tuple[str, ...]
    scores: Scores
    embeddings: NDArray[np.float32]
    labeled_embeddings: NDArray[np.float32]
    box_counts: NDArray[np.float64]
    seconds: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    class_counts: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    labeled_class_counts: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    boxes: DetectedBoxes | None = None
    fidelity: float | None = None
    answers: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    answer_seconds: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def expected_objects(self) -> NDArray[np.float64]:
        """`class_counts` as [N, C]; C = 0 where they are unknown."""
        is_counted = len(self.class_counts) == len(self)
        return self.class_counts if is_counted else np.zeros((len(self), 0))

    @property
    def labeled_objects(self) -> NDArray[np.float64]:
        """`labeled_class_counts` as [C] of `expected_objects`, 0 where they are unknown; a copy."""
        classes, counts = self.expected_objects.shape[1], self.labeled_class_counts
        return counts.astype(np.float64) if len(counts) == classes else np.zeros(classes)

    def images(self, rows: NDArray[np.intp]) -> Candidates:
        """The candidates `rows`, in that order, with all that is known of them."""
        image_ids = tuple(self.image_ids[row] for row in rows)
        terms = {name: term[rows] for name, term in self.scores.terms.items()}
        return replace(
            self,
            image_ids=image_ids,
            scores=Scores(image_ids, self.scores.values[rows], terms),
            embeddings=self.embeddings[rows],
            box_counts=self.box_counts[rows],
            seconds=self.seconds[rows] if len(self.seconds) else self.seconds,
            answers=self.answers[rows] if len(self.answers) else self.answers,
            answer_seconds=self.answer_seconds[rows] if len(self.answer_seconds) else self.answer_seconds,
            class_counts=self.class_counts[rows] if len(self.class_counts) else self.class_counts,
            boxes=None if self.boxes is None else self.boxes.images(rows),
        )

    def query(self, picks: Sequence[int], utility: NDArray[np.floating], *, probabilities: NDArray[np.float64] | None = None) -> Query:
        """The query of the rows `picks` in that order, each with its utility, its score terms and, of a random draw, its probability."""
        terms: Mapping[str, NDArray[np.float64]] = self.scores.terms
        chances: Sequence[float | None] = [None] * len(picks) if probabilities is None else probabilities.tolist()
        items = (
            QueryItem(
                self.image_ids[pick], float(value), {name: float(term[pick]) for name, term in terms.items()}, probability=probability
            )
            for pick, value, probability in zip(picks, utility, chances, strict=True)
        )
        return Query(self.round, tuple(items))


@dataclass(frozen=True)
class Budget:
    """What one query may cost: `amount` images, expected boxes, or expected seconds of a person's time."""

    amount: int
    unit: str = "images"

    def costs(self, candidates: Candidates) -> NDArray[np.float64]:
        """What each candidate is charged; float64 [N], at least 1 so that a query always ends."""
        asked = candidates.answers if self.unit == "boxes" else candidates.answer_seconds
        return self.drawing(candidates) if self.unit == "images" or not len(asked) else np.maximum(asked, 1.0)

    def drawing(self, candidates: Candidates) -> NDArray[np.float64]:
        """What each would be charged if all its expected objects were drawn, float64 [N], at least 1: what its worth is divided by."""
        if self.unit == "images":
            return np.ones(len(candidates))
        return np.maximum(candidates.box_counts if self.unit == "boxes" else candidates.seconds, 1.0)

    def first(self, order: NDArray[np.intp], candidates: Candidates) -> NDArray[np.intp]:
        """The longest prefix of `order` that the budget pays for; otherwise the image that crosses the line is included."""
        spent_before = np.concatenate([[0.0], np.cumsum(self.costs(candidates)[order])])[:-1]
        return order[spent_before < self.amount]


class Strategy(Protocol):
    """Chooses a batch. Stateless: the same candidates, budget and rng give the same query.

    uses_embeddings: whether it looks at `labeled_embeddings`, which cost a pass over what is labelled. uses_boxes: whether it looks at
    `boxes`, which cost a pooling of features a box.
    """

    uses_embeddings: bool = False
    uses_boxes: bool = False

    def select(self, candidates: Candidates, budget: Budget, *, rng: Generator) -> Query:
        """At most the budget's worth of distinct candidates, most valuable first; all of them if the pool is smaller."""
        ...
