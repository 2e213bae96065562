"""The study's own facts in its database: one JSON value under each key.

`Store` has these. Knows nothing of what the facts say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from boxwise.errors import StudyError
from boxwise.store.rows import change_facts, put, put_among
from boxwise.store.schema import STUDY, writing

# Made once: to put it together takes longer than to ask by it, and the labelling page asks all day.
_VALUE = sa.select(STUDY.c.value).where(STUDY.c.key == sa.bindparam("key"))


class StudyFacts:
    """The facts of one database; each method is one transaction."""

    _engine: Engine

    def get(self, key: str) -> Any:
        """The value of a study fact, None when it was never set."""
        with self._engine.connect() as connection:
            return connection.execute(_VALUE, {"key": key}).scalar()

    def needed(self, key: str) -> Any:
        """The value of a study fact that each study has. Raises StudyError where it is gone."""
        value = self.get(key)
        if value is None:
            raise StudyError(f"the study's database has lost its {key!r}; it is damaged. See `boxwise repair STUDY`.")
        return value

    def put(self, key: str, value: Any) -> None:
        """Let a study fact have this value, whether it had one or not."""
        with writing(self._engine) as connection:
            put(connection, key, value)

    def change_facts(self, changes: Mapping[str, Callable[[Any], Any]]) -> None:
        """Let study facts become what is made of them, None where there is none; what others change at the same moment stays."""
        with writing(self._engine) as connection:
            change_facts(connection, changes)

    def put_among(self, key: str, value: Any) -> None:
        """Let a study fact that is a list have this value among its own; what others add at the same moment stays."""
        with writing(self._engine) as connection:
            put_among(connection, key, value)
