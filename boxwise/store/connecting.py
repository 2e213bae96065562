"""Reaching a study's database: engines with their settings, passwords from where PostgreSQL's own tools look, faults in one sentence.

A password is never shown and never kept: it comes from PGPASSWORD or the password file each time. Knows no tables.
"""

from __future__ import annotations

import logging
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine

from boxwise.errors import NO_SPACE, StudyError, UnreachableError
from boxwise.files import identity
from boxwise.store.checked import dumps, loads

logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)  # a lost server is one message, without the pool's traceback above it
_DRIVER = "postgresql+pg8000"
PORT = 5432
FOLD = "boxwise_casefold"  # what SQL calls `str.casefold` in SQLite


def file_url(path: Path) -> URL:
    """The URL of SQLite's file at `path`, which may hold any character: backslashes, question marks, signs of per cent."""
    return URL.create("sqlite", database=str(path.absolute()))


def without_password(url: str) -> str:
    """The URL as it may be kept."""
    found = _parsed(url)
    return url if found.password is None else found._replace(password=None).render_as_string()


def redacted(url: str | URL) -> str:
    """The URL as it may be shown: with *** for its password."""
    return _parsed(url).render_as_string(hide_password=True)


def engine(url: str | URL) -> Engine:
    """An engine on the database; nothing is connected yet. Raises StudyError for a URL or a driver that cannot serve."""
    found = _parsed(url)
    if found.drivername == "postgresql":
        found = found.set(drivername=_DRIVER)
    if found.drivername == _DRIVER and not (found.username or found.query.get("user")):
        raise StudyError(f"{redacted(url)}: expected a user in it, such as {_DRIVER}://user@host/database, found none.")
    if found.drivername == _DRIVER and find_spec("pg8000") is None:
        raise StudyError(f"{redacted(url)}: PostgreSQL needs the driver pg8000. Install it: pip install 'boxwise[postgres]'.")
    try:
        made = sa.create_engine(found, connect_args=_beside(found), **_checks(found))
    except (sa.exc.NoSuchModuleError, ModuleNotFoundError) as error:
        raise StudyError(f"{redacted(url)}: expected sqlite or {_DRIVER}, found a database that cannot be used ({error}).") from None
    if made.dialect.name == "sqlite":
        sa.event.listen(made, "connect", _configure_sqlite)
        sa.event.listen(made, "handle_error", _say_what_the_disk_refuses)
        sa.event.listen(made, "do_connect", _only_read)
        if found.database and found.database != ":memory:":
            _stay_with(Path(found.database), made)
    else:
        sa.event.listen(made, "connect", _wait_for_the_disk)
        sa.event.listen(made, "checkout", _see_that_it_lives)
        sa.event.listen(made, "handle_error", _say_what_the_server_refuses)
    return made


def _beside(url: URL) -> dict[str, Any]:
    """What the driver is given beside the URL."""
    if url.drivername != _DRIVER:
        return {}
    password = {} if url.password is not None else {"password": password_of(url) or ""}  # pg8000 breaks where it is asked for one
    plain = {"ssl_context": False} if "unix_sock" in url.query else {}  # as PostgreSQL has it: no socket of a file is encrypted
    return password | plain  # otherwise every connection reads all certificates of the machine


def _checks(url: URL) -> dict[str, Any]:
    """How JSON is written and read: of SQLite's file with checks, as nothing else keeps watch over its bytes."""
    return {"json_serializer": dumps, "json_deserializer": loads} if url.get_backend_name() == "sqlite" else {}


@contextmanager
def reaching(url: str | URL) -> Iterator[None]:
    """Within the block what the database answers to being reached becomes one StudyError."""
    try:
        yield
    except (sa.exc.DBAPIError, OSError) as error:
        raise StudyError(f"{redacted(url)}: {fault_of(error)}") from None


_NO_SERVER = ("create a connection", "connection refused", "Can't create", "communication error")  # as pg8000 says it
_PASSING = {  # SQLSTATE → what PostgreSQL says by it of its own state: nothing is wrong with what it was asked
    "25006": "cannot be written: the server has it read-only. Nothing more was stored.",
    "3D000": "the server has no such database. Create it first: createdb NAME.",
    "40P01": "this change and another waited for each other, and the server ended this one. Nothing of it was stored: try again.",
    "53100": f"the server has {NO_SPACE}",
    "53300": "the server has as many connections as it takes. Try again in a moment, or raise its max_connections.",
    "55P03": "another process holds what is to be changed for longer than the server lets wait. Nothing more was stored: try again.",
    "57014": "the server ended what took longer than it allows, or was told to. Nothing more was stored: try again.",
    "57P03": "the server is starting or shutting down. Try again in a moment.",
}


def fault_of(error: Exception) -> str:
    """What went wrong with a database, in a sentence with what to do next."""
    original = getattr(error, "orig", None) or error
    said, code = str(original), _code(original)
    if code in ("28P01", "28000") or "password" in said.lower():
        return "the server refused the user or password. Set PGPASSWORD, or a line for it in the file that PGPASSFILE names."
    if code in _PASSING:
        return _PASSING[code]
    if code == "57P01" or any(
        sign in said for sign in ("network error", "closed the connection", "Broken pipe", "reset by peer", "is closed")
    ):
        return "the connection to the server was lost. What was committed is safe: run the same command again."
    if isinstance(original, OSError) or any(sign in said for sign in _NO_SERVER):
        why = next((e.strerror or str(e) for e in _and_its_causes(original) if isinstance(e, OSError)), first_line(said))
        return f"no server answers there ({why}). Is PostgreSQL running, and are host and port right?"
    if "not a database" in said:
        return f"not a boxwise study, or a damaged one ({first_line(said)}). See `boxwise repair STUDY`."
    if "malformed" in said or "decode" in said:
        return f"the database is damaged ({first_line(said)}). See `boxwise repair STUDY`."
    if code == "42P01" or "no such table" in said:
        return f"not a boxwise study ({first_line(said)})."
    return f"the database cannot be used ({first_line(said)})."


def _code(error: BaseException) -> str:
    """The SQLSTATE in the arguments of pg8000's error, or of the one that it was raised from; empty where there is none."""
    said = (e.args[0] for e in _and_its_causes(error) if e.args)
    return next((str(fields.get("C", "")) for fields in said if isinstance(fields, dict)), "")


def _and_its_causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def first_line(said: str) -> str:
    """The message alone of what a driver's error says."""
    message = re.search(r"'M': ['\"](.*?)['\"],", said)
    return message[1] if message else (said.splitlines() or ["no reason given"])[0]


def password_of(url: URL) -> str | None:
    """That of the URL, else of PGPASSWORD, else of the first line of the password file that fits.

    A line is host:port:database:user:password, with `*` for any.
    """
    if given := url.password or os.environ.get("PGPASSWORD"):
        return str(given)
    file = Path(os.environ.get("PGPASSFILE") or Path.home() / ".pgpass")
    wanted = (url.host or "localhost", str(url.port or PORT), url.database or "", url.username or "")
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        fields = [re.sub(r"\\(.)", r"\1", field) for field in re.split(r"(?<!\\):", line)]
        if not line.startswith("#") and len(fields) == 5 and all(f in ("*", w) for f, w in zip(fields, wanted, strict=False)):
            return fields[4]
    return None


def _parsed(url: str | URL) -> URL:
    try:
        return sa.engine.make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # the latter of a port that is no number
        raise StudyError("store: expected a URL such as postgresql+pg8000://user@host/database, found something else.") from None


def _see_that_it_lives(connection: Any, _record: Any, _proxy: Any) -> None:
    """A page may be left alone for longer than a connection lives; then another is made. pg8000 raises OSError, which no pool expects."""
    try:
        connection.cursor().execute("SELECT 1")
    except Exception as error:
        raise sa.exc.DisconnectionError from error


def _stay_with(path: Path, made: Engine) -> None:
    """Connections are of the file that lies at `path`: where another took its place, as by a repair, one to that is made instead.

    While none lies there, UnreachableError: SQLite would make an empty one.
    """
    was_there = False

    def there() -> tuple[int, int] | None:
        found = identity(path)
        if was_there and found is None:
            said = "expected the study's database, found no such file. What was stored in it is where it was moved to."
            raise UnreachableError(f"{path}: {said}")
        return found

    def before(*_: Any) -> None:
        there()

    def remember(_connection: Any, record: Any) -> None:
        nonlocal was_there
        record.info["file"] = identity(path)
        was_there = was_there or record.info["file"] is not None

    def compare(_connection: Any, record: Any, _proxy: Any) -> None:
        found = there()
        if record.info["file"] is not None and record.info["file"] != found:
            raise sa.exc.DisconnectionError

    sa.event.listen(made, "do_connect", before)
    sa.event.listen(made, "connect", remember)
    sa.event.listen(made, "checkout", compare)


_REFUSED = {  # how the name of SQLite's error begins → what it says
    "SQLITE_FULL": NO_SPACE,
    "SQLITE_BUSY": "another process has written to it for half a minute, as a change of classes may. Nothing more was stored: try again.",
    "SQLITE_READONLY": "cannot be written: it is read-only here. Nothing more was stored.",
    "SQLITE_CANTOPEN": "cannot be opened: expected a file and a folder that can be read and written here.",
    "SQLITE_IOERR": "cannot be read or written: the disk fails, or is full. What was committed is safe: see to it and run again.",
}


@contextmanager
def naming(file: object) -> Iterator[None]:
    """Within the block what is no fault of SQLite's `file`, but of where it lies, becomes UnreachableError, which names it."""
    try:
        yield
    except sqlite3.Error as error:
        if (said := _refused(error)) is not None:
            raise UnreachableError(f"{file}: {said}") from None
        raise


def _refused(error: BaseException | None) -> str | None:
    name = getattr(error, "sqlite_errorname", "")
    return next((said for sign, said in _REFUSED.items() if name.startswith(sign)), None)


def _say_what_the_disk_refuses(context: Any) -> None:
    """As `naming`, of what an engine does."""
    if (said := _refused(context.original_exception)) is not None:
        raise UnreachableError(f"{context.engine.url.database}: {said}")


def _say_what_the_server_refuses(context: Any) -> None:
    """A server that stops, cannot be connected to or is full may serve again in a moment: UnreachableError, which names the database."""
    error = context.original_exception
    if not isinstance(error, Exception):  # Ctrl-C while it was asked, after which the connection is of no use
        return
    if context.is_disconnect or context.connection is None or _code(error) in _PASSING:
        raise UnreachableError(f"{redacted(context.engine.url)}: {fault_of(error)}")


def _only_read(dialect: Any, _record: Any, arguments: Sequence[Any], options: dict[str, Any]) -> Any:
    """A connection that reads alone, to a file in a folder where SQLite cannot make the two files of WAL beside it; else None.

    Where they lie there it can read by them, and must: what was committed last may be in these alone.
    """
    file = Path(arguments[0]).resolve()  # a link is followed by SQLite, too: its two files lie beside the target
    if not file.is_file() or os.access(file.parent, os.W_OK) or Path(f"{file}-wal").exists():
        return None
    return dialect.loaded_dbapi.connect(f"{file.as_uri()}?mode=ro&immutable=1", **options, uri=True)


def _wait_for_the_disk(connection: Any, _record: Any) -> None:
    """In this session, whatever the server, the database or the role says: a label is on the server's disk before it is acknowledged.

    Settings that wait for copies of the server, or for none, are left as they are.
    """
    wait = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    connection.cursor().execute(wait)
    connection.commit()  # the setting, which would go with a transaction that is rolled back


def _configure_sqlite(connection: Any, _record: Any) -> None:
    # FULL: a label is on the disk, not only in the system's cache, before it is acknowledged.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")
    connection.create_function(FOLD, 1, str.casefold, deterministic=True)
