"""A damaged SQLite file: whether it is whole, and a new one of all rows that can still be read.

Returns counts. The damaged file is kept beside the new one. Knows nothing of studies.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import sqlalchemy as sa

from boxwise.store.connecting import engine, file_url
from boxwise.store.schema import META


def fault_in_database(path: Path) -> str | None:
    """What SQLite's own check finds first; None where the file is whole."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if said == "ok" else str(said).splitlines()[-1]


def salvage(path: Path) -> dict[str, tuple[int, int]]:
    """Put a file of all readable rows in the place of a damaged one; table → (rows kept, rows that could not be read, at least).

    The damaged file stays as `….damaged`. Rows are read one by one where a page between them is broken.
    """
    damaged, fresh = path.with_name(f"{path.name}.damaged"), path.with_name(f"{path.name}.salvaged")
    fresh.unlink(missing_ok=True)
    target = engine(file_url(fresh))
    META.create_all(target)
    counts = {}
    with closing(sqlite3.connect(path)) as source, target.begin() as connection:
        connection.execute(sa.text("PRAGMA defer_foreign_keys=ON"))
        for table in META.sorted_tables:
            counts[table.name] = _copy(source, connection, table)
    target.dispose()
    for suffix in ("-wal", "-shm"):
        with suppress(OSError):
            path.with_name(path.name + suffix).unlink()
    path.replace(damaged)
    fresh.replace(path)
    return counts


def _copy(source: sqlite3.Connection, target: sa.Connection, table: sa.Table) -> tuple[int, int]:
    names = [column.name for column in table.columns]
    listed, kept, lost = ", ".join(f'"{name}"' for name in names), 0, 0
    insert = f'INSERT OR IGNORE INTO "{table.name}" ({listed}) VALUES ({", ".join("?" * len(names))})'
    for low, high in _ranges(source, table.name):
        try:
            rows = source.execute(f'SELECT {listed} FROM "{table.name}" WHERE rowid BETWEEN ? AND ?', (low, high)).fetchall()
        except sqlite3.DatabaseError:
            lost += 1
            continue
        for row in rows:
            target.exec_driver_sql(insert, tuple(row))
        kept += len(rows)
    return kept, lost


def _ranges(source: sqlite3.Connection, table: str) -> list[tuple[int, int]]:
    """Ranges of row numbers that read each by itself: the whole table where it can be, single rows where not."""
    try:
        source.execute(f'SELECT * FROM "{table}"').fetchall()
        return [(-(2**62), 2**62)]
    except sqlite3.DatabaseError:
        last = 0
        with suppress(sqlite3.DatabaseError):
            last = source.execute(f'SELECT max(rowid) FROM "{table}"').fetchone()[0] or 0
        return [(number, number) for number in range(1, last + 1)]
