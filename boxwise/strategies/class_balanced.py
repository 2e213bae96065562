"""Class balance: images that are expected to hold what is rare among the labels.

Returns images by the classes that the detector expects on them. Knows nothing of scores, embeddings or ground truth.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.records import Query
from boxwise.strategies.base import Budget, Candidates

Gains = NDArray[np.float64]
FIRST_LOOK = 64  # images measured again before a pick; more only if none of them is certain to be the best


class ClassBalanced:
    """Greedy cover of the classes: each pick gains most in sum over classes of ln(1 + n_c), per unit of budget that
    drawing all it shows would cost, also where less is asked.

    n_c: objects of class c labelled so far and expected on earlier picks. The n-th object of a class is worth about 1 / n, so the sum is
    largest where classes are level; all classes weigh the same. The sum is submodular, so greedy comes within 1 - 1/e of the best query in
    images (Nemhauser et al., 1978). The utility is the gain at the pick. In images, crowded ones gain more; in boxes or
    seconds an image pays for its crowd.

    No paper's method, but the plain form of the class terms that PAL and CALD add to others. No forward pass but the pool's. At most
    O(budget · pool · classes) time; gains only fall, so those of few images need to be measured again before each pick (Minoux, 1978).
    The expected counts are the detector's own: a class it has never learned to see is not looked for.
    """

    uses_embeddings = False
    uses_boxes = False

    def select(self, candidates: Candidates, budget: Budget, *, rng: Generator) -> Query:
        order = rng.permutation(len(candidates))  # ties: the first in a random order
        costs, expected = budget.costs(candidates)[order], candidates.expected_objects[order]
        have = candidates.labeled_objects
        drawing = budget.drawing(candidates)[order]
        bounds = gains(expected, have) / drawing
        picks: list[int] = []
        utility: list[float] = []
        spent = 0.0
        while spent < budget.amount and len(picks) < len(order):
            pick = _best(bounds, expected, have, drawing)
            picks.append(pick)
            utility.append(float(bounds[pick]))
            spent += float(costs[pick])
            have += expected[pick]
            bounds[pick] = -np.inf
        return candidates.query(order[picks].tolist() if picks else [], utility=np.array(utility))


def gains(expected: Gains, have: Gains) -> Gains:
    """What each image [N] adds to the sum over classes of ln(1 + n_c), from expected objects [N, C] and those there already [C]."""
    return np.log1p(expected / (1 + have)).sum(axis=1)


def _best(bounds: Gains, expected: Gains, have: Gains, costs: Gains) -> int:
    """The row of the largest gain per cost, ties by row. bounds: past gains per cost [N], so no smaller; those looked at are renewed."""
    look = FIRST_LOOK
    while look < len(bounds):
        rows = np.argpartition(-bounds, look - 1)[:look]
        unseen = np.partition(bounds, len(bounds) - look - 1)[len(bounds) - look - 1]
        bounds[rows] = np.where(np.isfinite(bounds[rows]), gains(expected[rows], have) / costs[rows], -np.inf)
        if bounds[rows].max() > unseen:
            return int(bounds.argmax())
        look *= 4
    open_rows = np.isfinite(bounds)
    bounds[open_rows] = gains(expected[open_rows], have) / costs[open_rows]
    return int(bounds.argmax())
