"""A study's database as one file and back: SQLite by its online backup, PostgreSQL by its own pg_dump and pg_restore.

Others may read and write meanwhile; the file holds one moment. A password is passed on in the environment, never in a command.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine import URL, make_url

from boxwise.errors import StudyError
from boxwise.store.connecting import password_of, shown

SQLITE_DUMP, POSTGRES_DUMP = "study.sqlite", "study.pgdump"


def dump(url: str | URL, folder: Path) -> Path:
    """Write the database at `url` into `folder`; the file written. Raises StudyError where it cannot be read."""
    found = make_url(url)
    if found.drivername.startswith("sqlite"):
        target = folder / SQLITE_DUMP
        try:
            with closing(sqlite3.connect(str(found.database))) as source, closing(sqlite3.connect(target)) as copy:
                source.backup(copy)
        except sqlite3.Error as error:
            raise StudyError(f"{found.database}: cannot be read ({error}). See `boxwise repair STUDY`.") from None
        return target
    target = folder / POSTGRES_DUMP
    _postgres_tool(found, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--file", str(target))
    return target


def load(file: Path, url: str | URL) -> None:
    """Fill the empty PostgreSQL database at `url` from a file of pg_dump, all or nothing. Raises StudyError with what the tool says."""
    found = make_url(url)
    _postgres_tool(
        found, "pg_restore", "--no-owner", "--no-privileges", "--single-transaction", "--dbname", found.database or "", str(file)
    )


def _postgres_tool(url: URL, tool: str, *arguments: str) -> None:
    if shutil.which(tool) is None:
        raise StudyError(f"{shown(url)}: expected PostgreSQL's {tool} on this machine, found none. Install postgresql-client.")
    done = subprocess.run([tool, *arguments], env=os.environ | _environment(url), capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        raise StudyError(f"{shown(url)}: {tool} failed: {said[0]}")


def _environment(url: URL) -> dict[str, str]:
    """The URL as libpq's variables."""
    socket = url.query.get("unix_sock")
    host = str(Path(str(socket)).parent) if socket else url.host
    values = {"PGHOST": host, "PGPORT": url.port, "PGUSER": url.username, "PGDATABASE": url.database, "PGPASSWORD": password_of(url)}
    return {name: str(value) for name, value in values.items() if value}
