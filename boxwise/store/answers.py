"""What the store answers where a single value will not do: labour, people, the history of an image, the state of it all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from boxwise.errors import ChangedError
from boxwise.records import Annotation, Phase, Verdict


class LabelledMeanwhileError(ChangedError):
    """An image came to other labels than those that new ones were to replace; annotator: who gave them."""

    def __init__(self, image_id: str, annotator: str) -> None:
        super().__init__(f"{image_id} was labelled meanwhile, by {annotator}. Nothing more was stored: do the same again.")
        self.annotator = annotator


class LabelsChangedError(ChangedError):
    """An image has other labels than those that an answer began with."""

    def __init__(self, image_id: str) -> None:
        super().__init__(f"{image_id}: its labels were changed meanwhile. Nothing more was stored: do the same again.")


class Begun(NamedTuple):
    """The labels that an answer began with. number: of that annotation, 0: the image had none. edits: whether it says what becomes of their
    boxes, so that it fits no other labels; else it only must not replace newer ones of another person unseen."""

    number: int
    edits: bool


class LabelState(NamedTuple):
    """What had been labelled by a moment: the greatest number of an annotation, 0: there was none, and which images were out of use."""

    number: int
    out_of_use: frozenset[str]


class Current(NamedTuple):
    """The labels that an image has now, who gave them, and their number, which grows with time."""

    number: int
    annotator: str
    annotation: Annotation


@dataclass(frozen=True)
class Labour:
    """What annotating cost: images and boxes now labelled, and all seconds ever spent, history and quarantined images included.

    boxes: those a person answered for, a region that is ignored being one; model_boxes: the others. by_hand: images and boxes of any source
    that were labelled in this study, not given with the data: what a person would have had to do without a model.
    """

    images: int
    boxes: int
    model_boxes: int
    seconds: float
    by_hand: tuple[int, int]


@dataclass(frozen=True)
class Stamp:
    """The state of a study: the position, how many annotations there are, how many are history only, images out of use, when each step
    wrote its facts, anew perhaps, and how many events there are: of classes that changed, images that joined, seconds of skips."""

    position: tuple[int, Phase]
    given: int
    late: int
    quarantined: int
    facts: str | None
    events: int


@dataclass(frozen=True)
class HistoryEntry:
    """One annotation that an image had. number: grows with time. at: ISO 8601, UTC. late: it never counted, or was taken back.

    verdicts: what it was made of.
    """

    number: int
    annotator: str
    at: str
    late: bool
    annotation: Annotation
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class Person:
    """What an annotator has done: images answered for, and seconds."""

    images: int
    seconds: float
