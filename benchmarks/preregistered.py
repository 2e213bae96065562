"""The two decisions of docs/preregistration.md, made from finished runs by its rules: which strategy is chosen, and what is said of it.

    python benchmarks/preregistered.py choose runs/development
    python benchmarks/preregistered.py judge runs/confirmation [--arm facility_location]

Reads the benchmark's folder and trains nothing. Before all cells are finished what it prints is preliminary, and it says of how many seeds.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from boxwise.evaluation.significance import Interval, interval
from boxwise.results.convergence import TWICE, labels_matter
from boxwise.results.facts import cells_of
from boxwise.results.grid import Panel, standings
from boxwise.results.tables import ArmResult
from boxwise.simulation.benchmark import read_benchmark

BASELINE = "random"
SIMPLER = ("k_center", "facility_location", "score_then_diversity", "entropy_sum", "gain_per_second", "gain_per_second+strategy.weight=1")
CHECKS = ("everything", f"{BASELINE}{TWICE}")
CLOSE = 0.01  # of the score: so near to the best, the simpler is chosen
LEAST_SEEDS, LEAST_SETS, GOAL = 3, 2, 0.25


@dataclass(frozen=True)
class Row:
    """One set. excluded: why it does not count; empty where it does. saving: of annotator seconds, val included."""

    data: str
    seeds: int
    excluded: str
    saving: Interval


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("decision", choices=("choose", "judge"))
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--arm", default="facility_location", help="the strategy that is judged")
    given = arguments.parse_args()
    registered = SIMPLER if given.decision == "choose" else (given.arm,)
    panels = [only(panel, (BASELINE, *registered, *CHECKS)) for panel in read_benchmark(given.folder)]
    if given.decision == "choose":
        say_choice({arm: score(panels, arm) for arm in SIMPLER})
    else:
        say_verdict([row_of(panel, given.arm) for panel in panels])


def only(panel: Panel, arms: Sequence[str]) -> Panel:
    """The panel without other arms that were run in its folder since: areas are over the costs that all arms of a panel cover."""
    return replace(panel, cells=[cell for cell in panel.cells if cell.arm in arms])


def result_of(panel: Panel, arm: str) -> ArmResult | None:
    return next((each.result for each in standings(panel, baseline=BASELINE) if each.result.arm == arm), None)


def score(panels: Sequence[Panel], arm: str) -> float:
    """Area under AP over seconds less random's, as a share of random's, the mean over sets; NaN where a set lacks the arm."""
    shares = [_share(result_of(panel, arm), result_of(panel, BASELINE)) for panel in panels]
    return sum(shares) / len(shares) if shares else math.nan


def _share(result: ArmResult | None, baseline: ArmResult | None) -> float:
    if result is None or baseline is None or (difference := result.by_axis["seconds"].difference) is None:
        return math.nan
    return difference.mean / baseline.by_axis["seconds"].area.mean


def chosen(scores: Mapping[str, float]) -> str:
    """The simplest of those that are within CLOSE of the best; `gain_per_second` where none is above random."""
    best = max((value for value in scores.values() if math.isfinite(value)), default=-math.inf)
    near = [arm for arm in SIMPLER if scores.get(arm, math.nan) >= best - CLOSE]
    return near[0] if best > 0 else "gain_per_second"


def say_choice(scores: Mapping[str, float]) -> None:
    for arm, value in scores.items():
        print(f"{arm}: {value:+.4f}")
    missing = [arm for arm, value in scores.items() if not math.isfinite(value)]
    print(f"chosen: {chosen(scores)}" + (f" (preliminary: {', '.join(missing)} not finished)" if missing else ""))


def row_of(panel: Panel, arm: str) -> Row:
    result, seeds = result_of(panel, arm), min(len(cells_of(panel.cells, name)) for name in (arm, BASELINE))
    saving = (result.by_axis["seconds"].saving if result else None) or Interval(math.nan, None, None)
    return Row(panel.data, seeds, "; ".join(_reasons(panel, seeds)), saving)


def _reasons(panel: Panel, seeds: int) -> Iterator[str]:
    if panel.void:
        yield panel.void
    labels = labels_matter(panel.cells, panel.split, baseline=BASELINE)
    if labels is None:
        yield "the checks are not finished"
    elif not labels[0]:
        yield f"cannot tell arms apart: {labels[1]}"
    if seeds < LEAST_SEEDS:
        yield f"not finished: {seeds} seeds"


def say_verdict(rows: Sequence[Row]) -> None:
    for row in rows:
        print(
            f"{row.data}: {_percent(row.saving)} saved, {row.seeds} seeds" + (f"; does not count: {row.excluded}" if row.excluded else "")
        )
    counted = [row for row in rows if not row.excluded]
    logs = interval([math.log(1 - row.saving.mean) for row in counted if row.saving.mean < 1])
    ahead = sum(row.saving.mean > 0 for row in counted)
    if counted:
        print(f"over sets: {_percent(_saving(logs))} saved, ahead in {ahead} of {len(counted)}")
    print(verdict(counted))


def _saving(logs: Interval) -> Interval:
    """The saving, of an interval of log cost ratios."""
    low, high = (None if end is None else 1 - math.exp(end) for end in (logs.high, logs.low))
    return Interval(1 - math.exp(logs.mean), low, high)


def _percent(saving: Interval) -> str:
    limits = "" if saving.low is None or saving.high is None else f" ({saving.low:.0%} to {saving.high:.0%})"
    return f"{saving.mean:.0%}{limits}"


def verdict(counted: Sequence[Row]) -> str:
    """What is said of the sets that count."""
    below = [row.data for row in counted if row.saving.high is not None and row.saving.high < 0]
    above = [row for row in counted if row.saving.low is not None and row.saving.low > 0]
    if below:
        return f"worse than random on {', '.join(below)}"
    if len(counted) < LEAST_SETS or len(above) < LEAST_SETS:
        return "not shown: random does as well as far as is known"
    reached = sum(row.saving.mean >= GOAL for row in above) >= LEAST_SETS
    return "saves labour on " + ", ".join(row.data for row in above) + (": the goal is reached" if reached else "")


if __name__ == "__main__":
    main()
