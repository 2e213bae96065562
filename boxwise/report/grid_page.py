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

from boxwise.errors import plural
from boxwise.evaluation.curves import AXES, Axis
from boxwise.evaluation.ranks import Ranks
from boxwise.evaluation.significance import MIN_SEEDS
from boxwise.report.charts import Chart, Line
from boxwise.report.comparison import arm_lines, learning_charts
from boxwise.report.html import write_page
from boxwise.results.convergence import Reach
from boxwise.results.grid import Overall, Panel, Spread, Standing, overall, sanity, spread, standings
from boxwise.results.set_aside import ended_early, one_config
from boxwise.results.tables import AXIS_NAMES, NONE, SIGNIFICANT, Quantity, Table, duration, figure, paired, percent
from boxwise.results.training_steps import uneven_steps

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
        "headline": headline(rows, found, baseline),
        "notes": _notes(panels, found, baseline),
        "sanity": [check for panel in panels for check in sanity(panel, baseline=baseline)],
        "ranking": rank_table(rows),
        "ranked": _ranked(rows, ranks, found),
        "heats": [(AXIS_NAMES[axis], heat_rows(rows, found, axis)) for axis in AXES],
        "panels": [_shown_panel(panel, found[panel.name], baseline) for panel in panels],
        "costs": cost_table(rows, found),
        "spread": spread_table(panels, baseline),
        "environment": environment,
    }
    return write_page("grid.html.j2", page, target)


def headline(rows: Sequence[Overall], found: Mapping[str, Sequence[Standing]], baseline: str) -> str:
    """Who beats the baseline and who loses, data set by data set and over them, by corrected tests; what is void is said first."""
    texts = [f"{name} is {one[0].panel.void}; its arms have no ranks." for name, one in found.items() if one and one[0].panel.void]
    texts += [text for name, one in found.items() if one and not one[0].panel.void and (text := _decided(name, one, baseline))]
    judged = [row for row in rows if row.role == "arm"]
    if not judged:
        return " ".join(texts or [f"No rival of {baseline} can be judged yet."])
    decided = [row for row in judged if row.p_holm is not None and row.p_holm < SIGNIFICANT]
    texts += [f"Over {plural(row.sets, 'data set')} {row.arm} is ahead of {baseline} in {row.ahead}, {row.test.text}." for row in decided]
    by = "By area under the curve; Wilcoxon over the seeds of a data set, the sign test over data sets, each with Holm's correction."
    return " ".join([*texts, by])


def _decided(name: str, found: Sequence[Standing], baseline: str) -> str:
    """Wins, losses and what is open in one panel."""
    verdicts = {standing.result.arm: standing.result.verdict for standing in found if standing.role == "arm"}
    words = (("win", f"better than {baseline}"), ("loss", f"worse than {baseline}"), ("undecided", "undecided"))
    sides = [(text, [arm for arm, one in verdicts.items() if one == verdict]) for verdict, text in words]
    return "".join(f"On {name} {text}: {', '.join(arms)}. " for text, arms in sides if arms).strip()


def rank_table(rows: Sequence[Overall]) -> Table:
    """Every arm over all data sets."""
    heads = ("arm", "mean rank", "first in", "area against the baseline", "ahead in", "sign test", "p, Holm")
    return Table(heads, tuple(_rank_row(row) for row in rows))


def _rank_row(row: Overall) -> tuple[str | Quantity, ...]:
    compared = row.role != "baseline"
    limits = "" if row.gain.low is None else f"{percent(row.gain.low)} to {percent(row.gain.high)}"
    return (
        Quantity(row.arm, "" if row.role == "arm" else row.role),
        figure(row.rank, 2),
        str(row.firsts),
        Quantity(percent(row.gain.mean), limits) if compared else NONE,
        f"{row.ahead} of {plural(row.sets, 'set')}" if compared else NONE,
        row.test.text if compared else NONE,
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
    quantity = standing.result.quantity("saving", axis)
    return Heat(quantity.text, quantity.remark, max(_LEAST, min(_MOST, saving.mean)) / _MOST)


def _shown_panel(panel: Panel, found: Sequence[Standing], baseline: str) -> ShownPanel:
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
        "time to 95%",
        "Wilcoxon",
        "p, Holm",
    )
    return Table(heads, tuple(_panel_row(standing) for standing in found))


def _panel_row(standing: Standing) -> tuple[str | Quantity, ...]:
    result = standing.result
    faster = result.summary.speed_up
    limits = f"{figure(faster.low, 2)} to {figure(faster.high, 2)}" if faster and faster.low is not None else ""
    return (
        Quantity(result.arm, plural(result.seeds, "seed") if standing.role == "arm" else standing.role),
        figure(standing.rank, 2),
        result.quantity("ap"),
        result.quantity("area"),
        result.quantity("difference"),
        result.quantity("saving", "images"),
        Quantity(f"{figure(faster.mean, 2)} ×", limits) if faster and math.isfinite(faster.mean) else NONE,
        result.quantity("saving", "boxes"),
        result.quantity("saving", "seconds"),
        _time_to_95(standing.reach),
        Quantity(result.quantity("test").text),
        figure(standing.p_holm.get(result.judged)),
    )


def _time_to_95(reach: Reach | None) -> Quantity:
    """Annotator time, val included, to 95% of the ceiling's AP50: the median over seeds, and its share of labelling everything."""
    if reach is None:
        return Quantity(NONE)
    few = f"{reach.reached} of {plural(reach.seeds, 'seed')}"
    if not math.isfinite(reach.costs["seconds"]):
        return Quantity("not reached", few)
    return Quantity(duration(reach.costs["seconds"]), f"{percent(reach.of_everything['seconds'])} of everything, {few}")


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
    cells = [Quantity(f"{figure(s.mean)} ± {figure(s.deviation)}", f"{s.images:.0f} images, {plural(s.seeds, 'seed')}") for s in rounds]
    return (name, *cells, *(Quantity(NONE) for _ in range(longest - len(rounds))))


def _ranked(rows: Sequence[Overall], ranks: Ranks, found: Mapping[str, Sequence[Standing]]) -> str:
    """What the ranks can and cannot say."""
    if not rows or not ranks.blocks:
        return "No seed is finished by every arm yet."
    over = " or ".join(dict.fromkeys(AXIS_NAMES[s.result.judged] for one in found.values() for s in one))
    text = f"Ranks of the mean area over {over} within each of {plural(ranks.blocks, 'data set')}, 1 the best."
    if ranks.p is None or ranks.critical is None:
        return text
    return (
        f"{text} Friedman's test that all arms are alike: p = {figure(ranks.p)}; mean ranks closer than {ranks.critical:.2f} cannot be "
        "distinguished (Nemenyi, .05). Floors, upper bounds and checks are not ranked: their figure is the rank they would have."
    )


def _notes(panels: Sequence[Panel], found: Mapping[str, Sequence[Standing]], baseline: str) -> list[str]:
    """What a reader must know before believing a figure."""
    notes = [f"{panel.name}: judged on {panel.split}, which also chose weights and stopping." for panel in panels if panel.split != "test"]
    for name, standings_ in found.items():
        notes += [f"{name}: {text}" for text in ended_early([s.result for s in standings_])]
        seeds = [len(s.result.summary.paired_seeds) for s in standings_ if s.role == "arm"]
        arms, most = sum(each > 0 for each in seeds), max(seeds, default=0)
        if seeds and min(seeds) < MIN_SEEDS:
            notes.append(f"{name}: {paired(seeds)}; a test needs {MIN_SEEDS}.")
        if most >= MIN_SEEDS and (least := arms * 2.0 ** (1 - most)) >= SIGNIFICANT:
            notes.append(
                f"{name}: {plural(most, 'seed')} and {arms} arms cannot reach p < .05 after Holm's correction (at best "
                f"{least:.3f}): it takes {plural(math.floor(math.log2(arms / SIGNIFICANT)) + 2, 'seed')}, or fewer arms."
            )
    for panel in panels:
        notes += [f"{panel.name}: {text}" for text in one_config(panel.cells)]
        if not any(cell.role == "ceiling" for cell in panel.cells):
            notes.append(f"{panel.name}: no arm labels everything, so it is not shown that training has converged.")
        notes += [f"{panel.name}: {text}" for text in uneven_steps(panel.cells, baseline=baseline, split=panel.split)]
    return notes
