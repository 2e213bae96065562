"""How well each surrogate predicted the true loss, over the seeds of an arm.

Returns intervals. The unit is the seed: rounds of one seed share its images and its detector, and say less than so many seeds would.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from boxwise.evaluation.significance import Interval, interval
from boxwise.results.facts import Cell, arms_of, cells_of, number
from boxwise.results.tables import Quantity, Table, figure, known_columns

NAMES = ("expected", "pseudo", "learned", "reconstruction", "score")


def fidelity_of(cells: Sequence[Cell], name: str) -> Interval:
    """Mean over seeds of a surrogate's mean fidelity over rounds, with its 95% limits; seeds without any are left out."""
    return interval([_of_seed(cell, name) for cell in cells])


def fidelity_table(cells: Sequence[Cell], baseline: str) -> Table | None:
    """Every arm's fidelity by surrogate; None where none is known, or for a study on its own, whose rounds the page shows."""
    if len(cells) == 1:
        return None
    table = known_columns(Table(("arm", *NAMES), tuple(_row(cells_of(cells, arm)) for arm in arms_of(cells, baseline))))
    return table if len(table.heads) > 1 else None


def _of_seed(cell: Cell, name: str) -> float:
    values = [number(r.audit.fidelity.get(name)) for r in cell.rounds]
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan


def _row(cells: Sequence[Cell]) -> tuple[str | Quantity, ...]:
    return (cells[0].label, *(_cell(cells, name) for name in NAMES))


def _cell(cells: Sequence[Cell], name: str) -> Quantity:
    found = fidelity_of(cells, name)
    limits = "" if found.low is None else f"{figure(found.low, 2)} to {figure(found.high, 2)}"
    return Quantity(figure(found.mean, 2), limits)
