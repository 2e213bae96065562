"""Arms beside one another: learning curves, precision-recall, confusion and quality, as charts and tables.

Returns charts for the page, or writes the curves as a PNG. Means are over seeds. Knows nothing of single rounds or HTML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from boxwise.evaluation.curves import AXES, Metric, band
from boxwise.evaluation.curves import Axis as Cost
from boxwise.files import replacing
from boxwise.report.charts import NEUTRAL, PALETTE, Axis, Chart, Line, arm_colors, arm_markers, heat_chart, line_chart, lines_png
from boxwise.results.facts import Cell, Round, arms_of, ceiling_ap, cells_of, competing, curve, judged_on, number, time_saved
from boxwise.results.self_labels import last_quality
from boxwise.results.tables import (
    AXIS_NAMES,
    Quantity,
    Table,
    duration,
    final_metrics,
    known_columns,
    mean_cell,
    mean_of,
    quality_table,
    saved,
    share,
)

_MOST_CLASSES, _MOST_ROUNDS = 8, 8


def save_curves(cells: Sequence[Cell], target: Path, *, baseline: str = "random", split: str = "test") -> Path:
    """The learning curves on the three cost axes as one PNG."""
    judged = judged_on(cells, split)
    panels = [_learning(cells, axis, "ap", judged, baseline) for axis in AXES]
    with replacing(target) as aside:
        lines_png(panels, aside, title=f"AP on {judged}, mean over seeds with 95% intervals")
    return target


def arm_lines(cells: Sequence[Cell], baseline: str) -> dict[str, Line]:
    """How each arm is drawn everywhere, as an empty line: colour, marker, and dashes for the baseline and what is no strategy."""
    arms = arms_of(cells, baseline)
    colors, markers = arm_colors(arms, baseline), arm_markers(arms)
    apart = {cell.arm for cell in cells if cell.role != "arm"}
    labels = {cell.arm: cell.label for cell in cells}
    return {arm: Line(labels[arm], (), (), colors[arm], marker=markers[arm], dashed=arm == baseline or arm in apart) for arm in arms}


def learning_charts(cells: Sequence[Cell], metric: Metric, split: str, baseline: str) -> list[Chart]:
    drawn = [_learning(cells, cost, metric, split, baseline) for cost in AXES]
    return [line_chart(lines, axis, f"by {AXIS_NAMES[cost]}", legend=False) for cost, (lines, axis) in zip(AXES, drawn, strict=True)]


def _learning(cells: Sequence[Cell], cost: Cost, metric: Metric, split: str, baseline: str) -> tuple[list[Line], Axis]:
    """Faint lines for the seeds, below each arm's mean with its 95% band, the ceiling, and what the axes say."""
    looks, ceiling = arm_lines(cells, baseline), ceiling_ap(cells, split, metric)
    flat = [looks[cell.arm] for cell in cells if cell.role == "ceiling"][:1]
    cells = competing(cells)
    unit, name = _unit(cells, cost, split)
    faint, means = [], []
    for arm in arms_of(cells, baseline):
        look = looks[arm]
        curves = [run for cell in cells_of(cells, arm) if len(run := curve(cell, split).curve(cost, metric))]
        mean = band(curves)
        means.append(replace(look, x=mean.cost / unit, y=mean.mean, low=mean.low, high=mean.high))
        faint += [replace(look, x=run.cost / unit, y=run.quality, faint=True) for run in curves if len(curves) > 1]
    ends = [float(end) for line in means if len(line.x) for end in (line.x[0], line.x[-1])]
    means += [replace(look, x=(min(ends), max(ends)), y=(ceiling, ceiling), marker="") for look in flat if ends and np.isfinite(ceiling)]
    return faint + means, Axis(name, f"{metric.upper()} on {split}", bottom=0)


def _unit(cells: Sequence[Cell], cost: Cost, split: str) -> tuple[float, str]:
    """What to divide a cost by, and its name: annotator time is shown in minutes or hours."""
    if cost != "seconds":
        return 1.0, AXIS_NAMES[cost]
    longest = max((seconds for cell in cells for seconds in curve(cell, split).seconds), default=0.0)
    return (3600.0, "annotator hours") if longest > 3 * 3600 else (60.0, "annotator minutes")


def quality(cells: Sequence[Cell], split: str, baseline: str) -> Table | None:
    """Arms side by side after their last round; for a study on its own its rounds."""
    if len(cells) == 1:
        columns = {f"round {r.round}": [r.metrics(split) or {}] for r in cells[0].evaluated(split)[-_MOST_ROUNDS:]}
    else:
        labels = {cell.arm: cell.label for cell in cells}
        found = {labels[arm]: final_metrics(cells_of(cells, arm), split) for arm in arms_of(cells, baseline)}
        columns = {label: metrics for label, metrics in found.items() if metrics}
    return quality_table(columns, cells[0].classes) if columns else None


def savings(cells: Sequence[Cell], split: str, baseline: str) -> Table | None:
    """What each arm spent, what its boxes would have cost by hand, and how right its model was; None where all arms did it all by hand."""
    if len(cells) == 1 or not any(cell.cooperates for cell in cells):
        return None
    heads = ("arm", "asked", "trained on", f"AP50 on {split}", "annotator time", "by hand", "saved", "precision of the model's boxes")
    rows = tuple(_savings_row(found, split) for arm in arms_of(cells, baseline) if (found := _spent_on(cells_of(cells, arm), split)))
    return known_columns(Table(heads, rows)) if rows else None


def _spent_on(cells: Sequence[Cell], split: str) -> list[tuple[Cell, Round]]:
    """The cells with an evaluated round, each with its last one."""
    return [(cell, rounds[-1]) for cell in cells if (rounds := cell.evaluated(split))]


def _savings_row(last: Sequence[tuple[Cell, Round]], split: str) -> tuple[str | Quantity, ...]:
    cells, spent = [cell for cell, _ in last], [one_round.annotate for _, one_round in last]
    qualities = [quality.precision for cell in cells if (quality := last_quality(cell))]
    return (
        Quantity(cells[0].label, f"{len(cells)} seed{'' if len(cells) == 1 else 's'}"),
        cells[0].ask,
        cells[0].policy,
        mean_cell([number((one_round.metrics(split) or {}).get("ap50")) for _, one_round in last], share),
        duration(mean_of([number(one.seconds) for one in spent])),
        duration(mean_of([number(one.by_hand_seconds) for one in spent])),
        mean_cell([time_saved(one)[1] for one in spent], saved),
        mean_cell(qualities, share),
    )


def precision_recall(cells: Sequence[Cell], split: str, baseline: str) -> Chart | None:
    """All classes pooled, one line an arm; for a study on its own one line a class."""
    axis = Axis("recall", "precision", bottom=0, top=1.02)
    if len(cells) == 1:
        lines = _class_lines((cells[0].last_metrics(split) or {}).get("pr") or {})
        return line_chart(lines, axis, f"IoU .5, last round, on {split}") if lines else None
    lines = []
    for arm, look in arm_lines(cells, baseline).items():
        found = [pr for m in final_metrics(cells_of(cells, arm), split) if (pr := (m.get("pr") or {}).get("all"))]
        if found:
            lines.append(replace(look, x=found[0]["recall"], y=np.mean([pr["precision"] for pr in found], axis=0)))
    return line_chart(lines, axis, f"IoU .5, mean over classes and seeds, last round, on {split}") if lines else None


def _class_lines(pr: Mapping[str, Mapping[str, Sequence[float]]]) -> list[Line]:
    classes = [name for name in pr if name != "all"][:_MOST_CLASSES]
    lines = [Line(name, pr[name]["recall"], pr[name]["precision"], color) for name, color in zip(classes, PALETTE, strict=False)]
    pooled = [Line("all classes", pr["all"]["recall"], pr["all"]["precision"], NEUTRAL, dashed=True)] if "all" in pr else []
    return lines + pooled


def confusion(cells: Sequence[Cell], split: str, baseline: str) -> list[Chart]:
    """One matrix an arm, summed over seeds."""
    charts = []
    for arm in arms_of(cells, baseline):
        of_arm = cells_of(cells, arm)
        found = [m["confusion"] for m in final_metrics(of_arm, split) if m.get("confusion")]
        if found:
            names = [*of_arm[0].classes, "background"]
            charts.append(heat_chart(np.sum(found, axis=0), names, of_arm[0].label, rows="truth", columns="prediction"))
    return charts
