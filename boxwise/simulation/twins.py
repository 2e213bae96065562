"""Arms that are one config under several names: one of them is run, since two would be judged as rivals of one another.

Returns the plan without the others, which it names. Runs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from boxwise.errors import ConfigError
from boxwise.simulation.folder import begun_arms

if TYPE_CHECKING:
    from boxwise.simulation.simulate import Plan


def without_twins(plan: Plan, *, baseline: str | None = None) -> Plan:
    """The plan without the arms that have, after all overrides, the config of an earlier one: `left_out` says of which.

    The baseline and arms that were begun in the folder stay, and go before the others.
    """
    begun = begun_arms(plan.folder)
    named: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for arm in sorted(plan.arms, key=lambda arm: (arm != baseline, arm not in begun)):
        try:
            config = plan.cell_config(arm, plan.seeds[0]).model_dump_json()
        except ConfigError:  # which check_plan refuses by the arm's name
            continue
        if (other := named.setdefault(config, arm)) != arm and arm not in begun:
            left_out[arm] = other
    arms = tuple(arm for arm in plan.arms if arm not in left_out)
    return replace(plan, arms=arms, left_out={**plan.left_out, **left_out})


def note_on_twins(plans: Sequence[Plan]) -> str:
    """A sentence that names the arms that are left out, and where that is not so in every plan, in which folders; empty without any."""
    folders: dict[tuple[str, str], list[str]] = {}
    for plan in plans:
        for pair in plan.left_out.items():
            folders.setdefault(pair, []).append(plan.folder.name)
    where = {pair: "" if len(names) == len(plans) else f" in {', '.join(names)}" for pair, names in folders.items()}
    pairs = "; ".join(f"{arm} is {other}{where[arm, other]}" for arm, other in folders)
    return f"Left out, as one config under another name: {pairs}." if pairs else ""
