"""Our own strategy: what an image is expected to teach, for each second that a person spends on it.

Returns images greedily, each worth less as what it shows is chosen or labelled already. Knows nothing of detectors, stores or labels
of the pool.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.records import Query
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.k_center import squared_to, squared_to_nearest

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
        embeddings, costs = candidates.embeddings[order], budget.costs(candidates)[order]
        worth = _scores(candidates)[order] / self._seconds(candidates)[order]
        objects, have = _objects(candidates)
        expected = objects[order]
        norms = np.einsum("nd,nd->n", embeddings, embeddings)
        distance = squared_to_nearest(embeddings, norms, candidates.labeled_embeddings)
        usual = float(np.sqrt(distance).mean()) if len(distance) else 1.0
        picks: list[int] = []
        utility: list[float] = []
        spent = 0.0
        while spent < budget.amount and len(picks) < len(order):
            values = worth * (expected @ _class_worth(have, self.rarity)) * _novelty(distance, usual, self.novelty)
            values[picks] = -1.0
            pick = int(values.argmax())
            picks.append(pick)
            utility.append(float(values[pick]))
            spent += float(costs[pick])
            have += expected[pick]
            np.minimum(distance, squared_to(embeddings, norms, pick), out=distance)
        return candidates.query(order[picks].tolist() if picks else [], utility=np.array(utility))

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


def _class_worth(have: Values, rarity: float) -> Values:
    """What an object of each class is worth beside the average one; [C]. One of each is taken as known: none is worth infinity."""
    return ((have.mean() + 1) / (have + 1)) ** rarity


def _novelty(squared: NDArray[np.float32], usual: float, exponent: float) -> Values:
    """Distances as a share of the `usual` one, at most 1, to the power `exponent`; all 1 where everything lies on one point."""
    if exponent == 0 or usual == 0:
        return np.ones(len(squared))
    return np.minimum(np.sqrt(squared.astype(np.float64)) / usual, 1.0) ** exponent
