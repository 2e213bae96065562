"""Detection scenes composed of scikit-learn's handwritten digits: the data set that needs no download.

Writes a VOC data set and returns it; the same seed gives the same bytes. Knows nothing of who trains on it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from boxwise.boxes import Boxes, iou
from boxwise.data.formats.base import Dataset
from boxwise.data.formats.voc import Voc
from boxwise.data.images import write_image
from boxwise.records import ImageRecord, Split

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SHARES = {Split.TRAIN: 0.6, Split.VAL: 0.15, Split.TEST: 0.25}
_TAIL = 0.87  # each class is so much rarer than the one before it
_MARGIN = 16  # pixels of background beyond each edge, for the camera to drift over
_FILMED = 0.15  # share of the training runs that are film; the others are single scenes
_INK = 80  # mask value, of 255, from which a pixel belongs to a digit's box

Pixels = NDArray[np.float32]
Ink = NDArray[np.uint8]


@dataclass
class _Digit:
    """A digit in a run of frames: its mask [h, w] and colour stay, its top left corner (x, y) moves by `step` a frame."""

    label: int
    mask: Ink
    color: Pixels
    corner: NDArray[np.float64]
    step: NDArray[np.float64]

    def box(self) -> Pixels:
        x, y = np.rint(self.corner)
        return np.array([x, y, x + self.mask.shape[1], y + self.mask.shape[0]], np.float32)


def make_digits(folder: Path | str, *, seed: int, images: int = 400, imgsz: int = 96) -> Dataset:
    """Compose `images` scenes of imgsz x imgsz pixels as PNG and write them, labelled, as a VOC data set at `folder`.

    Ten classes with a long tail, digits of 10 to 32 pixels (at 96) in varying contrast, colour and overlap, textured backgrounds with
    strokes and torn digits that are no objects, some scenes empty. Most of the training split comes as video does, in runs of 3 to 12
    nearly equal frames; val and test are single scenes, so that their AP is worth the more. No handwritten sample serves two splits.
    """
    folder, rng = Path(folder), np.random.default_rng(seed)
    samples = _samples(rng)
    records: list[ImageRecord] = []
    labels: dict[str, Boxes] = {}
    with ThreadPoolExecutor(8) as writers:
        written = []
        for run, (split, length) in enumerate(_runs(images, rng)):
            for frame, (pixels, boxes) in enumerate(_film(samples[split], length, imgsz, rng)):
                name = f"scene_{run:04d}_{frame:02d}.png"
                path = folder / "JPEGImages" / name
                written.append(writers.submit(write_image, pixels, path))
                records.append(ImageRecord(name, str(path), imgsz, imgsz, split))
                labels[name] = boxes
        for file in written:
            file.result()
    dataset = Dataset(CLASSES, tuple(records), labels)
    Voc().write(dataset, folder)
    return dataset


def _samples(rng: Generator) -> dict[Split, list[list[Ink]]]:
    """Split → class → the 8 x 8 handwritten samples it may use."""
    from sklearn.datasets import load_digits  # slow to import, and only this needs it

    images, targets = load_digits(return_X_y=True)
    ink = np.rint(images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    found: dict[Split, list[list[Ink]]] = {split: [] for split in Split}
    for label in range(len(CLASSES)):
        rows = rng.permutation(np.flatnonzero(targets == label))
        ends = np.rint(np.cumsum(list(SHARES.values())) * len(rows)).astype(int)
        for split, part in zip(SHARES, np.split(rows, ends[:-1]), strict=True):
            found[split].append([ink[row] for row in part])
    return found


def _runs(images: int, rng: Generator) -> list[tuple[Split, int]]:
    """Split and number of frames of each run, shuffled; the frames are `images` in all."""
    ends = np.rint(np.cumsum([0, *SHARES.values()]) * images).astype(int)
    runs: list[tuple[Split, int]] = []
    for split, left in zip(SHARES, np.diff(ends).tolist(), strict=True):
        while left > 0:
            filmed = split is Split.TRAIN and rng.random() < _FILMED
            length = min(int(rng.integers(3, 13)), left) if filmed else 1
            runs.append((split, length))
            left -= length
    return [runs[row] for row in rng.permutation(len(runs))]


def _film(samples: list[list[Ink]], length: int, imgsz: int, rng: Generator) -> list[tuple[NDArray[np.uint8], Boxes]]:
    """The frames of one run and their labels: one background that drifts, digits that move, light that flickers."""
    tone = rng.uniform(40, 170)
    canvas = _background(samples, tone, imgsz, rng)
    digits = _digits(samples, tone, imgsz, rng)
    camera, drift = np.full(2, _MARGIN, np.float64), rng.normal(0, 0.8, 2)
    frames = []
    for _ in range(length):
        x, y = np.clip(np.rint(camera), 0, 2 * _MARGIN).astype(int)
        frame = canvas[y : y + imgsz, x : x + imgsz].copy()
        for digit in digits:
            _blend(frame, digit.mask, digit.color, digit.corner)
        lit = frame * rng.normal(1, 0.02) + 4 * rng.standard_normal(frame.shape, np.float32)
        xyxy = np.array([digit.box() for digit in digits], np.float32).reshape(-1, 4)
        boxes = Boxes(xyxy, np.array([digit.label for digit in digits], np.int64), difficult=np.zeros(len(digits), bool))
        frames.append((np.clip(np.rint(lit), 0, 255).astype(np.uint8), boxes))
        camera += drift
        for digit in digits:
            _move(digit, imgsz)
    return frames


def _background(samples: list[list[Ink]], tone: float, imgsz: int, rng: Generator) -> Pixels:
    """Float32 [H, W, 3]: cloudy texture around `tone`, with strokes and torn digits as clutter in some of the runs."""
    side = imgsz + 2 * _MARGIN
    cells = int(rng.integers(3, 10))
    coarse = tone + rng.normal(0, rng.uniform(3, 14), (cells, cells, 3)) + rng.normal(0, 8, 3)
    texture = Image.fromarray(np.clip(coarse, 0, 255).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    if rng.random() < 0.4:
        for _ in range(int(rng.integers(1, 5))):
            ends = rng.uniform(0, side, 4).tolist()
            ImageDraw.Draw(texture).line(ends, fill=_rgb(_color(tone, rng)), width=int(rng.integers(1, 4)))
    canvas = np.array(texture, np.float32)
    for _ in range(int(rng.choice(3, p=(0.7, 0.2, 0.1)))):
        mask = _torn(_mask(_draw(samples, rng)[1], imgsz, rng), rng)
        _blend(canvas, mask, _color(tone, rng), rng.uniform(0, side - max(mask.shape), 2))
    return canvas


def _digits(samples: list[list[Ink]], tone: float, imgsz: int, rng: Generator) -> list[_Digit]:
    """The objects of a run, none in an eighth of the runs, else up to seven that hardly overlap at first.

    Largest first, as they are painted, so that none is hidden by a larger one that it meets.
    """
    wanted = 0 if rng.random() < 0.12 else int(rng.integers(2, 8))
    digits: list[_Digit] = []
    for _ in range(wanted):
        label, ink = _draw(samples, rng)
        mask = _mask(ink, imgsz, rng)
        room = np.array([imgsz - mask.shape[1], imgsz - mask.shape[0]], np.float64)
        digit = _Digit(label, mask, _color(tone, rng), rng.uniform(0, room), rng.normal(0, 1.0, 2))
        others = np.array([other.box() for other in digits], np.float32).reshape(-1, 4)
        if iou(digit.box()[None], others).max(initial=0) < 0.1:
            digits.append(digit)
    return sorted(digits, key=lambda digit: -digit.mask.size)


def _draw(samples: list[list[Ink]], rng: Generator) -> tuple[int, Ink]:
    weights = _TAIL ** np.arange(len(samples))
    label = int(rng.choice(len(samples), p=weights / weights.sum()))
    return label, samples[label][int(rng.integers(len(samples[label])))]


def _mask(ink: Ink, imgsz: int, rng: Generator) -> Ink:
    """The sample enlarged to 10 to 32 pixels at 96, turned a little and cut to its ink; uint8 [h, w]."""
    height = (10 + 22 * rng.beta(2.5, 1)) * imgsz / 96
    size = (max(4, round(height * rng.uniform(0.8, 1.1))), max(4, round(height)))
    large = Image.fromarray(ink).resize(size, Image.Resampling.BICUBIC)
    return _cut(np.array(large.rotate(rng.normal(0, 4), Image.Resampling.BILINEAR, expand=True)))


def _cut(mask: Ink) -> Ink:
    rows, columns = np.flatnonzero((mask > _INK).any(1)), np.flatnonzero((mask > _INK).any(0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _torn(mask: Ink, rng: Generator) -> Ink:
    """The mask's quarters in another order: strokes like a digit's that make none."""
    height, width = mask.shape[0] // 2, mask.shape[1] // 2
    quarters = [mask[y : y + height, x : x + width] for y in (0, height) for x in (0, width)]
    a, b, c, d = (quarters[i] for i in np.roll(np.arange(4), int(rng.integers(1, 4))))
    return np.block([[a, b], [c, d]])


def _color(tone: float, rng: Generator) -> Pixels:
    """Lighter or darker than `tone` by 60 to 150 grey levels, slightly tinted; float32 [3]."""
    light = rng.random() < (0.9 if tone < 128 else 0.1)
    value = tone + (1 if light else -1) * rng.uniform(60, 150) + rng.normal(0, 10, 3)
    return np.clip(value, 0, 255).astype(np.float32)


def _rgb(color: Pixels) -> tuple[int, int, int]:
    red, green, blue = color.astype(int).tolist()
    return red, green, blue


def _blend(frame: Pixels, mask: Ink, color: Pixels, corner: NDArray[np.float64]) -> None:
    """Lay `color` over the frame, in place, as opaque as the mask is."""
    x, y = np.rint(corner).astype(int)
    area = frame[y : y + mask.shape[0], x : x + mask.shape[1]]
    area += (mask[:, :, None] / np.float32(255)) * (color - area)


def _move(digit: _Digit, imgsz: int) -> None:
    """One frame further; a digit turns back at the edge, so that it is always seen whole."""
    room = np.array([imgsz - digit.mask.shape[1], imgsz - digit.mask.shape[0]], np.float64)
    moved = digit.corner + digit.step
    digit.step = np.where((moved < 0) | (moved > room), -digit.step, digit.step)
    digit.corner = np.clip(moved, 0, room)
