"""Our own strategy: cover the pool first, then go by what an image is expected to teach for each second that a person spends on it.

Returns images greedily, each worth less as what it shows is chosen or labelled already. Knows nothing of detectors, stores or labels
of the pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.records import Query
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.greedy import greedy
from boxwise.strategies.k_center import Reach

_LEAST_SCORE = 0.05  # an image that nothing speaks for is worth this share of one that everything does

Values = NDArray[np.float64]


class GainPerSecond:
    """Picks the largest distance^novelty · ((1 - w) + w · gain / mean gain), and looks again after each pick.

    - distance: of the image's embedding to the nearest labelled or picked one, so a duplicate of anything is worth nothing. Alone it is
      k-center (Sener & Savarese, ICLR 2018).
    - w: `weight`; "fidelity" is Spearman's ρ between the scores and the true losses of the images labelled last, at least 0. Before any is
      known it is 0: a detector of the first rounds says little of what it does not know, so the pool is covered.
    - gain = score · objects / seconds, the mean that of the pool before the first pick. score: from the scorer, by its place between the
      pool's lowest and highest; meant for `forecast`, the detection loss to be expected per object. objects: those expected on the image,
      one of class c worth 1 / (n_c + 1)^rarity, where n_c are labelled or expected on earlier picks. seconds: what drawing these
      objects takes a person, also where fewer are asked about; 1 for all unless `per_second`.

    The parts are left out by novelty=0, rarity=0, per_second=False and weight=0 (k-center) or 1 (gain from the start), which is how they
    are ablated. The utility is the value at the pick. O(budget · pool · (dim + classes)) time, no forward pass but those over the pool and
    over what is labelled.
    """

    uses_embeddings = True
    uses_boxes = False

    def __init__(
        self, *, rarity: float = 0.5, novelty: float = 1.0, per_second: bool = True, weight: float | Literal["fidelity"] = "fidelity"
    ) -> None:
        self.rarity, self.novelty, self.per_second, self.weight = rarity, novelty, per_second, weight

    def select(self, candidates: Candidates, budget: Budget, *, rng: Generator) -> Query:
        order = rng.permutation(len(candidates))  # ties: the first in a random order
        objects, have = _objects(candidates)
        worth = (_scores(candidates) / self._seconds(candidates))[order]
        pool = _Worth(worth, objects[order], have, self.rarity, self._reach(candidates, order), self.novelty, self._weight(candidates))
        picks, utility = greedy(
            pool.relative(), budget.costs(candidates)[order], amount=budget.amount, choose=lambda values: int(values.argmax())
        )
        return candidates.query(order[picks].tolist() if picks else [], utility=utility)

    def _weight(self, candidates: Candidates) -> float:
        return max(candidates.fidelity or 0.0, 0.0) if self.weight == "fidelity" else self.weight

    def _seconds(self, candidates: Candidates) -> Values:
        is_measured = self.per_second and len(candidates.seconds) == len(candidates)
        return np.maximum(candidates.seconds, 1.0) if is_measured else np.ones(len(candidates))

    def _reach(self, candidates: Candidates, order: NDArray[np.intp]) -> Reach | None:
        """The distances of the images in `order`; None where they take no part, or everything lies on one point."""
        if not self.novelty:
            return None
        reach = Reach.of(candidates.embeddings[order], candidates.labeled_embeddings)
        return reach if reach.squared.any() else None


def _scores(candidates: Candidates) -> Values:
    """Scores moved into [_LEAST_SCORE, 1]; 1 for all where they are equal."""
    values = candidates.scores.values
    width = np.ptp(values) if len(values) else 0.0
    return _LEAST_SCORE + (1 - _LEAST_SCORE) * (values - values.min()) / width if width > 0 else np.ones(len(values))


def _objects(candidates: Candidates) -> tuple[Values, Values]:
    """Objects that labelling each image may bring, [N, C], and those labelled, [C]; C = 1 where classes are unknown."""
    expected = candidates.expected_objects
    if expected.shape[1] == 0:
        return candidates.box_counts[:, None], np.zeros(1)
    return expected, candidates.labeled_objects


@dataclass
class _Worth:
    """The value of some images. worth: score / seconds [N]. expected: objects [N, C]. have: those labelled and picked [C].

    reach: distances to what is labelled and picked; None: all alike.
    """

    worth: Values
    expected: Values
    have: Values
    rarity: float
    reach: Reach | None
    novelty: float
    weight: float

    def values(self) -> Values:
        return self._distances() * (1 - self.weight + self.weight * self._gains())

    def take(self, rows: NDArray[np.intp]) -> _Worth:
        reach = None if self.reach is None else self.reach.take(rows)
        return replace(self, worth=self.worth[rows], expected=self.expected[rows], have=self.have.copy(), reach=reach)

    def pick(self, pool: _Worth, rows: Sequence[int]) -> None:
        self.have = self.have + pool.expected[rows].sum(axis=0)
        if self.reach is not None and pool.reach is not None:
            self.reach.pick(pool.reach, rows)

    def relative(self) -> _Worth:
        """The same with gains as shares of their mean; without them where nothing is expected anywhere."""
        usual = float(self._gains().sum()) / max(len(self.worth), 1)
        return replace(self, worth=self.worth / usual) if usual > 0 else replace(self, weight=0.0)

    def _gains(self) -> Values:
        gains: Values = self.worth * (self.expected @ (self.have + 1) ** -self.rarity)
        return gains

    def _distances(self) -> Values:
        return np.ones(len(self.worth)) if self.reach is None else self.reach.squared.astype(np.float64) ** (self.novelty / 2)
