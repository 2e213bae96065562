"""The pages with their files, and the probes: whether the server lives and reaches the database, and Prometheus' scrape."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Depends
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount

from boxwise.web.members import reviewing
from boxwise.web.metrics import CONTENT_TYPE, metrics
from boxwise.web.page_files import FRESH, PageFiles
from boxwise.web.state import TheStudy

STATIC = Path(__file__).parent / "static"

routes = APIRouter(routes=[Mount("/static", PageFiles(STATIC), name="static")])


@routes.get("/")
async def page() -> FileResponse:
    return FileResponse(STATIC / "index.html", headers=FRESH)


@routes.get("/dashboard", dependencies=[Depends(reviewing)])
async def dashboard_page() -> FileResponse:
    return FileResponse(STATIC / "dashboard.html", headers=FRESH)


@routes.get("/pool", dependencies=[Depends(reviewing)])
async def pool_page() -> FileResponse:
    return FileResponse(STATIC / "pool.html", headers=FRESH)


@routes.get("/review", dependencies=[Depends(reviewing)])
async def review_page() -> FileResponse:
    return FileResponse(STATIC / "review.html", headers=FRESH)


@routes.get("/guidelines")
async def guidelines_page() -> FileResponse:
    return FileResponse(STATIC / "guidelines.html", headers=FRESH)


@routes.get("/healthz")
def lives() -> dict[str, str]:
    return {"status": "ok"}


@routes.get("/readyz")
def ready(study: TheStudy) -> Response:
    try:
        study.position  # noqa: B018 (asks the database)
    except Exception:  # whatever the database says belongs in the log, not to a stranger
        return JSONResponse({"status": "the study's database does not answer"}, status_code=503)
    return JSONResponse({"status": "ok"})


@routes.get("/metrics")
def scrape(study: TheStudy) -> Response:
    return Response(metrics(study), media_type=CONTENT_TYPE)
