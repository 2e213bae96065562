"""The tables of a study's database and how it is opened: SQLite in WAL mode, or PostgreSQL.

A change of a column is a step of `migrations/` as well. Knows columns, not what they mean to a study.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import RLock
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

META = sa.MetaData()
STUDY = sa.Table("study", META, sa.Column("key", sa.String, primary_key=True), sa.Column("value", sa.JSON, nullable=False))
IMAGES = sa.Table(
    "images",
    META,
    sa.Column("image_id", sa.String, primary_key=True),
    sa.Column("path", sa.String, nullable=False),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("split", sa.String, nullable=False, index=True),
    sa.Column("source_id", sa.JSON),
    sa.Column("fault", sa.String),  # why the image is quarantined; NULL: it is not
    sa.Column("open", sa.Boolean),  # whether a policy left it in the pool or took it out; NULL: its annotation decides
)
ANNOTATIONS = sa.Table(
    "annotations",
    META,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("image_id", sa.String, sa.ForeignKey("images.image_id"), nullable=False, index=True),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("annotator", sa.String, nullable=False),
    sa.Column("complete", sa.Boolean, nullable=False),
    sa.Column("boxes", sa.JSON, nullable=False),
    sa.Column("sources", sa.JSON, nullable=False),
    sa.Column("rejected", sa.JSON, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("at", sa.String, nullable=False),
    sa.Column(
        "late", sa.Boolean, nullable=False
    ),  # given after another's answer by someone who no longer held the image: history, never current
)
VERDICTS = sa.Table(
    "verdicts",
    META,
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
QUERIES = sa.Table(
    "queries",
    META,
    sa.Column("round", sa.Integer, primary_key=True),
    sa.Column("rank", sa.Integer, primary_key=True),
    sa.Column("image_id", sa.String, sa.ForeignKey("images.image_id"), nullable=False),
    sa.Column("utility", sa.Float, nullable=False),
    sa.Column("terms", sa.JSON, nullable=False),
    sa.Column("split", sa.String, nullable=False),
    sa.Column("box_ids", sa.JSON(none_as_null=True)),  # NULL: the whole image is asked about
    sa.Column("probability", sa.Float),
)
FACTS = sa.Table(
    "facts",
    META,
    sa.Column("round", sa.Integer, primary_key=True),
    sa.Column("phase", sa.String, primary_key=True),
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("at", sa.String, nullable=False),
)
LEASES = sa.Table(
    "leases",
    META,
    sa.Column("image_id", sa.String, sa.ForeignKey("images.image_id"), primary_key=True),
    sa.Column("annotator", sa.String, nullable=False),
    sa.Column("until", sa.Float, nullable=False),  # seconds since the epoch
)
DRAFTS = sa.Table(
    "drafts",
    META,
    sa.Column("image_id", sa.String, sa.ForeignKey("images.image_id"), primary_key=True),
    sa.Column("round", sa.Integer, primary_key=True),
    sa.Column("annotator", sa.String, primary_key=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("at", sa.String, nullable=False),
)
SKIPS = sa.Table(
    "skips",
    META,
    sa.Column("image_id", sa.String, sa.ForeignKey("images.image_id"), primary_key=True),
    sa.Column("round", sa.Integer, primary_key=True),
    sa.Column("annotator", sa.String, primary_key=True),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("at", sa.String, nullable=False),
)
ANSWERS = sa.Table(
    "answers",
    META,
    sa.Column("key", sa.String, primary_key=True),  # made once by whoever sends the answer, so that sending it twice stores it once
    sa.Column("annotation_id", sa.Integer, sa.ForeignKey("annotations.id"), nullable=False),
)
EVENTS = sa.Table(
    "events",
    META,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.String, nullable=False),
    sa.Column("round", sa.Integer, nullable=False),  # from which it holds
    sa.Column("who", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("image_id", sa.String, sa.ForeignKey("images.image_id"), index=True),  # NULL: it is about the whole study
    sa.Column("body", sa.JSON, nullable=False),
)
LATEST = sa.select(sa.func.max(ANNOTATIONS.c.id).label("id")).where(sa.not_(ANNOTATIONS.c.late)).group_by(ANNOTATIONS.c.image_id)


def latest_of(image_id: str) -> sa.Select[tuple[int]]:
    """`LATEST` of one image: a few rows by an index, where the whole table would be grouped."""
    return LATEST.where(ANNOTATIONS.c.image_id == image_id)


def others_of(image_id: str, round_index: int, annotator: str) -> sa.Select[tuple[int]]:
    """The image's current annotation, if another person gave it since the round began."""
    return sa.select(ANNOTATIONS.c.id).where(
        ANNOTATIONS.c.id.in_(latest_of(image_id)), ANNOTATIONS.c.round >= round_index, ANNOTATIONS.c.annotator != annotator
    )


_SQLITE_WRITER = RLock()


def file_url(path: Path) -> URL:
    """The URL of SQLite's file at `path`, which may hold any character: backslashes, question marks, signs of per cent."""
    return URL.create("sqlite", database=str(path.absolute()))


def engine(url: str | URL) -> Engine:
    engine = sa.create_engine(url)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _configure_sqlite)
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes, committed when the block ends.

    SQLite has one writer at a time; the others poll for their turn, and where many write one of them may starve. So within a process they
    queue. PostgreSQL locks rows and needs no queue.
    """
    with _SQLITE_WRITER if engine.dialect.name == "sqlite" else nullcontext(), engine.begin() as connection:
        yield connection


def _configure_sqlite(connection: Any, _record: Any) -> None:
    # FULL: a label is on the disk, not only in the system's cache, before it is acknowledged.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


def shown(url: str | URL) -> str:
    return sa.engine.make_url(url).render_as_string(hide_password=True)
