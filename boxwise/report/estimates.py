"""Estimates that need random draws: AP on each part of a growing val, and LURE's mean loss and error rate over the pool.

Returns tables and a chart. Knows nothing of how images were drawn, or HTML.
"""

from __future__ import annotations

import math

from boxwise.report.charts import MARKERS, PALETTE, Axis, Chart, Line, line_chart, round_colors
from boxwise.results.facts import Cell, Facts, Round, number
from boxwise.results.tables import Quantity, Table, count, figure

UNION = "union"


def parts_table(cell: Cell) -> Table | None:
    """AP (AP50 and images below) on the original val, each draw and their union, round by round; None while val has not grown."""
    rounds, names = _grown(cell), _parts(cell)
    rows: list[tuple[str | Quantity, ...]] = [(str(r.round), *(_part(r, name) for name in names)) for r in rounds]
    return Table(("round", *names), tuple(rows)) if rounds else None


def parts_chart(cell: Cell) -> Chart | None:
    """The same as lines over the rounds: the union and the original val strong, the draws dashed."""
    rounds, names = _grown(cell), _parts(cell)
    if not rounds:
        return None
    drawn = [name for name in names if name not in (UNION, "original")]
    colors = {UNION: PALETTE[0], "original": PALETTE[1]} | dict(zip(drawn, round_colors(len(drawn)), strict=True))
    lines = []
    for index, name in enumerate(names):
        points = [(r.round, ap) for r in rounds if math.isfinite(ap := _ap(r, name))]
        if points:
            x, y = zip(*points, strict=True)
            lines.append(Line(name, x, y, colors[name], marker=MARKERS[index % len(MARKERS)], dashed=name in drawn))
    return line_chart(lines, Axis("round", "AP", bottom=0, whole=True), "AP on val by part") if lines else None


def _grown(cell: Cell) -> list[Round]:
    return [r for r in cell.rounds if r.evaluate.val_parts]


def _parts(cell: Cell) -> list[str]:
    """The parts of val in the order they joined, their union first."""
    return [UNION, *dict.fromkeys(name for r in _grown(cell) for name in r.evaluate.val_parts or ())]


def _ap(round_index: Round, part: str) -> float:
    return number(_metrics(round_index, part).get("ap"))


def _part(round_index: Round, part: str) -> Quantity:
    metrics = _metrics(round_index, part)
    remark = f"AP50 {figure(number(metrics.get('ap50')))}, {count(number(metrics.get('images')))} images" if metrics else ""
    return Quantity(figure(_ap(round_index, part)), remark)


def _metrics(one_round: Round, part: str) -> Facts:
    found = one_round.metrics("val") if part == UNION else (one_round.evaluate.val_parts or {}).get(part)
    return found or {}


def lure_table(cell: Cell) -> Table | None:
    """Mean loss and error rate over the pool by LURE beside the plain means of the drawn images; None where nothing was drawn so."""
    estimated = [(r.round, lure) for r in cell.rounds if (lure := r.audit.lure)]
    heads = ("round", "images drawn", "of a pool of", "loss, LURE", "loss, plain mean", "error rate, LURE", "error rate, plain mean")
    rows = tuple(
        (
            str(round_index),
            *(count(number(lure.get(key))) for key in ("images", "pool")),
            *(figure(number(lure.get(key))) for key in ("loss", "mean_loss", "error", "mean_error")),
        )
        for round_index, lure in estimated
    )
    return Table(heads, rows) if rows else None
