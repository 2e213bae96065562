"""What labelling has cost and who did it, as the annotations say: labour, people, acts.

`Store` is such an `Accounts`. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from boxwise.errors import StudyError
from boxwise.jsonable import boxes_from_json
from boxwise.records import Action, Source, Split
from boxwise.store.answers import Current, Labour, Person
from boxwise.store.rows import GIVEN, LATE, MODEL, damaged_annotation, read_annotation
from boxwise.store.schema import ANEW, ANNOTATIONS, EVENTS, IMAGES, LATEST, SPENT, UNLABELLED, VERDICTS, annotates, said_anew

_FLAGGED = sa.cast(ANNOTATIONS.c.boxes, sa.Text).contains("true")  # a crowd, or a difficult box: of the others no box is read
_BOXES = sa.case((_FLAGGED, ANNOTATIONS.c.boxes)).label("boxes")
_ASIDE = sa.func.sum(EVENTS.c.body["seconds"].as_float())  # of events that charge images that were skipped or flagged
_TAKEN_BACK = sa.select(EVENTS.c.body["annotation"].as_integer()).where(EVENTS.c.kind == UNLABELLED)


def check_person(name: str) -> None:
    """Raises StudyError for a name under which answers would pass for labels that no person gave."""
    if name in (GIVEN, MODEL):
        raise StudyError(
            f"name {name!r}: kept for labels that no person gave ({GIVEN}: with the data, {MODEL}: by the model). Give another."
        )


def spent_aside(connection: Connection) -> dict[str, float]:
    """annotator → the seconds that they spent on images that they skipped or flagged."""
    statement = sa.select(EVENTS.c.who, _ASIDE).where(EVENTS.c.kind == SPENT).group_by(EVENTS.c.who)
    return {name: float(seconds) for name, seconds in connection.execute(statement)}


class Accounts:
    """Questions about the annotations of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def actions(self, round_index: int, split: Split) -> dict[Action, int]:
        """How often each act was done in the annotations that images of a split were given in a round."""
        statement = (
            sa.select(VERDICTS.c.action, sa.func.count().label("times"))
            .join(ANNOTATIONS, ANNOTATIONS.c.id == VERDICTS.c.annotation_id)
            .where(ANNOTATIONS.c.round == round_index, annotates(IMAGES.c.split == split.value))
            .group_by(VERDICTS.c.action)
        )
        with self._engine.connect() as connection:
            found = {row.action: row.times for row in connection.execute(statement)}
        return {action: found.get(action.value, 0) for action in Action}

    def labour(self, split: Split) -> Labour:
        """Images, boxes and seconds so far in one split."""
        latest = self._latest(split, columns=(ANNOTATIONS.c.annotator, ANNOTATIONS.c.sources, _BOXES))
        drawn = [_drawn(row) for row in latest]
        answered = [number for row, number in zip(latest, drawn, strict=True) if row.annotator != GIVEN]
        by_model = sum(row.sources.count(Source.MODEL.value) for row in latest)
        return Labour(len(latest), sum(drawn) - by_model, by_model, self.seconds(split), (len(answered), sum(answered)))

    def answered(self, split: Split, unit: Literal["images", "boxes"]) -> int:
        """Images of a split that were labelled here, not given with the data, or boxes that people answered for there, with yes or no.

        As the seconds, those of images that went out of use since count too, and labels that were taken back, of an image that is labelled
        again beside the new ones. Boxes of a class that was removed since do not.
        """
        columns = (ANNOTATIONS.c.annotator, *((ANNOTATIONS.c.sources, _BOXES) if unit == "boxes" else ()))
        rows = (*self._latest(split, columns=columns, in_use=False), *self._taken_back(split, columns))
        here = [row for row in rows if row.annotator != GIVEN]
        if unit == "images":
            return len(here)
        return sum(_drawn(row) - row.sources.count(Source.MODEL.value) for row in here) + self._rejected(split)

    def _taken_back(self, split: Split, columns: Sequence[Any]) -> Sequence[Any]:
        """What was current of a split's images when their labels were taken back; of older versions, which did not note it, nothing."""
        of_split = annotates(IMAGES.c.split == split.value)
        with self._engine.connect() as connection:
            return connection.execute(sa.select(*columns).where(ANNOTATIONS.c.id.in_(_TAKEN_BACK), of_split)).all()

    def _rejected(self, split: Split) -> int:
        """The boxes of a split's images that people answered for with no, each once however often they answered."""
        rejected = (
            sa.select(ANNOTATIONS.c.image_id, VERDICTS.c.box_id)
            .join(ANNOTATIONS, ANNOTATIONS.c.id == VERDICTS.c.annotation_id)
            .where(VERDICTS.c.action == Action.DELETE.value, annotates(IMAGES.c.split == split.value))
            .where(said_anew(sa.or_(sa.not_(ANEW.c.late), ANEW.c.id.in_(_TAKEN_BACK))))
            .distinct()
        )
        with self._engine.connect() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(rejected.subquery())).scalar_one())

    def labelled_count(self, split: Split) -> int:
        """How many usable images of a split have labels, counted by the database."""
        statement = sa.select(sa.func.count(ANNOTATIONS.c.image_id.distinct())).where(sa.not_(ANNOTATIONS.c.late))
        with self._engine.connect() as connection:
            usable = annotates(IMAGES.c.split == split.value, IMAGES.c.fault.is_(None))
            return int(connection.execute(statement.where(usable)).scalar_one())

    def seconds(self, split: Split) -> float:
        """All labour ever spent on images of one split, quarantined and skipped ones too."""
        labelling = sa.select(sa.func.sum(ANNOTATIONS.c.seconds)).where(annotates(IMAGES.c.split == split.value))
        of_split = sa.exists().where(IMAGES.c.image_id == EVENTS.c.image_id, IMAGES.c.split == split.value).correlate(EVENTS)
        aside = sa.select(_ASIDE).where(EVENTS.c.kind == SPENT, of_split)
        with self._engine.connect() as connection:
            return sum(float(connection.execute(one).scalar() or 0.0) for one in (labelling, aside))

    def people(self) -> dict[str, Person]:
        """annotator → what they have done, the busiest first; late answers and skipped images count, as the time is spent."""
        images, seconds = sa.func.count(ANNOTATIONS.c.image_id.distinct()), sa.func.sum(ANNOTATIONS.c.seconds)
        statement = (
            sa.select(ANNOTATIONS.c.annotator, images.label("images"), seconds.label("seconds"))
            .where(ANNOTATIONS.c.annotator.not_in((GIVEN, MODEL)))
            .group_by(ANNOTATIONS.c.annotator)
            .order_by(images.desc(), ANNOTATIONS.c.annotator)
        )
        with self._engine.connect() as connection:
            found = {row.annotator: Person(row.images, float(row.seconds)) for row in connection.execute(statement)}
            for name, more in spent_aside(connection).items():
                before = found.get(name, Person(0, 0.0))
                found[name] = replace(before, seconds=before.seconds + more)
        return found

    def answered_again(self) -> set[str]:
        """The images whose labels a person has looked at a second time: given or answered before, and answered since."""
        statement = (
            sa.select(ANNOTATIONS.c.image_id)
            .where(ANNOTATIONS.c.annotator != MODEL, sa.not_(ANNOTATIONS.c.late))
            .group_by(ANNOTATIONS.c.image_id)
            .having(sa.func.count() > 1)
        )
        with self._engine.connect() as connection:
            return set(connection.execute(statement).scalars())

    def current(self, split: Split) -> dict[str, Current]:
        """image_id → its labels of now, of every image of a split that has some, also of those out of use."""
        return {row.image_id: Current(row.id, row.annotator, read_annotation(row)) for row in self._latest(split, in_use=False)}

    def _latest(
        self, split: Split, before: int | None = None, *, columns: Sequence[Any] = (ANNOTATIONS,), in_use: bool = True
    ) -> Sequence[Any]:
        """The current annotations of a split's images, by default of the usable ones; of large ones the boxes take long to read."""
        wanted = sa.and_(IMAGES.c.split == split.value, *([IMAGES.c.fault.is_(None)] if in_use else []))
        latest = (LATEST if before is None else LATEST.where(ANNOTATIONS.c.round < before)).subquery()
        statement = (
            sa.select(*columns)
            .select_from(ANNOTATIONS)
            .join(latest, latest.c.id == ANNOTATIONS.c.id)  # `id IN latest` would make SQLite search the whole list once an image
            .outerjoin(IMAGES, IMAGES.c.image_id == ANNOTATIONS.c.image_id)
            .where(sa.or_(IMAGES.c.image_id.is_(None), wanted))
            .order_by(ANNOTATIONS.c.image_id)  # one of no image is damaged, and must be seen to be so
        )
        unsaid = sa.or_(ANNOTATIONS.c.late.is_(None), sa.and_(ANNOTATIONS.c.late, ANNOTATIONS.c.digest.not_like(f"{LATE}%")))
        undone = sa.select(ANNOTATIONS.c.image_id, ANNOTATIONS.c.round).where(unsaid)
        with self._engine.connect() as connection:
            if (row := connection.execute(undone).first()) is not None:
                raise damaged_annotation(row)
            return connection.execute(statement).all()


def _drawn(row: Any) -> int:
    """How many boxes a person would draw to make the annotation of a row, of which `_BOXES` and the sources were read."""
    return len(row.sources) if row.boxes is None else boxes_from_json(row.boxes).drawn
