"""What every image embedder promises, what it is built for, and how images pass through one.

Returns one embedding an image. Knows nothing of labels, detections, studies or stores.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from boxwise.config import VaeConfig
from boxwise.detectors.base import Detector, ImageBatch
from boxwise.detectors.input import InputSpec
from boxwise.detectors.loading import image_batches
from boxwise.records import ImageRecord


class Embedder(Protocol):
    """From pixels to numbers that are near each other for images that look alike.

    input: how an image enters. identity: hexadecimal, another wherever the same image would get another embedding, so a digest of weights
    and settings: what is kept of an embedder is found again by it.
    Promises, checked by `boxwise.testing.EmbedderContract`: embeddings are finite, an image's own beyond rounding whatever its batch
    companions, the same in every process; embedding changes nothing, torch's generator included.
    """

    input: InputSpec
    identity: str

    def embed(self, batch: ImageBatch) -> NDArray[np.float32]:
        """float32 [B, D], D the same for every batch."""
        ...


@dataclass(frozen=True)
class EmbedderContext:
    """What an embedder is built for, beside its options.

    detector: builds the one to look through. images: those that an embedder may learn from. rng: of what it draws then. folder: where it
    keeps what it learned, for the next process; None: nowhere.
    """

    device: torch.device
    detector: Callable[[], Detector]
    images: Callable[[], Sequence[ImageRecord]]
    vae: VaeConfig
    rng: Callable[[], Generator]
    folder: Path | None = None


@dataclass(frozen=True)
class Embedded:
    """Embeddings float32 [N, D] of the N images that could be read, in the order of the records; unreadable: image_id → message."""

    records: tuple[ImageRecord, ...]
    embeddings: NDArray[np.float32]
    unreadable: Mapping[str, str]


def embed(
    records: Sequence[ImageRecord],
    embedder: Embedder,
    *,
    batch: int = 16,
    workers: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Embedded:
    """Embed every record once, `batch` images at a time; `progress(images done)` is called after each batch."""
    unreadable: dict[str, str] = {}
    seen: list[str] = []
    found: list[NDArray[np.float32]] = []
    for images in image_batches(records, embedder.input, batch=batch, workers=workers, on_unreadable=unreadable.__setitem__):
        found.append(embedder.embed(images))
        seen += [image.image_id for image in images.records]
        if progress is not None:
            progress(len(seen) + len(unreadable))
    of_id = {record.image_id: record for record in records}
    embeddings = np.concatenate(found) if found else np.zeros((0, 0), np.float32)
    return Embedded(tuple(of_id[image_id] for image_id in seen), embeddings, unreadable)


def fingerprint(state: Mapping[str, Tensor], *settings: object) -> str:
    """An embedder's identity, of its tensors and of the settings that play a part."""
    digest = hashlib.sha256(repr(settings).encode())
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
