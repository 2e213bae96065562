"""What is done to a study beside its rounds, each with who did it, when, and the round from which it holds: append-only.

Images join, labels are taken back, images go out of use and come back, files move. Every method is one transaction. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from boxwise.boxes import Boxes
from boxwise.errors import ChangedError, plural
from boxwise.jsonable import boxes_to_json, plain
from boxwise.records import Annotation, ImageRecord, Phase
from boxwise.store.bulk import insert_all
from boxwise.store.clock import now
from boxwise.store.images import EXCLUDED, insert_images
from boxwise.store.rows import (
    append_all,
    change_facts,
    change_image,
    digest_of,
    hold_all,
    hold_classes,
    image_row,
    is_whole,
    make_history,
    put,
    read_annotation,
)
from boxwise.store.schema import ANNOTATIONS, ANSWERS, EVENTS, IMAGES, LATEST, UNLABELLED, latest_of, writing
from boxwise.store.store import GIVEN, Store, go_back, go_on, hold_position

Convert = Callable[[Boxes], tuple[Boxes, np.ndarray]]  # boxes → those that stay, under their new labels, and which of them these are
Facts = Mapping[str, Callable[[Any], Any]]  # study fact → what it becomes of what it is
CLASSES_CHANGED, FILE_CHANGED = "classes changed", "file changed"


def relabels(before: Sequence[str], names: Mapping[str, str], after: Sequence[str]) -> bool:
    """Whether labels of the classes `before` mean something else among those `after`; names: what became of those that are still there."""
    return [names.get(name) for name in before] != list(after[: len(before)])


@dataclass(frozen=True)
class StoredEvent:
    """at: ISO 8601, UTC. round: from which it holds. kind: "added", "unlabelled", "excluded", "included", "moved", ...

    image_id: None where it is about the whole study. body: what there is to know of it. handed_in: whether the answer that it is about
    came under a key, as those of the page and of labelling servers do, and was not imported; None among the events of the whole study.
    """

    at: str
    round: int
    who: str
    kind: str
    image_id: str | None
    body: Mapping[str, Any]
    handed_in: bool | None = None


class Journal:
    """The events of one study, and the changes that they are of.

    rounds: those that the budget allows; a study that is done and has images to ask about by a change goes on within them.
    """

    def __init__(self, store: Store) -> None:
        self._engine = store.engine

    def events(self, image_id: str | None = None, *, kind: str | None = None) -> list[StoredEvent]:
        """All events, or those of one image or one kind, oldest first."""
        statement = sa.select(EVENTS).order_by(EVENTS.c.id)
        if image_id is not None:
            statement = statement.where(EVENTS.c.image_id == image_id)
        if kind is not None:
            statement = statement.where(EVENTS.c.kind == kind)
        with self._engine.connect() as connection:
            rows = connection.execute(statement).all()
            about = {row.annotation_id for row in rows} - {None} if image_id is not None else set()
            keyed = sa.select(ANSWERS.c.annotation_id).where(ANSWERS.c.annotation_id.in_(about))
            handed_in = set(connection.execute(keyed).scalars()) if about else set()
        keys = {number: number in handed_in for number in about}
        return [StoredEvent(row.at, row.round, row.who, row.kind, row.image_id, row.body, keys.get(row.annotation_id)) for row in rows]

    def note(self, kind: str, *, round_index: int, who: str, body: Mapping[str, Any]) -> None:
        """Something about the whole study that changes nothing in the database."""
        with writing(self._engine) as connection:
            _record(connection, round_index, who, kind, None, body)

    def add(
        self,
        records: Sequence[ImageRecord],
        labels: Iterable[Annotation],
        *,
        beside: int,
        classes: Sequence[str] | None,
        rounds: int,
        round_index: int,
        who: str,
        body: Mapping[str, Any],
        facts: Facts | None = None,
    ) -> None:
        """Images join the `beside` that are in the study, with the labels that came with them, numbers of `classes`.

        facts: study fact → what becomes of it. Raises ChangedError where there are more images, or other classes, by now.
        """
        with writing(self._engine) as connection:
            hold_classes(connection, classes)
            hold_position(connection)
            more = connection.execute(sa.select(sa.func.count()).select_from(IMAGES)).scalar_one() - beside
            if more:
                raise ChangedError(f"{plural(more, 'image')} joined the study meanwhile. Nothing more was stored: do the same again.")
            insert_images(connection, records)
            append_all(connection, labels, round_index=round_index, annotator=GIVEN)
            at = now(connection)
            insert_all(connection, EVENTS, (_event(at, round_index, who, "added", record.image_id, {}) for record in records))
            _record(connection, round_index, who, "images added", None, body)
            change_facts(connection, facts or {})
            go_on(connection, rounds)

    def unlabel(self, image_ids: Sequence[str], *, rounds: int, round_index: int, who: str) -> list[str]:
        """Make every annotation of the images history that is never current; returns the images that had one.

        An image of the pool may be asked about again; what was spent on it stays spent.
        """
        with writing(self._engine) as connection:
            hold_classes(connection)
            hold_position(connection)
            hold_all(connection, image_ids)
            taken = {image_id: number for image_id in image_ids if (number := _take_back(connection, image_id)) is not None}
            for image_id, number in taken.items():
                _record(connection, round_index, who, UNLABELLED, image_id, {"annotation": number})
            if taken:
                go_on(connection, rounds)
        return list(taken)

    def exclude(self, image_ids: Sequence[str], fault: str, *, round_index: int, who: str) -> list[str]:
        """Take images out of use; those that are out of use already stay so for their first reason. Returns the others."""
        with writing(self._engine) as connection:
            return _set_fault(connection, image_ids, IMAGES.c.fault.is_(None), fault, EXCLUDED, round_index, who)

    def include(self, image_ids: Sequence[str], *, rounds: int, round_index: int, who: str) -> list[str]:
        """Put images to use again, with the labels that they had; returns those that were out of use."""
        with writing(self._engine) as connection:
            hold_position(connection)
            return _include(connection, image_ids, rounds, round_index, who)

    def move(
        self,
        records: Sequence[ImageRecord],
        *,
        round_index: int,
        who: str,
        body: Mapping[str, Any],
        changed: Mapping[str, str] | None = None,
        back: Sequence[str] = (),
        rounds: int = 0,
        facts: Facts | None = None,
    ) -> list[str]:
        """The images' files lie elsewhere now; returns which of those `back` were out of use, and are in use again.

        changed: id → how its file is another, of those that hold other bytes. facts: study fact → what becomes of it.
        """
        with writing(self._engine) as connection:
            hold_position(connection)
            hold_all(connection, (record.image_id for record in records))
            for record in records:
                row = image_row(record)
                change_image(connection, record.image_id, **{name: row[name] for name in ("path", "width", "height", "digest", "stamp")})
            at = now(connection)
            news = (_event(at, round_index, who, FILE_CHANGED, image_id, {"reason": how}) for image_id, how in (changed or {}).items())
            insert_all(connection, EVENTS, news)
            _record(connection, round_index, who, "images moved", None, body)
            change_facts(connection, facts or {})
            return _include(connection, back, rounds, round_index, who)

    def change_classes(
        self,
        convert: Convert,
        facts: Mapping[str, Any],
        *,
        back_to: tuple[int, Phase] | None,
        round_index: int,
        who: str,
        body: Mapping[str, Any],
    ) -> int:
        """Every label becomes one of the new classes, and the study's `facts` say so; returns how many images' labels are others now.

        What was said before is history that is never current; who said it, when, and in which round stays. back_to: the step that is next
        from now on, None for the one that was; questions that come after it are withdrawn.
        """
        with writing(self._engine) as connection:
            for key, value in facts.items():  # first: whoever stores labels waits from here on, and sees that the classes are others
                put(connection, key, value)
            rows = connection.execute(
                sa.select(ANNOTATIONS).where(sa.not_(ANNOTATIONS.c.late)).order_by(ANNOTATIONS.c.image_id, ANNOTATIONS.c.id)
            ).all()
            newest = connection.execute(sa.select(sa.func.max(ANNOTATIONS.c.id))).scalar() or 0
            numbers: dict[int, int] = {}  # of an annotation → of the same one in the new classes
            changed = 0
            for _, group in groupby(rows, key=lambda row: row.image_id):
                anew = _relabel(connection, list(group), convert)
                numbers.update(anew)
                changed += bool(anew)
            _follow(connection, numbers)
            if back_to is not None:
                go_back(connection, *back_to)
            _record(connection, round_index, who, CLASSES_CHANGED, None, {**body, "newest": newest})
        return changed

    def labelled_before(self, at: str) -> list[str]:
        """Usable images whose current labels, complete ones, were given before `at`; ISO 8601, UTC."""
        statement = (
            sa.select(ANNOTATIONS.c.image_id)
            .join(IMAGES, IMAGES.c.image_id == ANNOTATIONS.c.image_id)
            .where(ANNOTATIONS.c.id.in_(LATEST), ANNOTATIONS.c.complete, ANNOTATIONS.c.at < at, IMAGES.c.fault.is_(None))
            .order_by(ANNOTATIONS.c.image_id)
        )
        with self._engine.connect() as connection:
            return list(connection.execute(statement).scalars())

    def set_aside_damaged(self, *, round_index: int, who: str) -> list[str]:
        """Make the annotations that are not what was stored history, as far as that is known; the images that had one."""
        with writing(self._engine) as connection:
            damaged = [row for row in connection.execute(sa.select(ANNOTATIONS)).all() if not is_whole(row)]
            for row in damaged:
                values = {"late": True, "boxes": boxes_to_json(Boxes.empty()), "sources": [], "rejected": [], "complete": False}
                values |= {"digest": None}
                connection.execute(ANNOTATIONS.update().where(ANNOTATIONS.c.id == row.id).values(**values))
                _record(connection, round_index, who, "damaged", row.image_id, {"why": "a damaged annotation was set aside"})
        return [row.image_id for row in damaged]


def _include(connection: Connection, image_ids: Sequence[str], rounds: int, round_index: int, who: str) -> list[str]:
    back = _set_fault(connection, image_ids, IMAGES.c.fault.is_not(None), None, "included", round_index, who)
    if back:
        go_on(connection, rounds)
    return back


def _set_fault(
    connection: Connection, image_ids: Sequence[str], where: Any, fault: str | None, kind: str, round_index: int, who: str
) -> list[str]:
    changed = []
    hold_all(connection, image_ids)
    for image_id in image_ids:
        found = connection.execute(IMAGES.update().where(IMAGES.c.image_id == image_id, where).values(fault=fault))
        if found.rowcount:
            changed.append(image_id)
            _record(connection, round_index, who, kind, image_id, {} if fault is None else {"why": fault})
    return changed


def _take_back(connection: Connection, image_id: str) -> int | None:
    """The number of the annotation that was current; None where none was."""
    current = connection.execute(latest_of(image_id)).first()
    if current is None:
        return None
    make_history(connection, ANNOTATIONS.c.image_id == image_id)
    connection.execute(IMAGES.update().where(IMAGES.c.image_id == image_id).values(open=None))
    return int(current.id)


def _relabel(connection: Connection, rows: Sequence[Any], convert: Convert) -> dict[int, int]:
    """Append all annotations of one image anew, in their order, if any of them says something else in the new classes: number → new one."""
    read = [(row, annotation, *convert(annotation.boxes)) for row in rows for annotation in (read_annotation(row),)]
    if all(kept.all() and np.array_equal(boxes.labels, annotation.boxes.labels) for _, annotation, boxes, kept in read):
        return {}
    numbers = {}
    for row, annotation, boxes, kept in read:
        sources = [source.value for source, stays in zip(annotation.sources, kept, strict=True) if stays]
        values = {name: value for name, value in row._mapping.items() if name != "id"}
        values |= {"boxes": boxes_to_json(boxes), "sources": sources, "seconds": 0.0}  # the time is spent on the one that is history now
        values["digest"] = digest_of(values)
        numbers[row.id] = connection.execute(ANNOTATIONS.insert(), values).inserted_primary_key[0]  # type: ignore[index]
        make_history(connection, ANNOTATIONS.c.id == row.id)
    return numbers


def _follow(connection: Connection, numbers: Mapping[int, int]) -> None:
    """What is known of an answer, its key and its reviews, is so of the same answer in other words."""
    for table, key in ((ANSWERS, ANSWERS.c.key), (EVENTS, EVENTS.c.id)):
        known = connection.execute(sa.select(key, table.c.annotation_id).where(table.c.annotation_id.is_not(None))).all()
        moved = [{"known": of, "number": numbers[number]} for of, number in known if number in numbers]
        if moved:
            connection.execute(table.update().where(key == sa.bindparam("known")).values(annotation_id=sa.bindparam("number")), moved)


def _record(connection: Connection, *event: Any) -> None:
    connection.execute(EVENTS.insert(), _event(now(connection), *event))


def _event(at: str, round_index: int, who: str, kind: str, image_id: str | None, body: Mapping[str, Any]) -> dict[str, Any]:
    return {"at": at, "round": round_index, "who": who, "kind": kind, "image_id": image_id, "body": plain(dict(body))}
