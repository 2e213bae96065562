"""Schema 4: the table `events`, what was done to a study beside its rounds, append-only."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection


def upgrade(connection: Connection) -> None:
    tables = sa.MetaData()
    sa.Table("images", tables, sa.Column("image_id", sa.String, primary_key=True))
    events = sa.Table(
        "events",
        tables,
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("who", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("image_id", sa.String, sa.ForeignKey("images.image_id"), index=True),
        sa.Column("body", sa.JSON, nullable=False),
    )
    events.create(connection)
