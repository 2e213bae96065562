"""Whether a data set's figures can be believed: has training converged, do labels matter, and what does it cost to get near the ceiling.

Returns sentences and figures over seeds. Knows nothing of ranks, of pages, or of how the cells came about.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from boxwise.evaluation.curves import AXES, Axis, cost_at
from boxwise.evaluation.significance import Interval, interval
from boxwise.results.facts import Cell, arms_of, ceiling_ap, cells_of, competing, curve

SHARE = 0.95  # of the ceiling's AP50: near enough to all that the labels can give
TWICE = "+train.length=2"
ENDS = {"first round": 0, "last round": -1}
MOVED = 0.01  # AP on val that twice the steps may not add
ERROR = 0.05  # chance of calling a converged data set undertrained, over all its arms together


@dataclass(frozen=True)
class Reach:
    """What an arm pays, val included, to reach 95% of the AP50 that the labels of the whole pool give.

    reached: how many of `seeds` get there. costs: by axis the median over all seeds, inf where half of them or more do not get there.
    of_everything: the costs as shares of what labelling the whole pool costs.
    """

    reached: int
    seeds: int
    costs: Mapping[Axis, float]
    of_everything: Mapping[Axis, float]


def undertrained(cells: Sequence[Cell], split: str) -> str | None:
    """Why the cells can't be ranked: an arm ends above what the whole pool's labels give by more than noise, or twice the steps give more.

    None where neither is shown. The whole pool holds all that any arm has seen: where it does worse, training has not converged, and curves
    show training, not labels. Judged by the last AP, paired by seed, one-sided at .05 over all arms (Bonferroni). Noise is the standard
    deviation of the differences, pooled over the arms, since that of six seeds alone is poorly known; it needs two seeds.
    """
    whole = _last_aps((cell for cell in cells if cell.role == "ceiling"), split)
    last = {arm: _last_aps(cells_of(cells, arm), split) for arm in arms_of(competing(cells), "")}
    ahead = {arm: np.array([aps[seed] - whole[seed] for seed in aps if seed in whole]) for arm, aps in last.items()}
    ahead = {arm: gains for arm, gains in ahead.items() if len(gains) > 1}
    if not ahead:
        return _short(cells)
    freedom = sum(len(gains) - 1 for gains in ahead.values())
    noise = math.sqrt(sum(float(gains.var(ddof=1)) * (len(gains) - 1) for gains in ahead.values()) / freedom)
    arm, gains = max(ahead.items(), key=lambda pair: float(pair[1].mean()) * math.sqrt(len(pair[1])))
    if gains.mean() <= noise / math.sqrt(len(gains)) * stdtrit(freedom, 1 - ERROR / len(ahead)):
        return _short(cells)
    return f"undertrained: {arm} ends {gains.mean():.3f} AP above what the labels of the whole pool give, so training has not converged"


def trained_twice(cells: Sequence[Cell]) -> list[str]:
    """The arms NAME+train.length=2 beside an arm NAME: they show whether training has converged, and are nobody's rivals."""
    return [arm for arm in arms_of(cells, "") if arm.endswith(TWICE) and cells_of(cells, arm.removesuffix(TWICE))]


def doubled(cells: Sequence[Cell]) -> dict[str, Interval]:
    """What twice the steps add to AP on val, at the smallest and at the largest budget: of an arm NAME that NAME+train.length=2 is beside.

    By "first round" and "last round", paired by seed; empty without such a pair of arms.
    """
    if not (longer := next(iter(trained_twice(cells)), None)):
        return {}
    both = [{cell.seed: curve(cell, "val").ap for cell in cells_of(cells, arm)} for arm in (longer, longer.removesuffix(TWICE))]
    ends = [{end: {seed: float(aps[row]) for seed, aps in each.items() if len(aps)} for end, row in ENDS.items()} for each in both]
    return {end: _paired(ends[0][end], ends[1][end]) for end in ENDS}


def _short(cells: Sequence[Cell]) -> str | None:
    """That twice the steps add .01 AP on val or more, beyond noise."""
    for end, gain in doubled(cells).items():
        if gain.mean >= MOVED and gain.low is not None and gain.low > 0:
            return f"undertrained: twice the training steps add {gain.mean:.3f} AP on val in the {end}"
    return None


def labels_matter(cells: Sequence[Cell], split: str, *, baseline: str) -> tuple[bool, str] | None:
    """Whether the whole pool's labels give more than the baseline's first ones, beyond noise, and a sentence; None without two seeds."""
    whole = _last_aps((cell for cell in cells if cell.role == "ceiling"), split)
    first = {cell.seed: float(aps[0]) for cell in cells_of(cells, baseline) if len(aps := curve(cell, split).ap)}
    gained = _paired(whole, first)
    if gained.low is None or gained.high is None:
        return None
    limits = f"{gained.mean:+.3f} AP (95% {gained.low:+.3f} to {gained.high:+.3f})"
    return gained.low > 0, f"labelling everything adds {limits} to the first round of {baseline}"


def reach_of(cells: Sequence[Cell], arm: str, split: str) -> Reach | None:
    """What it costs the arm to get near the ceiling; None where nothing has labelled the whole pool, or it finds nothing."""
    level = SHARE * ceiling_ap(cells, split, "ap50")
    curves = [curve(cell, split) for cell in cells_of(cells, arm)]
    if not level > 0 or not curves:
        return None
    whole = [curve(cell, split) for cell in cells if cell.role == "ceiling" and len(cell.evaluated(split)) > 1]
    costs, shares = {}, {}
    for axis in AXES:
        reached = [cost_at(each.curve(axis, "ap50"), level) for each in curves]
        costs[axis] = float(np.median([math.inf if cost is None else cost for cost in reached]))
        shares[axis] = costs[axis] / float(np.mean([each.curve(axis, "ap50").cost[-1] for each in whole]))
    return Reach(sum(cost is not None for cost in reached), len(curves), costs, shares)


def _last_aps(cells: Iterable[Cell], split: str) -> dict[int, float]:
    """AP after the last of two rounds or more, by seed."""
    found = {cell.seed: curve(cell, split).ap for cell in cells}
    return {seed: float(aps[-1]) for seed, aps in found.items() if len(aps) > 1}


def _paired(a: Mapping[int, float], b: Mapping[int, float]) -> Interval:
    """a - b over the seeds of both."""
    return interval([a[seed] - b[seed] for seed in a if seed in b])
