"""When to stop: average precision on val has stopped moving (AP shift), or has stopped rising (plateau).

Returns a verdict and the best evaluation. Knows nothing of weights, rounds or where the APs come from; never give it test.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


class ApShift:
    """Stops when the mean absolute deviation of AP over the last `ap_range` evaluations falls below `threshold`.

    ap_shift = mean |AP - mean(AP)|. threshold 0 never stops. A window that has found nothing at all (every AP 0) is training
    that has not begun to work, not convergence, and never stops either.
    history: the APs of an interrupted run; the same list in gives the same state. An AP that could not be judged is NaN.
    """

    def __init__(self, ap_range: int, threshold: float = 0.0, history: Iterable[float] = ()) -> None:
        if ap_range < 2:
            raise ValueError(f"ap_range is {ap_range}, expected 2 or more: one evaluation has no shift")
        self.ap_range = ap_range
        self.threshold = threshold
        self.history = [float(ap) for ap in history]

    def add(self, ap: float) -> None:
        """One more evaluation, in order."""
        self.history.append(float(ap))

    @property
    def window(self) -> list[float]:
        return self.history[-self.ap_range :]

    @property
    def shift(self) -> float | None:
        """ap_shift of the last `ap_range` evaluations; None while there are fewer, or one of them is NaN."""
        window = self.window
        if len(window) < self.ap_range or any(math.isnan(ap) for ap in window):
            return None
        mean = sum(window) / len(window)
        return sum(abs(ap - mean) for ap in window) / len(window)

    @property
    def should_stop(self) -> bool:
        shift = self.shift
        return self.threshold > 0 and shift is not None and shift < self.threshold and max(self.window) > 0

    @property
    def best_in_window(self) -> int:
        """Index, over all evaluations added, of the window's best AP; the earliest among equals, NaN below everything.

        Raises ValueError while nothing was added.
        """
        if not self.history:
            raise ValueError("best_in_window needs at least one evaluation, found none")
        window = [-math.inf if math.isnan(ap) else ap for ap in self.window]
        return len(self.history) - len(window) + window.index(max(window))


_SMOOTHED = 3  # evaluations averaged: single ones on a small val are noise
LEAST_RISE = 0.002  # AP


def has_stopped_rising(evaluations: Sequence[tuple[int, float]], patience: float) -> bool:
    """Whether AP, averaged over three evaluations, has risen by less than 0.002 over the last `patience` share of the steps.

    evaluations: (step, AP) in order; at least three must lie in that share. Never while every AP is 0 or NaN: that training has not
    begun to work.
    """
    steps = [step for step, _ in evaluations]
    aps = [0.0 if math.isnan(ap) else ap for _, ap in evaluations]
    smooth = [sum(aps[max(0, end - _SMOOTHED) : end]) / min(_SMOOTHED, end) for end in range(1, len(aps) + 1)]
    recent = [row for row, step in enumerate(steps) if step > (1 - patience) * steps[-1]] if steps else []
    earlier = smooth[: -len(recent)] if recent else []
    if len(recent) < _SMOOTHED or not earlier or max(aps) <= 0:
        return False
    return max(smooth[row] for row in recent) < max(earlier) + LEAST_RISE
