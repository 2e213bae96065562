"""A whole benchmark: arms over several data sets and detectors, judged panel by panel and together.

Returns rows and value objects for files and a page. Knows nothing of HTML, or of how the cells came about.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from boxwise.evaluation.curves import AXES, Axis
from boxwise.evaluation.ranks import Ranks, mean_ranks
from boxwise.evaluation.significance import Interval, PairedTest, holm, paired_test
from boxwise.files import replacing, write_csv
from boxwise.results.facts import Cell, ceiling_ap, cells_of, judged_on, number
from boxwise.results.files import COLUMNS, result_rows
from boxwise.results.tables import ArmResult, arm_results, mean_of

Part = Literal["arm", "baseline", "upper bound", "floor"]


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


@dataclass(frozen=True)
class Standing:
    """One arm in one panel.

    p_holm: p by cost axis, corrected for the panel's arms; empty where there is none. rank: mean rank of its area over the seeds that all
    arms have; of a floor or an upper bound the rank it would have among them. seconds_per_image: SCORE and SELECT, one pool image;
    cost_ratio: against the baseline, whose pass scores nothing.
    """

    panel: Panel
    result: ArmResult
    role: Part
    p_holm: Mapping[Axis, float]
    rank: float
    seconds_per_image: float
    cost_ratio: float


@dataclass(frozen=True)
class Overall:
    """One arm over all panels: mean rank, panels it ranks first in, and a paired test of its area against the baseline's.

    pairs: panels × seeds; ahead: in how many of them its area is the larger. gain: mean difference of the areas, as a share of the
    baseline's mean area in the panel.
    """

    arm: str
    role: Part
    rank: float
    firsts: int
    pairs: int
    ahead: int
    gain: float
    test: PairedTest | None
    p_holm: float | None

    @property
    def label(self) -> str:
        """The arm's name as shown to readers."""
        return self.arm if self.role in ("arm", "baseline") else f"{self.arm} ({self.role})"


def standings(panel: Panel, *, baseline: str) -> list[Standing]:
    """Every arm with a learning curve, best rank first; ceilings have none, and an arm with fewer seeds than the baseline has no rank."""
    results = arm_results(panel.cells, baseline=baseline, split=panel.split)
    parts = _parts(results, baseline)
    corrected = {axis: _corrected({r.arm: r.by_axis[axis].test for r in results if parts[r.arm] == "arm"}) for axis in AXES}
    ranks, _ = _ranked([results], parts, baseline)
    seconds = {r.arm: seconds_per_image(cells_of(panel.cells, r.arm)) for r in results}
    found = [
        Standing(
            panel,
            r,
            parts[r.arm],
            {axis: corrected[axis][r.arm] for axis in AXES if r.arm in corrected[axis]},
            ranks.get(r.arm, math.nan),
            seconds[r.arm],
            seconds[r.arm] / seconds[baseline] if seconds.get(baseline) else math.nan,
        )
        for r in results
    ]
    return sorted(found, key=lambda standing: (math.isnan(standing.rank), standing.rank))


def overall(panels: Sequence[Panel], *, baseline: str) -> tuple[list[Overall], Ranks]:
    """The arms that have finished what the baseline has, best mean rank first, and the ranks of the rivals; blocks are panels × seeds.

    An arm that was stopped half way is left out, so that it costs the others no block.
    """
    by_panel = [arm_results(panel.cells, baseline=baseline, split=panel.split) for panel in panels]
    by_panel = [results for results in by_panel if results]
    parts = {arm: part for results in by_panel for arm, part in _parts(results, baseline).items()}
    found, ranks = _ranked(by_panel, parts, baseline)
    rivals = [arm for arm in found if parts[arm] in ("arm", "baseline")]
    blocks = [_areas(results, rivals) for results in by_panel]
    firsts = [rivals[int(np.argmin(mean_ranks(block).mean))] for block in blocks if len(block)]
    gains = {arm: _gains(by_panel, arm) for arm in found if arm != baseline}
    tests = {arm: paired_test(gain, [0.0] * len(gain)) for arm, gain in gains.items() if gain}
    corrected = _corrected({arm: test for arm, test in tests.items() if parts[arm] == "arm"})
    rows = [
        Overall(
            arm,
            parts[arm],
            rank,
            firsts.count(arm),
            len(gains.get(arm, ())),
            sum(gain > 0 for gain in gains.get(arm, ())),
            mean_of(gains.get(arm, ())),
            tests.get(arm),
            corrected.get(arm),
        )
        for arm, rank in found.items()
    ]
    return sorted(rows, key=lambda row: row.rank), ranks


def seconds_per_image(cells: Sequence[Cell]) -> float:
    """Seconds of the steps SCORE and SELECT for one image of the pool, the mean over cells; NaN before a query was chosen."""
    spent = [_selection_cost(cell) for cell in cells]
    return mean_of([seconds / images for seconds, images in spent if images])


def _selection_cost(cell: Cell) -> tuple[float, float]:
    """(seconds, pool images) over all passes that a query followed."""
    chosen = {r.round: r.phase("select").get("seconds") for r in cell.rounds}
    passes = [(r.phase("score"), chosen.get(r.round + 1)) for r in cell.rounds]
    known = [(score, select) for score, select in passes if score.get("pool") and select is not None]
    return sum(score["seconds"] + select for score, select in known), sum(score["pool"] for score, _ in known)


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
        images = float(np.mean([r.phase("annotate")["images"] for r in same]))
        found.append(Spread(panel, images, float(ap.mean()), float(ap.std(ddof=1)) if len(ap) > 1 else math.nan, len(ap)))
    return found


def sanity(panel: Panel, *, baseline: str) -> list[tuple[bool | None, str]]:
    """(passed, sentence) of each check that the panel has the arms for; passed is None where a sentence only states a figure."""
    results = {r.arm: r for r in arm_results(panel.cells, baseline=baseline, split=panel.split)}
    if baseline not in results:
        return []
    reached, ceiling = results[baseline].ap.mean, ceiling_ap(panel.cells, panel.split)
    said: list[tuple[bool | None, str]] = []
    if math.isfinite(ceiling):
        part = f", {reached / ceiling:.0%} of that" if ceiling > 0 else ""
        said.append((None, f"{panel.name}: labelling everything reaches AP {ceiling:.3f}; {baseline} ends at {reached:.3f}{part}."))
    for result in results.values():
        summary = result.by_axis["images"]
        if result.role not in ("floor", "upper bound") or summary.difference is None:
            continue
        side = "above" if summary.difference.mean > 0 else "below"
        by = f"area {summary.difference.mean:+.4f}, ahead in {summary.ahead} of {len(summary.paired_seeds)} seeds"
        text = f"{panel.name}: {result.label} is {side} {baseline}, {by}."
        clearly_below = summary.difference.mean < 0 and 2 * summary.ahead < len(summary.paired_seeds)
        said.append((clearly_below if result.role == "floor" else None, text))
    return said


def _parts(results: Sequence[ArmResult], baseline: str) -> dict[str, Part]:
    """What each arm is there for; upper bounds and floors are no rivals, so no test or rank takes them into account."""
    return {r.arm: "baseline" if r.arm == baseline else cast("Part", r.role) for r in results}


def _ranked(by_panel: Sequence[Sequence[ArmResult]], parts: Mapping[str, Part], baseline: str) -> tuple[dict[str, float], Ranks]:
    """Arm → mean rank, for the arms that are in every panel with all seeds, and the ranks of the rivals alone."""
    there = [arm for arm in parts if all(_level(arm, baseline, results) for results in by_panel)]
    rivals = [arm for arm in there if parts[arm] in ("arm", "baseline")]
    ranks = _mean_ranks(by_panel, rivals)
    apart = {arm: _mean_ranks(by_panel, [*rivals, arm]).mean[-1] for arm in there if arm not in rivals}
    return dict(zip(rivals, ranks.mean, strict=True)) | apart, ranks


def _mean_ranks(by_panel: Sequence[Sequence[ArmResult]], arms: Sequence[str]) -> Ranks:
    return mean_ranks(np.concatenate([np.zeros((0, len(arms))), *(_areas(results, arms) for results in by_panel)]))


def _level(arm: str, baseline: str, results: Sequence[ArmResult]) -> bool:
    """Whether the arm has as many seeds as the baseline; without a baseline, whether it is there."""
    seeds = {r.arm: r.seeds for r in results}
    return seeds.get(arm, 0) >= seeds.get(baseline, 1)


def _areas(results: Sequence[ArmResult], arms: Sequence[str]) -> NDArray[np.float64]:
    """Areas over the judged cost, float64 [seeds that all arms have, arms]."""
    by_arm = {r.arm: dict(zip(r.summary.seeds, r.summary.areas, strict=True)) for r in results if r.arm in arms}
    seeds = sorted(set.intersection(*map(set, by_arm.values()))) if by_arm else []
    return np.array([[by_arm[arm][seed] for arm in arms] for seed in seeds], np.float64).reshape(len(seeds), len(arms))


def _gains(by_panel: Sequence[Sequence[ArmResult]], arm: str) -> list[float]:
    """The arm's area less the baseline's, pair by pair, as a share of the baseline's mean: panels of other scales can be in one test."""
    pairs = [np.array(r.summary.pairs).reshape(-1, 2) for results in by_panel for r in results if r.arm == arm]
    return [float(gain) for pair in pairs if len(pair) and pair[:, 1].mean() > 0 for gain in (pair[:, 0] - pair[:, 1]) / pair[:, 1].mean()]


def _corrected(tests: Mapping[str, PairedTest | None]) -> dict[str, float]:
    known = {arm: test.p for arm, test in tests.items() if test is not None and test.p is not None}
    return dict(zip(known, holm(list(known.values())), strict=True))


# -- files ---------------------------------------------------------------------------------------------------------------------


def write_grid(panels: Sequence[Panel], folder: Path, *, baseline: str) -> None:
    """results.csv and results.parquet, one row a data set, detector, arm, seed and round; summary.csv, one row an arm of a panel."""
    rows = [{"data": p.data, "detector": p.detector, **row} for p in panels for row in result_rows(p.cells)]
    write_csv(folder / "results.csv", ("data", "detector", *COLUMNS), rows)
    with replacing(folder / "results.parquet") as aside:
        pq.write_table(pa.Table.from_pylist(rows), aside)
    summary = [row for panel in panels for row in summary_rows(panel, baseline=baseline)]
    write_csv(folder / "summary.csv", tuple(dict.fromkeys(name for row in summary for name in row)), summary)


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
        for name in ("difference", "saving", "speed_up"):
            row |= _limits(f"{axis}_{name}", getattr(summary, name))
        row |= {f"{axis}_saving_seeds": summary.saving_seeds}
        row |= {f"{axis}_p": summary.test.p if summary.test else None, f"{axis}_p_holm": standing.p_holm.get(axis)}
        row |= {f"{axis}_test": summary.test.text if summary.test else ""}
    return row


def _limits(name: str, value: Interval | None) -> dict[str, float | None]:
    mean, low, high = value or (None, None, None)
    return {name: mean, f"{name}_low": low, f"{name}_high": high}
