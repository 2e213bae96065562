"""What a round may ask for, and what a study has spent: in images, boxes, seconds of people, or money.

Returns budgets and amounts. Money is counted as the seconds that it pays for, so that strategies know seconds alone.
"""

from __future__ import annotations

from collections.abc import Callable

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
    """What labelling took so far, in the budget's unit, on train and val; labels that came with the images are free."""
    labour = [store.labour(split) for split in (Split.TRAIN, Split.VAL)]
    seconds = sum(each.seconds for each in labour)
    amounts = {
        "images": sum(each.by_hand[0] for each in labour),
        "boxes": sum(each.by_hand[1] - each.model_boxes for each in labour),
        "seconds": seconds,
        "money": price(seconds, config.cost),
    }
    return amounts[config.budget.unit]


def _left(context: RoundContext) -> int | None:
    """What is left of the total, at least 1, since the study would have ended; None without a total."""
    total = context.config.budget.total
    return None if total is None else max(1, round(total - spent(context.store, context.config)))


def _in_seconds(amount: int, config: StudyConfig) -> int:
    """Money as the seconds it pays for; any other amount as it is."""
    return max(1, round(seconds_for(amount, config.cost))) if config.budget.unit == "money" and amount else amount
