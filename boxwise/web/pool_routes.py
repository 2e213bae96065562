"""The routes of the pool's page: its map, what is found, and acts on many images."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import Field, FiniteFloat

from boxwise.jsonable import plain
from boxwise.web.answers import RefusedError
from boxwise.web.members import reviewing, under_own_name
from boxwise.web.pool import MOST_AT_ONCE, Wanted
from boxwise.web.requests import Body, ImageId, Name, Number, Reason, Text
from boxwise.web.state import Pool

Region = Annotated[list[FiniteFloat] | None, Query(min_length=4, max_length=4)]


class ActBody(Body):
    """One thing done to many images. reason: why they are skipped or flagged."""

    annotator: Name
    act: Literal["ask", "unask", "skip", "flag", "unflag"]
    image_ids: list[ImageId] = Field(min_length=1, max_length=MOST_AT_ONCE)
    reason: Reason | None = None


routes = APIRouter(dependencies=[Depends(reviewing), Depends(under_own_name)])


@routes.get("/api/pool")
def choices(pool: Pool) -> dict[str, Any]:
    return plain(pool.choices())


@routes.get("/api/pool/map")
def pool_map(pool: Pool) -> dict[str, Any]:
    return plain(pool.map())


@routes.get("/api/pool/images")
def images(
    pool: Pool,
    text: Text = "",
    label: Number | None = None,
    person: Text = "",
    round: Number | None = None,
    state: Literal["", "pool", "asked", "labelled", "val", "test", "flagged", "suspect", "wanted"] = "",
    low: FiniteFloat | None = None,
    high: FiniteFloat | None = None,
    region: Region = None,
    page: Annotated[int, Query(ge=0, lt=10**6)] = 0,
) -> dict[str, Any]:
    place = None if region is None else (region[0], region[1], region[2], region[3])
    return plain(pool.found(Wanted(text, label, person, round, state, low, high, place), page=page))


@routes.post("/api/pool/acts")
def act(body: ActBody, pool: Pool) -> dict[str, Any]:
    if body.act in ("skip", "flag") and body.reason is None:
        raise RefusedError("reason_missing", body.act)
    return plain(pool.act(body.act, body.image_ids, body.annotator, body.reason or ""))
