"""The people of a study and the signed links that they come by.

A token is the number of the link and an HMAC-SHA256 over all that the link says, with the study's own secret (RFC 2104). What it says is in
the study's history, so that a link can be revoked, and every server on one database knows it at once. Knows nothing of HTTP.
"""

from __future__ import annotations

import hashlib
import hmac

from boxwise.errors import StudyError
from boxwise.records import Role
from boxwise.store import Member, Store, TeamStore, check_person

DAYS = 30  # for which a link opens the page
_LONGEST_NAME = 100
_DAY = 24 * 3600.0


class Team:
    """Invite people, revoke their links, and know who comes by one."""

    def __init__(self, store: Store) -> None:
        self._store, self._members = store, TeamStore(store)

    def invite(self, name: str, role: Role, *, who: str, days: float = DAYS) -> str:
        """The token of a new link for a person, good for `days`; the one they had before opens nothing any more.

        Raises StudyError for a name that the labelling page would not take, or for days that are none.
        """
        name = name.strip()
        if not name.isprintable() or not 1 <= len(name) <= _LONGEST_NAME:
            raise StudyError(f"name {name!r}: expected 1 to {_LONGEST_NAME} printable characters.")
        check_person(name)
        if not 0 < days <= 3650:
            raise StudyError(f"a link for {days:g} days: expected more than 0 and at most 3650.")
        secret = self._members.secret(make=True)
        assert secret is not None
        return _token(secret, self._members.invite(name, role, until=self._store.clock() + days * _DAY, round_index=self._round, who=who))

    def revoke(self, name: str, *, who: str) -> None:
        """End a person's link. Raises StudyError for who has none."""
        known = self.members()
        if name not in known:
            raise StudyError(f"{name!r} has no link; those who have one: {', '.join(known) or 'nobody'}.")
        self._members.revoke(name, round_index=self._round, who=who)

    def members(self) -> dict[str, Member]:
        """name → who has a link that is not revoked; it may have expired."""
        return self._members.members()

    def gone(self, *, at: float | None = None) -> set[str]:
        """Who had a link and has none that opens the page at a time, seconds since the epoch; by default now."""
        return self._members.gone(at=self._store.clock() if at is None else at)

    def member(self, token: str) -> Member | None:
        """Whose link this token is of; None where it was forged, has expired, or was revoked."""
        number, secret = token.partition("-")[0], self._members.secret()
        found = next((m for m in self.members().values() if str(m.number) == number), None)
        if secret is None or found is None or found.until <= self._store.clock():
            return None
        return found if hmac.compare_digest(_token(secret, found).encode(), token.encode()) else None

    @property
    def _round(self) -> int:
        return self._store.position[0]


def _token(secret: str, member: Member) -> str:
    said = "\n".join((str(member.number), member.name, member.role.value, repr(member.until)))
    return f"{member.number}-{hmac.new(bytes.fromhex(secret), said.encode(), hashlib.sha256).hexdigest()}"
