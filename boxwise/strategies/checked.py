"""What a strategy picks is held to what every strategy promises, before it becomes a question to people.

Wraps any strategy and returns its query, or one message that names the strategy. Knows nothing of how images are picked.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from numpy.random import Generator

from boxwise.errors import BoxwiseError
from boxwise.records import Query
from boxwise.strategies.base import Budget, Candidates, Strategy


class CheckedStrategy:
    """What `strategy` picks: known candidates, each once, no more than the budget pays for, of finite utility. O(pool) time beside it."""

    def __init__(self, strategy: Strategy, whose: str) -> None:
        """whose: the strategy, in messages."""
        self.strategy, self.whose = strategy, whose
        self.uses_embeddings, self.uses_boxes = bool(strategy.uses_embeddings), bool(strategy.uses_boxes)

    def select(self, candidates: Candidates, budget: Budget, *, rng: Generator) -> Query:
        query = self.strategy.select(candidates, budget, rng=rng)
        if fault := _fault(query, candidates, budget):
            raise BoxwiseError(
                f"{self.whose}: {fault}. Nothing was asked for and nothing is lost: mend it, or take another by "
                "`boxwise set STUDY strategy.name=NAME`, and run again. boxwise.testing.StrategyContract tests it."
            )
        return query


def _fault(query: Query, candidates: Candidates, budget: Budget) -> str | None:
    """What is wrong with a query, in words; None for nothing."""
    if not isinstance(query, Query):
        return f"expected a Query from select, found a {type(query).__name__}"
    times = Counter(query.image_ids)
    rows = {image_id: row for row, image_id in enumerate(candidates.image_ids) if image_id in times}
    for image_id, count in times.items():
        if image_id not in rows:
            return f"picked {image_id!r}, which is no candidate"
        if count > 1:
            return f"picked {image_id!r} {count} times, expected each image once"
    for item in query.items:
        if not math.isfinite(item.utility):
            return f"gave {item.image_id!r} the utility {item.utility}, expected a finite number"
    spent = float(np.sum(budget.costs(candidates)[[rows[image_id] for image_id in query.image_ids[:-1]]]))
    rounding = 0 if budget.unit == "images" else 1e-6 * budget.amount  # of sums in another order
    if len(times) > 1 and spent >= budget.amount + rounding:
        return f"picked {len(times)} images, more than the budget of {budget.amount} {budget.unit} pays for"
    return None
