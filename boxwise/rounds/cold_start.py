"""Round 0 by what the images look like: an embedder that needs no labels embeds them, a strategy spreads the first labels over them.

Returns items of the query and the images that cannot be read. Knows nothing of how val is drawn, nor of later rounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise import registry
from boxwise.records import ImageRecord, Phase, QueryItem, Scores, Split
from boxwise.rounds.context import RoundContext
from boxwise.rounds.embedding import StudyEmbeddings
from boxwise.strategies.base import Budget, Candidates


def cold_start(
    context: RoundContext, pool: Sequence[ImageRecord], amount: int, *, rng: Generator
) -> tuple[list[QueryItem], Mapping[str, str]]:
    """`amount` images of `pool` that the config's cold start chooses, given what is labelled already, and image_id → why unreadable."""
    open_ids = {record.image_id for record in pool}
    labeled = context.store.records(image_id for image_id in context.store.annotations(Split.TRAIN) if image_id not in open_ids)
    records = [*pool, *labeled]
    embeddings, usable, unreadable = _embedded(context, records)
    is_open = np.array([record.image_id in open_ids for record in records], bool)
    image_ids = tuple(record.image_id for record, offered in zip(records, is_open & usable, strict=True) if offered)
    nothing = np.zeros(len(image_ids))  # scores and expected boxes are unknown yet
    candidates = Candidates(0, image_ids, Scores(image_ids, nothing), embeddings[is_open & usable], embeddings[~is_open & usable], nothing)
    strategy = registry.cold_start_of(context.config.cold_start, context.config.strategy)
    return list(strategy.select(candidates, Budget(amount), rng=rng).items), unreadable


def _embedded(context: RoundContext, records: Sequence[ImageRecord]) -> tuple[NDArray[np.float32], NDArray[np.bool_], Mapping[str, str]]:
    """A row a record, which of them could be read, and why the others could not."""
    watch, made = context.watch(0, Phase.SELECT), StudyEmbeddings(context, context.config.cold_start.embedding)
    unreadable = made.make_all(records, lambda done, total: watch(done, total, {}))
    return *made.read(records), unreadable
