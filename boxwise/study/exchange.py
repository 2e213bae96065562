"""What goes to a labelling server and comes back, on any server: the facts of a push and of a pull, and final boxes as verdicts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from boxwise.annotation.comparison import verdicts_from
from boxwise.boxes import Boxes
from boxwise.records import Proposals
from boxwise.study.study import Study


@dataclass(frozen=True)
class Pushed:
    """A push: where people label, the round, and how many of its images were sent now, were there, or are no longer needed and withdrawn.

    findings: one message for each image that could not be sent, and what else a person is to know of what is there.
    """

    url: str
    round: int
    made: int
    there: int
    withdrawn: int = 0
    findings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pulled:
    """A pull: how many answers were taken in now, and how many before.

    findings: one message for each answer that was not taken; its image still waits. waiting: images of the round without an answer, among
    them those that people skipped (ids), and those in jobs that are not completed (their number).
    """

    taken: int
    known: int
    findings: tuple[str, ...]
    waiting: int
    skipped: tuple[str, ...] = ()
    unfinished: int = 0


def record(study: Study, image_id: str, boxes: Boxes, *, round_index: int, annotator: str, key: str, seconds: float | None = None) -> None:
    """Record the boxes that a person left on an image, as what was done to those that the round had shown.

    key: the answer's own, so that it counts once. seconds: None charges the config's costs. Raises BoxwiseError when it cannot be taken.
    """
    before = study.shown(image_id, round_index=round_index) or Proposals(image_id, Boxes.empty(), np.zeros(0, bool))
    verdicts = verdicts_from(boxes, before, study.config.cost)
    study.tell(image_id, verdicts, annotator=annotator, seconds=seconds, shown=before, round_index=round_index, key=key)
