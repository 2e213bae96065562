"""Schema 8: a query knows which images two people label, and an event may be about one answer: a review of it."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection


def upgrade(connection: Connection) -> None:
    connection.execute(sa.text("ALTER TABLE queries ADD COLUMN twice BOOLEAN"))
    connection.execute(sa.text("ALTER TABLE events ADD COLUMN annotation_id INTEGER REFERENCES annotations (id)"))
    connection.execute(sa.text("CREATE INDEX ix_events_annotation_id ON events (annotation_id)"))
