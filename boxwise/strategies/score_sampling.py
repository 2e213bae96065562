"""Drawing in proportion to the score: images of a high score are likelier, none is impossible.

Returns a query in drawing order with the probability of every draw, so that losses measured on it can be weighted back to the pool
(evaluation/lure.py). Knows nothing of embeddings, detectors or labels.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.evaluation.normalize import standardized
from boxwise.records import Query
from boxwise.strategies.base import Budget, Candidates


class ScoreSampling:
    """Draws without replacement, each time image i with probability exp(z_i / temperature) / its sum over what is left.

    z: the scores standardised over the candidates. A low temperature comes near to top_k, a high one near to random; equal scores are drawn
    uniformly. The draws are the largest of Gumbel-perturbed scores (Kool et al., ICML 2019), in the same distribution as one draw after
    another: O(pool · log pool) time. The utility is the score.
    """

    uses_embeddings = False
    uses_boxes = False

    def __init__(self, temperature: float = 0.5) -> None:
        self.temperature = temperature

    def select(self, candidates: Candidates, budget: Budget, *, rng: Generator) -> Query:
        log_weights = standardized(candidates.scores.values) / self.temperature
        order = np.argsort(-(log_weights + rng.gumbel(size=len(log_weights))), kind="stable")
        picks = budget.first(order, candidates)
        probabilities = draw_probabilities(log_weights[order], len(picks))
        return candidates.query(picks.tolist(), candidates.scores.values[picks], probabilities=probabilities)


def draw_probabilities(log_weights: NDArray[np.float64], drawn: int) -> NDArray[np.float64]:
    """Of the first `drawn` of N images in drawing order: each one's share of the weight left at its draw; float64 [drawn] from [N].

    The weight left is summed from the last draw backwards, in logarithms: nothing is subtracted and nothing overflows.
    """
    behind = np.logaddexp.reduce(log_weights[drawn:])
    left = np.logaddexp.accumulate(np.concatenate([[behind], log_weights[:drawn][::-1]]))[:0:-1]
    return np.exp(log_weights[:drawn] - left)
