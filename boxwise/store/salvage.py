"""A damaged SQLite file: whether it is whole, and a new one of all rows that can still be read and say what was stored.

Returns counts. The damaged file is kept beside the new one; other processes are kept out meanwhile. Knows nothing of studies.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from boxwise.boxes import Boxes
from boxwise.errors import StudyError
from boxwise.files import identity, replacing
from boxwise.jsonable import boxes_to_json
from boxwise.records import Split
from boxwise.store.checked import dumps, loads
from boxwise.store.connecting import engine, file_url, naming
from boxwise.store.migrations import NEWEST
from boxwise.store.rows import seal_of
from boxwise.store.schema import ANNOTATIONS, IMAGES, META
from boxwise.store.upgrading import check_known

Row = dict[str, Any]
_OUT_OF_REACH = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY)  # of a file that may well be whole
DAMAGED = "the database was damaged where it speaks of this image: look at its path and split before you include it"
_NO_LABELS = {"boxes": dumps(boxes_to_json(Boxes.empty())), "sources": dumps([]), "rejected": dumps([]), "digest": "damaged"}


def has_tables(path: Path) -> bool:
    """Whether there is a file with a table in it, or one that is too damaged to say; a creation that is killed leaves one without."""
    if not path.is_file():
        return False
    try:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is not None
    except sqlite3.DatabaseError:
        return True


def fault_in_database(path: Path) -> str | None:
    """What is found first: by SQLite's own check, of a reference that leads nowhere, or of a value that is not what was stored.

    Raises StudyError for a schema that this version of boxwise does not know, as nothing can be said of such a file.
    """
    try:
        with closing(sqlite3.connect(path)) as connection:
            version = _version(connection, path)
            (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if said != "ok":
                return str(said).splitlines()[-1]
            if stray := connection.execute("PRAGMA foreign_key_check").fetchone():
                return f"a row of {stray[0]} belongs to none of {stray[2]}"
            if version is None:
                return "it does not say of which schema it is"
            return next(_faulty_values(connection), None)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _OUT_OF_REACH:  # Python's own, as of text that is no UTF-8, has none
            return str(error)
        with naming(path):
            raise


def salvage(path: Path) -> tuple[Path, dict[str, tuple[int, int]]]:
    """Put a file of all sound rows in the place of a damaged one. Returns where that is kept, and table → (rows kept, rows that could not
    be, at least).

    Killed at any moment, the damaged file or the new one, whole, is at `path`; the damaged one stays as `….damaged`. Rows are read one by
    one where a page between them is broken. Of an annotation with a damaged value a row without boxes stays, whose digest does not fit; an
    image whose row does not fit its seal goes out of use. Raises StudyError while another process has the file open: what it wrote
    meanwhile would be lost; and for a schema that is not known, since the rows of tables that are not known would be.
    """
    with replacing(path) as fresh:
        with naming(path), closing(_alone(path)) as source, closing(_tables_like(source, fresh)) as target:
            counts = {table.name: _copy(source, target, table) for table in META.sorted_tables if columns_of(target, table)}
            for table in META.sorted_tables:
                _drop_strays(target, table, counts)
            todays = all(columns_of(target, table) == list(table.columns.keys()) for table in META.sorted_tables)
            if _version(target, path) is None and todays:
                target.execute("INSERT OR REPLACE INTO study VALUES ('schema_version', ?)", (dumps(NEWEST),))
            target.commit()
        kept = _keep(path)
    return kept, counts


def _keep(path: Path) -> Path:
    """Give the damaged file a second name, under which it stays; a log of it that SQLite could not merge goes along."""
    names = (path.with_name(f"{path.name}.damaged{number if number > 1 else ''}") for number in count(1))
    kept = next(name for name in names if identity(name) in (None, identity(path)))  # the latter by a repair that was killed just here
    if not kept.exists():
        try:
            kept.hardlink_to(path)
        except OSError:  # this file system has no such links
            with replacing(kept) as aside:
                shutil.copyfile(path, aside)
    move_logs(path, kept)
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    return kept


def move_logs(path: Path, other: Path) -> None:
    """Let what SQLite had yet to write into the file at `path` lie beside another one: it would write it into any that comes there."""
    for suffix in ("-wal", "-journal"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).replace(other.with_name(other.name + suffix))


def _alone(path: Path) -> sqlite3.Connection:
    """A connection that no other process has beside it. A file that is damaged at its very beginning can be read but not locked."""
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=DELETE")  # leaves the write-ahead log, which processes share
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            connection.close()
            raise StudyError(
                f"{path}: in use by another process, such as the labelling page or a run; what it stores meanwhile would be lost. "
                "End it, then repair again."
            ) from None
    return connection


def columns_of(connection: sqlite3.Connection, table: sa.Table) -> list[str]:
    """The columns that a file has of a table, in an earlier schema fewer than today; none where it has no such table."""
    return [row[1] for row in connection.execute(f'PRAGMA table_info("{table.name}")')]


def _version(connection: sqlite3.Connection, path: Path) -> int | None:
    """Of which schema the file says that it is. StudyError, which names `path`, for one that is not known."""
    found = None
    with suppress(sqlite3.DatabaseError, StudyError):
        for (value,) in connection.execute("SELECT value FROM study WHERE key = 'schema_version'"):
            found = loads(value)
    if not isinstance(found, int):
        return None
    check_known(found, path)
    return found


def _faulty_values(connection: sqlite3.Connection) -> Iterator[str]:
    """What is wrong with the values, table by table."""
    for table in META.sorted_tables:
        names = columns_of(connection, table)
        for row in connection.execute(f'SELECT {_listed(names)} FROM "{table.name}"') if names else ():
            if _faulty(table, dict(zip(names, row, strict=True))):
                yield f"values of {table.name} are not what was stored"


def _tables_like(source: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """A new file with the tables of `source`, which can be brought to today's schema as that could; today's where these are unreadable."""
    target = sqlite3.connect(path)
    try:
        statements = [sql for (sql,) in source.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type = 'index'")]
        for sql in statements:
            target.execute(sql)
    except sqlite3.DatabaseError:
        target.close()
        path.unlink()
        made = engine(file_url(path))
        META.create_all(made)
        made.dispose()
        target = sqlite3.connect(path)
    return target


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, table: sa.Table) -> tuple[int, int]:
    names, kept, lost = columns_of(target, table), 0, 0
    insert = f'INSERT OR IGNORE INTO "{table.name}" ({_listed(names)}) VALUES ({", ".join("?" * len(names))})'
    for low, high in _ranges(source, table.name):
        try:
            rows = source.execute(f'SELECT {_listed(names)} FROM "{table.name}" WHERE rowid BETWEEN ? AND ?', (low, high)).fetchall()
        except sqlite3.DatabaseError:
            lost += 1
            continue
        sound = [row for values in rows if (row := _sound(table, dict(zip(names, values, strict=True)))) is not None]
        target.executemany(insert, [tuple(row.values()) for row in sound])
        kept, lost = kept + len(sound), lost + len(rows) - len(sound)
    return kept, lost


def _sound(table: sa.Table, row: Row) -> Row | None:
    """The row as it is where its values are what was stored; else what of it may stay, or nothing."""
    if not _faulty(table, row):
        return row
    if table is IMAGES:
        return _out_of_use(row)
    return row | {name: value for name, value in _NO_LABELS.items() if name in row} if table is ANNOTATIONS else None


def _out_of_use(row: Row) -> Row:
    source_id = row["source_id"] if _readable(row["source_id"]) else None
    split = row["split"] if row["split"] in tuple(Split) else Split.TRAIN.value
    mended = row | {"split": split, "source_id": source_id, "fault": row["fault"] or DAMAGED}
    return mended | {"seal": seal_of(_parsed(mended))} if "seal" in row else mended


def _faulty(table: sa.Table, row: Row) -> bool:
    if any(not _readable(row[name]) for name in _json_columns(table) & row.keys() if row[name] is not None):
        return True
    sealed = table is IMAGES and row.get("seal") is not None  # earlier schemas have no seals, nor all columns that these cover
    return sealed and row["seal"] != seal_of(_parsed(row))


def _parsed(row: Row) -> Row:
    return row | {"source_id": None if row["source_id"] is None else loads(row["source_id"])}


def _readable(value: Any) -> bool:
    try:
        loads(value)
    except StudyError:
        return False
    return True


def _drop_strays(target: sqlite3.Connection, table: sa.Table, counts: dict[str, tuple[int, int]]) -> None:
    """Rows whose image or annotation is lost go with it."""
    for key in table.foreign_keys:
        column, parent = key.parent.name, key.column
        if column in columns_of(target, table):
            others = f'SELECT "{parent.name}" FROM "{parent.table.name}"'
            gone = target.execute(
                f'DELETE FROM "{table.name}" WHERE "{column}" IS NOT NULL AND "{column}" NOT IN ({others})'  # NULL is not in nothing, too
            ).rowcount
            kept, lost = counts[table.name]
            counts[table.name] = kept - gone, lost + gone


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


def _json_columns(table: sa.Table) -> set[str]:
    return {column.name for column in table.columns if isinstance(column.type, sa.JSON)}


def _listed(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
