"""What goes to a labelling server and comes back, on any server: the facts of a push and of a pull, what the study remembers of the server
while several processes exchange with it, and final boxes as verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from boxwise.annotation.comparison import verdicts_from
from boxwise.boxes import Boxes
from boxwise.files import locked
from boxwise.records import ImageRecord, Proposals, Query
from boxwise.store import SentBack
from boxwise.study.study import Study

Memory = TypeVar("Memory")


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
    them those that people skipped (ids), and those in jobs that are not completed (their number). late: the images of the answers that came
    after another person's and are kept as history, in their order. sent_back: one message for each answer from there that a reviewer has
    sent back.
    """

    taken: int
    known: int
    findings: tuple[str, ...]
    waiting: int
    skipped: tuple[str, ...] = ()
    unfinished: int = 0
    late: tuple[str, ...] = ()
    sent_back: tuple[str, ...] = ()


@contextmanager
def remembering(study: Study, tool: str, *, read: Callable[[Any], Memory], write: Callable[[Memory], Any]) -> Iterator[Memory]:
    """What the study remembers of a tool, and anew when the block ends, however it ends; meanwhile no other may change it.

    Pushes, pulls and webhooks come side by side. A task that another one overwrote would be made anew, the seconds of an annotation charged
    again. Do no long work in the block: others wait for it. read, write: from JSON, None before the first time, and to it.
    """
    with locked(study.folder / f".{tool}.lock", wait=True):
        kept = study.recall(tool)
        memory = read(kept)
        if kept is None:  # the study's name on the server is stored before it is used
            study.remember(tool, write(memory))
        try:
            yield memory
        finally:
            study.remember(tool, write(memory))


def pushing(study: Study, tool: str) -> AbstractContextManager[None]:
    """Held by a push from its beginning to its end: another one that begins meanwhile waits, and then finds what this one has sent."""
    return locked(study.folder / f".{tool}.push.lock", wait=True)


def usable(study: Study, image_id: str) -> ImageRecord | None:
    """One image with its size; None where the study has none of that id, or it is out of use."""
    image = study.record(image_id)  # opens one that never was, which may take it out of use
    return image if image is not None and study.fault(image_id) is None else None


def record_answer(
    study: Study,
    image_id: str,
    boxes: Boxes,
    *,
    round_index: int,
    annotator: str,
    places: Sequence[str],
    state: str,
    classes: Sequence[str],
    seconds: float | None = None,
) -> bool:
    """Record the boxes that a person left on an image, as what was done to those that the round had shown; returns whether that was late.

    places: names of where the server has the answer, and then of where it may have had it before: what came from there is replaced, whoever
    drew it. state: of the first of them, so that each state counts once. classes: those of which the labels are numbers. seconds: None
    charges the config's costs. Raises BoxwiseError when it cannot be taken.
    """
    before = study.shown(image_id, round_index=round_index) or Proposals(image_id, Boxes.empty(), np.zeros(0, bool))
    verdicts = verdicts_from(boxes, before, study.config.cost)
    key, replaces = f"{places[0]}:{state}", tuple(f"{place}:" for place in places)
    study.tell(
        image_id,
        verdicts,
        annotator=annotator,
        seconds=seconds,
        shown=before,
        round_index=round_index,
        key=key,
        replaces=replaces,
        classes=classes,
    )
    stored = study.labelling.answer(key)
    return stored is not None and stored.late


def sent_back_message(image_id: str, back: SentBack, *, then: str) -> str:
    """That an answer was sent back, by whom and why. then: what is to be done."""
    return f'{image_id}: {back.who} sent it back to {back.to}: "{back.remark}". {then}'


def asked_of_two(query: Query) -> list[str]:
    """The images of a query that two people are asked about, each alone."""
    return [item.image_id for item in query.items if item.twice]
