"""What an embedder makes of images is held to what every embedder promises, before it is kept or gone by.

Wraps any embedder and returns its embeddings, or one message that names the embedder. Knows nothing of how it sees.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boxwise.detectors.base import ImageBatch
from boxwise.detectors.checked import finite_rows
from boxwise.embedders.base import Embedder
from boxwise.errors import BoxwiseError


class CheckedEmbedder:
    """What `embedder` makes of images: a finite row an image, as long as every other."""

    def __init__(self, embedder: Embedder, whose: str) -> None:
        """whose: the embedder, in messages."""
        self.embedder, self.whose = embedder, whose
        self.input, self.identity = embedder.input, embedder.identity
        self._dimensions: int | None = None

    def embed(self, batch: ImageBatch) -> NDArray[np.float32]:
        found = self.embedder.embed(batch)
        try:
            rows = finite_rows(found, len(batch.records), self._dimensions)
        except (TypeError, ValueError, RuntimeError) as error:
            raise BoxwiseError(
                f"{self.whose}: embed: {error}. Nothing of it is kept: mend the embedder (boxwise.testing.EmbedderContract tests it) "
                "and run again."
            ) from error
        self._dimensions = rows.shape[1]
        return rows
