"""Made-up columns of a pool, for benchmarks of choosing: embeddings and boxes of no image, piece by piece, so that making them takes no
more memory than having them.
"""

from __future__ import annotations

import numpy as np

from boxwise.records import DetectedBoxes

CLASSES, BOXES = 20, 10  # classes, and boxes an image
_KINDS, _BOX_DIM, _CHUNK = 2000, 64, 1 << 16


def embeddings(rows: int, dim: int, rng: np.random.Generator) -> np.ndarray:
    """Unit vectors around two thousand directions, which are the same for every call; float32 [rows, dim]."""
    kinds = np.random.default_rng(7).normal(size=(_KINDS, dim)).astype(np.float32)
    made = np.empty((rows, dim), np.float32)
    for first in range(0, rows, _CHUNK):
        part = made[first : first + _CHUNK]
        part[:] = kinds[rng.integers(_KINDS, size=len(part))] + 0.5 * rng.standard_normal(part.shape, np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return made


def boxes(images: int, rng: np.random.Generator) -> DetectedBoxes:
    """BOXES boxes an image, by falling score, with embeddings at random."""
    count = images * BOXES
    features = np.empty((count, _BOX_DIM), np.float16)
    for first in range(0, count, _CHUNK):
        part = rng.standard_normal((min(_CHUNK, count - first), _BOX_DIM), np.float32)
        features[first : first + _CHUNK] = part / np.linalg.norm(part, axis=1, keepdims=True)
    return DetectedBoxes(
        starts=np.arange(0, count + 1, BOXES),
        labels=rng.integers(CLASSES, size=count),
        scores=-np.sort(-rng.random((images, BOXES), np.float32), axis=1).ravel(),
        entropies=rng.random(count, np.float32),
        embeddings=features,
    )
