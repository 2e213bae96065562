"""Reviews of answers, inside a transaction of the caller: which answers are under review, and what was said of one, as an event.

Knows the tables. Knows nothing of engines, roles or when to commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from boxwise.boxes import Boxes
from boxwise.records import Annotation
from boxwise.store.accounts import GIVEN, MODEL
from boxwise.store.clock import now
from boxwise.store.rows import PEOPLE, is_asked_twice, read_annotation
from boxwise.store.schema import ANNOTATIONS, EVENTS, QUERIES

ACCEPTED, CORRECTED, OVERRULED, SENT_BACK = "accepted", "corrected", "overruled", "sent back"
SETTLED = "settled in review"  # of a reviewer's own answer, which needs no review
TAKEN_BACK = "verdict taken back"  # with the answer that had given it
VERDICTS_ON_OTHERS = (ACCEPTED, CORRECTED, OVERRULED, SENT_BACK)
JUDGED = (*VERDICTS_ON_OTHERS, SETTLED)


@dataclass(frozen=True)
class Review:
    """How an answer is the verdict on others' before it. begun_on: the number of the annotation that its giver had before them when the
    work on it began; same: whether two sets of boxes say the same."""

    begun_on: int
    same: Callable[[Boxes, Boxes], bool]


def verdicts(kinds: Sequence[str]) -> sa.ColumnElement[bool]:
    """Which events are reviews of an answer, of these kinds, that were not taken back since; of many answers, see `_stands` for one."""
    earlier = EVENTS.alias()
    ever = sa.select(earlier.c.annotation_id).where(earlier.c.kind == TAKEN_BACK)  # few, read once; of the others no more is asked
    return sa.and_(EVENTS.c.annotation_id > 0, EVENTS.c.kind.in_(kinds), sa.or_(EVENTS.c.annotation_id.not_in(ever), _stands()))


def _stands() -> sa.ColumnElement[bool]:
    """Whether a review was not taken back since."""
    later = EVENTS.alias()
    back = sa.exists().where(later.c.annotation_id == EVENTS.c.annotation_id, later.c.kind == TAKEN_BACK, later.c.id > EVENTS.c.id)
    return sa.not_(back.correlate(EVENTS))


# Distinct, so that SQLite makes a small table of it; it would search all that a round asked for each answer.
ASKED_TWICE = sa.select(QUERIES.c.image_id, QUERIES.c.round).where(QUERIES.c.twice.is_(True)).distinct().subquery()
OF_ASKED_TWICE = sa.and_(ASKED_TWICE.c.image_id == ANNOTATIONS.c.image_id, ASKED_TWICE.c.round == ANNOTATIONS.c.round)
REVIEWED = sa.select(EVENTS.c.annotation_id).where(verdicts(JUDGED))


def under_review(connection: Connection, image_id: str, *, before: int | None = None) -> list[Any]:
    """The rows of a person's answer that is an image's labels, or of both people's, see `of_two`; none where it was reviewed already.

    before: as of this number of an annotation.
    """
    rows = _counting(connection, image_id, before)
    return [] if not rows or _is_reviewed(connection, rows[-1].id) else _judged_together(connection, rows)


def _counting(connection: Connection, image_id: str, before: int | None) -> list[Any]:
    """The rows of an image's annotations that are no history, the oldest first."""
    mine = sa.and_(ANNOTATIONS.c.image_id == image_id, sa.not_(ANNOTATIONS.c.late))
    mine = mine if before is None else sa.and_(mine, ANNOTATIONS.c.id < before)
    return list(connection.execute(sa.select(ANNOTATIONS).where(mine).order_by(ANNOTATIONS.c.id)))


def _judged_together(connection: Connection, rows: list[Any]) -> list[Any]:
    """Of `_counting` what a review is of: a person's last answer, or those of two people, see `of_two`."""
    if not rows or rows[-1].annotator in (GIVEN, MODEL):
        return []
    if not is_asked_twice(connection, rows[-1].image_id, rows[-1].round):
        return rows[-1:]
    return of_two(row for row in rows if row.round == rows[-1].round and row.complete)


def of_two(rows: Iterable[Any]) -> list[Any]:
    """Of the answers for an image that two people are asked about, in their order, what a review is of: the last of each.

    None before both have answered; once a third person has decided, the newest answer alone.
    """
    last = {row.annotator: row for row in rows}
    return [] if len(last) < PEOPLE else list(last.values()) if len(last) == PEOPLE else [max(last.values(), key=lambda row: row.id)]


def given_twice(connection: Connection, *, whole: bool = False) -> dict[tuple[str, int], list[Any]]:
    """(image_id, round) → the rows of both answers that two people gave alone, in the order of the answers; whole: with the boxes.

    What either corrected after both had answered is left out: by then they may have seen the other's.
    """
    given = all_given_twice(connection, whole=whole)
    return {asked: both for asked, rows in given.items() if len(both := first_alone(rows)) == PEOPLE}


def all_given_twice(connection: Connection, *, whole: bool = False) -> dict[tuple[str, int], list[Any]]:
    """(image_id, round) → the rows of all answers that count, where a round asked two people, in their order; whole: with the boxes."""
    columns = ANNOTATIONS.c if whole else (ANNOTATIONS.c.id, ANNOTATIONS.c.image_id, ANNOTATIONS.c.round, ANNOTATIONS.c.annotator)
    answers = sa.select(*columns).join(ASKED_TWICE, OF_ASKED_TWICE)
    given: dict[tuple[str, int], list[Any]] = {}
    for row in connection.execute(answers.where(ANNOTATIONS.c.complete, sa.not_(ANNOTATIONS.c.late)).order_by(ANNOTATIONS.c.id)):
        given.setdefault((row.image_id, row.round), []).append(row)
    return given


def first_alone(rows: Iterable[Any]) -> list[Any]:
    """Of the answers for one image, in their order, what the first two people gave without the other's: no corrections after both."""
    people: dict[str, Any] = {}
    for row in rows:
        if len(people) < PEOPLE:
            people[row.annotator] = row
    return list(people.values())


def record_review(
    connection: Connection, kind: str, row: Any, *, who: str, round_index: int, seconds: float = 0.0, remark: str = ""
) -> None:
    """Append the event. seconds: that the review took. remark: to whoever answered."""
    body = {"annotator": row.annotator, "seconds": seconds} | ({"remark": remark} if remark else {})
    of = {"image_id": row.image_id, "annotation_id": row.id}
    event = {"at": now(connection), "round": round_index, "who": who, "kind": kind, "body": body, **of}
    connection.execute(EVENTS.insert(), event)


def review_by(connection: Connection, answer: Annotation, number: int, review: Review, *, who: str, round_index: int) -> None:
    """A reviewer's own answer is the verdict on those before it: accepted where it says the same, else corrected, or overruled.

    It is none on an answer that is newer than what its giver began on, nor where one of these answers is the giver's own.
    """
    rows = under_review(connection, answer.image_id, before=number)
    if not rows or max(row.id for row in rows) != review.begun_on or who in [row.annotator for row in rows]:
        return
    for row in rows:
        changed = CORRECTED if len(rows) == 1 else OVERRULED
        kind = ACCEPTED if review.same(read_annotation(row).boxes, answer.boxes) else changed
        record_review(connection, kind, row, who=who, round_index=round_index)
    own = connection.execute(sa.select(ANNOTATIONS).where(ANNOTATIONS.c.id == number)).one()
    record_review(connection, SETTLED, own, who=who, round_index=round_index)


def take_back_review(connection: Connection, own: Any, *, round_index: int) -> None:
    """What `review_by` said with an answer that is taken back is unsaid: the answers before it are under review again."""
    settled = sa.select(EVENTS.c.id).where(EVENTS.c.annotation_id == own.id, EVENTS.c.kind == SETTLED)
    if connection.execute(settled).first() is None:
        return
    for row in (*_judged_together(connection, _counting(connection, own.image_id, own.id)), own):
        record_review(connection, TAKEN_BACK, row, who=own.annotator, round_index=round_index)


def _is_reviewed(connection: Connection, number: int) -> bool:
    reviews = sa.select(EVENTS.c.id).where(EVENTS.c.annotation_id == number, EVENTS.c.kind.in_(JUDGED), _stands())
    return connection.execute(reviews).first() is not None
