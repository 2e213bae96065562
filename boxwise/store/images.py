"""The images of a study's database: what each is, which may be asked about, and joining by the million.

`Store` has these questions. Whoever wants counts or ids asks for those: records of a million images take ten seconds and half a gigabyte.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from boxwise.errors import StudyError
from boxwise.records import ImageRecord, Split
from boxwise.store.bulk import chunks, insert_all
from boxwise.store.clock import now
from boxwise.store.connecting import first_line
from boxwise.store.rows import RECORD, change_image, image_row, read_record
from boxwise.store.schema import ANNOTATIONS, EVENTS, IMAGES, LATEST, STUDY, annotates, writing

EXCLUDED = "excluded"  # the kind of an event by which an image went out of use; its body says why
_NAMED = 500  # ids that one statement names: databases limit its parameters
_USABLE = IMAGES.c.fault.is_(None)


class OutBy(StrEnum):
    """What a person does to take an image out of use, as the reason that is kept says it."""

    EXCLUDED = "excluded by"
    FLAGGED = "flagged by"


def fault_by(how: OutBy, who: str, reason: str) -> str:
    """Why an image is out of use that a person took out."""
    return f"{how} {who}: {reason}"


def out_by(fault: str) -> OutBy | None:
    """How a person took an image out of use, by its fault; None where none did, as of a file that cannot be read."""
    return next((how for how in OutBy if fault.startswith(f"{how} ")), None)


class Images:
    """Questions about the images of one database; each is one transaction."""

    _engine: Engine

    def images(self, split: Split | None = None, *, most: int | None = None) -> list[ImageRecord]:
        """Images fit for use (not quarantined), by id; of one split, or all; the first `most` alone, where that is given."""
        return self._images(*([IMAGES.c.split == split.value] if split else []), most=most)

    def all_images(self) -> list[ImageRecord]:
        """Every image by id, also those out of use."""
        with self._engine.connect() as connection:
            return [read_record(row) for row in connection.execute(sa.select(*RECORD).order_by(IMAGES.c.image_id))]

    def image_ids(self) -> list[str]:
        """The ids of `all_images`, in its order."""
        with self._engine.connect() as connection:
            return list(connection.execute(sa.select(IMAGES.c.image_id).order_by(IMAGES.c.image_id)).scalars())

    def record(self, image_id: str) -> ImageRecord | None:
        """One image, also a quarantined one; None where the study has no such image."""
        return next(iter(self.records([image_id])), None)

    def records(self, image_ids: Iterable[str]) -> list[ImageRecord]:
        """The images of these ids, also quarantined ones, in their order; an id that the study does not have is passed over."""
        wanted = list(image_ids)
        found: dict[str, ImageRecord] = {}
        with self._engine.connect() as connection:
            for ids in chunks(wanted, _NAMED):
                rows = connection.execute(sa.select(*RECORD).where(IMAGES.c.image_id.in_(ids)))
                found |= {row.image_id: read_record(row) for row in rows}
        return [found[image_id] for image_id in wanted if image_id in found]

    def pool(self) -> list[ImageRecord]:
        """Train images that may be asked about: without a complete annotation, unless a policy decided otherwise."""
        return self._images(*_in_pool())

    def pool_ids(self) -> list[str]:
        """The ids of `pool`, in its order."""
        with self._engine.connect() as connection:
            return list(connection.execute(sa.select(IMAGES.c.image_id).where(_USABLE, *_in_pool()).order_by(IMAGES.c.image_id)).scalars())

    def pool_size(self) -> int:
        """How many images `pool` has, counted by the database."""
        train = (_USABLE, IMAGES.c.split == Split.TRAIN.value)
        by_policy, undecided = self._count(*train, IMAGES.c.open.is_(True)), self._count(*train, IMAGES.c.open.is_(None))
        labelled = sa.select(sa.func.count()).select_from(ANNOTATIONS).where(ANNOTATIONS.c.id.in_(LATEST), ANNOTATIONS.c.complete)
        labelled = labelled.where(annotates(*train, IMAGES.c.open.is_(None)))
        with self._engine.connect() as connection:
            return by_policy + undecided - int(connection.execute(labelled).scalar_one())

    def image_count(self, split: Split | None = None) -> int:
        """How many images of a split, or in all, are fit for use."""
        return self._count(_USABLE, *([IMAGES.c.split == split.value] if split else []))

    def some_images(self, count: int) -> list[ImageRecord]:
        """About `count` usable images at random, without a look at the others: another choice each time."""
        with self._engine.connect() as connection:
            return [read_record(row) for row in connection.execute(_some(connection, count).limit(count))]

    def measured(self, records: Iterable[ImageRecord]) -> None:
        """Keep the size, digest and stamp of images that joined unopened."""
        with writing(self._engine) as connection:
            for record in sorted(records, key=lambda record: record.image_id):
                row = image_row(record)
                change_image(connection, record.image_id, **{name: row[name] for name in ("width", "height", "digest", "stamp")})

    def quarantine(self, image_id: str, fault: str, *, who: str = "boxwise") -> None:
        """Take an image out of use and remember why, also in its history; of one that is out of use already the first reason stays."""
        with writing(self._engine) as connection:
            if connection.execute(IMAGES.update().where(IMAGES.c.image_id == image_id, _USABLE).values(fault=fault)).rowcount:
                number, _ = connection.execute(sa.select(STUDY.c.value).where(STUDY.c.key == "position")).scalar_one()
                event = {"at": now(connection), "round": number, "who": who, "kind": EXCLUDED, "image_id": image_id}
                connection.execute(EVENTS.insert(), event | {"body": {"why": fault}})

    def quarantined(self) -> dict[str, str]:
        """image_id → why it is out of use."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(IMAGES.c.image_id, IMAGES.c.fault).where(IMAGES.c.fault.is_not(None)))
            return {row.image_id: row.fault for row in rows}

    def fault(self, image_id: str) -> str | None:
        """Why one image is out of use; None where it is not."""
        with self._engine.connect() as connection:
            found: str | None = connection.execute(sa.select(IMAGES.c.fault).where(IMAGES.c.image_id == image_id)).scalar()
        return found

    def _images(self, *conditions: Any, most: int | None = None) -> list[ImageRecord]:
        statement = sa.select(*RECORD).where(_USABLE, *conditions).order_by(IMAGES.c.image_id).limit(most)
        with self._engine.connect() as connection:
            return [read_record(row) for row in connection.execute(statement)]

    def _count(self, *conditions: Any) -> int:
        with self._engine.connect() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(IMAGES).where(*conditions)).scalar_one())


def insert_images(connection: Connection, records: Iterable[ImageRecord]) -> None:
    """Let images join. Raises StudyError on an id that is there already."""
    try:
        insert_all(connection, IMAGES, map(image_row, records))
    except sa.exc.IntegrityError as error:
        raise StudyError(f"an image id is in the study twice: {first_line(str(error.orig))}") from None


def _some(connection: Connection, count: int) -> sa.Select[Any]:
    if connection.dialect.name == "sqlite":  # rows are numbered from 1 on, and none is ever deleted
        number = sa.literal_column("rowid", sa.Integer)
        last = connection.execute(sa.select(sa.func.max(number)).select_from(IMAGES)).scalar() or 0
        drawn = np.random.default_rng().integers(1, last + 1, count) if last else ()
        return sa.select(*RECORD).where(number.in_({int(row) for row in drawn}), _USABLE)
    every = connection.execute(sa.select(sa.func.count()).select_from(IMAGES)).scalar_one()
    # Percent of the rows. Whole pages (SYSTEM) would be quicker, and of few pages often none.
    sample = sa.tablesample(IMAGES, sa.func.bernoulli(min(100.0, 100.0 * count / max(every, 1))))
    return sa.select(*(sample.c[column.name] for column in RECORD)).where(sample.c.fault.is_(None))


def _in_pool() -> tuple[sa.ColumnElement[bool], ...]:
    complete = sa.select(ANNOTATIONS.c.image_id).where(ANNOTATIONS.c.id.in_(LATEST), ANNOTATIONS.c.complete)
    unlabelled = sa.and_(IMAGES.c.open.is_(None), IMAGES.c.image_id.not_in(complete))
    return IMAGES.c.split == Split.TRAIN.value, sa.or_(IMAGES.c.open.is_(True), unlabelled)
