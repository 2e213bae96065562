"""Which images, augmented how, make up each training step.

Returns batches as a function of (seed, step) alone, so that a resumed training sees what an unbroken one does. Decoded
images are cached within a bound. Knows nothing of losses, optimisers or devices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from torch import Tensor
from torch.utils.data import Dataset

from boxwise.boxes import Boxes
from boxwise.data.image_store import prefetch
from boxwise.data.presence import check_place
from boxwise.detectors.augmentation import NO_OBJECT, Augment, augment, mosaic
from boxwise.detectors.decoding import decode
from boxwise.detectors.input import InputSpec
from boxwise.detectors.loading import scaled, stacked
from boxwise.detectors.targets import Target, target_of, teaches_nothing
from boxwise.errors import ImageError, StudyError
from boxwise.records import Sample

_MOSAICS = 0.5  # share of the images that become part of a mosaic where the recipe says so
_KEPT_SCALE = 2  # images are kept at up to twice the input size: what a crop of half the image still resolves


@dataclass(frozen=True)
class TrainingBatch:
    """pixels uint8 [B, 3, H, W], valid int64 [B, 2], one Target an image, and image_id → message of images skipped."""

    pixels: Tensor
    valid: Tensor
    targets: list[Target]
    unreadable: dict[str, str]

    def pieces(self, count: int) -> list[TrainingBatch]:
        """The batch cut into `count` pieces of as many images each."""
        size = len(self.targets) // count
        rows = [slice(start, start + size) for start in range(0, size * count, size)]
        return [TrainingBatch(self.pixels[piece], self.valid[piece], self.targets[piece], {}) for piece in rows]

    def pin_memory(self) -> TrainingBatch:  # torch's DataLoader calls this by its name
        return replace(self, pixels=self.pixels.pin_memory(), valid=self.valid.pin_memory())


class ImageCache:
    """Decoded images, shrunk to twice the input size; the first ones that fit in `megabytes` stay in memory."""

    def __init__(self, imgsz: int, megabytes: float) -> None:
        self._limit, self._free = InputSpec(_KEPT_SCALE * imgsz, "fit"), int(megabytes * 2**20)
        self._kept: dict[str, Tensor] = {}

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._kept

    def read(self, sample: Sample) -> Tensor:
        """uint8 [3, h, w]; the same whether it comes from memory or from the file. Raises ImageError."""
        name = sample.image.image_id
        if name in self._kept:
            return self._kept[name]
        pixels = decode(sample.image.uri)
        if max(pixels.shape) > self._limit.imgsz:
            pixels = scaled(pixels, self._limit.size(pixels.shape[1], pixels.shape[2]))
        if pixels.nbytes <= self._free:
            self._free -= pixels.nbytes
            self._kept[name] = pixels
        return pixels


class TrainingBatches(Dataset[TrainingBatch]):
    """Step → this process's share of the step's batch.

    Sample number n = step · batch + position is the (n mod N)-th image of epoch n div N, whose order comes from
    (seed, epoch); its augmentation comes from (seed, step, position). So batches are always full: they wrap into the next
    epoch. `share` is the range of positions that this process trains on.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        batch: int,
        share: range,
        spec: InputSpec,
        augment: Augment,
        seed: int,
        cache_mb: float,
    ) -> None:
        self.samples, self.batch, self.share, self.seed = samples, batch, share, seed
        self.spec, self.augment = spec, augment
        self._cache = ImageCache(spec.imgsz, cache_mb)
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def __getitem__(self, step: int) -> TrainingBatch:
        unreadable: dict[str, str] = {}
        prefetch(self._uris(step))
        drawn = [self._draw(step, position, unreadable) for position in self.share]
        pixels, valid = stacked([image for image, _ in drawn], self.spec)
        return TrainingBatch(pixels, valid, [target for _, target in drawn], unreadable)

    def _uris(self, step: int) -> Iterator[str]:
        """The addresses of the step's images that are not in memory."""
        images = (self.samples[self.sample_index(step * self.batch + position)].image for position in self.share)
        return (image.uri for image in images if image.image_id not in self._cache)

    def sample_index(self, number: int) -> int:
        """Position in `samples` of the training's sample number `number`."""
        epoch, place = divmod(number, len(self.samples))
        if self._order[0] != epoch:
            self._order = epoch, np.random.default_rng([self.seed, epoch]).permutation(len(self.samples))
        return int(self._order[1][place])

    def _draw(self, step: int, position: int, unreadable: dict[str, str]) -> tuple[Tensor, Target]:
        rng = np.random.default_rng([self.seed, step, position])
        sample, pixels, rows = self._read(self.sample_index(step * self.batch + position), unreadable)
        if self.augment == "mosaic" and rng.random() < _MOSAICS and _plain(sample):
            return self._mosaic(sample, pixels, rows, rng, unreadable)
        augmented, moved, size = augment(pixels, rows, spec=self.spec, augment=self.augment, rng=rng)
        return augmented, _target(moved, sample, size)

    def _mosaic(self, sample: Sample, pixels: Tensor, rows: Boxes, rng: Generator, unreadable: dict[str, str]) -> tuple[Tensor, Target]:
        """`sample` with three others; one that teaches not everywhere, or with weights, gives its place to `sample`."""
        others = (self._read(int(index), unreadable) for index in rng.integers(len(self.samples), size=3))
        tiles = [(pixels, rows), *((p, r) if _plain(other) else (pixels, rows) for other, p, r in others)]
        augmented, moved, (height, width) = mosaic([tiles[place] for place in rng.permutation(4)], spec=self.spec, rng=rng)
        canvas = replace(sample.image, width=width, height=height)
        return augmented, target_of(Sample(canvas, replace(moved, ids=None)), height, width)

    def _read(self, index: int, unreadable: dict[str, str]) -> tuple[Sample, Tensor, Boxes]:
        """The sample at `index` or the next readable one, its pixels, and its rows in those pixels."""
        sample, pixels = self._readable(index, unreadable)
        rows = _rows(sample)
        scale = np.array([pixels.shape[2] / sample.image.width, pixels.shape[1] / sample.image.height] * 2, np.float32)
        return sample, pixels, replace(rows, xyxy=rows.xyxy * scale)

    def _readable(self, index: int, unreadable: dict[str, str]) -> tuple[Sample, Tensor]:
        """The sample at `index`, or the next one whose image can be read."""
        for offset in range(len(self.samples)):
            sample = self.samples[(index + offset) % len(self.samples)]
            try:
                return sample, self._cache.read(sample)
            except ImageError as error:
                check_place(sample.image)
                unreadable[sample.image.image_id] = str(error)
        raise StudyError(f"None of the {len(self.samples)} training images can be read. The last: {list(unreadable.values())[-1]}")


def _plain(sample: Sample) -> bool:
    """Whether every box counts fully and everything else is background."""
    return sample.complete and sample.weights is None and not len(sample.rejected)


def _rows(sample: Sample) -> Boxes:
    """The objects, then the rejected boxes, numbered by `ids`: one augmentation moves all. What teaches nothing counts as crowd."""
    objects, rejected = len(sample.boxes), len(sample.rejected)
    return Boxes(
        np.concatenate([sample.boxes.xyxy, sample.rejected]),
        np.concatenate([sample.boxes.labels, np.full(rejected, NO_OBJECT)]),
        crowd=np.concatenate([teaches_nothing(sample.boxes, sample.weights), np.zeros(rejected, bool)]),
        ids=np.arange(objects + rejected).astype(object),
    )


def _target(rows: Boxes, sample: Sample, size: tuple[int, int]) -> Target:
    """The target of `sample` after its rows were moved into an image of `size` (height, width)."""
    height, width = size
    is_object = rows.labels != NO_OBJECT
    boxes = rows[is_object]
    assert boxes.ids is not None
    weights = None if sample.weights is None else sample.weights[boxes.ids.astype(np.int64)]
    image = replace(sample.image, width=width, height=height)
    moved = replace(sample, image=image, boxes=boxes, rejected=rows.xyxy[~is_object], weights=weights)
    return target_of(moved, height, width)
