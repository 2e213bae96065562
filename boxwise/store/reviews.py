"""Which answers of a study wait for a review, and what reviewers say of them: accepted, sent back with a remark, or one of two taken.

Every method is one transaction, durable when it returns. Knows nothing of roles or HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from boxwise.records import Annotation
from boxwise.store.accounts import GIVEN, MODEL
from boxwise.store.journal import CLASSES_CHANGED, relabels
from boxwise.store.judging import (
    ACCEPTED,
    ASKED_TWICE,
    OF_ASKED_TWICE,
    OVERRULED,
    REVIEWED,
    SENT_BACK,
    SETTLED,
    all_given_twice,
    of_two,
    record_review,
    under_review,
)
from boxwise.store.rows import PEOPLE, append, hold, hold_classes, is_asked_twice, make_history, read_annotation
from boxwise.store.schema import ANNOTATIONS, EVENTS, IMAGES, LATEST, QUERIES, writing
from boxwise.store.store import Store


@dataclass(frozen=True)
class UnderReview:
    """An answer that a reviewer has before them. number: of the annotation. at: ISO 8601, UTC. seconds: what it took."""

    number: int
    annotator: str
    at: str
    seconds: float
    annotation: Annotation


@dataclass(frozen=True)
class SentBack:
    """An image that waits for a better answer. to: who gave the one that was sent back. at: ISO 8601, UTC. number: of its annotation.

    answer: the one that was sent back; None where its labels mean something else by now.
    """

    to: str
    who: str
    remark: str
    at: str
    number: int
    answer: Annotation | None


class ReviewStore:
    """The reviews of one study."""

    def __init__(self, store: Store) -> None:
        self._engine = store.engine

    def due(self, who: str, *, of: str = "") -> list[str]:
        """The images whose labels are others' answers without a review, the oldest first; of two people once both are there.

        of: whose answers alone, where it is given; of two people either's.
        """
        latest = LATEST.subquery()
        statement = (
            sa.select(ANNOTATIONS.c.image_id, ANNOTATIONS.c.annotator, ANNOTATIONS.c.round, ASKED_TWICE.c.image_id.label("twice"))
            .join(latest, latest.c.id == ANNOTATIONS.c.id)
            .join(IMAGES, IMAGES.c.image_id == ANNOTATIONS.c.image_id)
            .outerjoin(ASKED_TWICE, OF_ASKED_TWICE)
            .where(ANNOTATIONS.c.annotator.not_in((GIVEN, MODEL, who)), ANNOTATIONS.c.id.not_in(REVIEWED), IMAGES.c.fault.is_(None))
            .order_by(ANNOTATIONS.c.id)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(statement).all()
            both = {asked: [row.annotator for row in of_two(given)] for asked, given in all_given_twice(connection).items()}
        given = ((row.image_id, both.get((row.image_id, row.round), []) if row.twice else [row.annotator]) for row in rows)
        return [image_id for image_id, people in given if people and who not in people and (not of or of in people)]

    def answers(self, image_id: str) -> list[UnderReview]:
        """What is to be reviewed of an image: one answer, both of two people, or nothing any more."""
        with self._engine.connect() as connection:
            rows = under_review(connection, image_id)
        return [UnderReview(row.id, row.annotator, row.at, row.seconds, read_annotation(row)) for row in rows]

    def accept(self, image_id: str, number: int, *, who: str, round_index: int, seconds: float) -> bool:
        """The answer is right. Returns False, with nothing stored, where it is not under review any more, or is one of two."""
        with writing(self._engine) as connection:
            rows = _held(connection, image_id, who)
            if [row.id for row in rows] != [number]:
                return False
            record_review(connection, ACCEPTED, rows[0], who=who, round_index=round_index, seconds=seconds)
            return True

    def send_back(self, image_id: str, number: int, remark: str, *, who: str, round_index: int, seconds: float) -> bool:
        """The answer is history from now on, and the image waits for another; False as for `accept`.

        Where the round asked about boxes only, what the image had before that round counts again; else all of its labels are history.
        Where it asked two people, a third's decision is corrected and not sent back: what both gave alone would be lost with it.
        """
        with writing(self._engine) as connection:
            rows = _held(connection, image_id, who)
            if [row.id for row in rows] != [number] or is_asked_twice(connection, image_id, rows[0].round):
                return False
            asked = sa.select(QUERIES.c.image_id).where(QUERIES.c.round == rows[0].round, QUERIES.c.image_id == image_id)
            by_boxes = connection.execute(asked.where(QUERIES.c.box_ids.is_not(None))).first() is not None
            make_history(connection, sa.and_(ANNOTATIONS.c.image_id == image_id, ANNOTATIONS.c.round >= (rows[0].round if by_boxes else 0)))
            connection.execute(IMAGES.update().where(IMAGES.c.image_id == image_id).values(open=None))
            record_review(connection, SENT_BACK, rows[0], who=who, round_index=round_index, seconds=seconds, remark=remark)
            return True

    def take(self, image_id: str, number: int, *, who: str, round_index: int, seconds: float, beside: int | None = None) -> bool:
        """Of the answers of two people this one counts: it is the image's labels, as an answer of who decided; False as for `accept`.

        beside: the other one that they had before them; where it has been corrected since, there is nothing to take.
        """
        with writing(self._engine) as connection:
            rows = _held(connection, image_id, who)
            numbers = {row.id for row in rows}
            if len(rows) != PEOPLE or number not in numbers or beside not in (None, *(numbers - {number})):
                return False
            for row in rows:
                kind = ACCEPTED if row.id == number else OVERRULED
                record_review(connection, kind, row, who=who, round_index=round_index, seconds=seconds / 2)
            taken = read_annotation(next(row for row in rows if row.id == number))
            own = append(connection, taken, (), round_index, who, 0.0)
            row = connection.execute(sa.select(ANNOTATIONS).where(ANNOTATIONS.c.id == own)).one()
            record_review(connection, SETTLED, row, who=who, round_index=round_index)
            return True

    def sent_back(self, image_id: str | None = None) -> dict[str, SentBack]:
        """image_id → what was sent back and not answered since, of usable images, the oldest first; `image_id`: of that one alone."""
        about = EVENTS.c.annotation_id > 0 if image_id is None else EVENTS.c.image_id == image_id
        answer, changes = ANNOTATIONS.alias(), sa.select(EVENTS.c.id, EVENTS.c.body).where(EVENTS.c.kind == CLASSES_CHANGED)
        since = sa.select(answer.c.id).where(
            answer.c.image_id == EVENTS.c.image_id,
            answer.c.id > EVENTS.c.annotation_id,
            answer.c.round >= ANNOTATIONS.c.round,  # older labels, which count again, are stored anew when classes change: no answer
        )
        statement = (
            sa.select(ANNOTATIONS, EVENTS.c.who, EVENTS.c.body, EVENTS.c.at.label("sent_at"), EVENTS.c.id.label("event"))
            .join(EVENTS, EVENTS.c.annotation_id == ANNOTATIONS.c.id)
            .join(IMAGES, IMAGES.c.image_id == ANNOTATIONS.c.image_id)
            .where(about, EVENTS.c.kind == SENT_BACK, IMAGES.c.fault.is_(None), sa.not_(since.where(sa.not_(answer.c.late)).exists()))
            .order_by(EVENTS.c.id)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(statement).all()
            changed = connection.execute(changes).all() if rows else []
        said = [(one.id, *(one.body[name] for name in ("before", "names", "after"))) for one in changed]
        anew = max((event for event, *change in said if relabels(*change)), default=0)
        return {
            row.image_id: SentBack(
                row.annotator, row.who, row.body["remark"], row.sent_at, row.id, read_annotation(row) if row.event > anew else None
            )
            for row in rows
        }


def _held(connection: Connection, image_id: str, who: str) -> list[Any]:
    """The answers under review, which no other can judge or change until the transaction ends; none where one is of who would judge."""
    hold_classes(connection)
    hold(connection, image_id)
    rows = under_review(connection, image_id)
    return [] if who in [row.annotator for row in rows] else rows
