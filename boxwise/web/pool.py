"""The study's images to look through: a map of the pool, search and filters, and what is done to many images at once.

Returns plain JSON values. Reads what steps have committed and the files they left; runs no model. Knows nothing of HTTP or pages.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boxwise.artifacts.detections_file import read_detections
from boxwise.artifacts.round_folder import RoundFolder
from boxwise.artifacts.scored_pool import read_scored_pool
from boxwise.errors import BoxwiseError
from boxwise.evaluation.projection import Plane, principal_plane
from boxwise.records import Annotation, ImageRecord, Phase, Split
from boxwise.results.colors import class_colors
from boxwise.study import Study
from boxwise.web.answers import reason_of
from boxwise.web.dashboard import Dashboard
from boxwise.web.queue import LabelQueue
from boxwise.web.reasons import Reason

PAGE = 48  # images
MOST_POINTS = 5000  # drawn on the map; a region holds all the same
MOST_AT_ONCE = 2000  # images that one act is about
STATES = ("pool", "asked", "labelled", "val", "test", "flagged")
_OUTSIDE = {Split.VAL: "val", Split.TEST: "test"}  # states of images without labels that are not in the pool
# State → why an image in it cannot be asked about next.
_NOT_NEXT = {"asked": "asked_already", "labelled": "labelled_already", "val": "for_val", "test": "for_test", "flagged": "flagged"}
_MARKS = (*STATES, "suspect", "wanted")


@dataclass(frozen=True)
class Wanted:
    """What is looked for; None or "" is everything. region: x1, y1, x2, y2 on the map. low, high: of the last pass's score."""

    text: str = ""
    label: int | None = None
    person: str = ""
    round: int | None = None
    state: str = ""
    low: float | None = None
    high: float | None = None
    region: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class _Image:
    """One image as it is found and shown.

    state: one of `STATES`; "val" and "test" are images of these splits without labels, which are not in the pool. labels: classes of its
    boxes, or those that the model sees where it has none. place: on the map.
    """

    record: ImageRecord
    state: str
    round: int | None
    person: str
    labels: frozenset[int]
    score: float | None
    place: tuple[float, float] | None
    suspect: bool
    wanted: bool

    @property
    def mark(self) -> str:
        """How the map shows it."""
        return "suspect" if self.suspect else "wanted" if self.wanted else self.state


class PoolView:
    """The images of one study for all who look through them; made anew when images, labels, rounds or wishes have changed."""

    def __init__(self, queue: LabelQueue, dashboard: Dashboard) -> None:
        self._queue, self._study, self._dashboard = queue, queue.study, dashboard
        self._stamp: object = None
        self._images: list[_Image] = []
        self._making = Lock()

    def map(self) -> dict[str, Any]:
        """{round, explained, all, marks, points [[x, y, index of its mark]]}: the images of the last pass over the pool.

        round: whose pass it was; None before the first. explained: share of the embeddings' variance that the plane shows.
        """
        placed = [image for image in self._all() if image.place is not None]
        passed = _last_pass(self._study)
        if passed is None:
            return {"round": None, "explained": 0.0, "all": 0, "marks": _MARKS, "points": []}
        step = max(1, -(-len(placed) // MOST_POINTS))
        points = [[*image.place, _MARKS.index(image.mark)] for image in placed[::step] if image.place is not None]
        return {"round": passed[0], "explained": passed[1].explained, "all": len(placed), "marks": _MARKS, "points": points}

    def choices(self) -> dict[str, Any]:
        """What can be filtered by."""
        images = self._all()
        classes = [{"name": n, "color": c} for n, c in zip(self._study.classes, class_colors(len(self._study.classes)), strict=True)]
        people = sorted({image.person for image in images if image.person})
        rounds = sorted({image.round for image in images if image.round is not None})
        return {"name": self._study.folder.resolve().name, "classes": classes, "people": people, "rounds": rounds, "states": STATES}

    def found(self, wanted: Wanted, *, page: int = 0) -> dict[str, Any]:
        """{total, pages, items, ids}: the images that are looked for, the highest score first; ids: of the first `MOST_AT_ONCE`."""
        images = [image for image in self._all() if _matches(image, wanted)]
        shown = images[page * PAGE : (page + 1) * PAGE]
        ids = [image.record.image_id for image in images[:MOST_AT_ONCE]]
        return {"total": len(images), "pages": -(-len(images) // PAGE), "items": [_shown(image) for image in shown], "ids": ids}

    def act(self, act: str, image_ids: Collection[str], annotator: str, reason: str) -> dict[str, Any]:
        """Do one thing to many images: "ask" for them next, "unask", "skip", "flag" or "unflag".

        {done, refused: [{image_id} and its `Reason`]}.

        What is refused of one image does not hinder the others; each is done when this returns.
        """
        states = {image.record.image_id: image.state for image in self._all()}
        refused = {i: Reason("unknown_image", i) for i in image_ids if i not in states}
        known = [i for i in dict.fromkeys(image_ids) if i in states]
        if act in ("ask", "unask"):
            refused |= {i: Reason(_NOT_NEXT[states[i]], i) for i in known if states[i] != "pool"}
            self._study.want([i for i in known if i not in refused], who=annotator, wanted=act == "ask")
        else:
            answers = {i: self._one(act, i, states[i], annotator, reason) for i in known}
            refused |= {i: why for i, why in answers.items() if why is not None}
        done = sum(i not in refused for i in known)
        return {"done": done, "refused": [{"image_id": i} | why.to_json() for i, why in refused.items()]}

    def _one(self, act: str, image_id: str, state: str, annotator: str, reason: str) -> Reason | None:
        """Do it to one image; or why not."""
        try:
            if act == "skip" and state != "asked":
                return Reason("not_asked", image_id)
            if act == "skip":
                self._queue.skip(image_id, self._study.position[0], annotator, reason)
            elif act == "flag":
                self._queue.flag(image_id, annotator, reason)
            else:
                self._queue.unflag(image_id)
        except BoxwiseError as error:
            return reason_of(error)
        return None

    def _all(self) -> list[_Image]:
        with self._making:
            wishes = self._study.wanted()
            counts = tuple(self._study.image_count(split) for split in Split)
            stamp = (self._study.stamp(), wishes, counts)  # before the images: what comes while they are made has them made again
            if stamp != self._stamp:
                self._images, self._stamp = _images(self._study, set(wishes), self._dashboard.suspects()), stamp
            return self._images


def _images(study: Study, wishes: set[str], suspects: set[str]) -> list[_Image]:
    """Every image of the study, the highest score of the last pass first, then those without one by name."""
    number, phase = study.position
    asked = {item.image_id: one.round for one in study.rounds() for item in one.items}
    waiting = study.waiting(number) if phase is Phase.ANNOTATE else frozenset()
    labels = {i: a for split in Split for i, a in study.annotations(split).items()}
    givers, flagged = study.labelled_by(), study.quarantined()
    records = [*study.images(), *(record for i in flagged if (record := study.record(i)) is not None)]
    passed = _last_pass(study)
    places, scores, seen = (passed[1].places, passed[1].scores, passed[1].classes) if passed else ({}, {}, {})
    made = []
    for record in {record.image_id: record for record in records}.values():
        i = record.image_id
        state = "flagged" if i in flagged else "asked" if i in waiting else _state_of(record, labels.get(i))
        giver = givers.get(i) if i in labels else None
        classes = frozenset(labels[i].boxes.labels.tolist()) if i in labels else seen.get(i, frozenset())
        person, round_index = ("", None) if giver is None else giver
        number_asked = asked.get(i, round_index)
        made.append(_Image(record, state, number_asked, person, classes, scores.get(i), places.get(i), i in suspects, i in wishes))
    return sorted(made, key=lambda image: (image.score is None, -(image.score or 0.0), image.record.image_id))


def _state_of(record: ImageRecord, annotation: Annotation | None) -> str:
    """Of an image that is neither flagged nor asked about."""
    if annotation is not None and annotation.complete:
        return "labelled"
    return _OUTSIDE.get(record.split or Split.TRAIN, "pool")


def _matches(image: _Image, wanted: Wanted) -> bool:
    return (
        wanted.text.lower() in image.record.image_id.lower()
        and (wanted.label is None or wanted.label in image.labels)
        and (not wanted.person or wanted.person == image.person)
        and (wanted.round is None or wanted.round == image.round)
        and _is_in_state(image, wanted.state)
        and _is_between(image.score, wanted.low, wanted.high)
        and (wanted.region is None or _is_inside(image.place, wanted.region))
    )


def _is_in_state(image: _Image, state: str) -> bool:
    return not state or state == image.state or (state == "suspect" and image.suspect) or (state == "wanted" and image.wanted)


def _is_between(score: float | None, low: float | None, high: float | None) -> bool:
    if low is None and high is None:
        return True
    return score is not None and (low is None or score >= low) and (high is None or score <= high)


def _is_inside(place: tuple[float, float] | None, region: tuple[float, float, float, float]) -> bool:
    return place is not None and region[0] <= place[0] <= region[2] and region[1] <= place[1] <= region[3]


def _shown(image: _Image) -> dict[str, Any]:
    record = image.record
    return {
        "image_id": record.image_id,
        "width": record.width,
        "height": record.height,
        "split": (record.split or Split.TRAIN).value,
        "state": image.state,
        "round": image.round,
        "person": image.person,
        "labels": sorted(image.labels),
        "score": image.score,
        "suspect": image.suspect,
        "wanted": image.wanted,
    }


@dataclass(frozen=True, eq=False)
class _Pass:
    """What one pass over the pool has left of each image: its place on the map, its score, the classes that the model sees on it."""

    places: Mapping[str, tuple[float, float]]
    scores: Mapping[str, float]
    classes: Mapping[str, frozenset[int]]
    explained: float


def _last_pass(study: Study) -> tuple[int, _Pass] | None:
    """(round, what it has left) of the last whole pass over the pool."""
    for number in range(study.position[0], -1, -1):
        files = study.files(number)
        if files.scores.is_file() and files.embeddings.is_file() and files.detections.is_file():
            return number, _read_pass(files, files.scores.stat().st_mtime_ns, study.config.ask.uncertain)
    return None


@lru_cache(maxsize=4)
def _read_pass(files: RoundFolder, _modified: int, uncertain: float) -> _Pass:
    pool = read_scored_pool(files, with_boxes=False)
    ids, plane = pool.scores.image_ids, principal_plane(pool.embeddings)
    values: NDArray[np.float64] = pool.scores.values
    scores = {i: float(value) for i, value in zip(ids, values.tolist(), strict=True) if np.isfinite(value)}
    return _Pass(_places(ids, plane), scores, _classes(files.detections, uncertain), plane.explained)


def _places(ids: Collection[str], plane: Plane) -> dict[str, tuple[float, float]]:
    return {image_id: (float(x), float(y)) for image_id, (x, y) in zip(ids, plane.points.round(4), strict=True)}


def _classes(path: Path, uncertain: float) -> dict[str, frozenset[int]]:
    return {image_id: frozenset(boxes.at_least(uncertain).labels.tolist()) for image_id, boxes in read_detections(path)}
