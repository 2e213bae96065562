"""Let the models of a study know something, as those of a training of seconds do not."""

import sqlalchemy as sa

from boxwise.store.schema import FACTS


def evaluated_at(study, ap, *, rounds=None):
    """Every evaluated model of the study, or those of some rounds, have this AP on val."""
    with study.store.engine.begin() as connection:
        for row in connection.execute(sa.select(FACTS).where(FACTS.c.phase == "evaluate")).all():
            if rounds is not None and row.round not in rounds:
                continue
            facts = row.facts | {"val": row.facts["val"] | {"ap": ap}, "val_parts": {}}
            connection.execute(FACTS.update().where(FACTS.c.round == row.round, FACTS.c.phase == "evaluate").values(facts=facts))
