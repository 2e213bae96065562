"""A whole benchmark: arms over several data sets and detectors, judged panel by panel and together.

Returns rows and value objects for files and a page. Knows nothing of HTML, or of how the cells came about.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from boxwise.errors import plural
from boxwise.evaluation.curves import AXES, Axis
from boxwise.evaluation.ranks import Ranks, mean_ranks
from boxwise.evaluation.significance import Interval, PairedTest, interval, sign_test
from boxwise.files import replacing, write_csv
from boxwise.results.convergence import MOVED, Reach, doubled, labels_matter, reach_of, undertrained
from boxwise.results.facts import Cell, ceiling_ap, cells_of, judged_on, number
from boxwise.results.files import COLUMNS, RESULTS, result_rows
from boxwise.results.tables import ArmResult, arm_results, corrected_p, mean_of

Part = Literal["arm", "baseline", "upper bound", "floor", "check"]


@dataclass(frozen=True)
class Panel:
    """One data set with one detector: all cells of its simulation."""

    data: str
    detector: str
    cells: Sequence[Cell]

    @property
    def name(self) -> str:
        return f"{self.data} · {self.detector}"

    @property
    def split(self) -> str:
        """The split that quality is judged on."""
        return judged_on(self.cells, "test")

    @cached_property
    def void(self) -> str | None:
        """Why the arms can't be ranked here: training has not converged; None where that is not shown."""
        return undertrained(self.cells, self.split)


@dataclass(frozen=True)
class Standing:
    """One arm in one panel.

    p_holm: p by cost axis, corrected for the panel's arms; empty where there is none. rank: mean rank of its area over the seeds that all
    arms have; of what is no rival the rank it would have among them; NaN for all in a panel that is void. reach: what it pays
    to get near the ceiling. seconds_per_image: SCORE and SELECT, one pool image; cost_ratio: against the baseline, whose pass scores
    nothing.
    """

    panel: Panel
    result: ArmResult
    role: Part
    p_holm: Mapping[Axis, float]
    rank: float
    reach: Reach | None
    seconds_per_image: float
    cost_ratio: float


@dataclass(frozen=True)
class Overall:
    """One arm over all data sets that can be ranked: a data set is the unit, the mean over its seeds and detectors its one figure.

    rank: mean rank of the area; firsts: data sets it ranks first in. gain: area less the baseline's, as a share of the baseline's, the mean
    over data sets with its 95% limits; ahead: in how many of `sets` it is above 0; test: the sign test of that.
    """

    arm: str
    role: Part
    rank: float
    firsts: int
    sets: int
    ahead: int
    gain: Interval
    test: PairedTest
    p_holm: float | None

    @property
    def label(self) -> str:
        """The arm's name as shown to readers."""
        return self.arm if self.role in ("arm", "baseline") else f"{self.arm} ({self.role})"


def standings(panel: Panel, *, baseline: str) -> list[Standing]:
    """Every arm with a learning curve, best rank first; ceilings have none, and an arm with fewer seeds than the baseline has no rank."""
    results = arm_results(panel.cells, baseline=baseline, split=panel.split)
    parts = _parts(results, baseline)
    ranks = {} if panel.void else _ranked([results], parts, baseline)
    seconds = {r.arm: seconds_per_image(cells_of(panel.cells, r.arm)) for r in results}
    found = [
        Standing(
            panel,
            r,
            parts[r.arm],
            r.p_holm,
            ranks.get(r.arm, math.nan),
            reach_of(panel.cells, r.arm, panel.split),
            seconds[r.arm],
            seconds[r.arm] / seconds[baseline] if seconds.get(baseline) else math.nan,
        )
        for r in results
    ]
    return sorted(found, key=lambda standing: (math.isnan(standing.rank), standing.rank))


def overall(panels: Sequence[Panel], *, baseline: str) -> tuple[list[Overall], Ranks]:
    """The arms that have finished what the baseline has, best mean rank first, and the ranks of the rivals; blocks are data sets.

    Void panels take no part. An arm that was stopped half way is left out, so that it costs the others no block. Seeds of several data sets
    are never pooled in one test: they are no independent data sets (Demsar, JMLR 2006).
    """
    by_set = _by_set([panel for panel in panels if not panel.void], baseline)
    together = [results for of_set in by_set.values() for results in of_set]
    parts = {arm: part for results in together for arm, part in _parts(results, baseline).items()}
    there = [arm for arm in parts if all(_level(arm, baseline, results) for results in together)]
    rivals = [arm for arm in there if parts[arm] in ("arm", "baseline")]
    ranks = mean_ranks(_set_ranks(by_set, rivals))
    placed = dict(zip(rivals, ranks.mean, strict=True))
    placed |= {arm: mean_ranks(_set_ranks(by_set, [*rivals, arm])).mean[-1] for arm in there if arm not in rivals}
    firsts = [rivals[row] for row in _set_ranks(by_set, rivals).argmax(axis=1)] if rivals else []
    gains = {arm: _gains(by_set, arm) for arm in there if arm != baseline}
    tests = {arm: sign_test(gains.get(arm, ())) for arm in there}
    corrected = corrected_p({arm: test for arm, test in tests.items() if parts[arm] == "arm"})
    rows = [_overall_row(arm, parts[arm], rank, firsts, gains.get(arm, ()), tests[arm], corrected.get(arm)) for arm, rank in placed.items()]
    return sorted(rows, key=lambda row: row.rank), ranks


def _overall_row(
    arm: str, part: Part, rank: float, firsts: Sequence[str], gains: Sequence[float], test: PairedTest, p_holm: float | None
) -> Overall:
    return Overall(arm, part, rank, firsts.count(arm), len(gains), sum(gain > 0 for gain in gains), interval(gains), test, p_holm)


def seconds_per_image(cells: Sequence[Cell]) -> float:
    """Seconds of the steps SCORE and SELECT for one image of the pool, the mean over cells; NaN before a query was chosen."""
    spent = [_selection_cost(cell) for cell in cells]
    return mean_of([seconds / images for seconds, images in spent if images])


def _selection_cost(cell: Cell) -> tuple[float, float]:
    """(seconds, pool images) over all passes that a query followed."""
    chosen = {r.round: r.select.seconds for r in cell.rounds}
    passes = [(r.score, chosen.get(r.round + 1)) for r in cell.rounds]
    scored = [(score, select) for score, select in passes if score.pool and select is not None]
    return sum(number(score.seconds) + select for score, select in scored), sum(number(score.pool) for score, _ in scored)


@dataclass(frozen=True)
class Spread:
    """AP of the baseline after one round, over its seeds: the noise in every difference."""

    panel: Panel
    images: float
    mean: float
    deviation: float
    seeds: int


def spread(panel: Panel, *, baseline: str) -> list[Spread]:
    """The baseline's AP round by round: mean and standard deviation over seeds."""
    rounds = [list(cell.evaluated(panel.split)) for cell in cells_of(panel.cells, baseline)]
    found = []
    for same in zip(*rounds, strict=False):
        ap = np.array([number((r.metrics(panel.split) or {}).get("ap")) for r in same])
        images = float(np.mean([r.annotate.images for r in same]))
        found.append(Spread(panel, images, float(ap.mean()), float(ap.std(ddof=1)) if len(ap) > 1 else math.nan, len(ap)))
    return found


def sanity(panel: Panel, *, baseline: str) -> list[tuple[bool | None, str]]:
    """(passed, sentence) of each check that the panel has the arms for; passed is None where a sentence only states a figure."""
    results = {r.arm: r for r in arm_results(panel.cells, baseline=baseline, split=panel.split)}
    if baseline not in results:
        return []
    reached, ceiling = results[baseline].ap.mean, ceiling_ap(panel.cells, panel.split)
    checks: list[tuple[bool | None, str]] = []
    if math.isfinite(ceiling):
        part = f", {reached / ceiling:.0%} of that" if ceiling > 0 else ""
        checks.append((None, f"{panel.name}: labelling everything reaches AP {ceiling:.3f}; {baseline} ends at {reached:.3f}{part}."))
        if sum(cell.role == "ceiling" for cell in panel.cells) > 1:
            checks.append((panel.void is None, f"{panel.name}: {panel.void or 'no arm ends above that by more than noise'}."))
    for end, more in doubled(panel.cells).items():
        checks.append((more.mean < MOVED, f"{panel.name}: twice the training steps add {more.mean:+.3f} AP on val in the {end}."))
    if (labels := labels_matter(panel.cells, panel.split, baseline=baseline)) is not None:
        checks.append((labels[0], f"{panel.name}: {labels[1]}."))
    for result in results.values():
        summary = result.by_axis["images"]
        if result.role not in ("floor", "upper bound") or summary.difference is None:
            continue
        side = "above" if summary.difference.mean > 0 else "below"
        by = f"area {summary.difference.mean:+.4f}, ahead in {summary.ahead} of {plural(len(summary.paired_seeds), 'seed')}"
        text = f"{panel.name}: {result.label} is {side} {baseline}, {by}."
        clearly_below = summary.difference.mean < 0 and 2 * summary.ahead < len(summary.paired_seeds)
        checks.append((clearly_below if result.role == "floor" else None, text))
    return checks


def _parts(results: Sequence[ArmResult], baseline: str) -> dict[str, Part]:
    """What each arm is there for; upper bounds, floors and checks are no rivals, so no test or rank takes them into account."""
    return {r.arm: "baseline" if r.arm == baseline else cast("Part", r.role) for r in results}


def _ranked(by_panel: Sequence[Sequence[ArmResult]], parts: Mapping[str, Part], baseline: str) -> dict[str, float]:
    """Arm → mean rank over the seeds of the panels, for the arms that are in every panel with all seeds."""
    there = [arm for arm in parts if all(_level(arm, baseline, results) for results in by_panel)]
    rivals = [arm for arm in there if parts[arm] in ("arm", "baseline")]
    apart = {arm: _seed_ranks(by_panel, [*rivals, arm])[-1] for arm in there if arm not in rivals}
    return dict(zip(rivals, _seed_ranks(by_panel, rivals), strict=True)) | apart


def _seed_ranks(by_panel: Sequence[Sequence[ArmResult]], arms: Sequence[str]) -> tuple[float, ...]:
    return mean_ranks(np.concatenate([np.zeros((0, len(arms))), *(_areas(results, arms) for results in by_panel)])).mean


def _by_set(panels: Sequence[Panel], baseline: str) -> dict[str, list[list[ArmResult]]]:
    """Data set → the results of each of its panels that has any."""
    found: dict[str, list[list[ArmResult]]] = {}
    for panel in panels:
        if results := arm_results(panel.cells, baseline=baseline, split=panel.split):
            found.setdefault(panel.data, []).append(results)
    return found


def _set_ranks(by_set: Mapping[str, Sequence[Sequence[ArmResult]]], arms: Sequence[str]) -> NDArray[np.float64]:
    """How well each arm ranks in each data set, float64 [sets, arms]: minus its rank by mean area, the mean over detectors."""
    blocks = [[_areas(results, arms) for results in of_set] for of_set in by_set.values()]
    blocks = [judged for of_set in blocks if (judged := [areas for areas in of_set if len(areas)])]
    rows = [[mean_ranks(areas.mean(axis=0, keepdims=True)).mean for areas in of_set] for of_set in blocks]
    return -np.array([np.mean(of_set, axis=0) for of_set in rows], np.float64).reshape(len(rows), len(arms))


def _level(arm: str, baseline: str, results: Sequence[ArmResult]) -> bool:
    """Whether the arm has an area for as many seeds as the baseline; without a baseline, whether it has one."""
    seeds = {r.arm: len(r.summary.seeds) for r in results}
    return seeds.get(arm, 0) >= seeds.get(baseline, 1)


def _areas(results: Sequence[ArmResult], arms: Sequence[str]) -> NDArray[np.float64]:
    """Areas over the judged cost, float64 [seeds that all arms have, arms]."""
    by_arm = {r.arm: dict(zip(r.summary.seeds, r.summary.areas, strict=True)) for r in results if r.arm in arms}
    seeds = sorted(set.intersection(*map(set, by_arm.values()))) if by_arm else []
    return np.array([[by_arm[arm][seed] for arm in arms] for seed in seeds], np.float64).reshape(len(seeds), len(arms))


def _gains(by_set: Mapping[str, Sequence[Sequence[ArmResult]]], arm: str) -> list[float]:
    """The arm's area less the baseline's as a share of it, one figure a data set: so that sets of other scales can be compared."""
    by_panel = [[_gain(r) for results in of_set for r in results if r.arm == arm] for of_set in by_set.values()]
    return [mean for of_set in by_panel if math.isfinite(mean := mean_of(of_set))]


def _gain(result: ArmResult) -> float:
    """Mean over seeds; NaN where the baseline finds nothing."""
    pairs = np.array(result.summary.pairs).reshape(-1, 2)
    return float((pairs[:, 0] - pairs[:, 1]).mean() / pairs[:, 1].mean()) if len(pairs) and pairs[:, 1].mean() > 0 else math.nan


# -- files ---------------------------------------------------------------------------------------------------------------------


def write_grid(panels: Sequence[Panel], folder: Path, *, baseline: str) -> None:
    """results.csv and results.parquet, one row a data set, detector, arm, seed and round; summary.csv, one row an arm of a panel.

    results.json holds the baseline, for `last_baseline`.
    """
    rows = [{"data": p.data, "detector": p.detector, **row} for p in panels for row in result_rows(p.cells)]
    write_csv(folder / "results.csv", ("data", "detector", *COLUMNS), rows)
    with replacing(folder / "results.parquet") as aside:
        pq.write_table(pa.Table.from_pylist(rows), aside)
    summary = [row for panel in panels for row in summary_rows(panel, baseline=baseline)]
    write_csv(folder / "summary.csv", tuple(dict.fromkeys(name for row in summary for name in row)), summary)
    with replacing(folder / RESULTS) as aside:
        aside.write_text(json.dumps({"baseline": baseline}), encoding="utf-8")


def summary_rows(panel: Panel, *, baseline: str) -> list[dict[str, Any]]:
    """One row an arm, ceilings last with nothing but the AP they reach."""
    full = ceiling_ap(panel.cells, panel.split)
    rows = [_summary_row(standing, full) for standing in standings(panel, baseline=baseline)]
    ceilings = {cell.arm: cell for cell in panel.cells if cell.role == "ceiling"}
    head = {"data": panel.data, "detector": panel.detector}
    return rows + [{**head, "arm": arm, "role": "ceiling", "seeds": len(cells_of(panel.cells, arm)), "ap": full} for arm in ceilings]


def _summary_row(standing: Standing, full: float) -> dict[str, Any]:
    panel, result = standing.panel, standing.result
    row: dict[str, Any] = {"data": panel.data, "detector": panel.detector, "arm": result.arm, "role": standing.role, "seeds": result.seeds}
    row |= _limits("ap", result.ap) | _limits("ap50", result.ap50) | {"rank": standing.rank}
    row |= {"selection_seconds_per_image": standing.seconds_per_image, "selection_cost_ratio": standing.cost_ratio}
    for axis in AXES:
        summary = result.by_axis[axis]
        row |= _limits(f"{axis}_area", summary.area) | {f"{axis}_area_of_full": summary.area.mean / full if full > 0 else math.nan}
        for name in ("difference", "saving", "saving_without_val", "speed_up"):
            row |= _limits(f"{axis}_{name}", getattr(summary, name))
        row |= {f"{axis}_saving_seeds": summary.saving_seeds}
        row |= {f"{axis}_p": summary.test.p if summary.test else None, f"{axis}_p_holm": standing.p_holm.get(axis)}
        row |= {f"{axis}_test": summary.test.text if summary.test else ""}
        row |= {f"{axis}_to_95": standing.reach.costs[axis] if standing.reach else math.nan}
        row |= {f"{axis}_to_95_of_everything": standing.reach.of_everything[axis] if standing.reach else math.nan}
    return row | {"reached_95": standing.reach.reached if standing.reach else None, "void": panel.void or ""}


def _limits(name: str, value: Interval | None) -> dict[str, float | None]:
    mean, low, high = value or (None, None, None)
    return {name: mean, f"{name}_low": low, f"{name}_high": high}
