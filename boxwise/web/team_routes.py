"""The routes of a team: reviews of what others have answered, how far people agree, and the guidelines, which leads write for all.

Knows HTTP and who may ask; what a review does is the study's.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import StringConstraints

from boxwise.evaluation.agreement import Compared, agreement, compare
from boxwise.jsonable import plain
from boxwise.records import Role
from boxwise.store import UnderReview
from boxwise.web.answers import OverError, RefusedError
from boxwise.web.guidelines import MOST_CHARACTERS, examples, read_guidelines, rendered, version, write_guidelines
from boxwise.web.members import leading, reviewing, under_own_name
from boxwise.web.queue import LabelQueue
from boxwise.web.requests import Number, OpenBody, PersonBody, Reason, Seconds, Text, Word
from boxwise.web.state import TheQueue, TheStudy, Visitor
from boxwise.web.tasks import labels_to_json


class ReviewBody(OpenBody):
    """A verdict on the answer of that number. beside: of two answers, the number of the other. remark: why it is sent back."""

    number: Number
    beside: Number | None = None
    verdict: Literal["accept", "send back", "take"]
    remark: Reason | None = None
    seconds: Seconds = 0.0


class GuidelinesBody(PersonBody):
    """version: of the text that was edited."""

    text: Annotated[str, StringConstraints(max_length=MOST_CHARACTERS, pattern=r"^[^\x00]*$")]
    version: Word


routes = APIRouter()
_FOR_REVIEWERS = [Depends(reviewing), Depends(under_own_name)]


@routes.get("/api/review", dependencies=_FOR_REVIEWERS)
def under_review(
    queue: TheQueue, study: TheStudy, visitor: Visitor, annotator: Text = "", of: Text = "", past: Annotated[int, Query(ge=0)] = 0
) -> dict[str, Any]:
    """How many images are to be reviewed by somebody, and the one after the first `past` of them; of: whose answers alone."""
    due = study.reviews.due(annotator if visitor is None else visitor.name, of=of)
    found = next((item for image_id in due[past:] if (item := _item(queue, image_id)) is not None), None)
    return plain({"left": len(due), "item": found, "classes": study.classes})


@routes.post("/api/reviews", dependencies=_FOR_REVIEWERS)
def review(body: ReviewBody, queue: TheQueue, study: TheStudy) -> dict[str, Any]:
    queue.record(body.image_id)
    if body.verdict == "send back" and body.remark is None:
        raise RefusedError("remark_missing", body.image_id)
    said: dict[str, Any] = {"who": body.annotator, "round_index": study.position[0], "seconds": body.seconds}
    if body.verdict == "send back":
        done = study.reviews.send_back(body.image_id, body.number, body.remark or "", **said)
    elif body.verdict == "take":
        done = study.reviews.take(body.image_id, body.number, beside=body.beside, **said)
    else:
        done = study.reviews.accept(body.image_id, body.number, **said)
    if not done:
        raise OverError("not_under_review", body.image_id, body.annotator)
    return {"left": len(study.reviews.due(body.annotator))}


@routes.get("/api/guidelines")
def read(study: TheStudy, visitor: Visitor) -> dict[str, Any]:
    text = read_guidelines(study)
    found = {"text": text, "html": rendered(text), "version": version(text), "examples": examples(study)}
    return plain(found | {"editable": visitor is None or visitor.role is Role.LEAD, "name": study.folder.resolve().name})


@routes.put("/api/guidelines", dependencies=[Depends(leading), Depends(under_own_name)])
def write(body: GuidelinesBody, study: TheStudy) -> dict[str, Any]:
    write_guidelines(study, body.text, instead_of=body.version, who=body.annotator)
    return {"version": version(body.text)}


@routes.get("/api/team", dependencies=[Depends(leading)])
def team(study: TheStudy) -> dict[str, Any]:
    found = study.agreement()
    return {
        "people": [asdict(one) for one in study.team_table(found)],
        "agreement": asdict(found.every),
        "by_class": [{"name": name} | asdict(one) for name, one in found.by_class.items()],
        "by_pair": [{"name": " – ".join(pair)} | asdict(one) for pair, one in found.by_pair.items()],
    }


def _item(queue: LabelQueue, image_id: str) -> dict[str, Any] | None:
    """An image with its answers; None where somebody has judged it meanwhile."""
    record, answers = queue.record(image_id), queue.study.reviews.answers(image_id)
    if not answers:
        return None
    compared = compare(*(one.annotation.boxes for one in answers)) if len(answers) == 2 else None
    remarks = [
        {"by": event.who, "to": event.body["annotator"], "words": event.body["remark"]}
        for event in queue.study.events(image_id)
        if "remark" in event.body
    ]
    return {
        "image_id": image_id,
        "width": record.width,
        "height": record.height,
        "answers": [_answer(one, _apart(compared, first=one is answers[0])) for one in answers],
        "remarks": remarks,
        "agreement": None if compared is None else asdict(agreement([compared])),
    }


def _answer(one: UnderReview, apart: list[bool] | None) -> dict[str, Any]:
    """apart: which of the boxes the other person has not, or under another class."""
    boxes = labels_to_json(one.annotation)
    marked = [box | {"apart": bool(apart and apart[row])} for row, box in enumerate(boxes)]
    return {"number": one.number, "annotator": one.annotator, "at": one.at, "seconds": one.seconds, "boxes": marked}


def _apart(compared: Compared | None, *, first: bool) -> list[bool] | None:
    if compared is None:
        return None
    theirs = compared.first == first
    found: list[bool] = (compared.labels != compared.partners)[theirs].tolist()
    return found
