"""What people's labels have cost of the budget so far, and what is left of it.

Returns amounts in the budget's unit, val included. Knows nothing of what the next round asks.
"""

from __future__ import annotations

from boxwise.config import StudyConfig
from boxwise.records import Split
from boxwise.rounds.context import RoundContext
from boxwise.store import Store

_HOUR = 3600.0


def strategy_unit(unit: str) -> str:
    """The unit in which a strategy counts: money is seconds to it."""
    return "seconds" if unit == "money" else unit


def in_strategy_unit(amount: float, config: StudyConfig) -> float:
    """An amount of the budget's unit in the one in which a strategy counts."""
    if config.budget.unit != "money":
        return amount
    assert config.cost.per_hour is not None  # checked with the config
    return amount / config.cost.per_hour * _HOUR


def spent(store: Store, config: StudyConfig) -> float:
    """What was labelled in the study so far, in the budget's unit; labels that came with the data cost nothing."""
    labour = [store.labour(split) for split in (Split.TRAIN, Split.VAL)]
    if config.budget.unit in ("images", "boxes"):
        return float(sum(part.by_hand[config.budget.unit == "boxes"] for part in labour))
    seconds = sum(part.seconds for part in labour)
    return seconds if config.budget.unit == "seconds" else float(config.cost.money(seconds) or 0.0)


def left_of_budget(context: RoundContext) -> float | None:
    """What is left of `budget.total`, at least 0; None where there is no limit."""
    total = context.config.budget.total
    return None if total is None else max(0.0, total - spent(context.store, context.config))
