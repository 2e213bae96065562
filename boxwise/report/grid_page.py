"""The page of a benchmark: who ranks where, what it saves on which data, what it costs to compute, and whether to believe it.

Returns the path written. Reads the panels' cells only; every figure comes from report.grid. Knows nothing of how cells are run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from boxwise.evaluation.curves import AXES, Axis
from boxwise.evaluation.ranks import Ranks
from boxwise.evaluation.significance import MIN_SEEDS
from boxwise.report.charts import Chart, Line
from boxwise.report.comparison import arm_lines, learning_charts
from boxwise.report.html import write_page
from boxwise.results.grid import Overall, Panel, Spread, Standing, overall, sanity, spread, standings
from boxwise.results.tables import AXIS_NAMES, NONE, SIGNIFICANT, Quantity, Table, figure, percent, plural

_LEAST, _MOST = -0.5, 0.5  # savings at which a heat cell is in full colour


@dataclass(frozen=True)
class Heat:
    """A cell of the heat table: what is written, and how green (above 0) or red it is, -1 to 1."""

    text: str
    remark: str
    warmth: float


@dataclass(frozen=True)
class ShownPanel:
    """One panel as the page shows it: its table, its curves, and what their lines mean."""

    panel: Panel
    table: Table
    curves: Sequence[Chart]
    keys: Sequence[Line]


def write_grid_report(panels: Sequence[Panel], target: Path, *, title: str, environment: Mapping[str, Any], baseline: str) -> Path:
    """Write the report of a benchmark; needs at least one panel with an evaluated round to say anything."""
    rows, ranks = overall(panels, baseline=baseline)
    found = {panel.name: standings(panel, baseline=baseline) for panel in panels}
    page = {
        "title": title,
        "made": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "baseline": baseline,
        "headline": headline(rows, baseline),
        "notes": _notes(panels, found, ranks),
        "sanity": [check for panel in panels for check in sanity(panel, baseline=baseline)],
        "ranking": rank_table(rows),
        "ranked": _ranked(rows, ranks, found),
        "heats": [(AXIS_NAMES[axis], heat_rows(rows, found, axis)) for axis in AXES],
        "panels": [_shown(panel, found[panel.name], baseline) for panel in panels],
        "costs": cost_table(rows, found),
        "spread": spread_table(panels, baseline),
        "environment": environment,
    }
    return write_page("grid.html.j2", page, target)


def headline(rows: Sequence[Overall], baseline: str) -> str:
    """Who beats the baseline over all panels and who loses, by the corrected test; otherwise that nothing is decided."""
    judged = [row for row in rows if row.role == "arm"]
    if not judged:
        return f"No rival of {baseline} can be judged yet."
    decided = [row for row in judged if row.p_holm is not None and row.p_holm < SIGNIFICANT]
    better, worse = ([row.arm for row in decided if (row.gain > 0) is wins] for wins in (True, False))
    sides = (("better than", better), ("worse than", worse))
    said = [f"On these data {words} {baseline}: {', '.join(arms)}." for words, arms in sides if arms]
    open_ = [row.arm for row in judged if row.arm not in {*better, *worse}]
    said += [f"Undecided: {', '.join(open_)}."] if open_ else []
    return " ".join([*said, f"By area under the curve over all panels, {judged[0].pairs} pairs, Wilcoxon with Holm's correction."])


def rank_table(rows: Sequence[Overall]) -> Table:
    """Every arm over all panels."""
    heads = ("arm", "mean rank", "first in", "area against the baseline", "ahead", "Wilcoxon", "p, Holm")
    return Table(heads, tuple(_rank_row(row) for row in rows))


def _rank_row(row: Overall) -> tuple[str | Quantity, ...]:
    compared = row.test is not None
    return (
        Quantity(row.arm, "" if row.role == "arm" else row.role),
        figure(row.rank, 2),
        str(row.firsts),
        Quantity(percent(row.gain)) if compared else NONE,
        f"{row.ahead} of {row.pairs}" if compared else NONE,
        row.test.text if row.test else NONE,
        figure(row.p_holm),
    )


def heat_rows(rows: Sequence[Overall], found: Mapping[str, Sequence[Standing]], axis: Axis) -> Mapping[str, list[Heat]]:
    """Arm → the share of the cost it saves at equal AP in each panel."""
    labels = {row.arm: row.label for row in rows if row.role != "baseline"}
    labels = labels or {s.result.arm: s.result.label for one in found.values() for s in one}
    table = {}
    for arm, label in labels.items():
        cells = [next((s for s in one if s.result.arm == arm), None) for one in found.values()]
        table[label] = [_heat(standing, axis) for standing in cells]
    return table


def _heat(standing: Standing | None, axis: Axis) -> Heat:
    saving = standing.result.by_axis[axis].saving if standing else None
    if standing is None or saving is None or not math.isfinite(saving.mean):
        return Heat(NONE, "", 0.0)
    shown = standing.result.quantity("saving", axis)
    return Heat(shown.text, shown.remark, max(_LEAST, min(_MOST, saving.mean)) / _MOST)


def _shown(panel: Panel, found: Sequence[Standing], baseline: str) -> ShownPanel:
    drawn = learning_charts(panel.cells, "ap", panel.split, baseline)
    return ShownPanel(panel, _panel_table(found), drawn, list(arm_lines(panel.cells, baseline).values()))


def _panel_table(found: Sequence[Standing]) -> Table:
    heads = (
        "arm",
        "rank",
        "AP at the end",
        "area",
        "against the baseline",
        "images saved",
        "speed-up",
        "boxes saved",
        "time saved",
        "Wilcoxon",
        "p, Holm",
    )
    return Table(heads, tuple(_panel_row(standing) for standing in found))


def _panel_row(standing: Standing) -> tuple[str | Quantity, ...]:
    result = standing.result
    faster = result.summary.speed_up
    limits = f"{figure(faster.low, 2)} to {figure(faster.high, 2)}" if faster and faster.low is not None else ""
    return (
        Quantity(result.arm, f"{result.seeds} seeds" if standing.role == "arm" else standing.role),
        figure(standing.rank, 2),
        result.quantity("ap"),
        result.quantity("area"),
        result.quantity("difference"),
        result.quantity("saving", "images"),
        Quantity(f"{figure(faster.mean, 2)} ×", limits) if faster and math.isfinite(faster.mean) else NONE,
        result.quantity("saving", "boxes"),
        result.quantity("saving", "seconds"),
        result.quantity("test"),
        figure(standing.p_holm.get(result.judged)),
    )


def cost_table(rows: Sequence[Overall], found: Mapping[str, Sequence[Standing]]) -> Table:
    """Milliseconds of SCORE and SELECT a pool image, and how many times the baseline's plain pass that is."""
    return Table(("arm", *found), tuple(_cost_row(row, list(found.values())) for row in rows))


def _cost_row(row: Overall, found: Sequence[Sequence[Standing]]) -> tuple[str | Quantity, ...]:
    return (row.label, *(_cost(next((s for s in one if s.result.arm == row.arm), None)) for one in found))


def _cost(standing: Standing | None) -> Quantity:
    if standing is None or not math.isfinite(standing.seconds_per_image):
        return Quantity(NONE)
    return Quantity(f"{1000 * standing.seconds_per_image:.1f} ms", f"{figure(standing.cost_ratio, 2)} × a plain pass")


def spread_table(panels: Sequence[Panel], baseline: str) -> Table:
    """The baseline's AP round by round: mean ± standard deviation over seeds."""
    found = {panel.name: spread(panel, baseline=baseline) for panel in panels}
    longest = max((len(rounds) for rounds in found.values()), default=0)
    heads = ("", *(f"round {number}" for number in range(longest)))
    return Table(heads, tuple(_spread_row(name, rounds, longest) for name, rounds in found.items()))


def _spread_row(name: str, rounds: Sequence[Spread], longest: int) -> tuple[str | Quantity, ...]:
    cells = [Quantity(f"{figure(s.mean)} ± {figure(s.deviation)}", f"{s.images:.0f} images, {s.seeds} seeds") for s in rounds]
    return (name, *cells, *(Quantity(NONE) for _ in range(longest - len(rounds))))


def _ranked(rows: Sequence[Overall], ranks: Ranks, found: Mapping[str, Sequence[Standing]]) -> str:
    """What the ranks can and cannot say."""
    if not rows or not ranks.blocks:
        return "No seed is finished by every arm yet."
    over = " or ".join(dict.fromkeys(AXIS_NAMES[s.result.judged] for one in found.values() for s in one))
    text = f"Ranks of the area over {over} within each of {ranks.blocks} blocks (data set × detector × seed), 1 the best."
    if ranks.p is None or ranks.critical is None:
        return text
    return (
        f"{text} Friedman's test that all arms are alike: p = {figure(ranks.p)}; mean ranks closer than {ranks.critical:.2f} cannot be "
        "told apart (Nemenyi, .05). Floors and upper bounds are not among the ranked: theirs is what they would have. Seeds of one data "
        "set are no independent data sets: these tests and Wilcoxon's speak of these data, not of others."
    )


def _notes(panels: Sequence[Panel], found: Mapping[str, Sequence[Standing]], ranks: Ranks) -> list[str]:
    """What a reader must know before believing a figure."""
    notes = [f"{panel.name}: judged on {panel.split}, which also chose weights and stopping." for panel in panels if panel.split != "test"]
    for name, standings_ in found.items():
        family = [s for s in standings_ if s.role == "arm"]
        seeds = min((len(s.result.summary.paired_seeds) for s in family), default=0)
        if family and seeds < MIN_SEEDS:
            notes.append(f"{name}: {plural(seeds, 'paired seed')}; a test needs {MIN_SEEDS}.")
        elif family and (least := len(family) * 2.0 ** (1 - seeds)) >= SIGNIFICANT:
            notes.append(
                f"{name}: {seeds} seeds and {len(family)} arms cannot reach p < .05 after Holm's correction (at best {least:.3f}): "
                "only the test over all panels can decide."
            )
    return notes
