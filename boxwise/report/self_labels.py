"""How right the model's own labels were: precision and recall by round and class, where ground truth is known.

Returns figures, a chart and a table. Only simulation can judge self-labels; a real study gives none of this. Knows nothing of HTML.
"""

from __future__ import annotations

from boxwise.report.charts import PALETTE, Axis, Chart, Line, line_chart
from boxwise.results.facts import Cell
from boxwise.results.self_labels import PLACES, SelfLabelQuality, by_class, quality_of
from boxwise.results.tables import Quantity, Table, count, figure

JUDGED = "simulation: judged by ground truth"


def quality_chart(cell: Cell) -> Chart | None:
    """Precision (solid) and recall (dashed) by round, a colour for each place of self-labels."""
    lines = [line for index, place in enumerate(PLACES) for line in _lines(cell, place, PALETTE[index])]
    axis = Axis("round", "share", bottom=0, top=1.02, whole=True)
    return line_chart(lines, axis, f"Precision and recall of the boxes by the model ({JUDGED})") if lines else None


def _lines(cell: Cell, place: str, color: str) -> list[Line]:
    points = [(r.round, quality) for r in cell.rounds if (quality := quality_of(cell, r.round, (place,))) and quality.self_labeled]
    rounds = [round_index for round_index, _ in points]
    if not points:
        return []
    return [
        Line(f"precision, {PLACES[place]}", rounds, [quality.precision for _, quality in points], color, marker="o"),
        Line(f"recall, {PLACES[place]}", rounds, [quality.recall for _, quality in points], color, marker="s", dashed=True),
    ]


def class_table(cell: Cell) -> tuple[int, Table] | None:
    """The last round that self-labelled anything, and its quality class by class; None when no round did."""
    last = next((r.round for r in reversed(cell.rounds) if (q := quality_of(cell, r.round)) and q.self_labeled), None)
    if last is None:
        return None
    places = [place for place in PLACES if (q := quality_of(cell, last, (place,))) and q.self_labeled]
    heads = [f"{name}, {PLACES[place]}" for place in places for name in ("self-labelled", "precision", "recall")]
    rows = [(name, *(quantity for place in places for quantity in _row(by_class(cell, last, place).get(name)))) for name in cell.classes]
    total = ("all classes", *(quantity for place in places for quantity in _row(quality_of(cell, last, (place,)))))
    return last, Table(("class", *heads), (*rows, total))


def _row(quality: SelfLabelQuality | None) -> tuple[str | Quantity, ...]:
    quality = quality or SelfLabelQuality(0, 0, 0)
    labeled = Quantity(count(quality.self_labeled), f"{count(quality.correct)} right")
    found = Quantity(figure(quality.recall), f"of {count(quality.objects)} objects")
    return labeled, figure(quality.precision), found
