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

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from boxwise.errors import StudyError
from boxwise.store.connecting import PORT, engine, naming, password_of, reaching, redacted

SQLITE_DUMP, POSTGRES_DUMP = "study.sqlite", "study.pgdump"


def dump(url: str | URL, folder: Path) -> Path:
    """Write the database at `url` into `folder`; the file written. Raises StudyError where it cannot be read."""
    found = make_url(url)
    if found.drivername.startswith("sqlite"):
        target = folder / SQLITE_DUMP
        try:
            with closing(sqlite3.connect(str(found.database))) as source, closing(sqlite3.connect(target)) as copy, naming(target):
                source.backup(copy)
        except sqlite3.Error as error:
            raise StudyError(f"{found.database}: cannot be read ({error}). See `boxwise repair STUDY`.") from None
        return target
    target = folder / POSTGRES_DUMP
    _postgres_tool(found, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--file", str(target))
    return target


def load(file: Path, url: str | URL) -> None:
    """Fill the empty PostgreSQL database at `url` from a file of pg_dump, all or nothing.

    Raises StudyError for another kind of database, for one that is not empty, and with what the tool says.
    """
    place = redacted(url)
    if make_url(place).get_backend_name() != "postgresql":
        raise StudyError(
            f"{place}: a study of PostgreSQL goes into PostgreSQL: give --store postgresql+pg8000://user@host/database, an empty one."
        )
    made = engine(url)
    with reaching(url):
        tables = sa.inspect(made).get_table_names()
    made.dispose()
    if tables:
        raise StudyError(f"{place}: this database is not empty; give an empty one with --store URL (createdb NAME).")
    arguments = ("--no-owner", "--no-privileges", "--single-transaction", "--dbname", _environment(made.url)["PGDATABASE"], str(file))
    _postgres_tool(made.url, "pg_restore", *arguments)


def _postgres_tool(url: URL, tool: str, *arguments: str) -> None:
    if shutil.which(tool) is None:
        raise StudyError(f"{redacted(url)}: expected PostgreSQL's {tool} on this machine, found none. Install postgresql-client.")
    done = subprocess.run([tool, *arguments], env=os.environ | _environment(url), capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        raise StudyError(f"{redacted(url)}: {tool} failed: {said[0]}")


def _environment(url: URL) -> dict[str, str]:
    """The URL as libpq's variables, with what pg8000 goes by where it says nothing."""
    given = url.translate_connect_args(username="user") | dict(url.query)  # what the query says goes before, as in SQLAlchemy
    host, port = given.get("host", "localhost"), given.get("port", PORT)
    user, database = given.get("user", ""), given.get("database") or given.get("user", "")
    password = given.get("password") or password_of(url.set(username=user, host=host, port=int(port), database=database))
    if "unix_sock" in given:  # FOLDER/.s.PGSQL.PORT
        socket = Path(str(given["unix_sock"]))
        host, port = socket.parent, socket.suffix[1:]
    values = {"PGHOST": host, "PGPORT": port, "PGUSER": user, "PGDATABASE": database, "PGPASSWORD": password}
    return {name: str(value) for name, value in values.items() if value}
