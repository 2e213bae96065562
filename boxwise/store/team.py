"""Who belongs to a study's team: each person's role and until when their link opens the page. Read from the events, append-only.

Knows nothing of links' signatures or HTTP; times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Any

import sqlalchemy as sa

from boxwise.boxes import Boxes
from boxwise.records import Role
from boxwise.store.accounts import GIVEN, MODEL, spent_aside
from boxwise.store.clock import now
from boxwise.store.judging import ACCEPTED, SETTLED, VERDICTS_ON_OTHERS, given_twice, verdicts
from boxwise.store.rows import read_annotation
from boxwise.store.schema import ANEW, ANNOTATIONS, EVENTS, STUDY, said_anew, writing
from boxwise.store.store import Store

_INVITED, _REVOKED = "link made", "link revoked"
_SECRET = "link_secret"


@dataclass(frozen=True)
class Member:
    """A person whose link has not been revoked. number: of the link, never used again. until: when it expires."""

    number: int
    name: str
    role: Role
    until: float


@dataclass(frozen=True)
class Work:
    """What a person has done. images: labelled, decisions in reviews left out; seconds: that these took, and images that were skipped.

    reviewed: their answers that another has judged, accepted: those whose last verdict is so. reviews: verdicts that they gave on others.
    """

    images: int = 0
    seconds: float = 0.0
    reviewed: int = 0
    accepted: int = 0
    reviews: int = 0


class TeamStore:
    """The members of one study; every method is one transaction, and what one server writes all servers on the database see at once."""

    def __init__(self, store: Store) -> None:
        self._engine = store.engine

    def invite(self, name: str, role: Role, *, until: float, round_index: int, who: str) -> Member:
        """A new link for a person; the one they had before, and its role, end."""
        number = self._append(_INVITED, {"name": name, "role": role.value, "until": until}, round_index, who)
        return Member(number, name, role, until)

    def revoke(self, name: str, *, round_index: int, who: str) -> None:
        """A person's link opens nothing from now on."""
        self._append(_REVOKED, {"name": name}, round_index, who)

    def members(self) -> dict[str, Member]:
        """name → member, by their newest link; links that have expired are among them."""
        return {name: member for name, member in self._links().items() if member is not None}

    def gone(self, *, at: float) -> set[str]:
        """Who came by a link that is revoked, or has expired at that time, and has no other."""
        return {name for name, member in self._links().items() if member is None or member.until <= at}

    def _links(self) -> dict[str, Member | None]:
        """name → member, by their newest link; None where that is revoked."""
        about_all = sa.and_(EVENTS.c.image_id.is_(None), EVENTS.c.kind.in_((_INVITED, _REVOKED)))
        found: dict[str, Member | None] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(sa.select(EVENTS).where(about_all).order_by(EVENTS.c.id)):
                name, invited = row.body["name"], row.kind == _INVITED
                found[name] = Member(row.id, name, Role(row.body["role"]), row.body["until"]) if invited else None
        return found

    def answered_twice(self) -> list[tuple[str, tuple[str, Boxes], tuple[str, Boxes]]]:
        """(image_id, who and their boxes, who and theirs) of every image that two people have labelled alone, see `given_twice`."""
        with self._engine.connect() as connection:
            given = given_twice(connection, whole=True)
        return [(i, (a.annotator, read_annotation(a).boxes), (b.annotator, read_annotation(b).boxes)) for (i, _), (a, b) in given.items()]

    def work(self) -> dict[str, Work]:
        """name → what they have done; late answers and skipped images count, as the time is spent."""
        settled = sa.select(EVENTS.c.annotation_id).where(verdicts((SETTLED,)))
        labelled = (
            sa.select(ANNOTATIONS.c.annotator, sa.func.count(ANNOTATIONS.c.image_id.distinct()), sa.func.sum(ANNOTATIONS.c.seconds))
            .where(ANNOTATIONS.c.annotator.not_in((GIVEN, MODEL)), sa.not_(said_anew(ANEW.c.id.in_(settled))))
            .group_by(ANNOTATIONS.c.annotator)
        )
        on_others = verdicts(VERDICTS_ON_OTHERS)
        last = sa.select(sa.func.max(EVENTS.c.id)).where(on_others).group_by(EVENTS.c.annotation_id)
        judged = (
            sa.select(ANNOTATIONS.c.annotator, EVENTS.c.kind, sa.func.count())
            .join(ANNOTATIONS, ANNOTATIONS.c.id == EVENTS.c.annotation_id)
            .where(EVENTS.c.id.in_(last))
            .group_by(ANNOTATIONS.c.annotator, EVENTS.c.kind)
        )
        given = sa.select(EVENTS.c.who, sa.func.count()).where(on_others).group_by(EVENTS.c.who)
        with self._engine.connect() as connection:
            done = {row[0]: Work(row[1], float(row[2])) for row in connection.execute(labelled)}
            for name, seconds in spent_aside(connection).items():
                before = done.get(name, Work())
                done[name] = replace(before, seconds=before.seconds + seconds)
            for name, kind, count in connection.execute(judged):
                before = done.get(name, Work())
                accepted = before.accepted + (count if kind == ACCEPTED else 0)
                done[name] = replace(before, reviewed=before.reviewed + count, accepted=accepted)
            for name, count in connection.execute(given):
                done[name] = replace(done.get(name, Work()), reviews=count)
        return done

    def secret(self, *, make: bool = False) -> str | None:
        """What links are signed with, 64 hex digits, of each study its own; None before the first link. make: have one from now on."""
        statement = sa.select(STUDY.c.value).where(STUDY.c.key == _SECRET)
        with self._engine.connect() as connection:
            known: str | None = connection.execute(statement).scalar()
        if known is not None or not make:
            return known
        try:
            with writing(self._engine) as connection:
                connection.execute(STUDY.insert(), {"key": _SECRET, "value": token_hex(32)})
        except sa.exc.IntegrityError:
            pass  # another process was faster; its secret is the study's
        return self.secret()

    def _append(self, kind: str, body: Mapping[str, Any], round_index: int, who: str) -> int:
        with writing(self._engine) as connection:
            row = {"at": now(connection), "round": round_index, "who": who, "kind": kind, "image_id": None, "body": dict(body)}
            return int(connection.execute(EVENTS.insert(), row).inserted_primary_key[0])  # type: ignore[index]
