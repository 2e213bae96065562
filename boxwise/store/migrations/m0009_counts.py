"""Schema 9: usable images are counted by split, and those out of use found, without a look at every row."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection


def upgrade(connection: Connection) -> None:
    connection.execute(sa.text("CREATE INDEX images_in_use ON images (split, open) WHERE fault IS NULL"))
    connection.execute(sa.text("CREATE INDEX images_out_of_use ON images (image_id) WHERE fault IS NOT NULL"))
    connection.execute(sa.text("DROP INDEX ix_images_split"))
