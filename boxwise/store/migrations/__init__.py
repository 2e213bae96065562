"""How a database of an earlier schema becomes one of today's: numbered steps, applied in order when a store is opened.

`MIGRATIONS` holds one function a step, which changes tables and rows over the caller's connection: `MIGRATIONS[0]` leads from schema
`OLDEST` to the next. A step that has been released is never changed; what it creates it spells out, since the tables of
schema.py go on changing. How to write one: docs/extending.md.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.engine import Connection

from boxwise.store.migrations import m0004_events, m0005_digests, m0006_checks, m0007_seals, m0008_teams, m0009_counts, m0010_order

OLDEST = 3  # the first schema that can be brought to today's
MIGRATIONS: tuple[Callable[[Connection], None], ...] = (
    m0004_events.upgrade,
    m0005_digests.upgrade,
    m0006_checks.upgrade,
    m0007_seals.upgrade,
    m0008_teams.upgrade,
    m0009_counts.upgrade,
    m0010_order.upgrade,
)
NEWEST = OLDEST + len(MIGRATIONS)

__all__ = ["MIGRATIONS", "NEWEST", "OLDEST"]
