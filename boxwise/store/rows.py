"""Records to rows and rows to records, inside a transaction of the caller.

Knows the tables. Knows nothing of engines, rounds or when to commit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any
from zlib import crc32

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from boxwise.errors import ChangedError, StudyError
from boxwise.jsonable import boxes_from_json, boxes_to_json, plain
from boxwise.records import Action, Annotation, ImageRecord, Query, QueryItem, Source, Split, Verdict
from boxwise.store.answers import Begun, LabelledMeanwhileError, LabelsChangedError
from boxwise.store.bulk import ROWS, chunks, insert_all, is_one_of
from boxwise.store.clock import now
from boxwise.store.schema import ANNOTATIONS, ANSWERS, IMAGES, LEASES, QUERIES, STUDY, VERDICTS, latest_of, others_of

LATE = "late "  # begins the digest of an annotation that is history, so that no changed bit makes it current, or a current one history
GIVEN, MODEL = "given", "model"  # annotators that are no person: labels that came with the data, boxes that no person looked at
PEOPLE = 2  # who label an image that is asked twice
_SEALED = ("image_id", "path", "width", "height", "split", "source_id", "digest")
RECORD = tuple(IMAGES.c[name] for name in (*_SEALED, "stamp", "seal"))  # what an image's record is read from: `read_record`
_CLASSES = sa.select(STUDY.c.value).where(STUDY.c.key == "classes")
_REPAIR = "See `boxwise repair STUDY`."


def put(connection: Connection, key: str, value: Any) -> None:
    """Let a study fact have this value. As one statement: of two who set it for the first time, neither is to fail."""
    row = _new_fact(connection, key, value)
    connection.execute(row.on_conflict_do_update(index_elements=[STUDY.c.key], set_={"value": row.excluded.value}))


def put_among(connection: Connection, key: str, value: Any) -> None:
    """Let a study fact that is a list have this value among its own; nobody else changes the list until this transaction ends."""
    connection.execute(_new_fact(connection, key, []).on_conflict_do_nothing())
    known = connection.execute(sa.select(STUDY.c.value).where(STUDY.c.key == key).with_for_update()).scalar_one()
    if value not in known:
        put(connection, key, [*known, value])


def change_facts(connection: Connection, changes: Mapping[str, Callable[[Any], Any]]) -> None:
    """Let study facts become what is made of them, None where there is none; nobody else changes them until this transaction ends."""
    for key, change in sorted(changes.items()):
        connection.execute(_new_fact(connection, key, None).on_conflict_do_nothing())
        known = connection.execute(sa.select(STUDY.c.value).where(STUDY.c.key == key).with_for_update()).scalar_one()
        put(connection, key, change(known))


def _new_fact(connection: Connection, key: str, value: Any) -> Any:
    """The insertion of a study fact, in the dialect of the database, which says what is done where there is one."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return dialect.insert(STUDY).values(key=key, value=value)


def append(
    connection: Connection,
    annotation: Annotation,
    verdicts: Sequence[Verdict],
    round_index: int,
    annotator: str,
    seconds: float,
    *,
    late: bool = False,
) -> int:
    """Append an annotation and its verdicts; returns the annotation's number. Its image is held, see `hold`, and so in the study."""
    row = annotation_row(annotation, round_index, annotator, seconds, at=now(connection), late=late)
    number = int(connection.execute(ANNOTATIONS.insert(), row).inserted_primary_key[0])  # type: ignore[index]
    rows = [
        {
            "annotation_id": number,
            "action": verdict.action.value,
            "box_id": verdict.box_id,
            "xyxy": list(verdict.xyxy) if verdict.xyxy else None,
            "label": verdict.label,
            "seconds": verdict.seconds,
            "difficult": verdict.difficult,
            "crowd": verdict.crowd,
        }
        for verdict in verdicts
    ]
    if rows:
        connection.execute(VERDICTS.insert(), rows)
    return number


def append_all(connection: Connection, annotations: Iterable[Annotation], *, round_index: int, annotator: str) -> None:
    """Append many annotations without verdicts or labour. Raises StudyError for an image that is not in the study."""
    at = now(connection)
    for some in chunks(annotations, ROWS):
        _check_known(connection, [annotation.image_id for annotation in some])
        insert_all(connection, ANNOTATIONS, (annotation_row(each, round_index, annotator, 0.0, at=at) for each in some))


def _check_known(connection: Connection, image_ids: Sequence[str]) -> None:
    found = connection.execute(sa.select(IMAGES.c.image_id).where(is_one_of(connection, IMAGES.c.image_id, image_ids)))
    if unknown := set(image_ids).difference(found.scalars()):
        raise StudyError(f"image {min(unknown)!r} is not in the study.")


def annotation_row(
    annotation: Annotation, round_index: int, annotator: str, seconds: float, *, at: str, late: bool = False
) -> dict[str, Any]:
    """An annotation as the table holds it; given at a time as `clock.now` says it."""
    row = {
        "image_id": annotation.image_id,
        "round": round_index,
        "annotator": annotator,
        "complete": annotation.complete,
        "boxes": boxes_to_json(annotation.boxes),
        "sources": [source.value for source in annotation.sources],
        "rejected": annotation.rejected.tolist(),
        "seconds": float(seconds),
        "at": at,
        "late": late,
    }
    return row | {"digest": (LATE if late else "") + digest_of(row)}


def hold(connection: Connection, image_id: str) -> None:
    """Let no other decide about the image until this transaction ends."""
    changed = connection.execute(IMAGES.update().where(IMAGES.c.image_id == image_id).values(image_id=image_id)).rowcount
    if not changed:
        raise StudyError(f"image {image_id!r} is not in the study.")


def hold_all(connection: Connection, image_ids: Iterable[str]) -> None:
    """As `hold`, in one order whatever the caller's: of two who hold each what the other waits for, PostgreSQL ends one."""
    for image_id in sorted(set(image_ids)):
        hold(connection, image_id)


def hold_classes(connection: Connection, classes: Sequence[str] | None = None) -> tuple[str, ...]:
    """The study's classes, which nobody changes until this transaction ends; before an image is held, as a change of them holds images.

    Raises ChangedError where they are others than `classes`, of which labels are numbers that are to be stored.
    """
    return check_classes(connection.execute(_CLASSES.with_for_update(read=True)).scalar(), classes)


def check_classes(stored: Sequence[str] | None, expected: Sequence[str] | None) -> tuple[str, ...]:
    """The classes that are `stored`; ChangedError where others are `expected`."""
    today = tuple(stored or ())
    if expected is not None and tuple(expected) != today:
        gone = [f"{name} is gone" for name in expected if name not in today]
        said = ", ".join([*gone, *(f"{name} is new" for name in today if name not in expected)]) or "they have another order"
        raise ChangedError(f"the classes of the study changed meanwhile: {said}. Nothing more was stored: do the same again.")
    return today


def read_record(row: Sequence[Any]) -> ImageRecord:
    """An image from its columns RECORD. Raises StudyError for a row that is not what was stored: a wrong split would mix what is tested
    into what is taught."""
    *said, stamp, seal = row
    if seal is not None and seal != _seal(said):
        raise StudyError(f"{said[0]}: what the study's database says of this image is not what was stored; it is damaged. {_REPAIR}")
    image_id, path, width, height, split, source_id, digest = said
    return ImageRecord(image_id, path, width, height, Split(split), source_id, digest, stamp)


def image_row(record: ImageRecord) -> dict[str, Any]:
    """An image as the table holds it; without a split it joins the pool."""
    row = {
        "image_id": record.image_id,
        "path": record.uri,
        "width": record.width,
        "height": record.height,
        "split": (record.split or Split.TRAIN).value,
        "source_id": record.source_id,
        "digest": record.digest,
        "stamp": record.stamp,
    }
    return row | {"seal": seal_of(row)}


def seal_of(row: Mapping[str, Any]) -> int:
    """Check of what an image's row says, but of why it is out of use, whether it is open and its file's time."""
    return _seal([row[name] for name in _SEALED])


def _seal(said: Sequence[Any]) -> int:
    return crc32(json.dumps(said).encode())


def change_image(connection: Connection, image_id: str, **values: Any) -> None:
    """Let the row of an image say something else, and seal it anew."""
    mine = IMAGES.c.image_id == image_id
    row = dict(connection.execute(sa.select(IMAGES).where(mine)).one()._mapping) | values
    connection.execute(IMAGES.update().where(mine).values(**values, seal=seal_of(row)))


def digest_of(row: Mapping[str, Any]) -> str:
    """Fingerprint of what an annotation's row says; 16 hex digits."""
    said = json.dumps([row[name] for name in ("image_id", "round", "annotator", "complete", "boxes", "sources", "rejected", "seconds")])
    return blake2b(said.encode(), digest_size=8).hexdigest()


def is_whole(row: Any) -> bool:
    """Whether an annotation's row says what was stored; of rows without a digest that is not known."""
    return row.digest is None or row.digest == (LATE if row.late else "") + digest_of(row._mapping)


def make_history(connection: Connection, which: sa.ColumnElement[bool]) -> int:
    """Let annotations that are current no more never be so again; how many there were."""
    current = sa.and_(which, sa.not_(ANNOTATIONS.c.late))
    return int(connection.execute(ANNOTATIONS.update().where(current).values(late=True, digest=LATE + ANNOTATIONS.c.digest)).rowcount)


def damaged_annotation(row: Any) -> StudyError:
    """What to raise for an annotation that is not what was stored."""
    return StudyError(f"{row.image_id}: its labels of round {row.round} are not what was stored; the database is damaged. {_REPAIR}")


def read_annotation(row: Any) -> Annotation:
    """Raises StudyError for a row that is not what was stored: a wrong box would pass for a label."""
    if not is_whole(row):
        raise damaged_annotation(row)
    sources = tuple(Source(source) for source in row.sources)
    rejected = np.asarray(row.rejected, np.float32).reshape(-1, 4)
    return Annotation(row.image_id, boxes_from_json(row.boxes), sources, row.complete, rejected, row.round)


def read_item(row: Any) -> QueryItem:
    box_ids = None if row.box_ids is None else tuple(row.box_ids)
    return QueryItem(row.image_id, row.utility, row.terms, Split(row.split), box_ids, row.probability, bool(row.twice))


def read_gathered(connection: Connection, texts: sa.Select[tuple[str]]) -> list[str]:
    """The values of a select of one column of text, gathered by the database into one row.

    A driver that fetches row by row lets go of the interpreter at each, so that among busy threads a thousand rows wait a thousand times.
    """
    [column] = (found := texts.subquery()).c
    gather = sa.func.json_group_array if connection.dialect.name == "sqlite" else sa.func.json_agg
    values = connection.execute(sa.select(sa.cast(gather(column), sa.Text)).select_from(found)).scalar_one()
    return list(json.loads(values or "[]"))


def read_verdicts(connection: Connection, annotation_id: int) -> tuple[Verdict, ...]:
    statement = sa.select(VERDICTS).where(VERDICTS.c.annotation_id == annotation_id).order_by(VERDICTS.c.id)
    return tuple(
        Verdict(Action(row.action), row.box_id, tuple(row.xyxy) if row.xyxy else None, row.label, row.seconds, row.difficult, row.crowd)
        for row in connection.execute(statement)
    )


def insert_query(connection: Connection, query: Query) -> None:
    rows = [
        {
            "round": query.round,
            "rank": rank,
            "image_id": item.image_id,
            "utility": item.utility,
            "terms": plain(item.terms),
            "split": item.split.value,
            "box_ids": None if item.box_ids is None else list(item.box_ids),
            "probability": item.probability,
            "twice": item.twice,
        }
        for rank, item in enumerate(query.items)
    ]
    if rows:
        connection.execute(QUERIES.insert(), rows)
    for item in query.items:
        if item.split is not Split.TRAIN:
            change_image(connection, item.image_id, split=item.split.value)


def is_asked_twice(connection: Connection, image_id: str, round_index: int) -> bool:
    """Whether a round asks two people about the image, each alone."""
    asked = sa.select(QUERIES.c.twice).where(QUERIES.c.round == round_index, QUERIES.c.image_id == image_id)
    return bool(connection.execute(asked).scalar())


def replaced(connection: Connection, image_id: str, round_index: int, beginnings: Sequence[str]) -> Any | None:
    """The id and annotator of the image's annotation that came under a key that begins in one of these ways; None where there is none.

    Its current one alone; where the round asks two people, any that counts.
    """
    if not beginnings:
        return None
    counting = sa.and_(ANNOTATIONS.c.image_id == image_id, sa.not_(ANNOTATIONS.c.late))
    found = came_under(connection, beginnings).where(counting).order_by(ANNOTATIONS.c.id.desc())
    if not is_asked_twice(connection, image_id, round_index):
        found = found.where(ANNOTATIONS.c.id.in_(latest_of(image_id)))
    return connection.execute(found).first()


def came_under(connection: Connection, beginnings: Sequence[str]) -> sa.Select[tuple[int, str]]:
    """The id and annotator of each annotation that came under a key that begins in one of these ways, none of them empty.

    As ranges of keys, which SQLite finds by their index.
    """
    key = sa.collate(ANSWERS.c.key, "C") if connection.dialect.name == "postgresql" else ANSWERS.c.key  # in the order of their bytes
    ranges = [sa.and_(key >= beginning, key < beginning[:-1] + chr(ord(beginning[-1]) + 1)) for beginning in beginnings]
    answers = sa.select(ANNOTATIONS.c.id, ANNOTATIONS.c.annotator).join(ANSWERS, ANSWERS.c.annotation_id == ANNOTATIONS.c.id)
    return answers.where(sa.or_(*ranges))


def overtaken(connection: Connection, image_id: str, round_index: int, annotator: str) -> bool:
    """Whether another person has answered for the image since the round began, and it is not the annotator's to correct."""
    holder = connection.execute(sa.select(LEASES.c.annotator).where(LEASES.c.image_id == image_id)).scalar()
    return holder != annotator and answered_by_others(connection, image_id, round_index, annotator)


def answered_by_others(connection: Connection, image_id: str, round_index: int, annotator: str) -> bool:
    """Whether the image's labels are another person's, given since the round began; where it asked two people, whether it has both."""
    if not is_asked_twice(connection, image_id, round_index):
        return connection.execute(others_of(image_id, round_index, annotator)).first() is not None
    others = sa.select(sa.func.count(ANNOTATIONS.c.annotator.distinct())).where(
        ANNOTATIONS.c.image_id == image_id,
        ANNOTATIONS.c.round >= round_index,
        ANNOTATIONS.c.annotator != annotator,
        sa.not_(ANNOTATIONS.c.late),
    )
    return int(connection.execute(others).scalar_one()) >= PEOPLE


def check_none_since(connection: Connection, image_id: str, number: int, round_index: int, annotator: str) -> None:
    """Raises LabelledMeanwhileError where an image that is held has come to newer labels than annotation `number`, 0: than none.

    The model's own boxes are no such labels, as nobody has looked at them; nor, of two people whom the round asks, each alone, the other's.
    """
    newest, who = _newest(connection, image_id)
    if newest <= number or who == MODEL:  # or older ones count again, since those were taken back
        return
    if who == annotator or not _answers_alone(connection, image_id, number, round_index, annotator):
        raise LabelledMeanwhileError(image_id, who)


def check_begun(connection: Connection, image_id: str, begun: Begun, round_index: int, annotator: str) -> None:
    """Raises LabelsChangedError where the labels of an image that is held are no longer those that a person's answer began with.

    The model's own boxes are no such labels, as nobody has looked at them; nor, of two people whom the round asks, each alone, the other's.
    """
    newest, who = _newest(connection, image_id)
    if newest > begun.number and who == MODEL:
        return
    if begun.edits:
        changed = newest != begun.number
    else:
        of_another = newest > begun.number and who != annotator
        changed = of_another and not _answers_alone(connection, image_id, begun.number, round_index, annotator)
    if changed:
        raise LabelsChangedError(image_id)


def _newest(connection: Connection, image_id: str) -> tuple[int, str]:
    """The number of the labels that an image has, and who gave them; (0, "") where it has none."""
    latest = sa.select(ANNOTATIONS.c.id, ANNOTATIONS.c.annotator).where(ANNOTATIONS.c.id.in_(latest_of(image_id)))
    row = connection.execute(latest).first()
    return (0, "") if row is None else (row.id, row.annotator)


def _answers_alone(connection: Connection, image_id: str, number: int, round_index: int, annotator: str) -> bool:
    """Whether a round asks two people about an image, and this one, whose work began with annotation `number`, answers without the other's.

    Not where both had answered by then, nor where two others have since, nor where this one has.
    """
    if not is_asked_twice(connection, image_id, round_index):
        return False
    counting = sa.and_(ANNOTATIONS.c.image_id == image_id, ANNOTATIONS.c.round >= round_index, sa.not_(ANNOTATIONS.c.late))
    given = connection.execute(sa.select(ANNOTATIONS.c.id, ANNOTATIONS.c.annotator).where(counting)).all()
    both = len({one.annotator for one in given if one.id <= number}) >= PEOPLE
    again = any(one.annotator == annotator and one.id > number for one in given)
    return not (both or again or len({one.annotator for one in given} - {annotator}) >= PEOPLE)
