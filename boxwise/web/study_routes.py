"""The routes of what a study is and how far it is: for the labelling page's frame and the dashboard."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from boxwise.jsonable import plain
from boxwise.records import Phase
from boxwise.results.colors import class_colors
from boxwise.study import Study
from boxwise.web.folders import left_behind
from boxwise.web.members import figures_for, may_open, reviewing
from boxwise.web.outlook import forecast
from boxwise.web.progress import goes_on_by, read_progress, read_trouble
from boxwise.web.requests import ImageId
from boxwise.web.state import TheDashboard, TheQueue, TheStudy, Trains, Visitor

routes = APIRouter()


@routes.get("/api/study")
def about(queue: TheQueue, study: TheStudy, visitor: Visitor) -> dict[str, Any]:
    study.reread()
    number, phase = study.position
    colors = class_colors(len(study.classes))
    asked, waiting = amounts(study)
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
        "member": None if visitor is None else {"name": visitor.name, "role": visitor.role.value},
    }


@routes.get("/api/progress")
def progress(study: TheStudy, trains: Trains) -> dict[str, Any]:
    number, phase = study.position
    asked, waiting = amounts(study)
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


@routes.get("/api/dashboard", dependencies=[Depends(reviewing)])
def figures(study: TheStudy, dashboard: TheDashboard, visitor: Visitor) -> dict[str, Any]:
    together = bool(study.team.members()) or study.config.labelling.double > 0
    return figures_for(visitor, dashboard.figures()) | {"team": together}


@routes.get("/api/forecast", dependencies=[Depends(reviewing)])
def needed(ap: Annotated[float, Query(gt=0, le=1)], study: TheStudy) -> dict[str, Any]:
    return plain(forecast(study, ap))


@routes.get("/api/doubts/{image_id:path}")
def doubts(image_id: ImageId, queue: TheQueue, dashboard: TheDashboard, visitor: Visitor) -> list[dict[str, Any]]:
    """What a doubt says of labels is for those alone who may see these."""
    hidden = queue.is_secret(image_id) or not may_open(visitor, queue, image_id)
    return [] if hidden else dashboard.doubts(image_id)


def amounts(study: Study) -> tuple[int, int]:
    """(images asked about this round, those that still wait)."""
    number, phase = study.position
    if phase is Phase.SELECT:
        return 0, 0
    return study.asked_count(number), study.waiting_count(number)
