"""What a round may ask for, and what a study has spent: in images, boxes, seconds of people, or money.

Returns budgets and amounts. Money is counted as the seconds that it pays for, so that strategies know seconds alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import replace

import numpy as np

from boxwise.config import StudyConfig, resolve
from boxwise.evaluation.cost import price, seconds_for
from boxwise.records import Split
from boxwise.rounds.context import RoundContext
from boxwise.store import Store
from boxwise.strategies.base import Budget, Candidates


def round_budget(context: RoundContext, pool: Callable[[], Candidates]) -> tuple[Budget, int]:
    """What the round may cost, no more than is left of the total, and about how many images that pays for.

    A share is one of the images; in boxes, seconds or money it is what so many images of the pool are expected to cost.
    """
    config = context.config.budget
    given, left = resolve(config.per_round, context.store.image_count(Split.TRAIN), "budget.per_round"), _left(context)
    if config.unit == "images":
        given = given if left is None else min(given, left)
        return Budget(given), given
    unit = "boxes" if config.unit == "boxes" else "seconds"
    costs = Budget(given, unit).costs(pool())
    usual = float(costs.mean()) if len(costs) else 1.0
    amount = round(given * usual) if isinstance(config.per_round, str) else _in_seconds(given, context.config)
    amount = amount if left is None else min(amount, _in_seconds(left, context.config))
    return Budget(amount, unit), round(amount / usual)


def spent(store: Store, config: StudyConfig) -> float:
    """What labelling took so far, in the budget's unit, on train and val; labels that came with the images are free.

    What was answered stays paid for: an image that went out of use since, labels that were taken back, and a question that the answer to
    was no.
    """
    splits, unit = (Split.TRAIN, Split.VAL), config.budget.unit
    if unit == "images" or unit == "boxes":
        return sum(store.answered(split, unit) for split in splits)
    seconds = sum(store.seconds(split) for split in splits)
    return seconds if unit == "seconds" else price(seconds, config.cost)


def beside_val(
    context: RoundContext, budget: Budget, drawn: Sequence[str], drawing: Callable[[Set[str]], Candidates]
) -> tuple[Budget, int]:
    """The round's budget beside val's draw, both out of what is left of the total, and how many of the `drawn` images that pays for.

    drawing: images as a strategy would see them if each object were drawn, as in val it is. Something is left to train on. Of val as a
    share of the round, no more than the round's budget pays for; the image that crosses the line is included.
    """
    total = _left(context)
    if not drawn:
        return budget, 0
    offered = drawing(set(drawn))
    costs = dict(zip(offered.image_ids, budget.costs(offered), strict=True))
    so_far = np.cumsum([costs.get(image_id, 1.0) for image_id in drawn])
    paid = len(drawn)
    if isinstance(context.config.budget.val_per_round, str):
        paid = min(paid, 1 + int(np.searchsorted(so_far, budget.amount)))
    if total is None:
        return budget, paid
    left = _in_seconds(total, context.config)
    paid = min(paid, int(np.searchsorted(so_far, left - 1, side="right")))
    rest = left - (so_far[paid - 1] if paid else 0)
    return replace(budget, amount=min(budget.amount, max(1, int(rest)))), paid


def _left(context: RoundContext) -> int | None:
    """What is left of the total, at least 1, since the study would have ended; None without a total."""
    total = context.config.budget.total
    return None if total is None else max(1, round(total - spent(context.store, context.config)))


def _in_seconds(amount: int, config: StudyConfig) -> int:
    """Money as the seconds it pays for; any other amount as it is."""
    return max(1, round(seconds_for(amount, config.cost))) if config.budget.unit == "money" and amount else amount
