"""What is said of arms that are not compared as the others are.

Returns sentences for the notes of a report.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from boxwise.errors import plural
from boxwise.evaluation.curves import AXES, Axis
from boxwise.registry import EACH_CELL
from boxwise.results.facts import Cell
from boxwise.results.tables import AXIS_NAMES, ArmResult


def ended_early(results: Sequence[ArmResult]) -> list[str]:
    """A sentence on each arm with cells over too little of the baseline's cost, which are set aside where areas are compared, and on each
    whose budget is in another unit than the baseline's."""
    early = [
        f"{r.label}: set aside in {plural(len(r.by_axis['images'].early), 'seed')}, with less than half of the baseline's images. "
        "These have no area and no rank, and narrow no other arm's."
        for r in results
        if r.by_axis["images"].early
    ]
    early += [
        f"{r.label}: set aside over {AXIS_NAMES[axis]} in {plural(len(seeds), 'seed')}, with less than half of the baseline's. "
        "These have no area there, and narrow no other arm's."
        for r in results
        for axis in AXES
        if (seeds := _there_alone(r, axis))
    ]
    return early + [
        f"{r.label}: its budget is in {r.unit}, the baseline's is not (budget.unit); compare it over {_over(r.unit)}."
        for r in results
        if r.unit
    ]


def one_config(cells: Iterable[Cell]) -> list[str]:
    """A sentence on arms with the same config, as a folder holds them that began them in calls of their own."""
    arms: dict[str, dict[str, None]] = {}
    for cell in cells:
        config = {key: value for key, value in cell.config.items() if key not in EACH_CELL}
        arms.setdefault(json.dumps(config, sort_keys=True), {})[cell.arm] = None
    several = [names for names in arms.values() if len(names) > 1]
    return [f"{', '.join(names)}: one config under {len(names)} names, each counted as an arm." for names in several]


def _there_alone(result: ArmResult, axis: Axis) -> set[int]:
    """The seeds that are set aside on this axis and not over images."""
    return {*result.by_axis[axis].early} - {*result.by_axis["images"].early}


def _over(unit: str) -> str:
    """The cost that a budget in `unit` is compared over; money pays for time."""
    return {**AXIS_NAMES, "money": AXIS_NAMES["seconds"]}[unit]
