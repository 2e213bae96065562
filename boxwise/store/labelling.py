"""Labelling together: who has leased which image, their drafts, skips and answers, and answers that were taken back.

Every method is one transaction, durable when it returns. Knows nothing of queries, verdicts or HTTP; times are seconds since the epoch,
given by the caller.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from boxwise.records import Annotation, Phase
from boxwise.store.clock import now
from boxwise.store.judging import take_back_review
from boxwise.store.rows import answered_by_others, came_under, hold, hold_classes, make_history, read_annotation
from boxwise.store.schema import ANNOTATIONS, ANSWERS, DRAFTS, EVENTS, LEASES, QUERIES, SKIPS, SPENT, STUDY, latest_of, writing
from boxwise.store.store import GIVEN, MODEL, Store

SKIPPED = "skipped"


@dataclass(frozen=True)
class Lease:
    """An image in one person's hands until a time."""

    annotator: str
    until: float


@dataclass(frozen=True)
class Draft:
    """Work on one image that is not handed in yet: the page's own document and how often it changed."""

    revision: int
    document: Any


class StoredAnswer(NamedTuple):
    """An answer that came under a key. late: whether it is history only, since another person's counts or it was taken back."""

    image_id: str
    late: bool


class LabellingStore:
    """Leases, drafts, skips and answers of one study."""

    def __init__(self, store: Store) -> None:
        self._engine, self.clock = store.engine, store.clock  # by which leases end

    def lease(self, image_id: str, annotator: str, *, at: float, until: float) -> Lease | None:
        """Take or renew an image; None on success, else the lease of whoever has it. Raises StudyError for an unknown image.

        A lease with more than twice this one's length before it was given under a clock that was wrong, and holds no more.
        """
        with writing(self._engine) as connection:
            hold(connection, image_id)
            row = connection.execute(sa.select(LEASES).where(LEASES.c.image_id == image_id)).first()
            if row is not None and row.annotator != annotator and at < row.until <= until + (until - at):
                return Lease(row.annotator, row.until)
            connection.execute(LEASES.delete().where(LEASES.c.image_id == image_id))
            connection.execute(LEASES.insert(), {"image_id": image_id, "annotator": annotator, "until": until})
        return None

    def leases(self, *, at: float) -> dict[str, Lease]:
        """image_id → lease, of those that have not expired."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(LEASES).where(LEASES.c.until > at))
            return {row.image_id: Lease(row.annotator, row.until) for row in rows}

    def release(self, image_ids: Collection[str], annotator: str) -> None:
        """Give images back; those of others stay theirs."""
        with writing(self._engine) as connection:
            connection.execute(LEASES.delete().where(LEASES.c.image_id.in_(list(image_ids)), LEASES.c.annotator == annotator))

    def save_draft(self, image_id: str, round_index: int, annotator: str, *, revision: int, document: Mapping[str, Any]) -> int:
        """Keep the newest revision of a person's work on an image; returns the revision that is kept."""
        mine = sa.and_(DRAFTS.c.image_id == image_id, DRAFTS.c.round == round_index, DRAFTS.c.annotator == annotator)
        with writing(self._engine) as connection:
            hold(connection, image_id)
            known = connection.execute(sa.select(DRAFTS.c.revision).where(mine)).scalar()
            if known is not None and known >= revision:
                return int(known)
            connection.execute(DRAFTS.delete().where(mine))
            row = {
                "image_id": image_id,
                "round": round_index,
                "annotator": annotator,
                "revision": revision,
                "document": document,
                "at": now(connection),
            }
            connection.execute(DRAFTS.insert(), row)
        return revision

    def draft(self, image_id: str, round_index: int, annotator: str) -> Draft | None:
        """What a person had drawn on an image when last heard of."""
        mine = sa.and_(DRAFTS.c.image_id == image_id, DRAFTS.c.round == round_index, DRAFTS.c.annotator == annotator)
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(DRAFTS).where(mine)).first()
        return None if row is None else Draft(row.revision, row.document)

    def drafters(self, round_index: int) -> dict[str, list[str]]:
        """annotator → the images of a round on which they have begun and not handed in."""
        statement = sa.select(DRAFTS.c.annotator, DRAFTS.c.image_id).where(DRAFTS.c.round == round_index).order_by(DRAFTS.c.image_id)
        found: dict[str, list[str]] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(statement):
                found.setdefault(row.annotator, []).append(row.image_id)
        return found

    def drop_draft(self, image_id: str, round_index: int, annotator: str) -> None:
        """Forget a draft that has been handed in."""
        mine = sa.and_(DRAFTS.c.image_id == image_id, DRAFTS.c.round == round_index, DRAFTS.c.annotator == annotator)
        with writing(self._engine) as connection:
            connection.execute(DRAFTS.delete().where(mine))

    def skip(self, image_id: str, round_index: int, annotator: str, reason: str) -> None:
        """Somebody would rather not label this image; it is theirs no longer. The reason is kept for the round, and is an event, once."""
        mine = sa.and_(SKIPS.c.image_id == image_id, SKIPS.c.round == round_index, SKIPS.c.annotator == annotator)
        with writing(self._engine) as connection:
            hold(connection, image_id)
            if connection.execute(sa.select(SKIPS.c.reason).where(mine)).scalar() != reason:
                connection.execute(SKIPS.delete().where(mine))
                row = {"image_id": image_id, "round": round_index, "annotator": annotator, "reason": reason, "at": now(connection)}
                connection.execute(SKIPS.insert(), row)
                event = {"at": row["at"], "round": round_index, "who": annotator, "kind": SKIPPED, "image_id": image_id}
                connection.execute(EVENTS.insert(), event | {"body": {"reason": reason}})
            connection.execute(LEASES.delete().where(LEASES.c.image_id == image_id, LEASES.c.annotator == annotator))

    def unskip(self, image_id: str, annotator: str) -> None:
        """What a person put off is so no longer: they took that back, or handed the image in. The event stays."""
        with writing(self._engine) as connection:
            connection.execute(SKIPS.delete().where(SKIPS.c.image_id == image_id, SKIPS.c.annotator == annotator))

    def spend(self, image_id: str, round_index: int, annotator: str, seconds: float, *, key: str) -> None:
        """Charge what somebody spent on an image that they skipped or flagged, their draft's seconds among it; under one key once."""
        mine = sa.and_(EVENTS.c.image_id == image_id, EVENTS.c.kind == SPENT, EVENTS.c.body["key"].as_string() == key)
        with writing(self._engine) as connection:
            hold(connection, image_id)
            if connection.execute(sa.select(EVENTS.c.id).where(mine)).first() is None:
                event = {"at": now(connection), "round": round_index, "who": annotator, "kind": SPENT, "image_id": image_id}
                connection.execute(EVENTS.insert(), event | {"body": {"seconds": seconds, "key": key}})
                _take_seconds_off(connection, image_id, round_index, annotator)

    def skipped(self, round_index: int) -> dict[str, dict[str, str]]:
        """image_id → annotator → reason."""
        found: dict[str, dict[str, str]] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(sa.select(SKIPS).where(SKIPS.c.round == round_index)):
                found.setdefault(row.image_id, {})[row.annotator] = row.reason
        return found

    def answer(self, key: str) -> StoredAnswer | None:
        """The answer that was sent under `key`; None when it never came."""
        statement = sa.select(ANNOTATIONS.c.image_id, ANNOTATIONS.c.late).join(ANSWERS, ANSWERS.c.annotation_id == ANNOTATIONS.c.id)
        with self._engine.connect() as connection:
            row = connection.execute(statement.where(ANSWERS.c.key == key)).first()
        return None if row is None else StoredAnswer(row.image_id, row.late)

    def came_under(self, number: int, beginnings: Sequence[str]) -> bool:
        """Whether an annotation came under a key that begins in one of these ways."""
        with self._engine.connect() as connection:
            return connection.execute(came_under(connection, beginnings).where(ANNOTATIONS.c.id == number)).first() is not None

    def withdraw(self, key: str, image_id: str, round_index: int, annotator: str) -> bool:
        """Make the answer under `key` history that is never current; returns whether that is so now.

        Only its giver's, only while its round is being annotated, and only while no newer annotation of the image counts. Where it was a
        reviewer's verdict on the answers before it, that is taken back with it.
        """
        with writing(self._engine) as connection:
            hold_classes(connection)
            hold(connection, image_id)
            row = connection.execute(
                sa.select(ANNOTATIONS)
                .join(ANSWERS, ANSWERS.c.annotation_id == ANNOTATIONS.c.id)
                .where(ANSWERS.c.key == key, ANNOTATIONS.c.image_id == image_id, ANNOTATIONS.c.annotator == annotator)
            ).first()
            if row is None or row.late:
                return row is not None
            position = connection.execute(sa.select(STUDY.c.value).where(STUDY.c.key == "position")).scalar()
            newest = connection.execute(latest_of(image_id)).scalar()
            if position != [round_index, Phase.ANNOTATE.value] or row.round != round_index or newest != row.id:
                return False
            make_history(connection, ANNOTATIONS.c.id == row.id)
            take_back_review(connection, row, round_index=round_index)
            return True

    def answerer(self, image_id: str) -> str | None:
        """The person whose answer is the image's labels; None where it has none, or none of a person's."""
        statement = sa.select(ANNOTATIONS.c.annotator).where(ANNOTATIONS.c.id.in_(latest_of(image_id)))
        with self._engine.connect() as connection:
            found: str | None = connection.execute(statement).scalar()
        return None if found in (GIVEN, MODEL) else found

    def answered_by_another(self, image_id: str, round_index: int, annotator: str) -> bool:
        """Whether the image's labels are another person's, given since a round began; where it asked two people, whether it has both."""
        with self._engine.connect() as connection:
            return answered_by_others(connection, image_id, round_index, annotator)

    def answered_once(self, round_index: int, annotator: str) -> frozenset[str]:
        """The images that a round asks two people about, of which this person is one and has answered."""
        asked = sa.select(QUERIES.c.image_id).where(QUERIES.c.round == round_index, QUERIES.c.twice.is_(True))
        statement = sa.select(ANNOTATIONS.c.image_id).where(ANNOTATIONS.c.image_id.in_(asked), *_by(annotator, round_index))
        with self._engine.connect() as connection:
            return frozenset(connection.execute(statement).scalars())

    def own(self, image_id: str, round_index: int, annotator: str) -> Annotation | None:
        """A person's own answer for an image since a round began, the newest; None where they gave none that counts."""
        mine = sa.select(ANNOTATIONS).where(ANNOTATIONS.c.image_id == image_id, *_by(annotator, round_index))
        with self._engine.connect() as connection:
            row = connection.execute(mine.order_by(ANNOTATIONS.c.id.desc())).first()
        return None if row is None else read_annotation(row)


def _take_seconds_off(connection: sa.Connection, image_id: str, round_index: int, annotator: str) -> None:
    """Of a person's draft, as a revision of its own: a browser that keeps the one before takes this one up."""
    mine = sa.and_(DRAFTS.c.image_id == image_id, DRAFTS.c.round == round_index, DRAFTS.c.annotator == annotator)
    row = connection.execute(sa.select(DRAFTS.c.revision, DRAFTS.c.document).where(mine)).first()
    if row is not None:
        uncharged = {"revision": row.revision + 1, "document": _without_seconds(row.document)}
        connection.execute(DRAFTS.update().where(mine).values(uncharged))


def _without_seconds(value: Any) -> Any:
    """A part of a page's document, its seconds and those of its boxes being 0."""
    if isinstance(value, dict):
        return {name: 0 if name == "seconds" else _without_seconds(part) for name, part in value.items()}
    return [_without_seconds(part) for part in value] if isinstance(value, list) else value


def _by(annotator: str, round_index: int) -> tuple[sa.ColumnElement[bool], ...]:
    """What a person answered since a round began, and did not take back."""
    return ANNOTATIONS.c.annotator == annotator, ANNOTATIONS.c.round >= round_index, sa.not_(ANNOTATIONS.c.late)
