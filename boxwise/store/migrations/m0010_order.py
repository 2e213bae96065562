"""Schema 10: PostgreSQL orders images by the bytes of their ids, as SQLite does. Studies made since have an id as well."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

_NAMING_IMAGES = ("images", "annotations", "queries", "leases", "drafts", "skips", "events")


def upgrade(connection: Connection) -> None:
    if connection.dialect.name != "postgresql":
        return
    for table in _NAMING_IMAGES:
        connection.execute(sa.text(f'ALTER TABLE {table} ALTER COLUMN image_id TYPE VARCHAR COLLATE "C"'))
    for table in ("scored", "scored_from"):  # made again when they are needed
        connection.execute(sa.text(f"DROP TABLE IF EXISTS {table}"))
