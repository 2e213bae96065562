"""The time that counts in a study: the database server's, by which machines whose own clocks differ agree on what came first.

SQLite's file is written by one machine, whose clock counts there.
"""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic, time
from typing import NamedTuple
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

_LOOK_SECONDS = 60.0  # between two looks at the server's clock
_JUMP_SECONDS = 0.5  # between this machine's two clocks: it slept, or its clock was set


class _Look(NamedTuple):
    """What the server's clock said, and what this machine's did at that moment."""

    server: float
    monotonic: float
    own: float

    @property
    def is_old(self) -> bool:
        passed = monotonic() - self.monotonic
        return passed > _LOOK_SECONDS or abs(time() - self.own - passed) > _JUMP_SECONDS


_looks: WeakKeyDictionary[Engine, _Look] = WeakKeyDictionary()


def now(connection: Connection) -> str:
    """The time of what is written now; ISO 8601, UTC, milliseconds."""
    return datetime.fromtimestamp(seconds(connection), UTC).isoformat(timespec="milliseconds")


def seconds(reached: Connection | Engine) -> float:
    """Seconds since the epoch. Raises what SQLAlchemy raises where the server has to be asked and does not answer."""
    if reached.dialect.name == "sqlite":
        return time()
    look = _looks.get(reached.engine)
    if look is None or look.is_old:
        look = _looks[reached.engine] = _ask(reached)
    return look.server + monotonic() - look.monotonic


def _ask(reached: Connection | Engine) -> _Look:
    if isinstance(reached, Engine):
        with reached.connect() as connection:
            return _ask(connection)
    began, own = monotonic(), time()
    server = reached.execute(sa.select(sa.func.extract("epoch", sa.func.clock_timestamp()))).scalar_one()
    half = (monotonic() - began) / 2  # of the way there and back
    return _Look(float(server), began + half, own + half)
