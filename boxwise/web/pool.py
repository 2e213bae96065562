"""The study's images to look through: a map of the pool, search and filters, and what is done to many images at once.

Returns plain JSON values. The database finds, counts and orders; no more images are read than are shown. Knows nothing of HTTP or pages.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from threading import Lock
from typing import Any

from boxwise.errors import BoxwiseError, ChangedError, UnreachableError
from boxwise.records import Split
from boxwise.results.colors import class_colors
from boxwise.store import Amounts, FoundImage, Wanted
from boxwise.web.answers import reason_of
from boxwise.web.dashboard import Dashboard
from boxwise.web.last_pass import last_pass, plane_of, scored_images
from boxwise.web.queue import LabelQueue
from boxwise.web.reasons import Reason

PAGE = 48  # images
MOST_POINTS = 5000  # drawn on the map; a region holds all the same
MOST_AT_ONCE = 2000  # images that one act is about
_SEARCHES = 32  # of which it is remembered what they found
STATES = ("pool", "asked", "labelled", "val", "test", "flagged")
# State → why an image in it cannot be asked about next.
_NOT_NEXT = {"asked": "asked_already", "labelled": "labelled_already", "val": "for_val", "test": "for_test", "flagged": "flagged"}
_MARKS = (*STATES, "suspect", "wanted")

__all__ = ["MOST_AT_ONCE", "PAGE", "PoolView", "Wanted"]


class PoolView:
    """The images of one study for all who look through them."""

    def __init__(self, queue: LabelQueue, dashboard: Dashboard) -> None:
        self._queue, self._study, self._dashboard = queue, queue.study, dashboard
        self._browsing = queue.study.browsing
        self._stamp: object = None
        self._found: dict[Wanted, tuple[Amounts, list[str]]] = {}
        self._making = Lock()

    def map(self) -> dict[str, Any]:
        """{round, explained, all, drawn, marks, points [[x, y, index of its mark]]}: images of the last pass over the pool.

        round: whose pass it was; None before the first. explained: share of the embeddings' variance that the plane shows. Of more than
        `MOST_POINTS` images every n-th is drawn, in the order of their scores.
        """
        source = self._ordered()
        count, drawn = self._browsing.points(MOST_POINTS)
        named = dict.fromkeys(self._study.wanted(), "wanted") | dict.fromkeys(self._dashboard.suspects(), "suspect")
        points = [[point.x, point.y, _MARKS.index(named.get(point.image_id, point.state))] for point in drawn]
        shown = {"all": count, "drawn": len(points), "marks": _MARKS, "points": points}
        return {"round": source["round"], "explained": source["explained"]} | shown

    def choices(self) -> dict[str, Any]:
        """What can be filtered by."""
        classes = [{"name": n, "color": c} for n, c in zip(self._study.classes, class_colors(len(self._study.classes)), strict=True)]
        people, rounds = self._browsing.people(), self._browsing.rounds()
        return {"name": self._study.folder.resolve().name, "classes": classes, "people": people, "rounds": rounds, "states": STATES}

    def found(self, wanted: Wanted, *, page: int = 0) -> dict[str, Any]:
        """{total, pages, items, ids}: the images that are looked for, the highest score first; ids: of the first `MOST_AT_ONCE`."""
        wishes, suspects = set(self._study.wanted()), self._dashboard.suspects()
        amounts, first = self._search(wanted, wishes, suspects)
        start = page * PAGE
        ids = first[start : start + PAGE]
        if start + PAGE > len(first) and len(first) == MOST_AT_ONCE:
            ids = self._browsing.ids(*_in_store(wanted, wishes, suspects), amounts, start=start, most=PAGE)
        items = [_shown(image, suspects=suspects, wishes=wishes) for image in self._browsing.images(ids)]
        return {"total": sum(amounts), "pages": -(-sum(amounts) // PAGE), "items": items, "ids": first}

    def act(self, act: str, image_ids: Collection[str], annotator: str, reason: str) -> dict[str, Any]:
        """Do one thing to many images: "ask" for them next, "unask", "skip", "flag" or "unflag".

        {done, refused: [{image_id} and its `Reason`]}.

        What is refused of one image does not hinder the others; each is done when this returns.
        """
        states = self._browsing.states(image_ids)
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
                self._queue.unflag(image_id, annotator)
        except (UnreachableError, ChangedError):  # of the study, and not of this image
            raise
        except BoxwiseError as error:
            return reason_of(error)
        return None

    def _search(self, wanted: Wanted, wishes: set[str], suspects: set[str]) -> tuple[Amounts, list[str]]:
        """(how many are found, the first of them); remembered as long as images, labels, rounds and wishes are the same."""
        source = self._ordered()
        with self._making:
            counts = tuple(self._study.image_count(split) for split in Split)
            stamp = (self._study.stamp(), frozenset(wishes), frozenset(suspects), counts, str(source))
            if stamp != self._stamp or len(self._found) > _SEARCHES:
                self._found, self._stamp = {}, stamp
            if wanted not in self._found:
                search = _in_store(wanted, wishes, suspects)
                amounts = self._browsing.amounts(*search)
                self._found[wanted] = amounts, self._browsing.ids(*search, amounts, start=0, most=MOST_AT_ONCE)
            return self._found[wanted]

    def _ordered(self) -> dict[str, Any]:
        """{pass, round, explained}: what the images are ordered by, the last pass over the pool; None and 0 before the first."""
        with self._making:
            found, kept = last_pass(self._study), self._browsing.source()
            if kept is None or kept["pass"] != (found and found.source):
                plane = plane_of(found) if found else None
                kept = {"pass": found and found.source, "round": found and found.round, "explained": plane.explained if plane else 0.0}
                self._browsing.keep(kept, scored_images(found, plane) if found and plane else ())
            return dict(kept)


def _in_store(wanted: Wanted, wishes: set[str], suspects: set[str]) -> tuple[Wanted, set[str] | None]:
    """What the database is asked for: doubts and wishes are no state of its, but some images that are named to it."""
    named = {"suspect": suspects, "wanted": wishes}.get(wanted.state)
    return (wanted, None) if named is None else (replace(wanted, state=""), named)


def _shown(image: FoundImage, *, suspects: set[str], wishes: set[str]) -> dict[str, Any]:
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
        "suspect": record.image_id in suspects,
        "wanted": record.image_id in wishes,
    }
