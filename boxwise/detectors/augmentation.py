"""Training augmentation: geometry is decided on the boxes first, then the pixels are sampled once.

Returns an image at input size with its boxes in the new pixels. All draws come from the numpy generator it is given.
Knows nothing of files, networks or targets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional

from boxwise.boxes import Boxes, FloatArray, flip_horizontal, iou
from boxwise.detectors.input import InputSpec
from boxwise.detectors.loading import resized, scaled

Augment = Literal["scale", "mosaic", "ssd", "flip", "none"]
BoolArray = NDArray[np.bool_]

MEAN_COLOUR = (123, 117, 104)  # ImageNet's mean, what the SSD paper fills a zoomed-out canvas with
_MAX_ZOOM = 4.0
_SCALES, _TILE_SCALES = (0.6, 1.4), (0.5, 1.2)
_BRIGHTNESS, _SATURATION, _HUE = 0.4, 0.7, 0.05  # most relative change; of the hue, share of the circle
_MIN_OVERLAPS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, None)  # None: the whole image
_TRIALS = 40
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])  # NTSC
_FROM_YIQ = np.linalg.inv(_TO_YIQ)
NO_OBJECT = -1  # label of a box that moves with the image but attracts no crop


@dataclass(frozen=True)
class Rectangle:
    """Whole pixels of a source image, possibly reaching outside it: left and top inside, right and bottom one past."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    def intersection(self, other: Rectangle) -> Rectangle:
        return Rectangle(max(self.left, other.left), max(self.top, other.top), min(self.right, other.right), min(self.bottom, other.bottom))


def augment(pixels: Tensor, boxes: Boxes, *, spec: InputSpec, augment: Augment, rng: Generator) -> tuple[Tensor, Boxes, tuple[int, int]]:
    """One random variant of an image: (uint8 [3, h, w], boxes in its pixels, (h, w)).

    pixels: uint8 [3, H, W]; boxes: in those pixels. "scale", and "mosaic" of a single image: .6 to 1.4 times as large at a random place,
    with changed brightness, saturation and hue, and flip. "ssd" is the recipe of Liu et al. (SSD, ECCV 2016): photometric distortion,
    zoom-out, a crop with a least overlap, flip; networks that do not stretch images are spared zoom and crop. Boxes whose centre left the
    view, or thinner than one pixel, are dropped; of crowds what the view shows stays.
    """
    if augment in ("scale", "mosaic"):
        view = scaled_view(Rectangle(0, 0, pixels.shape[2], pixels.shape[1]), spec, rng)
        pixels, boxes = _seen_through(pixels, boxes, view, (spec.imgsz, spec.imgsz), fill=(spec.fill,) * 3)
        pixels = recoloured(pixels, rng)
    elif augment == "ssd" and spec.resize == "stretch":
        pixels, boxes = _zoomed_or_cropped(pixels, boxes, spec.imgsz, rng)
    else:
        pixels, boxes = _plain(pixels, boxes, spec)
        pixels = distorted(pixels, rng) if augment == "ssd" else pixels
    if augment != "none":
        pixels, boxes = _maybe_flipped(pixels, boxes, rng)
    return pixels, boxes, (pixels.shape[1], pixels.shape[2])


def mosaic(images: Sequence[tuple[Tensor, Boxes]], *, spec: InputSpec, rng: Generator) -> tuple[Tensor, Boxes, tuple[int, int]]:
    """Four images that meet at a random point of one canvas, each .5 to 1.2 times as large (YOLOv4, 2020); returns as `augment` does."""
    side = spec.imgsz
    across, down = (int(share * side) for share in rng.uniform(0.3, 0.7, 2))
    canvas, kept = torch.empty(3, side, side, dtype=torch.uint8), []
    for index, (pixels, boxes) in enumerate(images):
        left, top = (0, across)[index % 2], (0, down)[index // 2]
        width, height = (across, side - across)[index % 2], (down, side - down)[index // 2]
        view = _corner_view(Rectangle(0, 0, pixels.shape[2], pixels.shape[1]), (height, width), index, spec, rng)
        tile, found = _seen_through(pixels, boxes, view, (height, width), fill=(spec.fill,) * 3)
        canvas[:, top : top + height, left : left + width] = tile
        kept.append(replace(found, xyxy=found.xyxy + np.array([left, top] * 2, np.float32)))
    pixels, boxes = _maybe_flipped(recoloured(canvas, rng), Boxes.concatenate(kept), rng)
    return pixels, boxes, (side, side)


def scaled_view(image: Rectangle, spec: InputSpec, rng: Generator) -> Rectangle:
    """What a canvas shows of an image that lies .6 to 1.4 times as large as usual at a random place of it, in pixels of the image."""
    height, width = spec.size(image.height, image.width)
    scale = rng.uniform(*_SCALES)
    size = round(spec.imgsz * image.width / (width * scale)), round(spec.imgsz * image.height / (height * scale))
    left, top = (
        round(rng.uniform(min(0, length - visible), max(0, length - visible)))
        for length, visible in zip((image.width, image.height), size, strict=True)
    )
    return Rectangle(left, top, left + max(1, size[0]), top + max(1, size[1]))


def _corner_view(image: Rectangle, tile: tuple[int, int], index: int, spec: InputSpec, rng: Generator) -> Rectangle:
    """What tile `index` of a mosaic shows of an image whose corner lies at the point where the four meet."""
    height, width = spec.size(image.height, image.width)
    scale = rng.uniform(*_TILE_SCALES)
    across, down = max(1, round(tile[1] * image.width / (width * scale))), max(1, round(tile[0] * image.height / (height * scale)))
    left, top = (0 if index % 2 else image.width - across), (0 if index // 2 else image.height - down)
    return Rectangle(left, top, left + across, top + down)


def _maybe_flipped(pixels: Tensor, boxes: Boxes, rng: Generator) -> tuple[Tensor, Boxes]:
    if rng.random() >= 0.5:
        return pixels, boxes
    return pixels.flip(-1), replace(boxes, xyxy=flip_horizontal(boxes.xyxy, pixels.shape[2]))


def _plain(pixels: Tensor, boxes: Boxes, spec: InputSpec) -> tuple[Tensor, Boxes]:
    sampled = resized(pixels, spec)
    scale = np.array([sampled.shape[2] / pixels.shape[2], sampled.shape[1] / pixels.shape[1]] * 2, np.float32)
    return sampled, replace(boxes, xyxy=boxes.xyxy * scale)


def _zoomed_or_cropped(pixels: Tensor, boxes: Boxes, imgsz: int, rng: Generator) -> tuple[Tensor, Boxes]:
    image = Rectangle(0, 0, pixels.shape[2], pixels.shape[1])
    view = crop_with_overlap(zoom_out(image, rng), boxes.xyxy[boxes.labels != NO_OBJECT], rng)
    return _seen_through(pixels, boxes, view, (imgsz, imgsz), fill=MEAN_COLOUR, colour=lambda piece: distorted(piece, rng))


def _seen_through(
    pixels: Tensor,
    boxes: Boxes,
    view: Rectangle,
    size: tuple[int, int],
    *,
    fill: Sequence[int],
    colour: Callable[[Tensor], Tensor] = lambda piece: piece,
) -> tuple[Tensor, Boxes]:
    """The picture of `view`, which may reach beyond the image, in `size` (height, width) pixels, and the boxes that it shows."""
    part = view.intersection(Rectangle(0, 0, pixels.shape[2], pixels.shape[1]))
    place = _place(part, view, size)
    piece = scaled(pixels[:, part.top : part.bottom, part.left : part.right], (place.height, place.width))
    canvas = torch.tensor(fill, dtype=torch.uint8)[:, None, None].repeat(1, *size)
    canvas[:, place.top : place.bottom, place.left : place.right] = colour(piece)
    seen = centres_inside(boxes.xyxy, view)
    return canvas, moved(boxes[seen if boxes.crowd is None else seen | boxes.crowd], part, place)


def zoom_out(image: Rectangle, rng: Generator) -> Rectangle:
    """Half the time a canvas 1 to 4 times as wide and high that has the image somewhere inside; else the image itself."""
    if rng.random() >= 0.5:
        return image
    ratio = rng.uniform(1, _MAX_ZOOM)
    width, height = int(image.width * ratio), int(image.height * ratio)
    left, top = -int((width - image.width) * rng.random()), -int((height - image.height) * rng.random())
    return Rectangle(left, top, left + width, top + height)


def crop_with_overlap(canvas: Rectangle, xyxy: FloatArray, rng: Generator) -> Rectangle:
    """A crop of the canvas in which some box, centred inside, overlaps the crop by at least a drawn IoU; or the canvas.

    Scales .3 to 1 a side and aspect ratios .5 to 2, as in the SSD paper. Without boxes, the canvas.
    """
    while len(xyxy):
        least = _MIN_OVERLAPS[rng.integers(len(_MIN_OVERLAPS))]
        if least is None:
            break
        crops = _candidate_crops(canvas, rng)
        overlaps = np.where(_centred(xyxy, crops), iou(crops, xyxy), -1).max(axis=1, initial=-1)
        good = np.flatnonzero(overlaps >= least)
        if len(good):
            return Rectangle(*(int(edge) for edge in crops[good[0]]))
    return canvas


def _candidate_crops(canvas: Rectangle, rng: Generator) -> FloatArray:
    """Up to _TRIALS crops of the canvas in whole pixels; float32 [N, 4]."""
    side, corner = rng.uniform(0.3, 1, (_TRIALS, 2)), rng.random((_TRIALS, 2))
    whole = np.array([canvas.width, canvas.height])
    size = (whole * side).astype(np.int64)
    start = ((whole - size) * corner).astype(np.int64) + np.array([canvas.left, canvas.top])
    solid = (size > 0).all(axis=1)
    aspect = size[:, 0] / np.maximum(size[:, 1], 1)
    return np.hstack([start, start + size])[solid & (aspect >= 0.5) & (aspect <= 2)].astype(np.float32)


def _centred(xyxy: FloatArray, crops: FloatArray) -> BoolArray:
    """Whether each crop holds each box's centre; bool [crops, boxes]."""
    centre = (xyxy[:, :2] + xyxy[:, 2:]) / 2
    inside: BoolArray = np.all((crops[:, None, :2] < centre) & (centre < crops[:, None, 2:]), axis=2)
    return inside


def centres_inside(xyxy: FloatArray, view: Rectangle) -> BoolArray:
    """Which boxes have their centre inside `view`; bool [N]."""
    return _centred(xyxy, np.array([[view.left, view.top, view.right, view.bottom]], np.float32))[0]


def _place(part: Rectangle, view: Rectangle, size: tuple[int, int]) -> Rectangle:
    """Where `part` of the source lies in the picture of `view` in `size` (height, width) pixels, in whole ones, at least one."""
    left, right = _span(part.left - view.left, part.right - view.left, size[1] / view.width, size[1])
    top, bottom = _span(part.top - view.top, part.bottom - view.top, size[0] / view.height, size[0])
    return Rectangle(left, top, right, bottom)


def _span(start: int, end: int, scale: float, limit: int) -> tuple[int, int]:
    first = min(round(start * scale), limit - 1)
    return first, min(max(round(end * scale), first + 1), limit)


def moved(boxes: Boxes, part: Rectangle, place: Rectangle) -> Boxes:
    """Boxes carried along as source pixels `part` become `place`, clipped to it; those thinner than a pixel are dropped."""
    scale = np.array([place.width / part.width, place.height / part.height] * 2, np.float32)
    xyxy = (boxes.xyxy - np.array([part.left, part.top] * 2, np.float32)) * scale + np.array([place.left, place.top] * 2, np.float32)
    xyxy = np.clip(xyxy, [place.left, place.top] * 2, [place.right, place.bottom] * 2).astype(np.float32)
    return replace(boxes, xyxy=xyxy)[((xyxy[:, 2:] - xyxy[:, :2]) >= 1).all(axis=1)]


def distorted(pixels: Tensor, rng: Generator) -> Tensor:
    """Brightness, contrast, saturation, hue and channel order, each changed half the time; uint8 [3, H, W].

    Ranges and order as torchvision's RandomPhotometricDistort.
    """
    apply, early = rng.random(5) < 0.5, rng.random() < 0.5
    brightness, contrast, saturation = rng.uniform(0.875, 1.125), rng.uniform(0.5, 1.5), rng.uniform(0.5, 1.5)
    hue, order = rng.uniform(-0.05, 0.05), rng.permutation(3)
    if apply[0]:
        pixels = functional.adjust_brightness(pixels, brightness)
    if apply[1] and early:
        pixels = functional.adjust_contrast(pixels, contrast)
    if apply[2]:
        pixels = functional.adjust_saturation(pixels, saturation)
    if apply[3]:
        pixels = functional.adjust_hue(pixels, hue)
    if apply[1] and not early:
        pixels = functional.adjust_contrast(pixels, contrast)
    return pixels[order.tolist()] if apply[4] else pixels


def recoloured(pixels: Tensor, rng: Generator) -> Tensor:
    """Brightness, saturation and hue changed at once, by one matrix over the channels; uint8 [3, H, W].

    Hue turns in the plane of equal luma (YIQ), so that grey stays grey; about YOLOX's ranges of hue, saturation and value.
    """
    brightness, saturation = 1 + _BRIGHTNESS * rng.uniform(-1, 1), 1 + _SATURATION * rng.uniform(-1, 1)
    turn = 2 * math.pi * _HUE * rng.uniform(-1, 1)
    chroma = saturation * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    change = np.eye(3)
    change[1:, 1:] = chroma
    matrix = torch.from_numpy(brightness * (_FROM_YIQ @ change @ _TO_YIQ)).float()
    return (matrix @ pixels.flatten(1).float()).round_().clamp_(0, 255).to(torch.uint8).view(pixels.shape)
