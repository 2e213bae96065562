"""The simulated annotator: the only place where ground truth of the pool lives.

Answers as a person would who draws every object of an image, each act charged in seconds. Reached from simulation.py alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from boxwise.annotation.verdicts import drawn
from boxwise.boxes import Boxes
from boxwise.config import CostConfig
from boxwise.evaluation.cost import seconds_of
from boxwise.records import Verdict


class SimulatedAnnotator:
    """Draws the true boxes of any image it is asked about."""

    def __init__(self, truths: Mapping[str, Boxes], cost: CostConfig) -> None:
        self._truths = dict(truths)
        self._cost = cost

    def annotate(self, image_id: str) -> tuple[tuple[Verdict, ...], float]:
        """The verdicts on one image and all seconds spent on it: one look, and a drawing for each object."""
        verdicts = drawn(self._truths[image_id], self._cost)
        return verdicts, seconds_of(verdicts, self._cost)

    def reveal(self, image_id: str) -> Boxes:
        """Ground truth for the `oracle_loss` arm, an upper bound that no real study can have."""
        return self._truths[image_id]
