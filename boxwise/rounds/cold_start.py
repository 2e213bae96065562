"""Round 0 by what the images look like: a pretrained backbone or a VAE embeds them, a strategy spreads the first labels over them.

Returns items of the query and the images that cannot be read. Knows nothing of how val is drawn, nor of later rounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from boxwise import registry
from boxwise.records import ImageRecord, Phase, QueryItem, Scores, Split
from boxwise.rounds.context import RoundContext
from boxwise.strategies.base import Budget, Candidates

if TYPE_CHECKING:
    from boxwise.scorers.embeddings import Embedded


def cold_start(
    context: RoundContext, pool: Sequence[ImageRecord], amount: int, *, rng: Generator
) -> tuple[list[QueryItem], Mapping[str, str]]:
    """`amount` images of `pool` that the config's cold start chooses, given what is labelled already, and image_id → why unreadable."""
    open_ids = {record.image_id for record in pool}
    labeled_ids = set(context.store.annotations(Split.TRAIN)) - open_ids
    found = _embedded(context, [*pool, *(r for r in context.store.images(Split.TRAIN) if r.image_id in labeled_ids)], rng)
    is_open = np.array([image_id in open_ids for image_id in found.image_ids], bool)
    image_ids = tuple(image_id for image_id in found.image_ids if image_id in open_ids)
    nothing = np.zeros(len(image_ids))  # scores and expected boxes are unknown yet
    candidates = Candidates(0, image_ids, Scores(image_ids, nothing), found.embeddings[is_open], found.embeddings[~is_open], nothing)
    strategy = registry.cold_start_of(context.config.cold_start, context.config.strategy)
    return list(strategy.select(candidates, Budget(amount), rng=rng).items), found.unreadable


def _embedded(context: RoundContext, records: Sequence[ImageRecord], rng: Generator) -> Embedded:
    from boxwise.scorers.embeddings import by_backbone, by_vae, embed

    config, detector, watch = context.config, context.build(), context.watch(0, Phase.SELECT)
    embedder = (
        by_backbone(detector)
        if config.cold_start.embedding == "backbone"
        else by_vae(records, config.scorer.vae, detector, device=detector.device, rng=rng)
    )
    return embed(
        records,
        embedder,
        detector.input,
        batch=config.score_batch,
        workers=config.workers,
        progress=lambda done, total: watch(done, total, {}),
    )
