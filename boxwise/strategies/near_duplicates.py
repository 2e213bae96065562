"""Near-duplicates are asked about once: a burst of video frames spends one label.

Wraps any strategy and returns its picks without those that look like another. Knows nothing of how they are picked, nor of labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.records import Query, QueryItem
from boxwise.strategies.base import Budget, Candidates, Strategy

Matrix = NDArray[np.float32]
Rows = NDArray[np.intp]
CHUNK = 1024  # rows and columns of a block of similarities


class WithoutNearDuplicates:
    """What `strategy` picks, less every image whose embedding has a cosine above `similarity` with a labelled or an earlier picked one.

    The strategy is asked again for the budget that this frees, with the picks so far as labelled, until it is spent; when only duplicates
    are left they fill it up. Greedy, in the strategy's own order, as non-maximum suppression is. One pass over what is labelled;
    O((labelled + budget) · pool · dim) time beyond the strategy's own, which is asked at most once a pick and in practice a few times.
    Picks lose their draw probability: it is no longer the strategy's.
    """

    uses_embeddings = True

    def __init__(self, strategy: Strategy, similarity: float) -> None:
        self.strategy, self.similarity = strategy, similarity
        self.uses_boxes = strategy.uses_boxes

    def select(self, candidates: Candidates, budget: Budget, *, rng: Generator) -> Query:
        lengths = _lengths(candidates.embeddings)
        fresh = ~self._near(candidates.embeddings, lengths, candidates.labeled_embeddings)
        batch = _Batch(candidates, budget)
        while batch.left > 0 and fresh.any():
            rows, items = batch.asked(self.strategy, np.flatnonzero(fresh), rng)
            distinct = self._distinct(candidates.embeddings[rows])
            kept = batch.take(rows[distinct], [items[index] for index in distinct])
            fresh &= ~self._near(candidates.embeddings, lengths, candidates.embeddings[kept])
            fresh[kept] = False  # an empty embedding is like nothing, not even itself
        if batch.left > 0:
            batch.take(*batch.asked(self.strategy, batch.others(), rng))
        return Query(candidates.round, tuple(batch.items))

    def _near(self, embeddings: Matrix, lengths: NDArray[np.float32], others: Matrix) -> NDArray[np.bool_]:
        """Which of the `embeddings` [N, D], of `lengths` [N], are near one of `others` [M, D]; bool [N]."""
        near = np.zeros(len(embeddings), bool)
        directions = others / _lengths(others)[:, None]
        for first in range(0, len(embeddings), CHUNK):
            rows = slice(first, first + CHUNK)
            for start in range(0, len(others), CHUNK):
                highest = (embeddings[rows] @ directions[start : start + CHUNK].T).max(axis=1)
                near[rows] |= highest > self.similarity * lengths[rows]
        return near

    def _distinct(self, embeddings: Matrix) -> list[int]:
        """Rows that are near no earlier distinct row."""
        lengths = _lengths(embeddings)
        near = np.zeros(len(embeddings), bool)
        distinct = []
        for row in range(len(embeddings)):
            if not near[row]:
                distinct.append(row)
                near |= embeddings @ embeddings[row] > self.similarity * lengths * lengths[row]
        return distinct


class _Batch:
    """The picks so far, and what is left of the budget."""

    def __init__(self, candidates: Candidates, budget: Budget) -> None:
        self.candidates, self.unit = candidates, budget.unit
        self.left = float(budget.amount)
        self.items: list[QueryItem] = []
        self._costs = budget.costs(candidates)
        self._rows: list[int] = []
        self._row_of = {image_id: row for row, image_id in enumerate(candidates.image_ids)}

    def asked(self, strategy: Strategy, rows: Rows, rng: Generator) -> tuple[Rows, list[QueryItem]]:
        """What `strategy` picks among the candidates `rows` for the rest of the budget, in its order."""
        items = strategy.select(self._as_it_stands(rows), Budget(ceil(self.left), self.unit), rng=rng).items
        return np.array([self._row_of[item.image_id] for item in items], np.intp), list(items)

    def _as_it_stands(self, rows: Rows) -> Candidates:
        """The candidates `rows`, and the picks so far as if they were labelled."""
        everyone, picked = self.candidates, self._rows
        counts, is_counted = everyone.labeled_class_counts, len(everyone.labeled_class_counts) and len(everyone.class_counts)
        return replace(
            everyone.images(rows),
            labeled_embeddings=np.concatenate([everyone.labeled_embeddings, everyone.embeddings[picked]]),
            labeled_class_counts=counts + everyone.class_counts[picked].sum(axis=0) if is_counted else counts,
        )

    def take(self, rows: Rows, items: Sequence[QueryItem]) -> Rows:
        """Keep the picks that the budget still pays for; their rows."""
        taken = 0
        while taken < len(rows) and self.left > 0:
            self._rows.append(int(rows[taken]))
            self.items.append(replace(items[taken], probability=None))
            self.left -= float(self._costs[rows[taken]])
            taken += 1
        return rows[:taken]

    def others(self) -> Rows:
        """The candidates not picked."""
        return np.setdiff1d(np.arange(len(self.candidates), dtype=np.intp), self._rows)


def _lengths(embeddings: Matrix) -> NDArray[np.float32]:
    """Euclidean length of each row; infinite for a row of zeros, which is similar to nothing."""
    lengths = np.sqrt(np.einsum("nd,nd->n", embeddings, embeddings))
    return np.where(lengths > 0, lengths, np.float32(np.inf))
