"""Every fact of a study, once, in SQLite (WAL) or PostgreSQL; resuming is reading it.

Annotations and verdicts are append-only: the latest annotation of an image wins, the history stays. One transaction commits
a phase with its facts and the next position. Nobody else writes SQL. Knows nothing of training, scores or files of weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from boxwise.errors import StudyError
from boxwise.jsonable import boxes_from_json, boxes_to_json, plain
from boxwise.records import Action, Annotation, ImageRecord, Phase, Query, QueryItem, Source, Split, Verdict

SCHEMA_VERSION = 1
_META = sa.MetaData()
_STUDY = sa.Table("study", _META, sa.Column("key", sa.String, primary_key=True), sa.Column("value", sa.JSON, nullable=False))
_IMAGES = sa.Table(
    "images",
    _META,
    sa.Column("image_id", sa.String, primary_key=True),
    sa.Column("path", sa.String, nullable=False),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("split", sa.String, nullable=False, index=True),
    sa.Column("source_id", sa.JSON),
    sa.Column("fault", sa.String),  # why the image is quarantined; NULL: it is not
)
_ANNOTATIONS = sa.Table(
    "annotations",
    _META,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("image_id", sa.String, sa.ForeignKey("images.image_id"), nullable=False, index=True),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("annotator", sa.String, nullable=False),
    sa.Column("complete", sa.Boolean, nullable=False),
    sa.Column("boxes", sa.JSON, nullable=False),
    sa.Column("sources", sa.JSON, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("at", sa.String, nullable=False),
)
_VERDICTS = sa.Table(
    "verdicts",
    _META,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("annotation_id", sa.Integer, sa.ForeignKey("annotations.id"), nullable=False, index=True),
    sa.Column("action", sa.String, nullable=False),
    sa.Column("box_id", sa.String, nullable=False),
    sa.Column("xyxy", sa.JSON),
    sa.Column("label", sa.Integer),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("difficult", sa.Boolean, nullable=False),
    sa.Column("crowd", sa.Boolean, nullable=False),
)
_QUERIES = sa.Table(
    "queries",
    _META,
    sa.Column("round", sa.Integer, primary_key=True),
    sa.Column("rank", sa.Integer, primary_key=True),
    sa.Column("image_id", sa.String, sa.ForeignKey("images.image_id"), nullable=False),
    sa.Column("utility", sa.Float, nullable=False),
    sa.Column("terms", sa.JSON, nullable=False),
    sa.Column("split", sa.String, nullable=False),
)
_FACTS = sa.Table(
    "facts",
    _META,
    sa.Column("round", sa.Integer, primary_key=True),
    sa.Column("phase", sa.String, primary_key=True),
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("at", sa.String, nullable=False),
)
_LATEST = sa.select(sa.func.max(_ANNOTATIONS.c.id)).group_by(_ANNOTATIONS.c.image_id)


@dataclass(frozen=True)
class Labour:
    """What annotating cost: images and boxes now labelled, and all seconds ever spent on them, history included."""

    images: int
    boxes: int
    seconds: float


class Store:
    """The study's database. Open with `Store.create` or `Store.open`; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def create(cls, url: str, facts: Mapping[str, Any]) -> Store:
        """A new store at `url` holding the study's `facts` (config, classes...). Raises StudyError if one is there already."""
        store = cls(_engine(url))
        with store._engine.begin() as connection:
            if sa.inspect(connection).has_table(_STUDY.name):
                raise StudyError(f"{_shown(url)}: there is a study already. Open it, or choose another folder.")
            _META.create_all(connection)
            start = {"schema_version": SCHEMA_VERSION, "position": [0, Phase.SELECT.value], **facts}
            connection.execute(_STUDY.insert(), [{"key": key, "value": value} for key, value in start.items()])
        return store

    @classmethod
    def open(cls, url: str) -> Store:
        """The store at `url`. Raises StudyError if there is none or it was written by another schema version."""
        store = cls(_engine(url))
        try:
            version = store.get("schema_version")
        except sa.exc.DBAPIError as error:
            raise StudyError(f"{_shown(url)}: not a boxwise study ({_first_line(error)}).") from None
        if version != SCHEMA_VERSION:
            raise StudyError(f"{_shown(url)}: schema version {version}, expected {SCHEMA_VERSION}.")
        return store

    def close(self) -> None:
        self._engine.dispose()

    # -- the study's own facts ------------------------------------------------------------------------------------------

    def get(self, key: str) -> Any:
        """The value of a study fact, None when it was never set."""
        with self._engine.connect() as connection:
            return connection.execute(sa.select(_STUDY.c.value).where(_STUDY.c.key == key)).scalar()

    def put(self, key: str, value: Any) -> None:
        with self._engine.begin() as connection:
            _put(connection, key, value)

    @property
    def position(self) -> tuple[int, Phase]:
        """Round and rung to do next."""
        number, phase = self.get("position")
        return number, Phase(phase)

    # -- images ---------------------------------------------------------------------------------------------------------

    def add_images(self, records: Iterable[ImageRecord]) -> None:
        """Add images; those without a split join the pool (train). Raises StudyError on an id that is there already."""
        rows = [
            {
                "image_id": record.image_id,
                "path": str(record.path),
                "width": record.width,
                "height": record.height,
                "split": (record.split or Split.TRAIN).value,
                "source_id": record.source_id,
            }
            for record in records
        ]
        try:
            with self._engine.begin() as connection:
                if rows:
                    connection.execute(_IMAGES.insert(), rows)
        except sa.exc.IntegrityError as error:
            raise StudyError(f"an image id is in the study twice: {_first_line(error)}") from None

    def images(self, split: Split | None = None) -> list[ImageRecord]:
        """Images fit for use (not quarantined), by id; of one split, or all."""
        return self._images(*([_IMAGES.c.split == split.value] if split else []))

    def pool(self) -> list[ImageRecord]:
        """Train images without a complete annotation: derived, never stored."""
        complete = sa.select(_ANNOTATIONS.c.image_id).where(_ANNOTATIONS.c.id.in_(_LATEST), _ANNOTATIONS.c.complete)
        return self._images(_IMAGES.c.split == Split.TRAIN.value, _IMAGES.c.image_id.not_in(complete))

    def quarantine(self, image_id: str, fault: str) -> None:
        """Take an image out of use and remember why."""
        with self._engine.begin() as connection:
            connection.execute(_IMAGES.update().where(_IMAGES.c.image_id == image_id).values(fault=fault))

    def quarantined(self) -> dict[str, str]:
        """image_id → why it is out of use."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_IMAGES.c.image_id, _IMAGES.c.fault).where(_IMAGES.c.fault.is_not(None)))
            return {row.image_id: row.fault for row in rows}

    def _images(self, *conditions: Any) -> list[ImageRecord]:
        statement = sa.select(_IMAGES).where(_IMAGES.c.fault.is_(None), *conditions).order_by(_IMAGES.c.image_id)
        with self._engine.connect() as connection:
            return [
                ImageRecord(row.image_id, Path(row.path), row.width, row.height, Split(row.split), row.source_id)
                for row in connection.execute(statement)
            ]

    # -- labels ---------------------------------------------------------------------------------------------------------

    def annotate(self, annotation: Annotation, verdicts: Sequence[Verdict], *, round: int, annotator: str, seconds: float) -> None:
        """Append an annotation and the verdicts it came from; durable when this returns."""
        with self._engine.begin() as connection:
            _append(connection, annotation, verdicts, round, annotator, seconds)

    def annotate_all(self, annotations: Iterable[Annotation], *, round: int, annotator: str) -> None:
        """Append many given annotations without verdicts or labour, in one transaction."""
        with self._engine.begin() as connection:
            for annotation in annotations:
                _append(connection, annotation, (), round, annotator, 0.0)

    def annotations(self, split: Split) -> dict[str, Annotation]:
        """The latest annotation of every usable image of `split` that has one, by image id."""
        statement = (
            sa.select(_ANNOTATIONS)
            .join(_IMAGES, _IMAGES.c.image_id == _ANNOTATIONS.c.image_id)
            .where(_ANNOTATIONS.c.id.in_(_LATEST), _IMAGES.c.split == split.value, _IMAGES.c.fault.is_(None))
            .order_by(_ANNOTATIONS.c.image_id)
        )
        with self._engine.connect() as connection:
            return {row.image_id: _annotation(row) for row in connection.execute(statement)}

    def history(self, image_id: str) -> list[tuple[str, str, Annotation, tuple[Verdict, ...]]]:
        """Every annotation an image ever had, oldest first: (annotator, when, annotation, verdicts)."""
        statement = sa.select(_ANNOTATIONS).where(_ANNOTATIONS.c.image_id == image_id).order_by(_ANNOTATIONS.c.id)
        with self._engine.connect() as connection:
            rows = connection.execute(statement).all()
            return [(row.annotator, row.at, _annotation(row), _verdicts(connection, row.id)) for row in rows]

    def labour(self, split: Split) -> Labour:
        """Images, boxes and seconds so far in one split."""
        boxes = sum(len(annotation.boxes) for annotation in self.annotations(split).values())
        statement = (
            sa.select(sa.func.count(sa.distinct(_ANNOTATIONS.c.image_id)), sa.func.sum(_ANNOTATIONS.c.seconds))
            .join(_IMAGES, _IMAGES.c.image_id == _ANNOTATIONS.c.image_id)
            .where(_IMAGES.c.split == split.value, _IMAGES.c.fault.is_(None))
        )
        with self._engine.connect() as connection:
            images, seconds = connection.execute(statement).one()
        return Labour(images, boxes, float(seconds or 0.0))

    # -- rounds ---------------------------------------------------------------------------------------------------------

    def commit(self, round: int, phase: Phase, facts: Mapping[str, Any], *, then: tuple[int, Phase], query: Query | None = None) -> None:
        """Write a finished rung: its facts, its query if it asked one, and the next position, all or nothing."""
        with self._engine.begin() as connection:
            connection.execute(_FACTS.insert(), {"round": round, "phase": phase.value, "facts": plain(facts), "at": _now()})
            if query is not None:
                _insert_query(connection, query)
            _put(connection, "position", [then[0], then[1].value])

    def reopen(self, round: int, phase: Phase) -> None:
        """Go back to a rung that was skipped because the budget had ended."""
        with self._engine.begin() as connection:
            connection.execute(_FACTS.delete().where(_FACTS.c.round == round, _FACTS.c.phase == phase.value))
            _put(connection, "position", [round, phase.value])

    def query(self, round: int) -> Query:
        """What a round asked for; empty if it asked nothing."""
        statement = sa.select(_QUERIES).where(_QUERIES.c.round == round).order_by(_QUERIES.c.rank)
        with self._engine.connect() as connection:
            rows = connection.execute(statement)
            return Query(round, tuple(QueryItem(row.image_id, row.utility, row.terms, Split(row.split)) for row in rows))

    def unanswered(self, round: int) -> Query:
        """The items of a round's query that have no complete annotation and are not quarantined."""
        done = sa.select(_ANNOTATIONS.c.image_id).where(_ANNOTATIONS.c.id.in_(_LATEST), _ANNOTATIONS.c.complete)
        faulty = sa.select(_IMAGES.c.image_id).where(_IMAGES.c.fault.is_not(None))
        statement = sa.select(_QUERIES.c.image_id).where(
            _QUERIES.c.round == round, _QUERIES.c.image_id.not_in(done), _QUERIES.c.image_id.not_in(faulty)
        )
        with self._engine.connect() as connection:
            still = set(connection.execute(statement).scalars())
        return Query(round, tuple(item for item in self.query(round).items if item.image_id in still))

    def facts(self) -> dict[int, dict[str, dict[str, Any]]]:
        """round → phase → facts of every finished rung."""
        found: dict[int, dict[str, dict[str, Any]]] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(sa.select(_FACTS).order_by(_FACTS.c.round)):
                found.setdefault(row.round, {})[row.phase] = row.facts
        return found


def _engine(url: str) -> Engine:
    engine = sa.create_engine(url)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _configure_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: Any) -> None:
    # FULL: a label is on the disk, not only in the system's cache, before it is acknowledged.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


def _put(connection: Connection, key: str, value: Any) -> None:
    changed = connection.execute(_STUDY.update().where(_STUDY.c.key == key).values(value=value)).rowcount
    if not changed:
        connection.execute(_STUDY.insert(), {"key": key, "value": value})


def _append(
    connection: Connection, annotation: Annotation, verdicts: Sequence[Verdict], round: int, annotator: str, seconds: float
) -> None:
    row = {
        "image_id": annotation.image_id,
        "round": round,
        "annotator": annotator,
        "complete": annotation.complete,
        "boxes": boxes_to_json(annotation.boxes),
        "sources": [source.value for source in annotation.sources],
        "seconds": seconds,
        "at": _now(),
    }
    if connection.execute(sa.select(_IMAGES.c.image_id).where(_IMAGES.c.image_id == annotation.image_id)).first() is None:
        raise StudyError(f"image {annotation.image_id!r} is not in the study.")
    (number,) = connection.execute(_ANNOTATIONS.insert(), row).inserted_primary_key or (None,)
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
        connection.execute(_VERDICTS.insert(), rows)


def _annotation(row: Any) -> Annotation:
    return Annotation(row.image_id, boxes_from_json(row.boxes), tuple(Source(source) for source in row.sources), row.complete)


def _verdicts(connection: Connection, annotation_id: int) -> tuple[Verdict, ...]:
    statement = sa.select(_VERDICTS).where(_VERDICTS.c.annotation_id == annotation_id).order_by(_VERDICTS.c.id)
    return tuple(
        Verdict(Action(row.action), row.box_id, tuple(row.xyxy) if row.xyxy else None, row.label, row.seconds, row.difficult, row.crowd)
        for row in connection.execute(statement)
    )


def _insert_query(connection: Connection, query: Query) -> None:
    rows = [
        {
            "round": query.round,
            "rank": rank,
            "image_id": item.image_id,
            "utility": item.utility,
            "terms": plain(item.terms),
            "split": item.split.value,
        }
        for rank, item in enumerate(query.items)
    ]
    if rows:
        connection.execute(_QUERIES.insert(), rows)
    for item in query.items:
        if item.split is not Split.TRAIN:
            connection.execute(_IMAGES.update().where(_IMAGES.c.image_id == item.image_id).values(split=item.split.value))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _first_line(error: sa.exc.DBAPIError) -> str:
    return str(error.orig).splitlines()[0]


def _shown(url: str) -> str:
    return sa.engine.make_url(url).render_as_string(hide_password=True)
