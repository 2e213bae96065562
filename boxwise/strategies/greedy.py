"""Greedy choice from a large pool, where what an image is worth only falls with every pick: few passes over all images.

Returns rows in the order of the picks, and each one's value then. Knows nothing of what the values are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]
Rows = NDArray[np.intp]
SHORTLIST = 8192  # rows looked at for each pick


class Falling(Protocol):
    """Some of the pool's rows, and what each is worth after the picks so far: 0 or more, and no more than before any of them."""

    def values(self) -> Values:
        """What each row is worth now; [N]. The caller may change the array."""
        ...

    def take(self, rows: Rows) -> Self:
        """These rows alone, by themselves from now on."""
        ...

    def pick(self, pool: Self, rows: Sequence[int]) -> None:
        """Let the values fall to what they are after the picks `rows` of `pool`."""
        ...


def greedy(
    pool: Falling, costs: NDArray[np.float64], *, amount: float, choose: Callable[[Values], int]
) -> tuple[list[int], NDArray[np.float64]]:
    """Rows of the `pool` of N in the order of the picks until their `costs` [N] reach `amount`, and each one's value when picked.

    choose: from values to the position of a largest one, which decides among equals. The picks are those of looking at all rows every
    time: the rows that were worth most at the last pass are looked at, and as long as one of them is worth more than every other row
    was then, it is worth most of all. Only when none is, one pass brings all rows up to date with the picks since (lazy evaluation:
    Minoux, 1978).
    """
    left = np.ones(len(costs), bool)
    short, ceiling = _most(_left(pool.values(), left))
    near, since = pool.take(short), list[int]()
    picks: list[int] = []
    reached: list[float] = []
    spent = 0.0
    while spent < amount and len(picks) < len(costs):
        values = _left(near.values(), left[short])
        if since and not values.max() > ceiling:
            pool.pick(pool, since)
            short, ceiling = _most(_left(pool.values(), left))
            near, since = pool.take(short), []
            values = _left(near.values(), left[short])
        if values.max() > ceiling:
            position = choose(values)
            pick, value = int(short[position]), float(values[position])
        else:  # others are worth as much
            everything = _left(pool.values(), left)
            pick = choose(everything)
            value = float(everything[pick])
        near.pick(pool, [pick])
        since.append(pick)
        left[pick] = False
        picks.append(pick)
        reached.append(value)
        spent += float(costs[pick])
    return picks, np.array(reached, np.float64)


def _most(values: Values) -> tuple[Rows, float]:
    """The `SHORTLIST` rows of the largest values, in their order, and the largest value of the others."""
    others = len(values) - SHORTLIST
    if others <= 0:
        return np.arange(len(values), dtype=np.intp), -np.inf
    order = np.argpartition(values, others - 1)
    return np.sort(order[others:]), float(values[order[others - 1]])


def _left(values: Values, left: NDArray[np.bool_]) -> Values:
    """Values with those of picked rows below every other."""
    values[~left] = -1.0
    return values
