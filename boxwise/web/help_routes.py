"""The routes of the models' help while a person draws: what was found, what a click means, where a burst's boxes have gone."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field, FiniteFloat
from starlette.concurrency import run_in_threadpool

from boxwise.web.found import found_on
from boxwise.web.requests import Body, ImageId, Number
from boxwise.web.state import Help, TheAssistant, TheQueue

Edges = tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]


class AheadBody(Body):
    """Images that somebody will click on soon."""

    image_ids: list[ImageId] = Field(max_length=8)


class ClickBody(Body):
    """A click, or a rough box: one of them."""

    image_id: ImageId
    point: tuple[FiniteFloat, FiniteFloat] | None = None
    rough: Edges | None = None


class DrawnBody(Body):
    xyxy: Edges
    label: Number


class FollowBody(Body):
    """The boxes of the image `before`, to be found again on another one."""

    image_id: ImageId
    before: ImageId
    boxes: Annotated[list[DrawnBody], Field(max_length=1000)]


routes = APIRouter()


@routes.get("/api/found/{image_id:path}")
def found(image_id: str, queue: TheQueue) -> list[dict[str, Any]]:
    return found_on(queue.study, queue.record(image_id).image_id)


@routes.post("/api/embeddings")
def embed(body: AheadBody, queue: TheQueue, assistant: TheAssistant, config: Help) -> dict[str, Any]:
    """Have SAM 2 look at images ahead; answered at once."""
    for image_id in body.image_ids if config.assist == "sam2" else ():
        assistant.prepare({"do": "embed", "image": queue.record(image_id).image_id})
    return {}


# These two wait for a model that may take its time to load; a thread that waited would be one that nobody else gets.
@routes.post("/api/box")
async def box(body: ClickBody, queue: TheQueue, assistant: TheAssistant, config: Help) -> dict[str, Any]:
    """{box}: {xyxy, score} of what SAM 2 sees there, or null."""
    await run_in_threadpool(queue.record, body.image_id)
    if config.assist != "sam2" or (body.point is None) == (body.rough is None):
        return {"box": None}
    return {"box": await assistant.answer({"do": "box", "image": body.image_id, "point": body.point, "rough": body.rough})}


@routes.post("/api/follow")
async def follow(body: FollowBody, queue: TheQueue, assistant: TheAssistant, config: Help) -> dict[str, Any]:
    """{boxes}: [{row, xyxy, score}] by the embeddings of the study's detector; null where overlap has to do."""
    for image_id in (body.image_id, body.before):
        await run_in_threadpool(queue.record, image_id)
    if config.follow != "embedding":
        return {"boxes": None}
    boxes = [box.model_dump() for box in body.boxes]
    return {"boxes": await assistant.answer({"do": "follow", "image": body.image_id, "before": body.before, "boxes": boxes})}
