"""Reviews of answers, inside a transaction of the caller: which answers are under review, and what was said of one, as an event.

Knows the tables. Knows nothing of engines, roles or when to commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from boxwise.boxes import Boxes
from boxwise.records import Annotation
from boxwise.store.accounts import GIVEN, MODEL
from boxwise.store.rows import PEOPLE, now, read_annotation
from boxwise.store.schema import ANNOTATIONS, EVENTS, QUERIES

ACCEPTED, CORRECTED, OVERRULED, SENT_BACK = "accepted", "corrected", "overruled", "sent back"
SETTLED = "settled in review"  # of a reviewer's own answer, which needs no review
VERDICTS_ON_OTHERS = (ACCEPTED, CORRECTED, OVERRULED, SENT_BACK)
JUDGED = (*VERDICTS_ON_OTHERS, SETTLED)
Same = Callable[[Boxes, Boxes], bool]

REVIEWED = sa.select(EVENTS.c.annotation_id).where(EVENTS.c.annotation_id > 0, EVENTS.c.kind.in_(JUDGED))


def under_review(connection: Connection, image_id: str, *, before: int | None = None) -> list[Any]:
    """The rows of a person's answer that is an image's labels, or of both that two people gave alone; none where it was reviewed already.

    Nor of an image that waits for its second person. before: as of this number of an annotation.
    """
    mine = sa.and_(ANNOTATIONS.c.image_id == image_id, sa.not_(ANNOTATIONS.c.late))
    mine = mine if before is None else sa.and_(mine, ANNOTATIONS.c.id < before)
    rows = list(connection.execute(sa.select(ANNOTATIONS).where(mine).order_by(ANNOTATIONS.c.id)))
    if not rows or rows[-1].annotator in (GIVEN, MODEL) or _is_reviewed(connection, rows[-1].id):
        return []
    if not _asked_twice(connection, image_id, rows[-1].round):
        return rows[-1:]
    both = first_alone(row for row in rows if row.round == rows[-1].round and row.complete)
    return both if len(both) == PEOPLE else []


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
    event = {"at": now(), "round": round_index, "who": who, "kind": kind, "image_id": row.image_id, "body": body, "annotation_id": row.id}
    connection.execute(EVENTS.insert(), event)


def review_by(connection: Connection, answer: Annotation, number: int, *, who: str, round_index: int, same: Same) -> None:
    """A reviewer's own answer is the verdict on those before it: accepted where it says the `same`, else corrected, or overruled."""
    rows = [row for row in under_review(connection, answer.image_id, before=number) if row.annotator != who]
    for row in rows:
        changed = CORRECTED if len(rows) == 1 else OVERRULED
        kind = ACCEPTED if same(read_annotation(row).boxes, answer.boxes) else changed
        record_review(connection, kind, row, who=who, round_index=round_index)
    if rows:
        own = connection.execute(sa.select(ANNOTATIONS).where(ANNOTATIONS.c.id == number)).one()
        record_review(connection, SETTLED, own, who=who, round_index=round_index)


def _is_reviewed(connection: Connection, number: int) -> bool:
    return connection.execute(REVIEWED.where(EVENTS.c.annotation_id == number)).first() is not None


def _asked_twice(connection: Connection, image_id: str, round_index: int) -> bool:
    asked = sa.select(QUERIES.c.twice).where(QUERIES.c.image_id == image_id, QUERIES.c.round == round_index)
    return bool(connection.execute(asked).scalar())
