"""The web application of one study: thin routes over the labelling queue, the pictures and the dashboard.

Knows HTTP and where things are; everything else is behind it. The server's process never imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from os import PathLike, stat_result
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Scope

from boxwise.data.for_browsers import for_browsers
from boxwise.errors import BoxwiseError, ChangedError, ImageStoreError, UnreachableError
from boxwise.jsonable import plain
from boxwise.records import Phase, Verdict
from boxwise.results.colors import class_colors
from boxwise.web.answers import Answer, RefusedError, TakenError, in_todays_classes, reason_of
from boxwise.web.dashboard import Dashboard
from boxwise.web.folders import left_behind, note_folder
from boxwise.web.help_routes import add_help
from boxwise.web.members import check_may_flag, check_may_open, figures_for, may_open, may_review, member_in, reviewing, under_own_name
from boxwise.web.metrics import CONTENT_TYPE, metrics
from boxwise.web.outlook import forecast
from boxwise.web.picture_cache import PictureCache
from boxwise.web.pictures import TILE, Pictures, is_large, version
from boxwise.web.pool import PoolView
from boxwise.web.pool_routes import add_pool
from boxwise.web.progress import goes_on_by, read_progress, read_trouble
from boxwise.web.queue import LabelQueue
from boxwise.web.reasons import Reason
from boxwise.web.requests import AnswerBody, DraftBody, ImageId, ImagesBody, KeepingBody, OpenBody, RenewBody, SkipBody, WithdrawBody
from boxwise.web.security import Guard
from boxwise.web.tasks import Task, task_to_json
from boxwise.web.team_routes import add_team

STATIC = Path(__file__).parent / "static"
PICTURES = ".pictures"  # in the study's folder; may be deleted at any time
JPEG = "image/jpeg"


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
    app.add_middleware(Guard, hosts=hosts, origins=origins, token=token, member_of=study.team.member, study=here)
    app.add_exception_handler(BoxwiseError, _mistake)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _refused)
    _add_pages(app)
    _add_probes(app, queue)
    _add_study(app, queue, trains=trains)
    _add_labelling(app, queue)
    add_help(app, queue)
    _add_pictures(app, queue)
    return app


def _add_pages(app: FastAPI) -> None:
    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.get("/dashboard", dependencies=[Depends(reviewing)])
    def dashboard_page() -> FileResponse:
        return FileResponse(STATIC / "dashboard.html")

    @app.get("/pool", dependencies=[Depends(reviewing)])
    def pool_page() -> FileResponse:
        return FileResponse(STATIC / "pool.html")

    @app.get("/review", dependencies=[Depends(reviewing)])
    def review_page() -> FileResponse:
        return FileResponse(STATIC / "review.html")

    @app.get("/guidelines")
    def guidelines_page() -> FileResponse:
        return FileResponse(STATIC / "guidelines.html")

    app.mount("/static", _WholeFiles(directory=STATIC), name="static")


class _WholeFiles(StaticFiles):
    """The page's fifty small files, each read at once and sent whole: in pieces, as large ones are, each takes four turns of a thread."""

    def file_response(self, full_path: str | PathLike[str], stat_result: stat_result, scope: Scope, status_code: int = 200) -> Response:
        found = super().file_response(full_path, stat_result, scope, status_code)
        if not isinstance(found, FileResponse) or scope["method"] != "GET" or "range" in Headers(scope=scope):
            return found
        headers = {name: value for name, value in found.headers.items() if name != "content-length"}  # that of what is read counts
        return Response(Path(full_path).read_bytes(), status_code, headers)


def _add_probes(app: FastAPI, queue: LabelQueue) -> None:
    """Whether the server lives and reaches the study's database, for a container's runtime or a load balancer; and Prometheus' scrape."""

    @app.get("/healthz")
    def lives() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    def ready() -> Response:
        try:
            queue.study.position  # noqa: B018 (asks the database)
        except Exception:  # whatever the database says belongs in the log, not to a stranger
            return JSONResponse({"status": "the study's database does not answer"}, status_code=503)
        return JSONResponse({"status": "ok"})

    @app.get("/metrics")
    def scrape() -> Response:
        return Response(metrics(queue.study), media_type=CONTENT_TYPE)


def _add_study(app: FastAPI, queue: LabelQueue, *, trains: bool) -> None:
    study, watched = queue.study, Dashboard(queue.study)
    seeing_all = APIRouter(dependencies=[Depends(reviewing), Depends(under_own_name)])
    add_pool(seeing_all, PoolView(queue, watched))
    app.router.routes.extend(seeing_all.routes)
    add_team(app, queue)

    @app.get("/api/study")
    def about(request: Request) -> dict[str, Any]:
        study.reread()
        number, phase = study.position
        member = member_in(request)
        colors = class_colors(len(study.classes))
        asked, waiting = _amounts(queue)
        return {
            "id": study.id,
            "former_ids": left_behind(study),
            "name": study.folder.resolve().name,
            "classes": [{"name": name, "color": color} for name, color in zip(study.classes, colors, strict=True)],
            "mode": study.config.ask.mode,
            "assist": study.config.labelling.assist,
            "round": number,
            "rounds": study.config.budget.rounds,
            "phase": phase.value,
            "asked": asked,
            "waiting": waiting,
            "answered": asked - waiting,
            "costs": study.config.cost.model_dump(),
            "lease_seconds": queue.lease_seconds,
            "member": None if member is None else {"name": member.name, "role": member.role.value},
        }

    @app.get("/api/progress")
    def progress() -> dict[str, Any]:
        number, phase = study.position
        asked, waiting = _amounts(queue)
        trouble = read_trouble(study.folder)
        return {
            "round": number,
            "phase": phase.value,
            "asked": asked,
            "waiting": waiting,
            "answered": asked - waiting,
            "done": phase is Phase.DONE,
            "sent_back": len(study.reviews.sent_back()),
            "goes_on_by": None if trains and trouble is None else goes_on_by(study.folder),
            "training": read_progress(study.folder),
            "trouble": trouble,
        }

    @app.get("/api/dashboard", dependencies=[Depends(reviewing)])
    def figures(request: Request) -> dict[str, Any]:
        together = bool(study.team.members()) or study.config.labelling.double > 0
        return figures_for(member_in(request), watched.figures()) | {"team": together}

    @app.get("/api/forecast", dependencies=[Depends(reviewing)])
    def needed(ap: Annotated[float, Query(gt=0, le=1)]) -> dict[str, Any]:
        return plain(forecast(study, ap))

    @app.get("/api/doubts/{image_id:path}")
    def doubts(image_id: ImageId, request: Request) -> list[dict[str, Any]]:
        """What a doubt says of labels is for those alone who may see these."""
        hidden = queue.is_secret(image_id) or not may_open(member_in(request), queue, image_id)
        return [] if hidden else watched.doubts(image_id)


def _add_labelling(app: FastAPI, queue: LabelQueue) -> None:
    routes = APIRouter(dependencies=[Depends(under_own_name)])

    @routes.get("/api/queue")
    def listing() -> dict[str, Any]:
        return {"round": queue.study.position[0], "items": queue.listing()}

    @routes.post("/api/next")
    def next_image(body: KeepingBody) -> dict[str, Any]:
        found = queue.next(body.annotator, tab=body.tab, keep=set(body.keep), visit=body.visit)
        if not isinstance(found, Task):
            return {"task": None, "reason": found}
        return {"task": _served(found), "classes": queue.study.classes}

    @routes.post("/api/open")
    def open_image(body: OpenBody, request: Request) -> Response:
        check_may_open(member_in(request), queue, body.image_id)
        task = _served(queue.open(body.image_id, body.annotator, tab=body.tab, visit=body.visit))
        return JSONResponse({"task": task, "classes": queue.study.classes})

    @routes.post("/api/renew")
    def renew(body: RenewBody, request: Request) -> dict[str, Any]:
        theirs = [i for i in body.image_ids if may_open(member_in(request), queue, i)]
        until, lost = queue.renew(theirs, body.annotator, tab=body.tab, begun_on=body.begun_on)
        return {"until": until, "lost": [*lost, *(i for i in body.image_ids if i not in theirs)]}

    @routes.post("/api/release")
    def release(body: ImagesBody) -> dict[str, Any]:
        queue.release(body.image_ids, body.annotator, tab=body.tab)
        return {}

    @routes.post("/api/close")
    def close_tab(body: KeepingBody) -> dict[str, Any]:
        queue.close_tab(body.annotator, tab=body.tab, keep=set(body.keep), visit=body.visit)
        return {}

    @routes.put("/api/drafts")
    def save_draft(body: DraftBody) -> dict[str, Any]:
        kept = queue.save_draft(body.image_id, body.round, body.annotator, revision=body.revision, document=body.document)
        return {"revision": kept}

    @routes.post("/api/answers")
    def answer(body: AnswerBody, request: Request) -> dict[str, Any]:
        verdicts: Sequence[Verdict] = [verdict.verdict() for verdict in body.verdicts]
        classes: Sequence[str] | None = body.classes
        if queue.labelling.answer(body.key) is None:  # else it is stored, and nothing of it is asked again
            if body.image_id not in queue.study.asked(body.round):
                check_may_open(member_in(request), queue, body.image_id)
            verdicts, classes = in_todays_classes(queue.study, verdicts, classes)
        judges = body.begun_on if may_review(member_in(request)) else None
        said = (verdicts, body.complete, body.seconds, classes, judges)
        late = queue.answer(Answer(body.key, body.annotator, body.image_id, body.round, *said))
        return {"late": late, "waiting": _amounts(queue)[1]}

    @routes.post("/api/withdrawals")
    def withdraw(body: WithdrawBody) -> dict[str, Any]:
        queue.withdraw(body.key, body.image_id, body.round, body.annotator, tab=body.tab)
        return {"waiting": _amounts(queue)[1]}

    @routes.post("/api/unflags")
    def unflag(body: OpenBody, request: Request) -> dict[str, Any]:
        check_may_flag(member_in(request), queue, body.image_id, queue.study.position[0])
        queue.unflag(body.image_id, body.annotator)
        return {"waiting": _amounts(queue)[1]}

    @routes.post("/api/unskips")
    def unskip(body: OpenBody) -> dict[str, Any]:
        queue.labelling.unskip(body.image_id, body.annotator)
        return {"waiting": _amounts(queue)[1]}

    @routes.post("/api/skips")
    def skip(body: SkipBody, request: Request) -> dict[str, Any]:
        if body.flag:
            check_may_flag(member_in(request), queue, body.image_id, queue.study.position[0])
            queue.flag(body.image_id, body.annotator, body.reason)
        else:
            queue.skip(body.image_id, body.round, body.annotator, body.reason)
        if body.key and body.seconds:
            queue.labelling.spend(body.image_id, queue.study.position[0], body.annotator, body.seconds, key=body.key)
        return {"waiting": _amounts(queue)[1]}

    app.router.routes.extend(routes.routes)


def _add_pictures(app: FastAPI, queue: LabelQueue) -> None:
    pictures = Pictures(PictureCache(queue.study.folder / PICTURES))

    @app.get("/images/{image_id:path}")
    def whole_picture(image_id: str, request: Request) -> Response:
        uri = queue.record(image_id).uri
        return _cached(request, uri, lambda: for_browsers(uri))

    @app.get("/previews/{image_id:path}")
    def preview(image_id: str, request: Request) -> Response:
        uri = queue.record(image_id).uri
        return _cached(request, uri, lambda: (pictures.preview(uri), JPEG))

    @app.get("/thumbnails/{image_id:path}")
    def thumbnail(image_id: str, request: Request) -> Response:
        uri = queue.record(image_id).uri
        return _cached(request, uri, lambda: (pictures.thumbnail(uri), JPEG))

    @app.get("/tiles/{column}/{row}/{image_id:path}")
    def tile(column: int, row: int, image_id: str, request: Request) -> Response:
        uri = queue.record(image_id).uri
        return _cached(request, uri, lambda: (pictures.tile(uri, column, row), JPEG))


def _cached(request: Request, uri: str, read: Callable[[], tuple[bytes, str]]) -> Response:
    """A picture that the browser keeps, and asks each time whether it still is this one: its address is the same in another study."""
    tag = f'"{version(uri)}"'
    headers = {"etag": tag, "cache-control": "private, no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    content, media = read()
    return Response(content, media_type=media, headers=headers)


def _amounts(queue: LabelQueue) -> tuple[int, int]:
    """(images asked about this round, those that still wait)."""
    number, phase = queue.study.position
    if phase is Phase.SELECT:
        return 0, 0
    return queue.study.asked_count(number), queue.study.waiting_count(number)


def _served(task: Task) -> dict[str, Any]:
    """A task with the address of its picture. tiles: the side in pixels of the tiles of a picture that is sent reduced."""
    large = is_large(task.record)
    url = f"/{'previews' if large else 'images'}/{quote(task.record.image_id)}"
    return task_to_json(task) | {"url": url, "tiles": TILE if large else None}


def _mistake(_request: Request, error: Exception) -> Response:
    passing = isinstance(error, ImageStoreError | UnreachableError | ChangedError)  # another time it can be taken
    status = error.status if isinstance(error, RefusedError) else 503 if passing else 400
    by = {"by": error.by} if isinstance(error, TakenError) else {}
    assert isinstance(error, BoxwiseError)
    return JSONResponse(reason_of(error).to_json() | by, status_code=status)


def _refused(_request: Request, error: Exception) -> Response:
    """What the framework refuses by itself, as all other refusals are worded."""
    assert isinstance(error, HTTPException)
    return JSONResponse(Reason("mistake", error.detail).to_json(), status_code=error.status_code)


def _malformed(_request: Request, error: Exception) -> Response:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    fault = str(first["msg"]).removeprefix("Value error, ")  # pydantic's words before those of a check of ours
    said = [str(part).encode(errors="replace").decode() for part in (place or "the request", fault)]
    return JSONResponse(Reason("malformed", *said).to_json(), status_code=422)
