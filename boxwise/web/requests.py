"""The bodies that the page sends, validated at the door.

Knows shapes and limits; nothing of studies.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints

from boxwise.errors import StudyError
from boxwise.records import Action, Verdict
from boxwise.store import check_person

_MOST_VERDICTS = 5000
_MOST_CLASSES = 10_000


def _storable(document: dict[str, Any]) -> dict[str, Any]:
    """A document that can be written and read again: Python's JSON reader takes NaN and halves of characters, which no browser does."""
    try:
        json.dumps(document, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ValueError(f"expected plain JSON, found what cannot be stored ({error})") from None
    return document


def _of_a_person(name: str) -> str:
    try:
        check_person(name)
    except StudyError as error:
        raise ValueError(str(error)) from None
    return name


_PRINTED = r"^[^\x00-\x1f\x7f]*$"  # no control characters: databases refuse some of them
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=_PRINTED), AfterValidator(_of_a_person)
]
ImageId = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]
ClassName = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=_PRINTED)]
Key = Annotated[str, StringConstraints(min_length=8, max_length=100, pattern=_PRINTED)]
Text = Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00]*$")]  # what is looked for
Word = Annotated[str, StringConstraints(max_length=100, pattern=_PRINTED)]
Seconds = Annotated[FiniteFloat, Field(ge=0, le=7 * 24 * 3600)]
Number = Annotated[int, Field(ge=0, lt=2**31)]  # what a column of the database holds
Document = Annotated[dict[str, Any], AfterValidator(_storable)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PersonBody(Body):
    """Who sends it. tab: tells the windows of one person apart, since each has images of its own in hand. visit: see `LabelQueue.next`."""

    annotator: Name
    tab: Word = ""
    visit: Word = ""


class KeepingBody(PersonBody):
    keep: list[ImageId] = Field(default_factory=list, max_length=50)


class ImagesBody(PersonBody):
    image_ids: list[ImageId] = Field(max_length=50)


class RenewBody(ImagesBody):
    """begun_on: image_id → number of the labels that the work on it began with; an image that had none is not in it."""

    begun_on: dict[ImageId, Number] = Field(default_factory=dict, max_length=50)


class OpenBody(PersonBody):
    image_id: ImageId


class OpeningBody(OpenBody):
    """classes: those of which labels are numbers that are to be put on the image; null where there are none."""

    classes: list[ClassName] | None = Field(None, max_length=_MOST_CLASSES)


class DraftBody(OpenBody):
    round: Number
    revision: Number
    document: Document


class SkipBody(OpenBody):
    """seconds: that were spent on the image; they count once under their `key`, and without one not at all."""

    round: Number
    reason: Reason
    flag: bool = False
    key: Key | None = None
    seconds: Seconds = 0.0


class VerdictBody(Body):
    action: Action
    box_id: Annotated[str, StringConstraints(max_length=200, pattern=_PRINTED)] = ""
    xyxy: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat] | None = None
    label: Number | None = None
    seconds: Seconds = 0.0
    difficult: bool = False
    crowd: bool = False

    def verdict(self) -> Verdict:
        return Verdict(**self.model_dump())


class WithdrawBody(OpenBody):
    """Take back the answer that was handed in under `key`."""

    round: Number
    key: Key


class AnswerBody(OpenBody):
    """begun_on: number of the labels that the work began with; null where there were none, or the sender does not say.

    question: that of the task which the verdicts answer; null from a page that does not say.
    """

    key: Key
    round: Number
    verdicts: list[VerdictBody] = Field(max_length=_MOST_VERDICTS)
    classes: list[ClassName] | None = Field(None, max_length=_MOST_CLASSES)  # that the verdicts' labels are of; null: the study's of now
    complete: bool
    seconds: Seconds
    begun_on: Number | None = None
    question: Word | None = None
