"""The web application of one study: thin routes over the labelling queue, the pictures and the dashboard.

Knows HTTP and where things are; everything else is behind it. The server's process never imports torch.
"""

from __future__ import annotations

from collections.abc import Collection

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from boxwise.errors import BoxwiseError, ChangedError, ImageStoreError, UnreachableError
from boxwise.web import help_routes, labelling_routes, page_routes, picture_routes, pool_routes, study_routes, team_routes
from boxwise.web.answers import RefusedError, TakenError, reason_of
from boxwise.web.folders import note_folder
from boxwise.web.queue import LabelQueue
from boxwise.web.reasons import Reason
from boxwise.web.security import Guard
from boxwise.web.state import keep_state

_ROUTES = (page_routes, pool_routes, team_routes, study_routes, labelling_routes, help_routes, picture_routes)


def create_app(
    queue: LabelQueue, *, hosts: Collection[str], token: str | None = None, origins: Collection[str] = (), trains: bool = False
) -> FastAPI:
    """The application that serves one study's labelling page and dashboard. hosts, token, origins: see `Guard`.

    trains: whether whoever serves it also trains on what was labelled, as `boxwise run --label` does and `boxwise label` does not.
    """
    app = FastAPI(title="boxwise", docs_url=None, redoc_url=None, openapi_url=None)
    study = queue.study
    here = str(study.folder.resolve())
    note_folder(study)
    keep_state(app, queue, trains=trains)
    app.add_middleware(Guard, hosts=hosts, origins=origins, token=token, member_of=study.team.member, study=here)
    app.add_exception_handler(BoxwiseError, _mistake)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _refused)
    for module in _ROUTES:  # the same objects in each application: include_router would make them anew, and read all their types
        app.router.routes.extend(module.routes.routes)
    return app


async def _mistake(_request: Request, error: Exception) -> Response:
    passing = isinstance(error, ImageStoreError | UnreachableError | ChangedError)  # another time it can be taken
    status = error.status if isinstance(error, RefusedError) else 503 if passing else 400
    by = {"by": error.by} if isinstance(error, TakenError) else {}
    assert isinstance(error, BoxwiseError)
    return JSONResponse(reason_of(error).to_json() | by, status_code=status)


async def _refused(_request: Request, error: Exception) -> Response:
    """What the framework refuses by itself, as all other refusals are worded."""
    assert isinstance(error, HTTPException)
    return JSONResponse(Reason("mistake", error.detail).to_json(), status_code=error.status_code)


async def _malformed(_request: Request, error: Exception) -> Response:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    fault = str(first["msg"]).removeprefix("Value error, ")  # pydantic's words before those of a check of ours
    said = [str(part).encode(errors="replace").decode() for part in (place or "the request", fault)]
    return JSONResponse(Reason("malformed", *said).to_json(), status_code=422)
