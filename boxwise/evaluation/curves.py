"""Learning curves: quality against cost, the area under them, and what a strategy saves against a baseline.

Returns figures over seeds for each arm and each of three cost axes. Knows nothing of studies, stores, detectors or drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from boxwise.evaluation.significance import Interval, PairedTest, interval, paired_test, pooled_ratio

Axis = Literal["images", "boxes", "seconds"]
Metric = Literal["ap", "ap50"]
AXES: tuple[Axis, ...] = ("images", "boxes", "seconds")
_MOST = 0.5  # share of the baseline's images that a cell covers at least where it is judged along with the others


@dataclass(frozen=True, eq=False)
class Curve:
    """Quality after each round against what had been spent by then; both float64 [R].

    Rounds whose quality is NaN are dropped; of rounds at equal cost the last counts. Raises ValueError when the lengths differ or
    the cost falls.
    """

    cost: NDArray[np.float64]
    quality: NDArray[np.float64]

    def __post_init__(self) -> None:
        cost, quality = np.asarray(self.cost, np.float64), np.asarray(self.quality, np.float64)
        if cost.shape != quality.shape or cost.ndim != 1:
            raise ValueError(f"Curve has cost of shape {cost.shape} and quality of shape {quality.shape}, expected [R] twice")
        finite = np.isfinite(cost) & np.isfinite(quality)
        cost, quality = cost[finite], quality[finite]
        if (np.diff(cost) < 0).any():
            raise ValueError(f"Curve.cost falls: {cost.tolist()}, expected the cumulative cost round by round")
        last = np.append(np.diff(cost) > 0, True)[: len(cost)]
        object.__setattr__(self, "cost", cost[last])
        object.__setattr__(self, "quality", quality[last])

    def __len__(self) -> int:
        return len(self.cost)

    def at(self, cost: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """Quality at a cost, linear between rounds, NaN outside the range that was run."""
        if not len(self):
            return np.full(np.shape(cost), np.nan)
        return np.interp(np.asarray(cost, np.float64), self.cost, self.quality, left=np.nan, right=np.nan)


def common_range(curves: Iterable[Curve]) -> tuple[float, float] | None:
    """The costs that every non-empty curve covers, (low, high); None when there are none."""
    run = [curve for curve in curves if len(curve)]
    if not run:
        return None
    low, high = max(float(curve.cost[0]) for curve in run), min(float(curve.cost[-1]) for curve in run)
    return (low, high) if low <= high else None


def area_under(curve: Curve, low: float, high: float, *, full_quality: float | None = None) -> float:
    """Area under the curve over [low, high] by trapezoids, divided by that range: the mean quality on the way.

    full_quality: the quality of training on everything; given, the area is a share of it. A range of no width gives the quality there.
    NaN where the curve does not cover the range.
    """
    from scipy.integrate import trapezoid  # slow to import, and the labelling page's server does without

    inner = curve.cost[(curve.cost > low) & (curve.cost < high)]
    cost = np.concatenate([[low], inner, [high]])
    quality = curve.at(cost)
    mean = float(trapezoid(quality, cost) / (high - low)) if high > low else float(quality[0])
    return mean / full_quality if full_quality else mean


def cost_at(curve: Curve, quality: float) -> float | None:
    """The cost at which the curve's running maximum first reaches `quality`, linear between rounds; None if it never does."""
    best = np.maximum.accumulate(curve.quality)
    if not len(best) or best[-1] < quality:
        return None
    after = int(np.argmax(best >= quality))
    if after == 0:
        return float(curve.cost[0])
    share = (quality - best[after - 1]) / (best[after] - best[after - 1])
    return float(curve.cost[after - 1] + share * (curve.cost[after] - curve.cost[after - 1]))


def cost_ratio(curve: Curve, baseline: Curve, *, quality: float | None = None) -> float | None:
    """cost(curve) / cost(baseline) at equal quality; above 1 where the curve costs more.

    quality: by default the highest that both reach. None when one of them never reaches it, when one of them starts there, so that labels
    bought nothing to compare, or when one of the costs is 0.
    """
    if not len(curve) or not len(baseline):
        return None
    level = min(curve.quality.max(), baseline.quality.max()) if quality is None else quality
    if quality is None and level <= max(curve.quality[0], baseline.quality[0]):
        return None
    cost, baseline_cost = cost_at(curve, level), cost_at(baseline, level)
    return cost / baseline_cost if cost and baseline_cost else None


@dataclass(frozen=True, eq=False)
class Band:
    """The mean curve of several seeds with its 95% limits, on one grid of costs; all float64 [G], limits NaN for one seed."""

    cost: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def band(curves: Sequence[Curve], *, points: int = 40) -> Band:
    """Mean and 95% limits over the costs that all curves cover, at the rounds themselves if all share them."""
    curves = [curve for curve in curves if len(curve)]
    shared = common_range(curves)
    if shared is None:
        nothing = np.zeros(0)
        return Band(nothing, nothing, nothing, nothing)
    same = all(np.array_equal(curve.cost, curves[0].cost) for curve in curves)
    grid = curves[0].cost if same else np.linspace(*shared, points)
    rows = [interval([float(curve.at(cost)) for curve in curves]) for cost in grid]
    low, high = ([np.nan if limit is None else limit for limit in column] for column in list(zip(*rows, strict=True))[1:])
    return Band(grid, np.asarray([row.mean for row in rows]), np.asarray(low), np.asarray(high))


@dataclass(frozen=True, eq=False)
class CellCurve:
    """One arm run with one seed: what had been spent and reached after each of its R rounds, cumulative, all of length R.

    images, boxes, seconds: of the labels that were trained on. val: of those that val holds by then, by axis; an axis left out has none.
    unit: what its budget counts.
    """

    arm: str
    seed: int
    images: Sequence[float]
    boxes: Sequence[float]
    seconds: Sequence[float]
    ap: Sequence[float]
    ap50: Sequence[float]
    val: Mapping[Axis, Sequence[float]] = field(default_factory=dict)
    unit: str = "images"

    def curve(self, axis: Axis, metric: Metric = "ap", *, val: bool = True) -> Curve:
        """Quality over one cost; val: whether the labels of val are paid for too."""
        cost = np.asarray(getattr(self, axis), np.float64)
        if val and axis in self.val:
            cost = cost + np.asarray(self.val[axis], np.float64)
        return Curve(cost, np.asarray(getattr(self, metric), np.float64))


@dataclass(frozen=True)
class ArmSummary:
    """One arm on one cost axis, over its seeds.

    seeds: those with an area; areas: AULC of each. paired_seeds: those that the baseline has too; pairs: the AULC of the arm and of the
    baseline there, over the costs that these two cover; difference and test are over these, None for the baseline itself or where no seed
    is shared. cost_ratio: the arm's cost by the baseline's at equal quality, val included, pooled over the saving_seeds of them in which
    labels bought both something; cost_ratio_without_val: of the labels that were trained on alone. final: quality after the last round.
    early: seeds that are set aside, over too little of the baseline's cost; they have no area.
    """

    arm: str
    axis: Axis
    seeds: tuple[int, ...]
    areas: tuple[float, ...]
    area: Interval
    final: Interval
    paired_seeds: tuple[int, ...] = ()
    pairs: tuple[tuple[float, float], ...] = ()
    difference: Interval | None = None
    test: PairedTest | None = None
    cost_ratio: Interval | None = None
    cost_ratio_without_val: Interval | None = None
    saving_seeds: int = 0
    early: tuple[int, ...] = ()

    @property
    def saving(self) -> Interval | None:
        """The share of the baseline's cost that the arm saves at equal quality, val included."""
        return _saved(self.cost_ratio)

    @property
    def saving_without_val(self) -> Interval | None:
        """The same of the labels that were trained on."""
        return _saved(self.cost_ratio_without_val)

    @property
    def speed_up(self) -> Interval | None:
        """How many times as much the baseline spends for equal quality: the data efficiency of Mussmann & Liang (ICML 2018)."""
        return _turned(self.cost_ratio, lambda ratio: 1 / ratio)

    @property
    def ahead(self) -> int:
        """In how many paired seeds the arm has the larger area."""
        return sum(mine > theirs for mine, theirs in self.pairs)


def _saved(ratio: Interval | None) -> Interval | None:
    return _turned(ratio, lambda share: 1 - share)


def _turned(ratio: Interval | None, falling: Callable[[float], float]) -> Interval | None:
    """An interval under a function that falls: its low end comes of the high one."""
    if ratio is None:
        return None
    low, high = (None if limit is None else falling(limit) for limit in (ratio.high, ratio.low))
    return Interval(falling(ratio.mean), low, high)


def compare_arms(
    cells: Sequence[CellCurve],
    *,
    baseline: str = "random",
    metric: Metric = "ap",
    axes: Sequence[Axis] = AXES,
    full_quality: float | None = None,
    apart: Collection[str] = (),
) -> list[ArmSummary]:
    """Every arm on every axis, arms in order of first appearance, paired by seed with `baseline`.

    The area of a seed is taken over the costs that all of its arms cover, so that no arm is judged on a stretch another did not run. An
    arm with less than half of the baseline's images there, because it ended early, began with other images, or has a budget in another
    unit, has no area and narrows no stretch; nor has, where the arms of a seed share no cost, the one that shares least with the baseline.
    apart: arms that do not narrow this stretch for the others, such as a deliberately cheap one; their area is over what they cover of it.
    Raises ValueError when an arm has the same seed twice.
    """
    _check_unique(cells)
    return [summary for axis in axes for summary in _compare_on(axis, cells, baseline, metric, full_quality, apart)]


def _check_unique(cells: Sequence[CellCurve]) -> None:
    names = [(cell.arm, cell.seed) for cell in cells]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"arm {repeated[0][0]!r} has seed {repeated[0][1]} twice, expected one cell for each")


def _compare_on(
    axis: Axis, cells: Sequence[CellCurve], baseline: str, metric: Metric, full_quality: float | None, apart: Collection[str]
) -> list[ArmSummary]:
    curves = _curves_on(axis, cells, metric, val=True)
    bare = _curves_on(axis, cells, metric, val=False)
    early = _ended_early(cells, baseline, metric)
    early += _sharing_nothing(curves, baseline, apart, early)
    areas = _areas(curves, full_quality, apart, early)
    found = [_summarise(arm, axis, curves, areas.get(arm, {}), baseline, full_quality) for arm in dict.fromkeys(cell.arm for cell in cells)]
    found = [replace(summary, early=tuple(seed for arm, seed in early if arm == summary.arm)) for summary in found]
    return [replace(summary, **_ratios(summary, curves, bare, baseline)) for summary in found]


def _ended_early(cells: Sequence[CellCurve], baseline: str, metric: Metric) -> list[tuple[str, int]]:
    """(arm, seed) of the cells over less than half of the images that the baseline's of their seed covers, with fewer rounds than it,
    another number of first images or a budget in another unit; a policy that asks about images again differs in none of these, and has
    few images too."""
    judged = [cell for cell in cells if _judged(cell, metric)]
    wholes = {cell.seed: cell for cell in judged if cell.arm == baseline}
    found = []
    for cell in judged:
        whole = wholes.get(cell.seed, cell)
        shorter = _judged(cell, metric) < _judged(whole, metric)
        other = shorter or cell.unit != whole.unit or cell.images[0] != whole.images[0]
        if other and _covered(cell.curve("images", metric), whole.curve("images", metric)) < _MOST:
            found.append((cell.arm, cell.seed))
    return found


def _sharing_nothing(
    curves: Mapping[str, Mapping[int, Curve]], baseline: str, apart: Collection[str], early: Collection[tuple[str, int]]
) -> list[tuple[str, int]]:
    """(arm, seed) of the cells without which the others of their seed share a cost: those that cover least of the baseline's."""
    found = []
    for seed, whole in curves.get(baseline, {}).items():
        left = {arm: of_arm[seed] for arm, of_arm in curves.items() if seed in of_arm and arm not in apart and (arm, seed) not in early}
        while left and common_range(left.values()) is None:
            least = min(left, key=lambda arm: _covered(left[arm], whole))
            del left[least]
            found.append((least, seed))
    return found


def _judged(cell: CellCurve, metric: Metric) -> int:
    """How many rounds have a quality."""
    return int(np.isfinite(np.asarray(getattr(cell, metric), np.float64)).sum())


def _covered(curve: Curve, whole: Curve) -> float:
    """The share of the costs of `whole` that a curve covers, too; 1 where these are of one round."""
    shared, span = common_range([curve, whole]), float(np.ptp(whole.cost))
    return 0.0 if shared is None else (shared[1] - shared[0]) / span if span else 1.0


def _curves_on(axis: Axis, cells: Sequence[CellCurve], metric: Metric, *, val: bool) -> dict[str, dict[int, Curve]]:
    """By arm and seed, those with a judged round."""
    curves: dict[str, dict[int, Curve]] = {}
    for cell in cells:
        curve = cell.curve(axis, metric, val=val)
        if len(curve):
            curves.setdefault(cell.arm, {})[cell.seed] = curve
    return curves


def _ratios(
    summary: ArmSummary, curves: Mapping[str, Mapping[int, Curve]], bare: Mapping[str, Mapping[int, Curve]], baseline: str
) -> dict[str, Any]:
    """The pooled cost ratios of an arm, with and without val; nothing for an arm that is compared with none."""
    if summary.difference is None:
        return {}
    with_val, without = (
        [ratio for seed in summary.paired_seeds if (ratio := cost_ratio(each[summary.arm][seed], each[baseline][seed])) is not None]
        for each in (curves, bare)
    )
    return {"cost_ratio": pooled_ratio(with_val), "cost_ratio_without_val": pooled_ratio(without), "saving_seeds": len(with_val)}


def _areas(
    curves: Mapping[str, Mapping[int, Curve]], full_quality: float | None, apart: Collection[str], early: Collection[tuple[str, int]]
) -> dict[str, dict[int, float]]:
    """AULC by arm and seed, each seed over its own common range; left out: cells in `early`."""
    areas: dict[str, dict[int, float]] = {arm: {} for arm in curves}
    for seed in sorted({seed for of_arm in curves.values() for seed in of_arm}):
        running = {arm: of_arm[seed] for arm, of_arm in curves.items() if seed in of_arm and (arm, seed) not in early}
        rivals = [curve for arm, curve in running.items() if arm not in apart]
        for arm, curve in running.items():
            shared = common_range([*rivals, curve])
            if shared is not None:
                areas[arm][seed] = area_under(curve, *shared, full_quality=full_quality)
    return areas


def _pair(curve: Curve, baseline: Curve, full_quality: float | None) -> tuple[float, float] | None:
    """The areas of two curves over the costs that both cover; None where there are none."""
    shared = common_range([curve, baseline])
    if shared is None:
        return None
    return area_under(curve, *shared, full_quality=full_quality), area_under(baseline, *shared, full_quality=full_quality)


def _summarise(
    arm: str,
    axis: Axis,
    curves: Mapping[str, Mapping[int, Curve]],
    areas: Mapping[int, float],
    baseline: str,
    full_quality: float | None,
) -> ArmSummary:
    of_arm, of_baseline = curves.get(arm, {}), curves.get(baseline, {})
    final = interval([float(curve.quality[-1]) for curve in of_arm.values()])
    alone = ArmSummary(arm, axis, tuple(areas), tuple(areas.values()), interval(list(areas.values())), final)
    found = {seed: _pair(of_arm[seed], of_baseline[seed], full_quality) for seed in of_arm if seed in of_baseline}
    pairs = {seed: pair for seed, pair in found.items() if pair is not None}
    if arm == baseline or not pairs:
        return alone
    return replace(
        alone,
        paired_seeds=tuple(pairs),
        pairs=tuple(pairs.values()),
        difference=interval([a - b for a, b in pairs.values()]),
        test=paired_test(*zip(*pairs.values(), strict=True)),
    )
