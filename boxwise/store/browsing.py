"""Looking through very many images: what is found, page by page, in the order that the last pass over the pool gives them.

What that pass left of each image is copied from its files into tables of their own. They are no part of the schema: made when they are
first needed, and anew where they are gone. No answer has more rows than it was asked for. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from boxwise.records import Annotation, ImageRecord, Phase, Split
from boxwise.store.bulk import insert_all, is_one_of
from boxwise.store.connecting import FOLD
from boxwise.store.pool import asked_now, secret_images
from boxwise.store.rows import RECORD, read_annotation, read_record
from boxwise.store.schema import ANNOTATIONS, IMAGE_ID, IMAGES, LATEST, QUERIES, STUDY, annotates, writing
from boxwise.store.store import Store

_CACHE = sa.MetaData()
_SCORED = sa.Table(
    "scored",
    _CACHE,
    sa.Column("rank", sa.Integer, primary_key=True, autoincrement=False),  # from 0, the highest score first
    sa.Column("image_id", IMAGE_ID, nullable=False),
    sa.Column("score", sa.Float),
    sa.Column("x", sa.Float, nullable=False),
    sa.Column("y", sa.Float, nullable=False),
    sa.Column("labels", sa.String, nullable=False),  # of the classes that the model sees: ",0,5,", or ""
)
_BY_IMAGE = sa.Index("scored_by_image", _SCORED.c.image_id, unique=True)
_SOURCE = sa.Table("scored_from", _CACHE, sa.Column("id", sa.Integer, primary_key=True), sa.Column("source", sa.JSON, nullable=False))
_LABEL_OF_NOTHING = ","


@dataclass(frozen=True)
class Wanted:
    """What is looked for; None or "" is everything. region: x1, y1, x2, y2 on the map. low, high: of the last pass's score.

    text: a part of the name; capitals do not matter, beyond ASCII as far as PostgreSQL's own collation knows them.
    """

    text: str = ""
    label: int | None = None
    person: str = ""
    round: int | None = None
    state: str = ""
    low: float | None = None
    high: float | None = None
    region: tuple[float, float, float, float] | None = None


class ScoredImage(NamedTuple):
    """What a pass left of one image. score: None where it is no number. x, y: on the map. labels: of the classes that the model sees."""

    image_id: str
    score: float | None
    x: float
    y: float
    labels: str


def labels_text(labels: Iterable[int]) -> str:
    """Classes as a column that can be searched for one of them."""
    return "".join(f",{label}" for label in labels) + _LABEL_OF_NOTHING if labels else ""


class Amounts(NamedTuple):
    """How many images are found: of those in the last pass, and of the others."""

    scored: int
    others: int


@dataclass(frozen=True)
class FoundImage:
    """One image as it is shown. state: "flagged", "asked", "labelled", "pool", or the split of one without labels that is not in the pool.

    labels: classes of its boxes, or those that the model sees where it has none. person, round: who labelled it, "" and None before that;
    round is the last that asked for it, if one did. One that is secret, see `secret_images`, is as if it had no labels.
    """

    record: ImageRecord
    state: str
    round: int | None
    person: str
    labels: frozenset[int]
    score: float | None


class Point(NamedTuple):
    """An image on the map."""

    x: float
    y: float
    image_id: str
    state: str


class BrowsingStore:
    """The questions of who looks through a study's images. Every method is one transaction."""

    def __init__(self, store: Store) -> None:
        self._store, self._engine = store, store.engine

    # -- the last pass --------------------------------------------------------------------------------------------------

    def source(self) -> Any:
        """Which pass the images are ordered by, as `keep` was told; None before it was."""
        if not sa.inspect(self._engine).has_table(_SOURCE.name):
            return None
        with self._engine.connect() as connection:
            return connection.execute(sa.select(_SOURCE.c.source)).scalar()

    def keep(self, source: Any, images: Iterable[ScoredImage]) -> None:
        """Order the images by another pass, all or nothing; what another process has kept of it meanwhile stays.

        images: the highest score first, those without one last.
        """
        with writing(self._engine) as connection:
            # The first statement takes the lock, of SQLite's file or of PostgreSQL's row: two servers may be about to do this.
            connection.execute(STUDY.update().where(STUDY.c.key == "schema_version").values(key="schema_version"))
            _CACHE.create_all(connection)
            if connection.execute(sa.select(_SOURCE.c.source)).scalar() == source:
                return
            for table in (_SOURCE, _SCORED):
                connection.execute(table.delete())
            _BY_IMAGE.drop(connection)  # to put names into it one by one, in no order, takes minutes
            insert_all(connection, _SCORED, ({"rank": rank} | image._asdict() for rank, image in enumerate(images)))
            _BY_IMAGE.create(connection)
            connection.execute(_SOURCE.insert(), {"source": source})

    # -- what is found --------------------------------------------------------------------------------------------------

    def amounts(self, wanted: Wanted, only: Collection[str] | None = None) -> Amounts:
        """How many images are found; only: among these."""
        with self._engine.connect() as connection:
            if wanted == Wanted() and only is None:
                scored, every = (_count(connection, sa.select(table)) for table in (_SCORED, IMAGES))
                return Amounts(scored, every - scored)
            parts = (_Images.of_pass(self._store.position), _Images.beside_it(self._store.position))
            return Amounts(*(_count(connection, part.found(connection, wanted, only)) for part in parts))

    def ids(self, wanted: Wanted, only: Collection[str] | None, amounts: Amounts, *, start: int, most: int) -> list[str]:
        """The images that are found, from place `start` on: those of the last pass, the highest score first, then the others by name."""
        position, found = self._store.position, list[str]()
        with self._engine.connect() as connection:
            for part, count in zip((_Images.of_pass(position), _Images.beside_it(position)), amounts, strict=True):
                if count > start and len(found) < most:
                    some = part.found(connection, wanted, only).order_by(part.order).limit(most - len(found)).offset(start)
                    found += connection.execute(some).scalars()
                start = max(0, start - count)
        return found

    def images(self, image_ids: Sequence[str]) -> list[FoundImage]:
        """What is shown of these images, in their order; unknown ids are passed over."""
        every = _Images(self._store.position, IMAGES.outerjoin(_SCORED, _SAME), IMAGES.c.image_id)
        columns = (*RECORD, every.state, every.round, every.annotator, every.annotation_id, _SCORED.c.score, _SCORED.c.labels)
        with self._engine.connect() as connection:
            rows = connection.execute(every.select(*columns).where(is_one_of(connection, IMAGES.c.image_id, image_ids))).all()
            numbers = [row.annotation_id for row in rows if row.annotation_id is not None]
            drawn = {
                row.image_id: read_annotation(row)
                for row in connection.execute(sa.select(ANNOTATIONS).where(ANNOTATIONS.c.id.in_(numbers)))
            }
        found = {row.image_id: _found(row, drawn.get(row.image_id)) for row in rows}
        return [found[image_id] for image_id in image_ids if image_id in found]

    def states(self, image_ids: Collection[str]) -> dict[str, str]:
        """image_id → state, of those that the study has."""
        every = _Images(self._store.position, IMAGES, IMAGES.c.image_id)
        with self._engine.connect() as connection:
            rows = connection.execute(
                every.select(IMAGES.c.image_id, every.state).where(is_one_of(connection, IMAGES.c.image_id, image_ids))
            )
            return {row.image_id: row.state for row in rows}

    # -- the map, and what can be filtered by ---------------------------------------------------------------------------

    def points(self, most: int) -> tuple[int, list[Point]]:
        """(images of the last pass, those of them that are drawn: every n-th in the order of their scores, at most so many)."""
        part = _Images.of_pass(self._store.position)
        with self._engine.connect() as connection:
            count = _count(connection, sa.select(_SCORED))
            drawn = part.select(_SCORED.c.x, _SCORED.c.y, _SCORED.c.image_id, part.state).order_by(part.order)
            rows = connection.execute(drawn.where(_SCORED.c.rank % max(1, -(-count // most)) == 0))
            return count, [Point(*row) for row in rows]

    def people(self) -> list[str]:
        """Who gave current labels of usable images."""
        with self._engine.connect() as connection:
            return sorted(connection.execute(sa.select(_current(self._store.position).c.annotator).distinct()).scalars())

    def rounds(self) -> list[int]:
        """Those that an image can be of."""
        current, asked = _current(self._store.position), _asked()
        labelled = sa.select(current.c.round).outerjoin(asked, asked.c.image_id == current.c.image_id).where(asked.c.round.is_(None))
        with self._engine.connect() as connection:
            return sorted(connection.execute(sa.union(sa.select(asked.c.round), labelled)).scalars())


_SAME, _USABLE = _SCORED.c.image_id == IMAGES.c.image_id, IMAGES.c.fault.is_(None)


class _Images:
    """Images, by the table that they are taken from, beside what is known of each.

    SQLite reads the tables of outer joins in their order, so that the first one's order is kept. A pass's images are not looked up in the
    table of images: a million of them, in the order of their scores, would each be on another page of the file.
    """

    def __init__(self, position: tuple[int, Phase], images: sa.FromClause, image_id: sa.ColumnElement[str]) -> None:
        self.image_id, self.order = image_id, image_id
        self._only: sa.ColumnElement[bool] = sa.true()
        self._position = position
        current, asked, waiting, flagged, outside = known = _current(position), _asked(), _waiting(position), _flagged(), _outside()
        for table in known:
            images = images.outerjoin(table, table.c.image_id == image_id)
        self._tables, self._labelled = images, current.c.image_id.is_not(None)
        self.annotator, self.annotation_id = current.c.annotator, current.c.id.label("annotation_id")
        self.round = sa.func.coalesce(asked.c.round, current.c.round).label("round")
        self.state = sa.case(
            (flagged.c.image_id.is_not(None), "flagged"),
            (waiting.c.image_id.is_not(None), "asked"),
            (current.c.complete, "labelled"),
            else_=sa.func.coalesce(outside.c.split, "pool"),
        ).label("state")

    @classmethod
    def of_pass(cls, position: tuple[int, Phase]) -> _Images:
        """Those that the last pass has looked at."""
        made = cls(position, _SCORED, _SCORED.c.image_id)
        made.order = _SCORED.c.rank
        return made

    @classmethod
    def beside_it(cls, position: tuple[int, Phase]) -> _Images:
        """The others."""
        made = cls(position, IMAGES.outerjoin(_SCORED, _SAME), IMAGES.c.image_id)
        made._only = _SCORED.c.rank.is_(None)
        return made

    def select(self, *columns: Any) -> sa.Select[Any]:
        return sa.select(*columns).select_from(self._tables).where(self._only)

    def found(self, connection: Connection, wanted: Wanted, only: Collection[str] | None) -> sa.Select[Any]:
        """The ids of those that are looked for."""
        conditions = [] if only is None else [is_one_of(connection, self.image_id, only)]
        if wanted.text:
            conditions.append(_has_text(connection, self.image_id, wanted.text))
        if wanted.label is not None:
            seen = sa.and_(sa.not_(self._labelled), _SCORED.c.labels.contains(labels_text([wanted.label])))
            conditions.append(sa.or_(self.image_id.in_(_with_label(connection, wanted.label, self._position)), seen))
        if wanted.person:
            # Not the column itself: SQLite would begin with the labels, take them for few, and read the tables after them row by row.
            conditions.append(sa.func.coalesce(self.annotator, "") == wanted.person)
        if wanted.round is not None:
            conditions.append(self.round == wanted.round)
        if wanted.state:
            conditions.append(self.state == wanted.state)
        if wanted.low is not None:
            conditions.append(_SCORED.c.score >= wanted.low)
        if wanted.high is not None:
            conditions.append(_SCORED.c.score <= wanted.high)
        if wanted.region is not None:
            left, bottom, right, top = wanted.region
            conditions += [_SCORED.c.x.between(left, right), _SCORED.c.y.between(bottom, top)]
        return self.select(self.image_id).where(*conditions)


def _has_text(connection: Connection, image_id: sa.ColumnElement[str], text: str) -> sa.ColumnElement[bool]:
    """Whether a name has the text in it, whatever the capitals. Those beyond ASCII are no letters to SQLite or to the ids' collation."""
    if text.isascii():
        return image_id.icontains(text, autoescape=True)
    if connection.dialect.name == "postgresql":
        return sa.type_coerce(sa.collate(image_id, "default"), sa.String).icontains(text, autoescape=True)
    return sa.func.instr(getattr(sa.func, FOLD)(image_id), text.casefold()) > 0


def _current(position: tuple[int, Phase]) -> sa.Subquery:
    """The current labels of each usable image that is not secret, without their boxes."""
    latest, columns = LATEST.subquery(), (ANNOTATIONS.c.id, ANNOTATIONS.c.image_id, ANNOTATIONS.c.annotator)
    statement = sa.select(*columns, ANNOTATIONS.c.round, ANNOTATIONS.c.complete).join(latest, latest.c.id == ANNOTATIONS.c.id)
    return statement.where(annotates(_USABLE), _open(position)).subquery()


def _open(position: tuple[int, Phase]) -> sa.ColumnElement[bool]:
    """Whether labels may be seen."""
    return ANNOTATIONS.c.image_id.not_in(secret_images(position))


def _asked() -> sa.Subquery:
    """The last round that asked for each image."""
    return sa.select(QUERIES.c.image_id, sa.func.max(QUERIES.c.round).label("round")).group_by(QUERIES.c.image_id).subquery()


def _waiting(position: tuple[int, Phase]) -> sa.Subquery:
    """The images that wait for an answer now."""
    return asked_now(position).distinct().subquery()


def _flagged() -> sa.Subquery:
    # Distinct, as the next, so that SQLite makes a small table of it and does not look each image of the pass up.
    return sa.select(IMAGES.c.image_id).where(sa.not_(_USABLE)).distinct().subquery()


def _outside() -> sa.Subquery:
    """The usable images that are not for training, with their split."""
    splits = IMAGES.c.split.in_((Split.VAL.value, Split.TEST.value))
    return sa.select(IMAGES.c.image_id, IMAGES.c.split).where(_USABLE, splits).distinct().subquery()


def _with_label(connection: Connection, label: int, position: tuple[int, Phase]) -> sa.Select[tuple[str]]:
    """Usable images whose current labels have a box of the class, and are not secret."""
    if connection.dialect.name == "postgresql":
        each = sa.func.json_array_elements_text(ANNOTATIONS.c.boxes["labels"]).table_valued("value")
        has = sa.exists().select_from(each).where(each.c.value == str(label))
    else:
        each = sa.func.json_each(ANNOTATIONS.c.boxes, "$.labels").table_valued("value")
        has = sa.exists().select_from(each).where(each.c.value == label)
    latest = LATEST.subquery()
    return sa.select(ANNOTATIONS.c.image_id).join(latest, latest.c.id == ANNOTATIONS.c.id).where(annotates(_USABLE), _open(position), has)


def _count(connection: Connection, statement: sa.Select[Any]) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(statement.subquery())).scalar_one())


def _found(row: Any, drawn: Annotation | None) -> FoundImage:
    seen = frozenset(int(label) for label in (row.labels or "").split(",") if label)
    labels = seen if drawn is None else frozenset(drawn.boxes.labels.tolist())
    return FoundImage(read_record(row[: len(RECORD)]), row.state, row.round, row.annotator or "", labels, row.score)
