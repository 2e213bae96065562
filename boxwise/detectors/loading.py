"""From image files to uint8 tensors at a network's input size.

Returns `ImageBatch`es that stream: memory does not grow with the number of images. An unreadable image is reported and
skipped, never raised. Knows nothing of labels, augmentation or networks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.v2 import functional

from boxwise.data.image_store import prefetch
from boxwise.data.presence import check_place
from boxwise.detectors.base import ImageBatch
from boxwise.detectors.decoding import decode
from boxwise.detectors.input import InputSpec
from boxwise.errors import BoxwiseError, ImageError
from boxwise.records import ImageRecord

Key = TypeVar("Key")
Loaded = TypeVar("Loaded")


def resized(pixels: Tensor, spec: InputSpec) -> Tensor:
    """uint8 [3, H, W] at the size at which it enters a network, not padded."""
    return scaled(pixels, spec.size(pixels.shape[1], pixels.shape[2]), antialias=spec.antialias)


def scaled(pixels: Tensor, size: tuple[int, int], *, antialias: bool = True) -> Tensor:
    """uint8 [3, H, W] resampled to `size` (height, width); the same tensor when it has that size."""
    return pixels if tuple(pixels.shape[1:]) == size else functional.resize(pixels, list(size), antialias=antialias)


def stacked(images: Sequence[Tensor], spec: InputSpec) -> tuple[Tensor, Tensor]:
    """(pixels [B, 3, H, W], valid int64 [B, 2]); images smaller than the batch's canvas are padded bottom right with `spec.fill`."""
    valid = torch.tensor([tuple(image.shape[1:]) for image in images], dtype=torch.int64)
    height, width = spec.canvas(*valid.amax(dim=0).tolist())
    padded = [pad(image, (0, width - image.shape[2], 0, height - image.shape[1]), value=spec.fill) for image in images]
    return torch.stack(padded), valid


def to_device(batch: ImageBatch, device: torch.device) -> tuple[Tensor, Tensor]:
    """(pixels, valid) of the batch on `device`, pixels in channels_last."""
    pixels = batch.pixels.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)
    return pixels, batch.valid.to(device, non_blocking=True)


def batch_of(records: Sequence[ImageRecord], images: Sequence[Tensor], spec: InputSpec) -> ImageBatch:
    """The batch of images uint8 [3, H, W] as they were decoded."""
    pixels, valid = stacked([resized(image, spec) for image in images], spec)
    return ImageBatch(tuple(records), pixels, valid)


def image_batches(
    records: Sequence[ImageRecord],
    spec: InputSpec,
    *,
    batch: int,
    workers: int = 0,
    on_unreadable: Callable[[str, str], None] | None = None,
) -> Iterator[ImageBatch]:
    """The images in order, `batch` records at a time; decoded ahead in a thread, or in `workers` processes.

    An unreadable image leaves its batch smaller and is passed to `on_unreadable(image_id, message)`. Raises ImageStoreError where it is not
    the image that is at fault but the place where all of them lie.
    """
    images = _InputImages(records, spec)
    chunks = [range(start, min(start + batch, len(records))) for start in range(0, len(records), batch)]
    for chunk, loaded in zip(chunks, in_order(images, chunks, workers=workers), strict=True):
        readable = [
            (_measured(records[i], size), image) for i, (image, size) in zip(chunk, loaded, strict=True) if isinstance(image, Tensor)
        ]
        for index, (message, _) in zip(chunk, loaded, strict=True):
            if isinstance(message, str) and on_unreadable is not None:
                on_unreadable(records[index].image_id, message)
        if readable:
            pixels, valid = stacked([image for _, image in readable], spec)
            yield ImageBatch(tuple(record for record, _ in readable), pixels, valid)


def _measured(record: ImageRecord, size: tuple[int, int]) -> ImageRecord:
    """The record with the size as it was decoded, where none is known yet."""
    return record if record.measured else replace(record, width=size[0], height=size[1])


_Loaded = tuple[Tensor | str, tuple[int, int]]  # an image at input size, or why it cannot be read; and its width and height


class _InputImages(Dataset[list[_Loaded]]):
    """Chunk of positions → each image."""

    def __init__(self, records: Sequence[ImageRecord], spec: InputSpec) -> None:
        self.records, self.spec = records, spec

    def __getitem__(self, chunk: range) -> list[_Loaded]:
        records = [self.records[index] for index in chunk]
        prefetch(record.uri for record in records)
        return [self._load(record) for record in records]

    def _load(self, record: ImageRecord) -> _Loaded:
        try:
            pixels = decode(record.uri)
            return resized(pixels, self.spec), (pixels.shape[2], pixels.shape[1])
        except ImageError as error:
            check_place(record)
            return str(error), (0, 0)


def in_order(source: Dataset[Loaded], keys: Iterable[Key], *, workers: int, pin: bool = False) -> Iterator[Loaded]:
    """`source[key]` of every key, in order: one thread works ahead, or `workers` processes do."""
    if workers == 0:
        return ahead(source.__getitem__, keys)
    # Its own generator: DataLoader would otherwise draw a seed from the global one and change what the caller draws next.
    loader = DataLoader(source, batch_size=None, sampler=keys, num_workers=workers, pin_memory=pin, generator=torch.Generator())
    return _as_raised(loader)


def _as_raised(loader: Iterable[Loaded]) -> Iterator[Loaded]:
    """What the loader's processes give; an error of theirs that a user is to read comes without their traceback."""
    try:
        yield from loader
    except BoxwiseError as error:
        raise type(error)(str(error).rpartition(f"{type(error).__name__}: ")[2].strip()) from None


def ahead(load: Callable[[Key], Loaded], keys: Iterable[Key], *, depth: int = 2) -> Iterator[Loaded]:
    """`load(key)` of every key, in order, while a thread prepares the next `depth`."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="loading")
    waiting: deque[Future[Loaded]] = deque()
    try:
        for key in keys:
            waiting.append(pool.submit(load, key))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
