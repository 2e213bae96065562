"""How much training each figure rests on: arms that spend labels at another pace have had more or fewer steps for the same cost.

Returns ratios and a sentence. Knows nothing of how long a step takes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from boxwise.evaluation.significance import pooled_ratio
from boxwise.results.facts import Cell, arms_of, cells_of, competing, curve, number

UNEVEN = 1.2  # times the steps, or as many times fewer, from which a comparison is called uneven


def steps_behind(cell: Cell, split: str) -> list[float]:
    """Training steps of the weights of each evaluated round, those of earlier rounds included where training goes on from them."""
    trainings = [r.train for r in cell.evaluated(split)]
    return [number(train.steps if train.steps_behind is None else train.steps_behind) for train in trainings]


def steps_ratio(cells: Sequence[Cell], arm: str, *, baseline: str, split: str) -> float:
    """The arm's steps by the baseline's at the most annotator time that both have reached, the mean over seeds; NaN without a pair."""
    by_seed = {cell.seed: cell for cell in cells_of(cells, baseline)}
    pairs = [(cell, by_seed[cell.seed]) for cell in cells_of(cells, arm) if cell.seed in by_seed]
    return pooled_ratio([_ratio(of_arm, of_baseline, split) for of_arm, of_baseline in pairs]).mean


def uneven_steps(cells: Sequence[Cell], *, baseline: str, split: str) -> list[str]:
    """One sentence for each arm whose figures rest on more or less training than the baseline's at equal time."""
    sentences = []
    for arm in arms_of(competing(cells), baseline):
        ratio = steps_ratio(cells, arm, baseline=baseline, split=split) if arm != baseline else 1.0
        if ratio > UNEVEN or ratio < 1 / UNEVEN:
            sentences.append(
                f"{arm} has had {ratio:.1f} × the training steps of {baseline} at equal annotator time, which may be the difference."
            )
    return sentences


def _ratio(of_arm: Cell, of_baseline: Cell, split: str) -> float:
    spent = [np.asarray(curve(cell, split).curve("seconds").cost) for cell in (of_arm, of_baseline)]
    steps = [np.asarray(steps_behind(cell, split), np.float64) for cell in (of_arm, of_baseline)]
    if any(len(cost) == 0 or len(cost) != len(taken) for cost, taken in zip(spent, steps, strict=True)):
        return float("nan")
    most = min(cost[-1] for cost in spent)
    a, b = (float(np.interp(most, cost, taken)) for cost, taken in zip(spent, steps, strict=True))
    return a / b if b > 0 else float("nan")
