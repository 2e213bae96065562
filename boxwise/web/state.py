"""What the routes of an application work on. Each asks for it by type, and gets that of the application that serves the request.

So the routes hold nothing themselves: they are made once, when their modules are imported, and all applications of a process share them.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request

from boxwise.config import LabellingConfig
from boxwise.store import Member
from boxwise.study import Study
from boxwise.web.assistant import Assistant
from boxwise.web.dashboard import Dashboard
from boxwise.web.members import member_in
from boxwise.web.picture_cache import PictureCache
from boxwise.web.pictures import Pictures
from boxwise.web.pool import PoolView
from boxwise.web.queue import LabelQueue

PICTURES = ".pictures"  # in the study's folder; may be deleted at any time


def keep_state(app: FastAPI, queue: LabelQueue, *, trains: bool) -> None:
    """Make what the routes of an application work on. trains: see `create_app`."""
    app.state.queue = queue
    app.state.study = queue.study
    app.state.trains = trains
    app.state.help = queue.study.config.labelling  # as it is when the server begins
    app.state.assistant = Assistant(queue.study.folder)
    app.state.dashboard = Dashboard(queue.study)
    app.state.pool = PoolView(queue, app.state.dashboard)
    app.state.pictures = Pictures(PictureCache(queue.study.folder / PICTURES))


def _kept(name: str) -> Any:
    async def kept(request: Request) -> Any:  # async: FastAPI hands anything else to a thread
        return getattr(request.app.state, name)

    return Depends(kept)


async def _visitor(request: Request) -> Member | None:
    return member_in(request)


TheQueue = Annotated[LabelQueue, _kept("queue")]
TheStudy = Annotated[Study, _kept("study")]
Trains = Annotated[bool, _kept("trains")]
Help = Annotated[LabellingConfig, _kept("help")]
TheAssistant = Annotated[Assistant, _kept("assistant")]
TheDashboard = Annotated[Dashboard, _kept("dashboard")]
Pool = Annotated[PoolView, _kept("pool")]
ThePictures = Annotated[Pictures, _kept("pictures")]
Visitor = Annotated[Member | None, Depends(_visitor)]  # who came by a link of their own; None for all others
