"""Schema 5: images know the fingerprint of their content, and the size and time of their file, so that a change is noticed."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection


def upgrade(connection: Connection) -> None:
    for column in ("digest", "stamp"):
        connection.execute(sa.text(f"ALTER TABLE images ADD COLUMN {column} VARCHAR"))
