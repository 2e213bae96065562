"""What a person would be asked about each pool image in the study's mode of asking, and what that costs, before any is chosen.

Returns counts, image ids and candidates. Knows nothing of how images are chosen, or of who answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace

import numpy as np

from boxwise.config import CostConfig
from boxwise.records import Proposals
from boxwise.strategies.base import Candidates


@dataclass(frozen=True, slots=True)
class Questions:
    """About one image. uncertain: its boxes that are questions. there: boxes of any kind that it has by now, the model's and a person's.

    proposed: those of the model. looked_over: whether a person has looked for missed objects before.
    """

    uncertain: int = 0
    proposed: int = 0
    there: int = 0
    looked_over: bool = False


def questions_of(made: Iterable[Proposals]) -> dict[str, Questions]:
    """What the proposals on each image leave to a person, by image_id."""
    return {each.image_id: _questions(each) for each in made}


def _questions(made: Proposals) -> Questions:
    proposed, settled = len(made.boxes), made.settled
    there = proposed + (0 if settled is None else len(settled.boxes))
    return Questions(int(np.sum(~made.certain)), proposed, there, settled is not None and settled.complete)


def askable(mode: str, pool: Set[str], questions: Mapping[str, Questions]) -> Set[str]:
    """The images that the mode has anything for: asking by boxes needs an uncertain one, trust a box, or nothing would be learned."""
    if mode == "trust":
        return {image_id for image_id, asked in questions.items() if image_id in pool and asked.proposed}
    if mode == "boxes":
        return {image_id for image_id, asked in questions.items() if image_id in pool and asked.uncertain and not asked.looked_over}
    return pool


def asks_ahead(mode: str, unit: str) -> bool:
    """Whether the choice goes by what people would be asked: in trust and boxes some images have nothing to ask, and in review a budget in
    anything but images is charged for the answers."""
    return mode in ("trust", "boxes") or (mode == "review" and unit != "images")


def charged(candidates: Candidates, questions: Mapping[str, Questions], *, mode: str, cost: CostConfig) -> Candidates:
    """The candidates with what a budget is charged for answering, instead of drawing each expected object: certain boxes cost nothing,
    uncertain ones a verification, and in review what is expected beyond the boxes that are there is looked for and drawn.

    Strategies go on weighing the objects of an image by what drawing them takes, or they would prefer images that ask nothing.
    """
    found = [questions.get(image_id, Questions()) for image_id in candidates.image_ids]
    uncertain, there = (np.array(column, np.float64) for column in ([q.uncertain for q in found], [q.there for q in found]))
    whole = np.array([mode == "review" and not q.looked_over for q in found], np.float64)
    missed = whole * np.maximum(candidates.box_counts - there, 0.0)
    seconds = cost.look * whole + cost.verify * uncertain + cost.draw * missed
    return replace(candidates, answers=uncertain + missed, answer_seconds=seconds)
