"""Cross-image validation: is a proposed object still found when it is pasted into another image?

Returns for each box of a pool image the share of its trials in which it was. Reads the pool's images and proposals, and labelled images to
paste into. Knows nothing of the pool's labels, of policies or of stores.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from boxwise.boxes import Boxes, FloatArray, iou
from boxwise.data.presence import check_place
from boxwise.detectors.base import Detector, ImageBatch
from boxwise.detectors.decoding import decode
from boxwise.detectors.input import InputSpec
from boxwise.detectors.loading import ahead, resized, scaled, stacked
from boxwise.errors import ImageError
from boxwise.records import ImageRecord, Sample

PASTES = 5  # hosts that a proposal is pasted into
LARGE, SMALL = 0.6, 0.2  # shares of its host above and below which a proposal is rescaled, to LARGE
FOUND_SCORE, FOUND_IOU = 0.5, 0.5  # a paste passes when a detection of its class is above both
HOST_BYTES = 256 * 2**20  # hosts kept in memory

Proposed = tuple[ImageRecord, Boxes]


def cross_validate(
    detector: Detector,
    images: Sequence[Proposed],
    hosts: Sequence[Sample],
    *,
    rng: Generator,
    batch: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, FloatArray]:
    """image_id → how its N boxes (original pixels) fared in the cross-image validation of self-supervised sample mining.

    float32 [N]: the share of a box's pastes in which it was found again, NaN where it could not be tried (Wang et al., CVPR 2018).

    Each box is cut out, pasted at a random place into 5 of the complete `hosts` that hold no object of its class (some of them more than
    once where there are fewer), and passes where the detector finds its class there with score and IoU above 0.5. A box keeps its size in
    pixels, unless its longer relative side is above 0.6 or below 0.2 of the host's: then that side becomes 0.6, the aspect ratio kept.
    Untried are the boxes of unreadable images and those of a class that every readable host drawn for it has or that all hosts hold.

    The answer depends on `rng` alone. One forward pass a paste, `batch` at a time; memory does not grow with the number of images but for
    a few numbers a box. `progress(done, total)`, in pastes, is called after each batch.
    """
    trials = _drawn(images, hosts, rng)
    tallies = [_Tally(len(boxes)) for _, boxes in images]
    composer = _Composer(images, detector.input)
    groups = [trials[start : start + batch] for start in range(0, len(trials), batch)]
    done = 0
    for group, pastes in zip(groups, ahead(composer.pastes, groups), strict=True):
        for paste, found in zip(pastes, _found_again(detector, pastes), strict=True):
            tallies[paste.trial.image].add(paste.trial.row, found=found)
        done += len(group)
        if progress is not None:
            progress(done, len(trials))
    return {image.image_id: tally.shares() for (image, _), tally in zip(images, tallies, strict=True)}


def most_confident(images: Iterable[tuple[str, Boxes]], amount: int) -> list[str]:
    """Ids of the `amount` images with the highest mean score of their boxes, highest first; the earlier image among equals.

    Images without boxes are left out: there is nothing to validate. Streams; memory grows with `amount` alone.
    """
    rated = ((_mean_score(boxes), image_id) for image_id, boxes in images if len(boxes))
    return [image_id for _, image_id in heapq.nlargest(amount, rated, key=lambda item: item[0])]


def _mean_score(boxes: Boxes) -> float:
    return 0.0 if boxes.scores is None else float(boxes.scores.mean())


@dataclass(frozen=True)
class _Trial:
    """Box `row` of image `image` is to be pasted into `host`; across, down: where, as shares in [0, 1) of the room that it leaves."""

    image: int
    row: int
    host: ImageRecord
    across: float
    down: float


def _drawn(images: Sequence[Proposed], hosts: Sequence[Sample], rng: Generator) -> list[_Trial]:
    """All trials in order of the images. Drawn before any file is read, so that an unreadable one changes no other's."""
    complete = [(host.image, set(host.boxes.labels.tolist())) for host in hosts if host.complete]
    classes = {label for _, boxes in images for label in boxes.labels.tolist()}
    without = {label: [host for host, present in complete if label not in present] for label in classes}
    trials: list[_Trial] = []
    for position, (_, boxes) in enumerate(images):
        for row, label in enumerate(boxes.labels.tolist()):
            for host in _some(without[label], rng):
                trials.append(_Trial(position, row, host, rng.random(), rng.random()))
    return trials


def _some(hosts: list[ImageRecord], rng: Generator) -> list[ImageRecord]:
    if not hosts:
        return []
    return [hosts[pick] for pick in rng.choice(len(hosts), PASTES, replace=len(hosts) < PASTES)]


@dataclass(frozen=True)
class _Paste:
    """A trial made: host pixels at input size, uint8 [3, H, W], with the box in them at `place`, xyxy float32 [1, 4] in host pixels."""

    trial: _Trial
    label: int
    pixels: Tensor
    place: FloatArray


class _Composer:
    """Makes pastes. Each image is decoded once, hosts as often as their cache forgets them.

    Hosts are kept at input size and a box is resampled straight to its size there: the box is resampled once, as the host is.
    """

    def __init__(self, images: Sequence[Proposed], spec: InputSpec) -> None:
        self._images, self._spec = images, spec
        self._source = lru_cache(maxsize=1)(self._decoded)
        self._host = lru_cache(maxsize=max(1, HOST_BYTES // (3 * spec.imgsz**2)))(self._at_input_size)

    def pastes(self, trials: Sequence[_Trial]) -> list[_Paste]:
        """Those of the trials whose image and host can be read."""
        made = [self._paste(trial) for trial in trials]
        return [paste for paste in made if paste is not None]

    def _paste(self, trial: _Trial) -> _Paste | None:
        image, boxes = self._images[trial.image]
        source, host = self._source(image), self._host(trial.host)
        if source is None or host is None:
            return None
        crop = _crop(source, boxes.xyxy[trial.row])
        scale = np.array([trial.host.width / host.shape[2], trial.host.height / host.shape[1]] * 2, np.float32)
        height, width = _pasted_size(crop, trial.host, host)
        top, left = round(trial.down * (host.shape[1] - height)), round(trial.across * (host.shape[2] - width))
        pixels = host.clone()
        pixels[:, top : top + height, left : left + width] = scaled(crop, (height, width))
        place = np.array([[left, top, left + width, top + height]], np.float32) * scale
        return _Paste(trial, int(boxes.labels[trial.row]), pixels, place)

    def _decoded(self, record: ImageRecord) -> Tensor | None:
        try:
            return decode(record.uri)
        except ImageError:
            check_place(record)
            return None

    def _at_input_size(self, record: ImageRecord) -> Tensor | None:
        pixels = self._decoded(record)
        return None if pixels is None else resized(pixels, self._spec)


def _crop(pixels: Tensor, xyxy: FloatArray) -> Tensor:
    """The whole pixels that a box touches, at least one; uint8 [3, h, w]."""
    height, width = pixels.shape[1:]
    left, top = min(max(int(xyxy[0]), 0), width - 1), min(max(int(xyxy[1]), 0), height - 1)
    return pixels[:, top : max(math.ceil(xyxy[3]), top + 1), left : max(math.ceil(xyxy[2]), left + 1)]


def _pasted_size(crop: Tensor, record: ImageRecord, host: Tensor) -> tuple[int, int]:
    """(height, width) of the crop in the host's input pixels, by the rule of `cross_validate`."""
    down, across = crop.shape[1] / record.height, crop.shape[2] / record.width
    side = max(down, across)
    factor = LARGE / side if side > LARGE or side < SMALL else 1.0
    return max(1, round(down * factor * host.shape[1])), max(1, round(across * factor * host.shape[2]))


def _found_again(detector: Detector, pastes: Sequence[_Paste]) -> list[bool]:
    """Whether each paste is found."""
    if not pastes:
        return []
    pixels, valid = stacked([paste.pixels for paste in pastes], detector.input)
    batch = ImageBatch(tuple(paste.trial.host for paste in pastes), pixels, valid)
    found = detector.detections(detector.view(batch))
    return [_is_found(boxes, paste) for boxes, paste in zip(found, pastes, strict=True)]


def _is_found(boxes: Boxes, paste: _Paste) -> bool:
    if boxes.scores is None:
        return False
    there = iou(boxes.xyxy, paste.place)[:, 0] > FOUND_IOU
    return bool((there & (boxes.labels == paste.label) & (boxes.scores > FOUND_SCORE)).any())


class _Tally:
    """Pastes tried and found of each of N boxes."""

    def __init__(self, length: int) -> None:
        self._tried: NDArray[np.int64] = np.zeros(length, np.int64)
        self._found: NDArray[np.int64] = np.zeros(length, np.int64)

    def add(self, row: int, *, found: bool) -> None:
        self._tried[row] += 1
        self._found[row] += found

    def shares(self) -> FloatArray:
        return (self._found / np.where(self._tried > 0, self._tried, np.nan)).astype(np.float32)
