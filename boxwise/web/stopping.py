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
    """{advice, rules: [{name, advice, why, values}]}: "stop" as soon as one rule does, "go on" when none does and one can tell.

    why: a sentence with {0}, {1} ... where its `values` belong, so that a page can say it in another language.
    aps: AP on val round by round. following: what the next batch brings and costs, as the dashboard has it.
    """
    known = [ap for ap in aps if ap is not None]
    rules = [_shift(known, stop), _worth(following, best=max(known, default=0.0))]
    given = [rule["advice"] for rule in rules]
    return {"advice": next((one for one in (STOP, GO_ON) if one in given), UNKNOWN), "rules": rules}


def _shift(aps: Sequence[float], stop: StopConfig) -> dict[str, Any]:
    """AP on val has stopped moving."""
    name, threshold = "AP on val no longer moves", stop.ap_shift or STILL
    rule = ApShift(stop.ap_range, threshold, history=aps)
    if rule.shift is None:
        return _rule(name, UNKNOWN, "Needs {0} evaluated rounds; there are {1}.", stop.ap_range, len(aps))
    why = "Over the last {0} rounds AP moved by {1} on average; below {2} it counts as no longer moving."
    return _rule(name, STOP if rule.should_stop else GO_ON, why, stop.ap_range, f"{rule.shift:.4f}", f"{threshold:g}")


def _worth(following: Mapping[str, Any] | None, *, best: float) -> dict[str, Any]:
    """The next batch brings less than its price."""
    name = "The next batch is not worth its price"
    if following is None:
        return _rule(name, UNKNOWN, "Needs {0} evaluated rounds and something left to label.", FEWEST_ROUNDS)
    per_hour = following["per_hour"]
    if per_hour is None or not math.isfinite(per_hour):
        return _rule(name, UNKNOWN, "No labelling time has been recorded yet.")
    if best < BEGUN:
        return _rule(name, UNKNOWN, "AP is still below {0}: training has hardly begun to work.", f"{BEGUN:g}")
    why = "It is expected to bring {0} AP per hour of labelling; below {1} it is not worth it."
    return _rule(name, STOP if per_hour < LEAST_PER_HOUR else GO_ON, why, f"{per_hour:+.4f}", f"{LEAST_PER_HOUR:g}")


def _rule(name: str, advice: str, why: str, *values: object) -> dict[str, Any]:
    return {"name": name, "advice": advice, "why": why, "values": [str(value) for value in values]}
