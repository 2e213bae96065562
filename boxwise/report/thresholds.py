"""How the model's scores were turned into "certain": the reliability curve on val and the thresholds of each class.

Returns a chart and tables of the last round that has them. Knows nothing of how a calibration is fitted.
"""

from __future__ import annotations

from collections.abc import Sequence

from boxwise.report.charts import NEUTRAL, PALETTE, Axis, Chart, Line, line_chart
from boxwise.results.facts import Cell, Facts, number
from boxwise.results.tables import Quantity, Table, count, figure, known_columns, percent

NOTHING_CERTAIN = "nothing certain"


def reliability_chart(cell: Cell) -> Chart | None:
    """Precision on val against the score, before and after the calibration of the last calibrated round."""
    round_index, calibration = _last(cell, "calibration")
    bins = _bins(calibration)
    if not bins:
        return None
    precision = [number(one.get("precision")) for one in bins]
    lines = [
        Line("ideal", [0.0, 1.0], [0.0, 1.0], NEUTRAL, dashed=True),
        Line("as scored", [number(one.get("confidence")) for one in bins], precision, PALETTE[1], marker="s"),
        Line("calibrated", [number(one.get("calibrated")) for one in bins], precision, PALETTE[0], marker="o"),
    ]
    axis = Axis("score", "precision", bottom=0, top=1.02)
    return line_chart(lines, axis, f"Reliability on val, round {round_index}, {_method(calibration)}; {_errors(calibration)}")


def _bins(calibration: Facts) -> list[Facts]:
    """The bins that any detection fell into."""
    return [one for one in calibration.get("bins") or [] if one.get("count")]


def _method(calibration: Facts) -> str:
    temperature = calibration.get("temperature")
    return str(calibration.get("method", "")) + ("" if temperature is None else f" {figure(number(temperature), 2)}")


def _errors(calibration: Facts) -> str:
    before, after = (figure(number(calibration.get(key))) for key in ("ece_before", "ece_after"))
    return f"expected calibration error {before} before, {after} after"


def reliability_table(cell: Cell) -> Table | None:
    """The points of the reliability curve, with the detections behind each."""
    bins = _bins(_last(cell, "calibration")[1])
    rows = tuple(
        (*(figure(number(one.get(key)), 2) for key in ("confidence", "calibrated", "precision")), count(number(one.get("count"))))
        for one in bins
    )
    return Table(("mean score", "calibrated", "precision", "detections"), rows) if rows else None


def threshold_table(cell: Cell) -> tuple[int, Table] | None:
    """The last round with thresholds, and from which score each class was certain; with what that gave on val where it was calibrated."""
    round_index, thresholds = _last(cell, "thresholds")
    if not thresholds:
        return None
    judged = cell.rounds[_index(cell, round_index)].score.calibration or {}
    certain = thresholds.get("certain") or []
    if not judged and len(set(certain)) == 1:
        return round_index, _table([_row("every class", certain[0], thresholds, judged)])
    return round_index, _table([_row(name, threshold, thresholds, judged) for name, threshold in zip(cell.classes, certain, strict=False)])


def target_of(cell: Cell) -> str:
    """The precision that the thresholds were to reach, in words; empty where they were set by hand."""
    calibration = _last(cell, "calibration")[1]
    target, confidence = calibration.get("target"), calibration.get("confidence")
    if target is None:
        return ""
    sure = "" if confidence is None else f", shown with {percent(number(confidence))} confidence"
    return percent(number(target)) + sure


def _table(rows: Sequence[tuple[str | Quantity, ...]]) -> Table:
    heads = ("class", "certain from", "uncertain from", "detections on val", "precision there", "recall there")
    return known_columns(Table(heads, tuple(rows)))


def _row(name: str, threshold: float | None, thresholds: Facts, calibration: Facts) -> tuple[str | Quantity, ...]:
    judged = (calibration.get("classes") or {}).get(name) or {}
    return (
        name,
        NOTHING_CERTAIN if threshold is None else figure(threshold, 2),
        figure(number(thresholds.get("uncertain")), 2),
        count(number(judged.get("detections"))),
        figure(number(judged.get("precision"))),
        figure(number(judged.get("recall"))),
    )


def _last(cell: Cell, name: str) -> tuple[int, Facts]:
    """The last round whose score phase knows `name`, and what it knows; (-1, {}) without one."""
    return next(((r.round, found) for r in reversed(cell.rounds) if (found := getattr(r.score, name))), (-1, {}))


def _index(cell: Cell, round_index: int) -> int:
    return next(index for index, one in enumerate(cell.rounds) if one.round == round_index)
