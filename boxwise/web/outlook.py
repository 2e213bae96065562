"""How far a study's budget goes and what a target would take: labels, hours of people, money.

Returns plain values; what cannot be said from the rounds so far is None, with the reason. Reads what steps have committed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from boxwise.artifacts.facts import Round, stopping_aps
from boxwise.config import resolve
from boxwise.evaluation.cost import seconds_for
from boxwise.evaluation.expected_gain import FEWEST_ROUNDS, LearningCurve
from boxwise.records import Phase, Split
from boxwise.results.facts import number
from boxwise.study import Study

_FARTHEST = 10.0  # times what is labelled: a curve through the rounds so far says nothing beyond


def budget(study: Study, rounds: Sequence[Round], labour: Mapping[str, Any]) -> dict[str, Any]:
    """What is labelled of what the config plans, and the hours and money of both. labour: all so far.

    unit: the budget's; of money, the seconds that it pays for. planned: None where the plan is a share of what is known only when it is
    asked for. seconds: spent so far, val too; seconds_planned: these and what the rest takes at the pace of the last labelled round.
    per_hour: what an hour of labelling costs; None: not given.
    """
    unit, plan = _unit(study), study.config.budget
    done, spent, each = labour[unit], labour["seconds"], seconds_each(rounds, unit)
    planned = _planned(study, rounds, labour["images"])
    if plan.total is not None:
        done, planned = (_in_unit(study, amount) for amount in (study.spent(), plan.total))
    ahead = None if planned is None or each is None else spent + max(0.0, planned - done) * each
    return {"unit": unit, "done": done, "planned": planned, "seconds": spent, "seconds_planned": ahead, "per_hour": _per_hour(study)}


def forecast(study: Study, target: float) -> dict[str, Any]:
    """How many labels in all an AP of `target` on val is likely to take; follows the AP of the stopping rule.

    why: None, or why nothing can be said: "rounds" (fewer than three evaluated), "reached", "far" (beyond ten times what is labelled, or
    never), "pool" (more than there is). labelled, amount, low, high: labels now, and the median and limits of 80% of those needed, in
    `unit`; high is None where it lies beyond what can be said. chance: that the curve ever gets there. seconds_each: of one more label.
    """
    rounds, unit = study.rounds(), _unit(study)
    points = evaluated(rounds, unit)
    curve = learning_curve(points)
    values: dict[str, Any] = {"target": target, "unit": unit, "chance": None}
    if curve is None:
        return values | {"why": "rounds"}
    if max(ap for _, ap in points) >= target:
        return values | {"why": "reached"}
    labelled, needed = points[-1][0], curve.needed(target)
    far, all_there_is = labelled * _FARTHEST, _all_there_is(study, labelled, rounds[-1], unit)
    values["chance"] = needed.chance
    if needed.median > min(far, all_there_is):
        return values | {"why": "far" if needed.median > far else "pool"}
    low, amount = (max(labelled + 1, math.ceil(at)) for at in (needed.low, needed.median))
    high = math.ceil(needed.high) if needed.high <= min(far, all_there_is) else None
    price = {"seconds_each": seconds_each(rounds, unit), "per_hour": _per_hour(study)}
    return values | {"why": None, "labelled": labelled, "amount": amount, "low": low, "high": high, **price}


def evaluated(rounds: Sequence[Round], unit: str) -> list[tuple[float, float]]:
    """(labelled by then in `unit`, AP that the stopping rule follows) of each evaluated round that compares with the last."""
    aps = stopping_aps(rounds)
    return [(number(getattr(one.annotate, unit)), aps[one.round]) for one in rounds if one.done(Phase.ANNOTATE) and one.round in aps]


def learning_curve(points: Sequence[tuple[float, float]]) -> LearningCurve | None:
    """The curve through evaluated rounds; None with fewer than three."""
    return LearningCurve.fit(*zip(*points, strict=True)) if len(points) >= FEWEST_ROUNDS else None


def seconds_each(rounds: Sequence[Round], unit: str) -> float | None:
    """Seconds that an image or box of train took in the last round in which any were labelled."""
    for one in reversed(rounds):
        amount, seconds = number(getattr(one.annotate, f"new_{unit}")), number(one.annotate.new_seconds)
        if amount > 0 and seconds > 0:
            return seconds / amount
    return None


def _planned(study: Study, rounds: Sequence[Round], labelled: int) -> float | None:
    """All rounds' worth in the budget's unit, as far as the pool goes: what round 0 took, and the rounds after it.

    Before it has its labels, images alone are counted: `budget.initial`, or those that are labelled where the data came with more.
    """
    plan, images = study.config.budget, study.image_count(Split.TRAIN)
    begun = bool(rounds) and rounds[0].done(Phase.ANNOTATE)
    if plan.unit == "images":
        initial = max(resolve(plan.initial, images, "budget.initial"), labelled)
        first = number(rounds[0].annotate.images) if begun else initial
        return float(min(images, first + plan.rounds * resolve(plan.per_round, images, "budget.per_round")))
    if isinstance(plan.per_round, str) or not begun:
        return None
    return number(getattr(rounds[0].annotate, _unit(study))) + plan.rounds * _in_unit(study, plan.per_round)


def _all_there_is(study: Study, labelled: float, last: Round, unit: str) -> float:
    """Every image of train; in boxes or seconds, at what an image has taken so far."""
    images = study.image_count(Split.TRAIN)
    return float(images) if unit == "images" else images * labelled / max(1.0, number(last.annotate.images))


def _unit(study: Study) -> str:
    """What amounts are counted in: of a budget in money, the seconds that it pays for."""
    unit = study.config.budget.unit
    return "seconds" if unit == "money" else unit


def _in_unit(study: Study, amount: float) -> float:
    return seconds_for(amount, study.config.cost) if study.config.budget.unit == "money" else float(amount)


def _per_hour(study: Study) -> float | None:
    """What an hour of labelling costs, where the config says so."""
    return study.config.cost.per_hour or None
