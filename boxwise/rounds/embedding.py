"""The embeddings that a strategy and the cold start go by, of embedders that no training changes: made once an image, kept by the study.

Returns rows for the images of a step. Knows nothing of what is chosen by them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from boxwise import registry
from boxwise.artifacts.kept_embeddings import KeptEmbeddings
from boxwise.artifacts.pool_parts import part_size
from boxwise.artifacts.round_folder import embeddings_folder
from boxwise.config import StudyConfig
from boxwise.files import locked
from boxwise.records import ImageRecord, Split
from boxwise.rounds.context import RoundContext

if TYPE_CHECKING:
    from boxwise.embedders.base import Embedder

OF_THE_ROUND = "detector"  # whose embeddings the pool pass has anyway; they are others each round


def strategy_embedding(config: StudyConfig) -> str | None:
    """The embedder whose embeddings the strategy goes by; None where it goes by none, or by the round's detector."""
    name = config.embedding.name
    return name if name != OF_THE_ROUND and registry.strategy_of(config.strategy).uses_embeddings else None


def check_weights(context: RoundContext) -> None:
    """Build the strategy's embedder once, so that what is wrong with its weights shows before anyone is asked for labels."""
    name = strategy_embedding(context.config)
    if name is not None and "study_images" not in registry.EMBEDDERS[name].needs:
        _built(context, name)


class StudyEmbeddings:
    """What the embedder `name` makes of the study's images."""

    def __init__(self, context: RoundContext, name: str) -> None:
        self._context, self._embedder = context, _built(context, name)
        self._kept = KeptEmbeddings(embeddings_folder(context.folder) / f"{name}-{self._embedder.identity[:16]}")

    def make_all(self, records: Sequence[ImageRecord], watch: Callable[[int, int], None]) -> dict[str, str]:
        """As `make`, of records that are in no parts."""
        size = part_size(len(records), self._context.config.score_batch)
        return self.make([records[first : first + size] for first in range(0, len(records), size)], watch)

    def make(self, parts: Sequence[Sequence[ImageRecord]], watch: Callable[[int, int], None]) -> dict[str, str]:
        """Embed what was not embedded before, each part on the disk before the next; image_id → why it cannot be read.

        Cut into the same parts, images have the same embeddings, bit for bit, after any kill. `watch(images done, of so many)`.
        """
        everything = [record for part in parts for record in part]
        kept, unreadable = self._kept.known(everything), dict[str, str]()
        done = len(kept)
        for part in parts:
            missing = [record for record in part if record.image_id not in kept]
            unreadable |= self._made(missing, partial(_after, watch, done, len(everything)))
            done += len(missing)
        return unreadable

    def _made(self, records: Sequence[ImageRecord], progress: Callable[[int], None]) -> Mapping[str, str]:
        """Embed these and keep it; image_id → why it cannot be read."""
        from boxwise.embedders.base import embed

        config = self._context.config
        found = embed(records, self._embedder, batch=config.score_batch, workers=config.workers, progress=progress)
        if found.records:
            self._kept.add(found.records, found.embeddings)
        return found.unreadable

    def read(self, records: Sequence[ImageRecord]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """float32 [N, D] in the order of the records, and which of them have been embedded, bool [N]; the others' rows are 0."""
        return self._kept.read(records)


def _after(watch: Callable[[int, int], None], done: int, total: int, count: int) -> None:
    watch(done + count, total)


def _built(context: RoundContext, name: str) -> Embedder:
    """One process builds it while the others wait: it may learn from the study's images, once for all."""
    from boxwise.embedders.base import EmbedderContext

    folder = embeddings_folder(context.folder)
    folder.mkdir(parents=True, exist_ok=True)
    given = EmbedderContext(
        device=context.device(),
        detector=context.build,
        images=lambda: context.store.images(Split.TRAIN),
        vae=context.config.scorer.vae,
        rng=context.embedding_rng,
        folder=folder,
    )
    with locked(folder / ".lock", wait=True):
        return registry.embedder_of(context.config.embedding, name, given)
