"""The routes of labelling: what the page asks the queue for and hands in."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response

from boxwise.study import Study
from boxwise.web.answers import Answer, todays_labels
from boxwise.web.members import check_may_flag, check_may_open, may_open, may_review, under_own_name
from boxwise.web.pictures import TILE, is_large
from boxwise.web.requests import AnswerBody, DraftBody, ImagesBody, KeepingBody, OpenBody, OpeningBody, RenewBody, SkipBody, WithdrawBody
from boxwise.web.state import TheQueue, Visitor
from boxwise.web.study_routes import amounts
from boxwise.web.tasks import Task, task_to_json

routes = APIRouter(dependencies=[Depends(under_own_name)])


@routes.get("/api/queue")
def listing(queue: TheQueue) -> dict[str, Any]:
    return {"round": queue.study.position[0], "items": queue.listing()}


@routes.post("/api/next")
def next_image(body: KeepingBody, queue: TheQueue) -> dict[str, Any]:
    found = queue.next(body.annotator, tab=body.tab, keep=set(body.keep), visit=body.visit)
    if not isinstance(found, Task):
        return {"task": None, "reason": found}
    return {"task": _served(found), "classes": queue.study.classes}


@routes.post("/api/open")
def open_image(body: OpeningBody, queue: TheQueue, visitor: Visitor) -> Response:
    check_may_open(visitor, queue, body.image_id)
    task = _served(queue.open(body.image_id, body.annotator, tab=body.tab, visit=body.visit))
    labels = None if body.classes is None else todays_labels(queue.study, body.classes)
    return JSONResponse({"task": task, "classes": queue.study.classes, "labels": labels})


@routes.post("/api/renew")
def renew(body: RenewBody, queue: TheQueue, visitor: Visitor) -> dict[str, Any]:
    theirs = [i for i in body.image_ids if may_open(visitor, queue, i)]
    until, lost = queue.renew(theirs, body.annotator, tab=body.tab, begun_on=body.begun_on)
    return {"until": until, "lost": [*lost, *(i for i in body.image_ids if i not in theirs)]}


@routes.post("/api/release")
def release(body: ImagesBody, queue: TheQueue) -> dict[str, Any]:
    queue.release(body.image_ids, body.annotator, tab=body.tab)
    return {}


@routes.post("/api/close")
def close_tab(body: KeepingBody, queue: TheQueue) -> dict[str, Any]:
    queue.close_tab(body.annotator, tab=body.tab, keep=set(body.keep), visit=body.visit)
    return {}


@routes.put("/api/drafts")
def save_draft(body: DraftBody, queue: TheQueue) -> dict[str, Any]:
    kept = queue.save_draft(body.image_id, body.round, body.annotator, revision=body.revision, document=body.document)
    return {"revision": kept}


@routes.post("/api/answers")
def answer(body: AnswerBody, queue: TheQueue, visitor: Visitor) -> dict[str, Any]:
    if queue.labelling.answer(body.key) is None and body.image_id not in queue.study.asked(body.round):  # else it is stored, or asked
        check_may_open(visitor, queue, body.image_id)
    given = Answer(
        key=body.key,
        annotator=body.annotator,
        image_id=body.image_id,
        round=body.round,
        verdicts=[verdict.verdict() for verdict in body.verdicts],
        complete=body.complete,
        seconds=body.seconds,
        classes=body.classes,
        judges=body.begun_on if may_review(visitor) else None,
        begun_on=body.begun_on,
        question=body.question,
    )
    return {"late": queue.answer(given)} | _waiting(queue.study)


@routes.post("/api/withdrawals")
def withdraw(body: WithdrawBody, queue: TheQueue) -> dict[str, Any]:
    queue.withdraw(body.key, body.image_id, body.round, body.annotator, tab=body.tab)
    return _waiting(queue.study)


@routes.post("/api/unflags")
def unflag(body: OpenBody, queue: TheQueue, visitor: Visitor) -> dict[str, Any]:
    check_may_flag(visitor, queue, body.image_id, queue.study.position[0])
    queue.unflag(body.image_id, body.annotator)
    return _waiting(queue.study)


@routes.post("/api/unskips")
def unskip(body: OpenBody, queue: TheQueue) -> dict[str, Any]:
    queue.labelling.unskip(body.image_id, body.annotator)
    return _waiting(queue.study)


@routes.post("/api/skips")
def skip(body: SkipBody, queue: TheQueue, visitor: Visitor) -> dict[str, Any]:
    if body.flag:
        check_may_flag(visitor, queue, body.image_id, queue.study.position[0])
        queue.flag(body.image_id, body.annotator, body.reason)
    else:
        queue.skip(body.image_id, body.round, body.annotator, body.reason)
    if body.key and body.seconds:
        queue.labelling.spend(body.image_id, queue.study.position[0], body.annotator, body.seconds, key=body.key)
    return _waiting(queue.study)


def _waiting(study: Study) -> dict[str, Any]:
    return {"waiting": amounts(study)[1]}


def _served(task: Task) -> dict[str, Any]:
    """A task with the address of its picture. tiles: the side in pixels of the tiles of a picture that is sent reduced."""
    large = is_large(task.record)
    url = f"/{'previews' if large else 'images'}/{quote(task.record.image_id)}"
    return task_to_json(task) | {"url": url, "tiles": TILE if large else None}
