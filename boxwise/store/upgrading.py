"""Opening a database of an earlier schema: back it up, apply the migrations that it lacks, all in one transaction.

`upgrade` returns where the backup lies, None where nothing was to do. Knows the order of the migrations, not what they do.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from boxwise.errors import StudyError
from boxwise.files import replacing
from boxwise.store.connecting import naming
from boxwise.store.migrations import MIGRATIONS, NEWEST, OLDEST
from boxwise.store.rows import put
from boxwise.store.schema import STUDY, writing

log = logging.getLogger(__name__)
_VERSION = sa.select(STUDY.c.value).where(STUDY.c.key == "schema_version")


def upgrade(engine: Engine) -> Path | None:
    """Bring the database to today's schema; the backup's path, where one was made: SQLite's file as it was.

    Killed at any moment the database is of the old schema, whole, or of the new one. PostgreSQL has no file to copy: its one transaction
    is what protects it. Raises StudyError for a schema that is too old or newer than this version of boxwise.
    """
    with engine.connect() as connection:
        version = connection.execute(_VERSION).scalar()
    if version == NEWEST:
        return None
    name = engine.url.render_as_string(hide_password=True)
    if not isinstance(version, int):
        raise StudyError(f"{name}: not a boxwise study, or a damaged one (it has no schema version). See `boxwise repair STUDY`.")
    check_known(version, name)
    with writing(engine) as connection:
        backup = _apply(connection)
    if backup is not None:
        log.warning("%s: brought from schema %d to %d; as it was it is kept in %s.", name, version, NEWEST, backup)
    return backup


def check_known(version: int, name: object) -> None:
    """StudyError for a schema that is too old or newer than this version of boxwise; name: of the database."""
    known = f"(schema {version}, this one knows {OLDEST} to {NEWEST})"
    if version > NEWEST:
        raise StudyError(f"{name}: made by a newer boxwise {known}. Update boxwise.")
    if version < OLDEST:
        raise StudyError(
            f"{name}: made by a boxwise that is too old {known}. "
            "Export its labels with that version, and make a new study with `boxwise init --labels`."
        )


def _apply(connection: Connection) -> Path | None:
    # The first statement takes the lock: of SQLite's file, or of PostgreSQL's row. Another process may have been faster until then.
    connection.execute(STUDY.update().where(STUDY.c.key == "schema_version").values(key="schema_version"))
    version = int(connection.execute(_VERSION).scalar_one())
    if version == NEWEST:
        return None
    backup = _backup(connection, version)
    for step in MIGRATIONS[version - OLDEST :]:
        step(connection)
    put(connection, "schema_version", NEWEST)
    return backup


def _backup(connection: Connection, version: int) -> Path | None:
    """Copy what is committed of SQLite's file to one beside it, named by its schema; None for PostgreSQL."""
    if connection.dialect.name != "sqlite":
        return None
    path = Path(str(connection.engine.url.database))
    backup = path.with_name(f"{path.stem}.schema_{version}{path.suffix}")
    with replacing(backup) as aside, closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(aside)) as target, naming(backup):
        source.backup(target)
    return backup
