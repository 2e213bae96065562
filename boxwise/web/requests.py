"""The bodies that the page sends, validated at the door.

Knows shapes and limits; nothing of studies.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints

from boxwise.records import Action, Verdict

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
ImageId = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Seconds = Annotated[FiniteFloat, Field(ge=0, le=7 * 24 * 3600)]
_MOST_VERDICTS = 5000


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PersonBody(Body):
    """Who sends it. tab: tells the windows of one person apart, since each has images of its own in hand."""

    annotator: Name
    tab: Annotated[str, StringConstraints(max_length=100)] = ""


class KeepingBody(PersonBody):
    visit: Annotated[str, StringConstraints(max_length=100)] = ""
    keep: list[ImageId] = Field(default_factory=list, max_length=50)


class ImagesBody(PersonBody):
    image_ids: list[ImageId] = Field(max_length=50)


class OpenBody(PersonBody):
    image_id: ImageId


class DraftBody(OpenBody):
    round: int = Field(ge=0)
    revision: int = Field(ge=0)
    document: dict[str, Any]


class SkipBody(OpenBody):
    round: int = Field(ge=0)
    reason: Reason
    flag: bool = False


class VerdictBody(Body):
    action: Action
    box_id: str = Field("", max_length=200)
    xyxy: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat] | None = None
    label: int | None = Field(None, ge=0)
    seconds: Seconds = 0.0
    difficult: bool = False
    crowd: bool = False

    def verdict(self) -> Verdict:
        return Verdict(**self.model_dump())


class AnswerBody(OpenBody):
    key: Annotated[str, StringConstraints(min_length=8, max_length=100)]
    round: int = Field(ge=0)
    verdicts: list[VerdictBody] = Field(max_length=_MOST_VERDICTS)
    complete: bool
    seconds: Seconds
