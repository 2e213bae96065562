"""Whether more labels are still worth their price: two rules, each stated in words with its figures.

Returns plain values. Only suggests: the study ends by its own config. Knows nothing of stores or pages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from boxwise.config import StopConfig
from boxwise.evaluation.expected_gain import FEWEST_ROUNDS
from boxwise.evaluation.stopping import ApShift

STILL = 0.005  # AP shift below which val counts as not moving, where the config sets none
LEAST_PER_HOUR = 0.005  # AP that an hour of labelling should bring
BEGUN = 0.05  # AP below which a flat curve is training that has not begun to work, not one that has ended
STOP, GO_ON, UNKNOWN = "stop", "go on", "unknown"


def suggestion(aps: Sequence[float | None], stop: StopConfig, following: Mapping[str, Any] | None) -> dict[str, Any]:
    """{advice, rules: [{name, advice, why}]}: "stop" as soon as one rule does, "go on" when none does and one can tell.

    aps: AP on val round by round. following: what the next batch brings and costs, as the dashboard has it.
    """
    known = [ap for ap in aps if ap is not None]
    rules = [_shift(known, stop), _worth(following, best=max(known, default=0.0))]
    given = [rule["advice"] for rule in rules]
    return {"advice": next((one for one in (STOP, GO_ON) if one in given), UNKNOWN), "rules": rules}


def _shift(aps: Sequence[float], stop: StopConfig) -> dict[str, str]:
    """AP on val has stopped moving."""
    name, threshold = "AP on val no longer moves", stop.ap_shift or STILL
    rule = ApShift(stop.ap_range, threshold, history=aps)
    if rule.shift is None:
        return _rule(name, UNKNOWN, f"Needs {stop.ap_range} evaluated rounds; there are {len(aps)}.")
    why = (
        f"Over the last {stop.ap_range} rounds AP moved by {rule.shift:.4f} on average; below {threshold:g} it counts as no longer moving."
    )
    return _rule(name, STOP if rule.should_stop else GO_ON, why)


def _worth(following: Mapping[str, Any] | None, *, best: float) -> dict[str, str]:
    """The next batch brings less than its price."""
    name = "The next batch is not worth its price"
    if following is None:
        return _rule(name, UNKNOWN, f"Needs {FEWEST_ROUNDS} evaluated rounds and something left to label.")
    per_hour = following["per_hour"]
    if per_hour is None or not math.isfinite(per_hour):
        return _rule(name, UNKNOWN, "No labelling time has been recorded yet.")
    if best < BEGUN:
        return _rule(name, UNKNOWN, f"AP is still below {BEGUN:g}: training has hardly begun to work.")
    why = f"It is expected to bring {per_hour:+.4f} AP per hour of labelling; below {LEAST_PER_HOUR:g} it is not worth it."
    return _rule(name, STOP if per_hour < LEAST_PER_HOUR else GO_ON, why)


def _rule(name: str, advice: str, why: str) -> dict[str, str]:
    return {"name": name, "advice": advice, "why": why}
