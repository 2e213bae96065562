"""Schema 7: images carry a check of what they say, older annotations a digest, and values of JSON in SQLite's file a check at their end."""

import json
from collections.abc import Callable
from hashlib import blake2b
from zlib import crc32

import sqlalchemy as sa
from sqlalchemy.engine import Connection

_SAID = ("image_id", "path", "width", "height", "split", "source_id", "digest")
_LABELS = ("image_id", "round", "annotator", "complete", "boxes", "sources", "rejected", "seconds")
_TYPES = {"complete": sa.Boolean, "boxes": sa.JSON, "sources": sa.JSON, "rejected": sa.JSON, "source_id": sa.JSON}
_VALUES = {
    "study": ("value",),
    "images": ("source_id",),
    "annotations": ("boxes", "sources", "rejected"),
    "verdicts": ("xyxy",),
    "queries": ("terms", "box_ids"),
    "facts": ("facts",),
    "drafts": ("document",),
    "events": ("body",),
}


def upgrade(connection: Connection) -> None:
    connection.execute(sa.text("ALTER TABLE images ADD COLUMN seal BIGINT"))
    _fill(connection, "images", "image_id", "seal", _SAID, lambda said: crc32(said))
    _fill(connection, "annotations", "id", "digest", _LABELS, lambda said: blake2b(said, digest_size=8).hexdigest())
    connection.execute(sa.text("UPDATE annotations SET digest = 'late ' || digest WHERE late"))
    if connection.dialect.name == "sqlite":
        for table, columns in _VALUES.items():
            for column in columns:
                _check(connection, table, column)


def _fill(connection: Connection, name: str, key: str, column: str, of: tuple[str, ...], check: Callable[[bytes], int | str]) -> None:
    """The check of the columns `of`, where a row has none."""
    table = sa.table(name, *(sa.column(known, _TYPES.get(known)) for known in dict.fromkeys((key, *of, column))))
    rows = connection.execute(sa.select(table.c[key].label("row"), *(table.c[known] for known in of)).where(table.c[column].is_(None)))
    checks = [{"of": row[0], "check": check(json.dumps(list(row[1:])).encode())} for row in rows]
    if checks:
        connection.execute(table.update().where(table.c[key] == sa.bindparam("of")).values({column: sa.bindparam("check")}), checks)


def _check(connection: Connection, table: str, column: str) -> None:
    """CRC-32 in blanks at the end of each text; numbers and null have none."""
    texts = connection.exec_driver_sql(f'SELECT rowid, "{column}" FROM "{table}" WHERE typeof("{column}") = \'text\'').fetchall()
    checked = [(_with_check(text.rstrip(" \t")), row) for row, text in texts if text != "null"]
    if checked:
        connection.exec_driver_sql(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', checked)


def _with_check(text: str) -> str:
    return text + f"{crc32(text.encode()):032b}".translate(str.maketrans("01", " \t"))
