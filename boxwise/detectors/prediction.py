"""Detections of many images: the one loop over batches that evaluation and `predict` share.

Returns boxes by image id, and why the others could not be read. Knows nothing of labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL.Image import Image as PillowImage
from torch import Tensor

from boxwise.boxes import Boxes
from boxwise.data.addresses import Address
from boxwise.data.image_store import prefetch
from boxwise.detectors.base import Detector
from boxwise.detectors.checked import detections_of
from boxwise.detectors.decoding import pixels_of
from boxwise.detectors.loading import ahead, batch_of, image_batches
from boxwise.errors import ImageError
from boxwise.records import ImageRecord


def predict(
    detector: Detector,
    images: Sequence[ImageRecord],
    *,
    batch: int = 16,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Boxes], dict[str, str]]:
    """image_id → detections in original pixels, and image_id → message for the images that could not be read."""
    unreadable: dict[str, str] = {}
    stream = detections(detector, images, batch=batch, workers=workers, on_unreadable=unreadable.__setitem__, progress=progress)
    return {record.image_id: boxes for record, boxes in stream}, unreadable


def detections(
    detector: Detector,
    images: Sequence[ImageRecord],
    *,
    batch: int = 16,
    workers: int = 0,
    on_unreadable: Callable[[str, str], None],
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[ImageRecord, Boxes]]:
    """Each image with its detections in original pixels, in order, as they come; one that cannot be read goes to
    `on_unreadable(image_id, message)`. `progress(done, total)` is called after each batch."""
    failed = 0

    def fail(image_id: str, message: str) -> None:
        nonlocal failed
        failed += 1
        on_unreadable(image_id, message)

    done = 0
    for image_batch in image_batches(images, detector.input, batch=batch, workers=workers, on_unreadable=fail):
        yield from zip(image_batch.records, detections_of(detector, detector.view(image_batch)), strict=True)
        done += len(image_batch.records)
        if progress is not None:
            progress(done + failed, len(images))


def detect(
    detector: Detector,
    images: Sequence[Address | PillowImage | np.ndarray],
    *,
    batch: int = 16,
    on_unreadable: Callable[[str, str], None],
) -> Iterator[tuple[ImageRecord, Boxes]]:
    """Each image with its detections, in order; its id is its address, or "image N" for what has none. See `pixels_of` for what it may be.

    One that cannot be read is left out, after `on_unreadable(id, message)`. Memory holds three batches.
    """
    chunks = [range(start, min(start + batch, len(images))) for start in range(0, len(images), batch)]
    for loaded in ahead(lambda chunk: _loaded_chunk(images, chunk), chunks):
        for name, pixels in loaded:
            if isinstance(pixels, ImageError):
                on_unreadable(name, str(pixels))
        tensors = [(name, pixels) for name, pixels in loaded if isinstance(pixels, Tensor)]
        if tensors:
            records = [ImageRecord(name, name, pixels.shape[2], pixels.shape[1]) for name, pixels in tensors]
            view = detector.view(batch_of(records, [pixels for _, pixels in tensors], detector.input))
            yield from zip(records, detections_of(detector, view), strict=True)


def _loaded_chunk(images: Sequence[Address | PillowImage | np.ndarray], chunk: range) -> list[tuple[str, Tensor | ImageError]]:
    chosen = [(images[index], index) for index in chunk]
    prefetch(image for image, _ in chosen if isinstance(image, str))
    return [_loaded(image, index) for image, index in chosen]


def _loaded(image: Address | PillowImage | np.ndarray, index: int) -> tuple[str, Tensor | ImageError]:
    """(id of an image, its pixels or what is wrong with it)."""
    name = str(image) if isinstance(image, str | Path) else f"image {index}"
    try:
        return name, pixels_of(image, name)
    except ImageError as error:
        return name, error
