"""PAL's selection: the budget is split over the classes, most to the rare ones, and spent on the images least sure of each.

Returns images class by class. Knows nothing of detectors or labels: uncertainties come as score terms "pal:<class index>".
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.records import Query
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.top_k import falling

TERM = "pal:"  # + class index: the name of the score term that holds the uncertainty of that class
ROUNDING = 1e-9  # of the sum of shares: seven images of budget are not eight
Values = NDArray[np.float64]


class Pal:
    """Portable active learning (CVPR 2026): class budgets in proportion to rarity, each spent on the images most uncertain of the class.

    r_c = 1 - ½ (n_cl / N_l + n_cu / N_u), with n_cl of N_l labelled objects and n_cu of N_u objects expected in the pool. The rarest class
    chooses first; an image counts against the class that chose it and is not offered again. What a class leaves of its budget, because
    too few images are uncertain of it, falls to the next rarest; what the last leaves goes to the highest scores. O(classes · pool · log
    pool) time, no forward pass. The utility is the uncertainty of the class that chose the image, or else its score.

    Beside the paper: of a class, the uncertainty of an image is that of its least certain box, and the refinement of the
    batch by global image entropy, class diversity and image similarity (GUIDE) is left out.
    """

    uses_embeddings = False
    uses_boxes = False

    def select(self, candidates: Candidates, budget: Budget, *, rng: Generator) -> Query:
        costs, free = budget.costs(candidates), np.ones(len(candidates), bool)
        picks: list[int] = []
        utility: list[float] = []
        spent = 0.0
        for values, order, line in _turns(candidates, budget.amount, rng):
            for row in order[free[order]].tolist():
                if spent >= line:
                    break
                picks.append(row)
                utility.append(float(values[row]))
                spent += float(costs[row])
                free[row] = False
        return candidates.query(picks, utility=np.array(utility))


def rarity(labeled: Values, pool: Values) -> Values:
    """r_c of each class from objects labelled and expected in the pool, [C] each; of none at all each class has an equal part."""
    return 1 - (_shares(labeled) + _shares(pool)) / 2


def _turns(candidates: Candidates, amount: float, rng: Generator) -> Iterator[tuple[Values, NDArray[np.intp], float]]:
    """Who may choose, in turn: the values it goes by, the rows it would take, best first, and up to which spending it may."""
    uncertainties = _uncertainties(candidates)
    shares = _shares(_rarity_of(candidates, len(uncertainties)))
    line = 0.0
    for label in np.argsort(-shares, kind="stable"):
        line += shares[label] * amount
        order = falling(uncertainties[label], rng)
        yield uncertainties[label], order[uncertainties[label][order] > 0], line - ROUNDING
    yield candidates.scores.values, falling(candidates.scores.values, rng), amount


def _uncertainties(candidates: Candidates) -> list[Values]:
    """Of each class in order, every image's uncertainty [N]; none where the scorer is another."""
    terms = candidates.scores.terms
    count = sum(name.startswith(TERM) for name in terms)
    return [terms[f"{TERM}{label}"] for label in range(count)]


def _rarity_of(candidates: Candidates, class_count: int) -> Values:
    labeled, pool = candidates.labeled_class_counts, candidates.class_counts.sum(axis=0)
    nobody_knows = np.zeros(class_count)
    return rarity(*(counts if len(counts) == class_count else nobody_knows for counts in (labeled, pool)))


def _shares(amounts: Values) -> Values:
    """Amounts as parts of their sum; equal parts where the sum is 0."""
    total = amounts.sum()
    return amounts / total if total > 0 else np.full(len(amounts), 1 / max(len(amounts), 1))
