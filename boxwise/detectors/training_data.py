"""Which images, augmented how, make up each training step.

Returns batches as a function of (seed, step) alone, so that a resumed training sees what an unbroken one does. Decoded
images are cached within a bound. Knows nothing of losses, optimisers or devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from boxwise.boxes import Boxes
from boxwise.detectors.augmentation import NO_OBJECT, Recipe, augment
from boxwise.detectors.decoding import decode
from boxwise.detectors.loading import Resize, input_size, scaled, stacked
from boxwise.detectors.targets import Target, target_of, teaches_nothing
from boxwise.errors import ImageError, StudyError
from boxwise.records import Sample

_KEPT_SCALE = 2  # images are kept at up to twice the input size: what a crop of half the image still resolves


@dataclass(frozen=True)
class TrainingBatch:
    """pixels uint8 [B, 3, H, W], valid int64 [B, 2], one Target an image, and image_id → message of images skipped."""

    pixels: Tensor
    valid: Tensor
    targets: list[Target]
    unreadable: dict[str, str]

    def pin_memory(self) -> TrainingBatch:  # torch's DataLoader calls this by its name
        return replace(self, pixels=self.pixels.pin_memory(), valid=self.valid.pin_memory())


class ImageCache:
    """Decoded images, shrunk to twice the input size; the first ones that fit in `megabytes` stay in memory."""

    def __init__(self, imgsz: int, megabytes: float) -> None:
        self._longest, self._free = _KEPT_SCALE * imgsz, int(megabytes * 2**20)
        self._kept: dict[str, Tensor] = {}

    def read(self, sample: Sample) -> Tensor:
        """uint8 [3, h, w]; the same whether it comes from memory or from the file. Raises ImageError."""
        name = sample.image.image_id
        if name in self._kept:
            return self._kept[name]
        pixels = decode(sample.image.path)
        if max(pixels.shape) > self._longest:
            pixels = scaled(pixels, input_size(pixels.shape[1], pixels.shape[2], self._longest, "fit"))
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
        imgsz: int,
        resize: Resize,
        recipe: Recipe,
        seed: int,
        cache_mb: float,
    ) -> None:
        self.samples, self.batch, self.share, self.seed = samples, batch, share, seed
        self.imgsz, self.resize, self.recipe = imgsz, resize, recipe
        self._cache = ImageCache(imgsz, cache_mb)
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def __getitem__(self, step: int) -> TrainingBatch:
        unreadable: dict[str, str] = {}
        drawn = [self._draw(step, position, unreadable) for position in self.share]
        pixels, valid = stacked([image for image, _ in drawn], self.resize)
        return TrainingBatch(pixels, valid, [target for _, target in drawn], unreadable)

    def sample_index(self, number: int) -> int:
        """Position in `samples` of the training's sample number `number`."""
        epoch, place = divmod(number, len(self.samples))
        if self._order[0] != epoch:
            self._order = epoch, np.random.default_rng([self.seed, epoch]).permutation(len(self.samples))
        return int(self._order[1][place])

    def _draw(self, step: int, position: int, unreadable: dict[str, str]) -> tuple[Tensor, Target]:
        sample, pixels = self._readable(self.sample_index(step * self.batch + position), unreadable)
        image = sample.image
        scale = np.array([pixels.shape[2] / image.width, pixels.shape[1] / image.height] * 2, np.float32)
        rows = _rows(sample)
        boxes = replace(rows, xyxy=rows.xyxy * scale)
        rng = np.random.default_rng([self.seed, step, position])
        augmented, moved, size = augment(pixels, boxes, imgsz=self.imgsz, recipe=self.recipe, resize=self.resize, rng=rng)
        return augmented, _target(moved, sample, size)

    def _readable(self, index: int, unreadable: dict[str, str]) -> tuple[Sample, Tensor]:
        """The sample at `index`, or the next one whose image can be read."""
        for offset in range(len(self.samples)):
            sample = self.samples[(index + offset) % len(self.samples)]
            try:
                return sample, self._cache.read(sample)
            except ImageError as error:
                unreadable[sample.image.image_id] = str(error)
        raise StudyError(f"None of the {len(self.samples)} training images can be read. The last: {list(unreadable.values())[-1]}")


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
