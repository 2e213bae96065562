"""Many rows of one table at once, and conditions that name many values, for SQLite and PostgreSQL alike.

Knows no table in particular.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Connection

Value = TypeVar("Value")
ROWS = 5_000  # that one statement inserts


def insert_all(connection: Connection, table: sa.Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert rows that all name the same columns, in their order."""
    for some in chunks(rows, ROWS):
        if connection.dialect.name == "postgresql":
            connection.execute(_columns_at_once(table, some))
        else:
            connection.execute(table.insert(), some)


def is_one_of(connection: Connection, column: sa.ColumnElement[str], values: Collection[str]) -> sa.ColumnElement[bool]:
    """Whether a column is one of very many strings: they are one parameter, since databases limit the number of these."""
    if connection.dialect.name == "postgresql":
        listed = sa.select(sa.func.unnest(sa.literal(list(values), ARRAY(sa.Text))))
    else:
        listed = sa.select(sa.func.json_each(json.dumps(list(values))).table_valued("value").c.value)
    return column.in_(listed)


def chunks(values: Iterable[Value], size: int) -> Iterator[list[Value]]:
    """The values in lists of `size`, the last one shorter."""
    rest = iter(values)
    while some := list(islice(rest, size)):
        yield some


def _columns_at_once(table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> sa.Insert:
    """One statement for many rows: pg8000 sends a message for each row otherwise, and waits for the answer."""
    names = list(rows[0])
    columns = [_column(table.c[name], [row[name] for row in rows]) for name in names]
    return table.insert().from_select(names, sa.select(*columns))


def _column(column: sa.Column[Any], values: Sequence[Any]) -> sa.ColumnElement[Any]:
    if isinstance(column.type, sa.JSON):
        texts = sa.func.unnest(sa.bindparam(column.name, [json.dumps(value) for value in values], ARRAY(sa.Text)))
        return sa.cast(texts, sa.JSON)
    kind = sa.Text if isinstance(column.type, sa.String) else column.type
    return sa.func.unnest(sa.bindparam(column.name, list(values), ARRAY(kind)))
