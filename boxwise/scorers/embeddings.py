"""What images look like before any detector is trained: features of the backbone, or of a VAE that learns from the images themselves.

Returns one embedding an image, without detections or scores. Knows nothing of labels, studies or stores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.config import VaeConfig
from boxwise.detectors.base import Detector, ImageBatch
from boxwise.detectors.input import InputSpec
from boxwise.detectors.loading import image_batches
from boxwise.records import ImageRecord
from boxwise.scorers.reconstruction import Reconstruction, thumbnails
from boxwise.scorers.vae import posterior_means

Embedder = Callable[[ImageBatch], NDArray[np.float32]]


@dataclass(frozen=True)
class Embedded:
    """Embeddings float32 [N, D] of the N images that could be read, in the order of the records; unreadable: image_id → message."""

    image_ids: tuple[str, ...]
    embeddings: NDArray[np.float32]
    unreadable: Mapping[str, str]


def embed(
    records: Sequence[ImageRecord],
    embedder: Embedder,
    spec: InputSpec,
    *,
    batch: int = 16,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Embedded:
    """Embed every record once, at the size of `spec`, `batch` images at a time; `progress(done, total)` is called after each batch."""
    unreadable: dict[str, str] = {}
    image_ids: list[str] = []
    embeddings = np.zeros((0, 0), np.float32)
    batches = image_batches(records, spec, batch=batch, workers=workers, on_unreadable=unreadable.__setitem__)
    for images in batches:
        found = embedder(images)
        if not image_ids:
            embeddings = np.zeros((len(records), found.shape[1]), np.float32)
        embeddings[len(image_ids) : len(image_ids) + len(found)] = found
        image_ids += [image.image_id for image in images.records]
        if progress is not None:
            progress(len(image_ids) + len(unreadable), len(records))
    return Embedded(tuple(image_ids), embeddings[: len(image_ids)], unreadable)


def by_backbone(detector: Detector) -> Embedder:
    """Pooled features of the detector's backbone, L2-normalised: of an untrained detector, what its pretrained weights see."""
    return lambda batch: detector.embeddings(detector.view(batch))


def by_vae(records: Sequence[ImageRecord], config: VaeConfig, detector: Detector, *, device: torch.device, rng: Generator) -> Embedder:
    """Posterior means, as they are, of a VAE trained on `records`. Raises BoxwiseError when not one of them can be read."""
    scorer = Reconstruction(config.model_copy(update={"train_on": "all"}), corrected=False, spec=detector.input, device=device)
    scorer.fit((), records, detector=detector, rng=rng)
    return partial(_means, scorer, config.size)


def _means(scorer: Reconstruction, size: int, batch: ImageBatch) -> NDArray[np.float32]:
    assert scorer.vae is not None  # fitted
    return posterior_means(scorer.vae, thumbnails(batch, size))
