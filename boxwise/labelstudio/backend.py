"""A study as a machine-learning backend of Label Studio: what a running server asks for over HTTP, answered from the study's files.

Serves the routes that the label-studio-ml protocol names: health, setup, predict, webhook, train. Runs no model: predictions are the
boxes of the last query's proposals, or of the last pass over the pool; their score gives the study's order.
"""

from __future__ import annotations

import hmac
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.middleware.base import RequestResponseEndpoint

from boxwise.artifacts.detections_file import read_detections, row_groups
from boxwise.boxes import Boxes
from boxwise.errors import BoxwiseError, plural, quoted
from boxwise.labelstudio.sync import record_one
from boxwise.labelstudio.tasks import controls_of, key_of, model_version, regions_of, score_of
from boxwise.records import ImageRecord, Phase, Proposals
from boxwise.study import Study
from boxwise.study.exchange import usable

LAST = 1.0  # the score of what the study does not ask for: Label Studio serves the lowest first
_ANSWERED = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED")
_UPLOAD_MARK = 8  # hexadecimal digits and a dash that Label Studio puts before the name of an uploaded file


def create_backend(study: Study, *, password: str | None = None) -> FastAPI:
    """The application that Label Studio connects to. password: asked for by basic authentication, under any name; None: not required."""
    app = FastAPI(title="boxwise for Label Studio", docs_url=None, redoc_url=None, openapi_url=None)
    backend = Backend(study)

    @app.middleware("http")
    async def guard(request: Request, forward: RequestResponseEndpoint) -> Response:
        if password is not None and not _knows(request.headers.get("authorization", ""), password):
            return JSONResponse({"error": "expected the password that boxwise printed, by basic authentication"}, status_code=401)
        return await forward(request)

    @app.exception_handler(BoxwiseError)
    def mistake(_request: Request, error: BoxwiseError) -> Response:
        return JSONResponse({"error": str(error)}, status_code=400)

    @app.get("/")
    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"status": "UP", "model_class": "boxwise"}

    @app.post("/setup")
    def setup(body: dict[str, Any]) -> dict[str, Any]:
        controls_of(body.get("schema") or body.get("label_config") or "")  # refused now, not at the first prediction
        return {"model_version": backend.version}

    @app.post("/predict")
    def predict(body: dict[str, Any]) -> dict[str, Any]:
        return {"results": backend.predict(body.get("tasks") or [], body.get("label_config") or ""), "model_version": backend.version}

    @app.post("/webhook", status_code=201)
    def webhook(body: dict[str, Any]) -> dict[str, Any]:
        return backend.event(str(body.get("action", "")), body)

    @app.post("/train", status_code=201)
    def train() -> dict[str, Any]:
        return backend.event("START_TRAINING", {})

    return app


class Backend:
    """What a study answers to Label Studio."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._names: tuple[int, Mapping[str, str]] | None = None  # (events of the study when they were read, see `_unique_names`)

    @property
    def version(self) -> str:
        """The round whose query is open; Label Studio asks for predictions again when it changes."""
        return model_version(self._study.position[0])

    def predict(self, tasks: Sequence[Mapping[str, Any]], label_config: str) -> list[dict[str, Any]]:
        """One prediction a task, in order: boxes, and the score that gives the study's order; of an unknown image none, and last."""
        controls = controls_of(label_config)
        number, phase = self._study.position
        asked = self._study.asked(number) if phase is not Phase.SELECT else {}
        order = {image_id: rank for rank, image_id in enumerate(asked)}
        made = []
        for task in tasks:
            record = self._image_of(task)
            is_asked = record is not None and record.image_id in order
            score = score_of(order[record.image_id], len(order)) if record is not None and is_asked else LAST
            result = [] if record is None else regions_of(self._boxes(record, is_asked), record, self._study.classes, controls=controls)
            made.append({"result": result, "score": score, "model_version": self.version})
        return made

    def event(self, action: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What Label Studio tells: an annotation that was made or changed is recorded; a wish to train is answered with what to run.

        The same annotation told again, or pulled later, is recorded once.
        """
        number, phase = self._study.position
        if action in _ANSWERED:
            return {"recorded": self._record(body), "waiting": self._study.waiting_count(number)}
        if action == "START_TRAINING":
            waiting = self._study.waiting_count(number) if phase is Phase.ANNOTATE else 0
            ready = (
                f"boxwise run {quoted(self._study.folder)}"
                if not waiting
                else f"round {number} still waits for labels of {plural(waiting, 'image')}"
            )
            return {"status": "ok", "next": ready}
        return {"ignored": action}

    def _record(self, body: Mapping[str, Any]) -> bool:
        """Record the annotation of one of our tasks; whether it was one. Raises BoxwiseError for what cannot be read as boxes."""
        task, annotation = body.get("task"), body.get("annotation")
        if not isinstance(task, dict) or not isinstance(annotation, dict) or key_of(task) is None or annotation.get("was_cancelled"):
            return False
        return record_one(self._study, task, annotation)

    def _image_of(self, task: Mapping[str, Any]) -> ImageRecord | None:
        """The image of a task: one of ours by its id, another by its file's name, where just one image of the study has it."""
        key = key_of(task)
        image_id = key[0] if key is not None else self._named_by(task)
        return None if image_id is None else usable(self._study, image_id)

    def _named_by(self, task: Mapping[str, Any]) -> str | None:
        data = task.get("data")
        values = [value for value in data.values() if isinstance(value, str)] if isinstance(data, dict) else []
        names = [PurePosixPath(unquote(urlsplit(value).path)).name for value in values]
        by_name = self._by_name()
        return next((by_name[short] for name in names for short in (name, _without_mark(name)) if short in by_name), None)

    def _by_name(self) -> Mapping[str, str]:
        """File name → image id, read anew where something has happened to the study's images: others may have joined."""
        events = self._study.stamp().events
        if self._names is None or self._names[0] != events:
            self._names = events, _unique_names(record.image_id for record in self._study.images())
        return self._names[1]

    def _boxes(self, record: ImageRecord, asked: bool) -> Proposals | None:
        number = self._study.position[0]
        if asked and (offered := self._study.shown(record.image_id, round_index=number)) is not None:
            return offered
        return _last_seen(self._study, record.image_id)


def _last_seen(study: Study, image_id: str) -> Proposals | None:
    """What the last pass over the pool has found on an image, from `ask.uncertain` on; None where it has not looked."""
    for number in range(study.position[0], -1, -1):
        path = study.files(number).detections
        if path.is_file() and (group := _groups(path, path.stat().st_mtime_ns).get(image_id)) is not None:
            ((_, found),) = read_detections(path, only=[image_id], groups=[group])
            kept = found.at_least(study.config.ask.uncertain)
            ids = np.array([f"seen{number}-{row}" for row in range(len(kept))], object)
            return Proposals(image_id, Boxes(kept.xyxy, kept.labels, kept.scores, ids=ids), np.zeros(len(kept), bool))
    return None


@lru_cache(maxsize=4)
def _groups(path: Path, _modified: int) -> dict[str, int]:
    return row_groups(path)


def _unique_names(image_ids: Iterable[str]) -> dict[str, str]:
    """File name → the image that has it, of those that just one has."""
    found: dict[str, list[str]] = {}
    for image_id in image_ids:
        found.setdefault(PurePosixPath(image_id).name, []).append(image_id)
    return {name: ids[0] for name, ids in found.items() if len(ids) == 1}


def _without_mark(name: str) -> str:
    mark, dash, rest = name.partition("-")
    return rest if dash and len(mark) == _UPLOAD_MARK and all(digit in "0123456789abcdef" for digit in mark) else name


def _knows(authorization: str, password: str) -> bool:
    kind, _, given = authorization.partition(" ")
    try:
        _, _, found = b64decode(given, validate=True).decode().partition(":")
    except ValueError:
        return False
    return kind.lower() == "basic" and hmac.compare_digest(found.encode(), password.encode())
