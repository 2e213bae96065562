"""Schema 6: annotations carry a digest of what they say, so that a changed byte is noticed; those of before have none."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection


def upgrade(connection: Connection) -> None:
    connection.execute(sa.text("ALTER TABLE annotations ADD COLUMN digest VARCHAR"))
