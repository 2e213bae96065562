"""Our own strategy: what an image is expected to teach, for each second that a person spends on it.

Returns images greedily, each worth less as what it shows is chosen or labelled already. Knows nothing of detectors, stores or labels
of the pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    """Picks the largest score · rarity · novelty / seconds, and looks again after each pick.

    - score: from the scorer, by rank in the pool; meant for `forecast`, the detection loss to be expected per object.
    - rarity: objects expected on the image, those of class c worth (n̄ / n_c)^rarity, where n_c objects are labelled or expected on earlier
      picks and n̄ is the mean over classes. So the product with the score is a loss summed over objects.
    - novelty: distance of the image's embedding to the nearest labelled or picked one, as a share of the pool's mean distance to what is
      labelled, at most 1, to the power `novelty`: a near-duplicate of anything is worth nothing.
    - seconds: what a person is expected to need; 1 for all unless `per_second`.

    An exponent of 0 leaves a part out, which is how the parts are ablated. The utility is the value at the pick. O(budget · pool · (dim +
    classes)) time, no forward pass but those over the pool and over what is labelled.
    """

    uses_embeddings = True
    uses_boxes = False

    def __init__(self, *, rarity: float = 0.5, novelty: float = 1.0, per_second: bool = True) -> None:
        self.rarity, self.novelty, self.per_second = rarity, novelty, per_second

    def select(self, candidates: Candidates, budget: Budget, *, rng: Generator) -> Query:
        order = rng.permutation(len(candidates))  # ties: the first in a random order
        objects, have = _objects(candidates)
        worth = (_scores(candidates) / self._seconds(candidates))[order]
        reach = Reach.of(candidates.embeddings[order], candidates.labeled_embeddings) if self.novelty else None
        pool = _Worth(worth, objects[order], have.copy(), self.rarity, reach, _usual(reach), self.novelty)
        picks, utility = greedy(pool, budget.costs(candidates)[order], amount=budget.amount, choose=lambda values: int(values.argmax()))
        return candidates.query(order[picks].tolist() if picks else [], utility=utility * _levels(objects[order[picks]], have, self.rarity))

    def _seconds(self, candidates: Candidates) -> Values:
        known = self.per_second and len(candidates.seconds) == len(candidates)
        return np.maximum(candidates.seconds, 1.0) if known else np.ones(len(candidates))


def _scores(candidates: Candidates) -> Values:
    """Scores moved into [_LEAST_SCORE, 1]; 1 for all where they are equal."""
    values = candidates.scores.values
    width = np.ptp(values) if len(values) else 0.0
    return _LEAST_SCORE + (1 - _LEAST_SCORE) * (values - values.min()) / width if width > 0 else np.ones(len(values))


def _objects(candidates: Candidates) -> tuple[Values, Values]:
    """Objects that labelling each image may bring, [N, C], and those labelled, [C]; C = 1 where classes are unknown."""
    known = candidates.expected_objects
    if known.shape[1] == 0:
        return candidates.box_counts[:, None], np.zeros(1)
    return known, candidates.labeled_objects


@dataclass
class _Worth:
    """The product for some images. worth: score / seconds [N]. expected: objects [N, C]. have: those labelled and picked [C].

    An object of class c counts 1 / (n_c + 1)^rarity here, one of each taken as known; n̄ is the same for all images: see `_levels`.
    """

    worth: Values
    expected: Values
    have: Values
    rarity: float
    reach: Reach | None
    usual: float
    novelty: float

    def values(self) -> Values:
        objects: Values = self.expected @ (self.have + 1) ** -self.rarity
        return self.worth * objects * self._news()

    def take(self, rows: NDArray[np.intp]) -> _Worth:
        reach = None if self.reach is None else self.reach.take(rows)
        return replace(self, worth=self.worth[rows], expected=self.expected[rows], have=self.have.copy(), reach=reach)

    def pick(self, pool: _Worth, rows: Sequence[int]) -> None:
        self.have += pool.expected[rows].sum(axis=0)
        if self.reach is not None and pool.reach is not None:
            self.reach.pick(pool.reach, rows)

    def _news(self) -> Values | float:
        """Distances as a share of the `usual` one, at most 1, to the power `novelty`; 1 where everything lies on one point."""
        if self.reach is None or self.usual == 0:
            return 1.0
        return np.minimum(np.sqrt(self.reach.squared.astype(np.float64)) / self.usual, 1.0) ** self.novelty


def _usual(reach: Reach | None) -> float:
    """The pool's mean distance to what is labelled."""
    return float(np.sqrt(reach.squared).mean()) if reach is not None and len(reach.squared) else 1.0


def _levels(picked: Values, have: Values, rarity: float) -> Values:
    """(n̄ + 1)^rarity at each pick, which makes an object of the average class count 1; from the objects picked [n, C], those had [C]."""
    before = have.sum() + np.cumsum(picked.sum(axis=1)) - picked.sum(axis=1)
    return np.asarray((before / len(have) + 1) ** rarity)
