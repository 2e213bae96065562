"""The tables of a study's database, SQLite's or PostgreSQL's, and a transaction that writes.

A change of a column is a step of `migrations/` as well. Knows columns, not what they mean to a study.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from threading import RLock

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

META = sa.MetaData()
# In the order of their bytes on any database, so that one seed asks for the same images; SQLite has that order by itself.
IMAGE_ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")
STUDY = sa.Table("study", META, sa.Column("key", sa.String, primary_key=True), sa.Column("value", sa.JSON, nullable=False))
IMAGES = sa.Table(
    "images",
    META,
    sa.Column("image_id", IMAGE_ID, primary_key=True),
    sa.Column("path", sa.String, nullable=False),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("split", sa.String, nullable=False),
    sa.Column("source_id", sa.JSON),
    sa.Column("fault", sa.String),  # why the image is quarantined; NULL: it is not
    sa.Column("digest", sa.String),  # fingerprint of the file's bytes when the image joined
    sa.Column("stamp", sa.String),  # the file's size and time then
    sa.Column("seal", sa.BigInteger),  # check of what the row says of the image; NULL: it is older than the checks
    sa.Column("open", sa.Boolean),  # whether a policy left it in the pool or took it out; NULL: its annotation decides
)
_FIT = IMAGES.c.fault.is_(None)
sa.Index("images_in_use", IMAGES.c.split, IMAGES.c.open, sqlite_where=_FIT, postgresql_where=_FIT)
sa.Index("images_out_of_use", IMAGES.c.image_id, sqlite_where=~_FIT, postgresql_where=~_FIT)
ANNOTATIONS = sa.Table(
    "annotations",
    META,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("image_id", IMAGE_ID, sa.ForeignKey("images.image_id"), nullable=False, index=True),
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
    sa.Column("digest", sa.String),  # of what the row says; NULL: it is older than the checks
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
    sa.Column("image_id", IMAGE_ID, sa.ForeignKey("images.image_id"), nullable=False),
    sa.Column("utility", sa.Float, nullable=False),
    sa.Column("terms", sa.JSON, nullable=False),
    sa.Column("split", sa.String, nullable=False),
    sa.Column("box_ids", sa.JSON(none_as_null=True)),  # NULL: the whole image is asked about
    sa.Column("probability", sa.Float),
    sa.Column("twice", sa.Boolean),  # whether two people label the image, each alone; NULL: one does
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
    sa.Column("image_id", IMAGE_ID, sa.ForeignKey("images.image_id"), primary_key=True),
    sa.Column("annotator", sa.String, nullable=False),
    sa.Column("until", sa.Float, nullable=False),  # seconds since the epoch
)
DRAFTS = sa.Table(
    "drafts",
    META,
    sa.Column("image_id", IMAGE_ID, sa.ForeignKey("images.image_id"), primary_key=True),
    sa.Column("round", sa.Integer, primary_key=True),
    sa.Column("annotator", sa.String, primary_key=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("at", sa.String, nullable=False),
)
SKIPS = sa.Table(
    "skips",
    META,
    sa.Column("image_id", IMAGE_ID, sa.ForeignKey("images.image_id"), primary_key=True),
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
    sa.Column("image_id", IMAGE_ID, sa.ForeignKey("images.image_id"), index=True),  # NULL: it is about the whole study
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("annotation_id", sa.Integer, sa.ForeignKey("annotations.id"), index=True),  # NULL: it is about no answer
)
SPENT = "time spent"  # the kind of an event that charges an image that was skipped or flagged; its body has the seconds
UNLABELLED = "unlabelled"  # the kind of an event that took an image's labels back; its body names the annotation that was current
ANEW = ANNOTATIONS.alias("anew")  # see `said_anew`
LATEST = sa.select(sa.func.max(ANNOTATIONS.c.id).label("id")).where(sa.not_(ANNOTATIONS.c.late)).group_by(ANNOTATIONS.c.image_id)


def annotates(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Whether an annotation's image is such. Not as a join, of which SQLite may begin with the images, and these may be a million."""
    return sa.exists().where(IMAGES.c.image_id == ANNOTATIONS.c.image_id, *conditions).correlate(ANNOTATIONS)


def said_anew(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Whether an annotation, or the same one in the classes of a later change, is such; conditions: on `ANEW`."""
    same = [ANEW.c[name] == ANNOTATIONS.c[name] for name in ("image_id", "annotator", "at", "round")]
    return sa.exists().where(*same, ANEW.c.id >= ANNOTATIONS.c.id, *conditions).correlate(ANNOTATIONS)


def latest_of(image_id: str) -> sa.Select[tuple[int]]:
    """`LATEST` of one image: a few rows by an index, where the whole table would be grouped."""
    return LATEST.where(ANNOTATIONS.c.image_id == image_id)


def others_of(image_id: str, round_index: int, annotator: str) -> sa.Select[tuple[int]]:
    """The image's current annotation, if another person gave it since the round began."""
    return sa.select(ANNOTATIONS.c.id).where(
        ANNOTATIONS.c.id.in_(latest_of(image_id)), ANNOTATIONS.c.round >= round_index, ANNOTATIONS.c.annotator != annotator
    )


_SQLITE_WRITER = RLock()


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes, committed when the block ends. In SQLite no other writes from its beginning on, so that what is read in it
    holds until it ends.

    SQLite has one writer at a time; the others poll for their turn, and where many write one of them may starve. So within a process they
    queue. PostgreSQL locks rows and needs no queue.
    """
    sqlite = engine.dialect.name == "sqlite"
    with _SQLITE_WRITER if sqlite else nullcontext(), engine.begin() as connection:
        if sqlite:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
