"""When a study ends: its rounds or its budget are used up, the pool is empty, or its stopping rule says so.

Returns the reason, by the settings and labels of now. Ends nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from boxwise.artifacts.facts import stopping_aps
from boxwise.errors import plural
from boxwise.evaluation.cost import in_digits
from boxwise.evaluation.stopping import ApShift
from boxwise.rounds.budget import spent
from boxwise.rounds.context import RoundContext


class End(NamedTuple):
    """Why a study is over, in words. by: the setting that ends it; None where no image is left to ask about."""

    why: str
    by: str | None = None


def end_of(context: RoundContext, round_index: int) -> End | None:
    """Why the study ends with a round; None where it goes on."""
    budget, stop = context.config.budget, context.config.stop
    if round_index >= budget.rounds:
        return End(f"the budget of {plural(round_index, 'round')} is used up", "budget.rounds")
    if not context.store.pool_size():
        return End("every image of the pool is labelled")
    if budget.total is not None and (so_far := spent(context.store, context.config)) >= budget.total:
        return End(f"the budget is spent: {in_digits(so_far)} of {budget.total:,} {budget.unit}", "budget.total")
    aps = stopping_aps(context.committed(number) for number in range(round_index + 1))
    shift = ApShift(stop.ap_range, stop.ap_shift, aps.values())
    if shift.should_stop:
        return End(f"AP on val moved by {shift.shift:.4f} over {plural(stop.ap_range, 'round')}", "stop.ap_shift")
    return None
