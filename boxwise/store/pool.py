"""What is known of the images beside their labels: who labelled each, of which these are secret, which ones people want asked about next.

A wish is an event of the study's history, and so is taking it back: append-only, with who and when and the round from which it holds.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import sqlalchemy as sa

from boxwise.records import Annotation, Phase, Split
from boxwise.store.bulk import is_one_of
from boxwise.store.clock import now
from boxwise.store.rows import read_annotation
from boxwise.store.schema import ANNOTATIONS, EVENTS, IMAGES, LATEST, QUERIES, annotates, writing
from boxwise.store.store import MODEL, Store, waiting_images

WANTED, UNWANTED = "wanted", "unwanted"


class LabelledBy(NamedTuple):
    """Who gave an image its current labels, and in which round."""

    annotator: str
    round: int


class PoolStore:
    """People's wishes and people's names, by image. Every method is one transaction."""

    def __init__(self, store: Store) -> None:
        self._engine = store.engine

    def labelled_by(self) -> dict[str, LabelledBy]:
        """image_id → who gave its current labels, of every image that has some."""
        statement = sa.select(ANNOTATIONS.c.image_id, ANNOTATIONS.c.annotator, ANNOTATIONS.c.round).where(ANNOTATIONS.c.id.in_(LATEST))
        with self._engine.connect() as connection:
            return {row.image_id: LabelledBy(row.annotator, row.round) for row in connection.execute(statement)}

    def labels_of(self, image_ids: Collection[str]) -> dict[str, Annotation]:
        """The current labels of those of the images that are usable and have some, by image id."""
        latest = LATEST.subquery()
        usable = sa.select(ANNOTATIONS).join(latest, latest.c.id == ANNOTATIONS.c.id).where(annotates(IMAGES.c.fault.is_(None)))
        with self._engine.connect() as connection:
            rows = connection.execute(usable.where(is_one_of(connection, ANNOTATIONS.c.image_id, image_ids)))
            return {row.image_id: read_annotation(row) for row in rows}

    def secret(self, position: tuple[int, Phase]) -> frozenset[str]:
        """See `secret_images`."""
        with self._engine.connect() as connection:
            return frozenset(connection.execute(secret_images(position)).scalars())

    def labelled_lately(self, split: Split, most: int) -> list[Annotation]:
        """The current labels that were given last to usable images of a split, the newest first, at most so many; none by a model alone."""
        latest = LATEST.subquery()
        statement = (
            sa.select(ANNOTATIONS)
            .join(latest, latest.c.id == ANNOTATIONS.c.id)
            .join(IMAGES, IMAGES.c.image_id == ANNOTATIONS.c.image_id)
            .where(ANNOTATIONS.c.annotator != MODEL, IMAGES.c.split == split.value, IMAGES.c.fault.is_(None))
            .order_by(ANNOTATIONS.c.id.desc())
            .limit(most)
        )
        with self._engine.connect() as connection:
            return [read_annotation(row) for row in connection.execute(statement)]

    def want(self, image_ids: Collection[str], *, round_index: int, who: str, wanted: bool = True) -> None:
        """Ask about these images first from round `round_index` on; `wanted` False: no longer.

        Unknown ids are passed over, and so are images given for val or for the test, which are never asked about.
        """
        with writing(self._engine) as connection:
            of_train = sa.select(IMAGES.c.image_id).where(IMAGES.c.split == Split.TRAIN.value)
            some = of_train.where(is_one_of(connection, IMAGES.c.image_id, image_ids)).order_by(IMAGES.c.image_id)
            known = set(connection.execute(some.with_for_update(key_share=True, read=True)).scalars())  # in the order of `hold_all`
            event = {"at": now(connection), "round": round_index, "who": who, "kind": WANTED if wanted else UNWANTED, "body": {}}
            rows = [event | {"image_id": image_id} for image_id in dict.fromkeys(image_ids) if image_id in known]
            if rows:
                connection.execute(EVENTS.insert(), rows)

    def wanted(self, round_index: int) -> tuple[str, ...]:
        """The images to ask about first in round `round_index`, in the order in which they were wanted: those not asked about since."""
        wishes = sa.select(EVENTS.c.image_id, EVENTS.c.kind, EVENTS.c.round).where(EVENTS.c.kind.in_((WANTED, UNWANTED)))
        asked = (
            sa.select(QUERIES.c.image_id, sa.func.max(QUERIES.c.round)).where(QUERIES.c.round < round_index).group_by(QUERIES.c.image_id)
        )
        since: dict[str, int] = {}
        with self._engine.connect() as connection:
            for image_id, kind, number in connection.execute(wishes.order_by(EVENTS.c.id)):
                since.pop(image_id, None)
                if kind == WANTED and number <= round_index:
                    since[image_id] = number
            last = {row[0]: row[1] for row in connection.execute(asked)} if since else {}
        return tuple(image_id for image_id, number in since.items() if last.get(image_id, -1) < number)


def asked_now(position: tuple[int, Phase]) -> sa.Select[Any]:
    """The images that wait for an answer now: none once the round has gone on."""
    number, phase = position
    return waiting_images(number).where(sa.true() if phase is Phase.ANNOTATE else sa.false())


def secret_images(position: tuple[int, Phase]) -> sa.Select[Any]:
    """The images that a round asks two people about and that wait for either: the second is not to see what the first has said."""
    return asked_now(position).where(QUERIES.c.twice.is_(True))
