"""Whether what a database holds is a creation that was killed, so that a new study may take its place.

Raises one message where it is not. Changes nothing.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from boxwise.errors import StudyError, quoted
from boxwise.store.accounts import GIVEN
from boxwise.store.connecting import redacted
from boxwise.store.schema import ANNOTATIONS, FACTS, STUDY


def check_unfinished(connection: Connection, made_in: str | None, own: Path | None) -> None:
    """StudyError where something was done in the study that is there, or it was made in another folder than `made_in`.

    own: the study's folder, where the database is a file in it; it may have been made under another name.
    """
    there = connection.execute(sa.select(STUDY.c.value).where(STUDY.c.key == "made_in")).scalar()
    steps = connection.execute(sa.select(sa.func.count()).select_from(FACTS)).scalar_one()
    labels = sa.select(sa.func.count()).select_from(ANNOTATIONS).where(ANNOTATIONS.c.annotator != GIVEN)
    done = steps + connection.execute(labels).scalar_one()
    if not done and (own or (there is not None and there == made_in)):
        return
    if own:
        way = f"Its config.yaml is lost; `boxwise repair {quoted(own)}` writes it again."
    else:
        where = f"its folder, {there}, which all its machines are to share" if there else "its folder"
        way = f"Go on in {where}, or choose another database."
    raise StudyError(f"{redacted(connection.engine.url)}: there is a study already. {way}")
