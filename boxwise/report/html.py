"""The report: one HTML file that needs nothing beside it, no network, no script.

Returns the path written. Reads facts only: it computes statistics of finished rounds and draws them. Knows nothing of stores,
detectors or how the facts came about.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from boxwise.config import leaves
from boxwise.errors import plural
from boxwise.files import replacing
from boxwise.report.charts import arm_colors, with_ids_of
from boxwise.report.comparison import arm_lines, confusion, learning_charts, precision_recall, quality, savings
from boxwise.report.cooperation import DASHED
from boxwise.report.self_labels import JUDGED
from boxwise.report.studies import view
from boxwise.results import tables
from boxwise.results.convergence import undertrained
from boxwise.results.facts import Cell, arms_of, ceiling_ap, cells_of, competing, curve, judged_on, upper_bounds
from boxwise.results.fidelity import fidelity_table
from boxwise.results.set_aside import ended_early, one_config
from boxwise.results.training_steps import uneven_steps

_MOST_SHOTS, _SHOTS_IN_ALL = 12, 360  # about 7 kB each in base64: the whole file stays below 6 MB


def write_report(
    cells: Sequence[Cell],
    target: Path,
    *,
    title: str,
    environment: Mapping[str, Any],
    baseline: str = "random",
    split: str = "test",
    quarantined: int = 0,
    remarks: Sequence[str] = (),
) -> Path:
    """Write the report of `cells` (one study, or arms × seeds) to `target` and return it.

    baseline: the arm that others are compared with; without it, or with one arm only, there are no comparisons.
    split: what curves and tables are judged on; val, marked as such, where no cell was evaluated on it.
    quarantined: images left out for faults, mentioned among the notes, as are `remarks`. Raises BoxwiseError when the file cannot be
    written.
    """
    page = _page(cells, title=title, environment=environment, baseline=baseline, split=split, quarantined=quarantined)
    page["notes"] = [*page["notes"], *remarks]
    return write_page("report.html.j2", page, target)


def write_page(template: str, page: Mapping[str, Any], target: Path) -> Path:
    """Render a template of this package to `target`; charts get ids of their own."""
    templates = Environment(
        loader=PackageLoader("boxwise.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    charts = count(1)
    templates.filters["breakable"] = lambda name: escape(name).replace("+", Markup("+<wbr>"))
    templates.filters["svg"] = lambda svg: Markup(with_ids_of(svg, next(charts)))
    text = templates.get_template(template).render(page)
    with replacing(target) as aside:
        aside.write_text(text, encoding="utf-8")
    return target


def _page(
    cells: Sequence[Cell], *, title: str, environment: Mapping[str, Any], baseline: str, split: str, quarantined: int
) -> dict[str, Any]:
    judged = judged_on(cells, split)
    arms = arms_of(cells, baseline)
    results = tables.arm_results(cells, baseline=baseline, split=judged)
    void, headline = undertrained(cells, judged), _headline(cells, results, baseline=baseline, split=judged)
    first_cells = [cells_of(cells, arm)[0] for arm in arms]
    sheets = sum(len(cell.rounds) + cell.cooperates for cell in first_cells)
    return {
        "title": title,
        "made": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "cells": cells,
        "baseline": baseline,
        "split": judged,
        "colors": arm_colors(arms, baseline),
        "judged_arms": [r for r in results if r.summary.test is not None],
        "single": len(cells) == 1,
        "results": results,
        "headline": f"{void[0].upper()}{void[1:]}: nothing here ranks strategies." if void else headline,
        "void": void,
        "notes": _notes(cells, results, split=split, judged=judged, baseline=baseline, quarantined=quarantined),
        "fidelity": fidelity_table(cells, baseline),
        "learning": learning_charts(cells, "ap", judged, baseline) if results else [],
        "learning50": learning_charts(cells, "ap50", judged, baseline) if results else [],
        "savings": savings(cells, judged, baseline),
        "judged_labels": JUDGED if any(cell.self_labels for cell in cells) else "",
        "dashed": DASHED,
        "keys": arm_lines(cells, baseline),
        "quality": quality(cells, judged, baseline),
        "precision_recall": precision_recall(cells, judged, baseline),
        "confusion": confusion(cells, judged, baseline),
        "studies": [view(cell, shots=min(_MOST_SHOTS, _SHOTS_IN_ALL // max(sheets, 1))) for cell in first_cells],
        "config": yaml.safe_dump(dict(first_cells[0].config), sort_keys=False, allow_unicode=True) if first_cells else "",
        "differences": {cell.label: _differences(first_cells[0].config, cell.config) for cell in first_cells[1:]},
        "environment": environment,
        "axes": tables.AXIS_NAMES,
        "tables": tables,
    }


def _headline(cells: Sequence[Cell], results: Sequence[tables.ArmResult], *, baseline: str, split: str) -> str:
    return tables.alone(cells[0], split) if len(cells) == 1 else tables.headline(results, baseline=baseline, split=split)


def _notes(
    cells: Sequence[Cell], results: Sequence[tables.ArmResult], *, split: str, judged: str, baseline: str, quarantined: int
) -> list[str]:
    """What a reader must know before believing a figure."""
    notes = []
    if judged != split:
        notes.append(f"No {split} split: quality is judged on {judged}, which also chose weights and stopping. The figures flatter.")
    notes += [
        f"{cell.label}: looks at the ground truth of the pool. No method can do that in a real study." for cell in upper_bounds(cells)
    ]
    if math.isfinite(ceiling := ceiling_ap(cells, judged)):
        notes.append(f"Ceiling: with the whole pool labelled the same training reaches AP {tables.figure(ceiling)} on {judged}.")
    if quarantined:
        notes.append(f"{plural(quarantined, 'image', 'is')} quarantined for faults in the file or its labels, and left out.")
    if len({cell.arm for cell in cells}) > 1:
        notes += uneven_steps(cells, baseline=baseline, split=judged)
    notes += [*ended_early(results), *one_config(cells)]
    early = {(r.arm, seed) for r in results for seed in r.by_axis["images"].early}
    curves = [curve(cell, judged) for cell in competing(cells) if (cell.arm, cell.seed) not in early]
    if tables.uneven(curves):
        few, many = min(len(c.ap) for c in curves), max(len(c.ap) for c in curves)
        ended = all(cell.finished for cell in competing(cells))
        why = "Ended at different rounds by budget.total or a stopping rule" if ended else "Unfinished"
        notes.append(f"{why}: between {few} and {many} rounds are evaluated. Curves and areas cover only the costs that all have reached.")
    return notes


def _differences(config: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """`key: value` for every value of `other` that is another in `config`, except seeds."""
    values, other_values = dict(leaves(config)), dict(leaves(other))
    return [f"{key}: {value}" for key, value in other_values.items() if values.get(key) != value and key != "seed"]
