"""Views of a batch for looking twice: mirrored, cut out, made smaller, rotated; and where boxes of the image come to lie in them.

Returns batches of the same size. What a view changes in an image depends on that image alone, never on its batch companions.
Knows nothing of detectors or of what two looks are compared for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from zlib import crc32

import numpy as np
import torch
from numpy.random import Generator, default_rng
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from boxwise.boxes import Boxes, FloatArray, area, flip_horizontal
from boxwise.detectors.augmentation import MEAN_COLOUR
from boxwise.detectors.base import ImageBatch
from boxwise.detectors.loading import scaled
from boxwise.records import ImageRecord

CUTS, CUT_TRIES = 2, 50  # rectangles cut out of an image, and places tried for them
CUT_SIDES = (0.05, 0.2)  # least and most of the image's side that a cut takes
CUT_COVERS = (0.1, 0.4)  # least and most that the cut covers of the box it covers most of


class Transform(Protocol):
    """A view of an image.

    Detections on `apply(batch)` are in the pixels of the original image as the view shows it; `boxes` brings boxes there.
    """

    def apply(self, batch: ImageBatch, references: Sequence[Boxes]) -> ImageBatch:
        """The batch as the view shows it; `references`: what was detected on each of its images, in original pixels."""
        ...

    def boxes(self, xyxy: FloatArray, image: ImageRecord) -> FloatArray:
        """Where boxes of `image` lie in the view; float32 [N, 4], original pixels, inside the image."""
        ...


@dataclass(frozen=True)
class Flip:
    """Mirrored left to right."""

    def apply(self, batch: ImageBatch, references: Sequence[Boxes]) -> ImageBatch:
        return batch.flipped()

    def boxes(self, xyxy: FloatArray, image: ImageRecord) -> FloatArray:
        return flip_horizontal(xyxy, image.width)


@dataclass(frozen=True)
class CutOut:
    """Two random rectangles painted over, each with sides of 5 to 20% of the image's.

    As in CALD each covers between 10 and 40% of the reference box that it covers most of: one that hits no box would test nothing, one
    that hides a box would ask for what is not there. After 50 tries there may be fewer than two. The draws come from the image's id.
    """

    def apply(self, batch: ImageBatch, references: Sequence[Boxes]) -> ImageBatch:
        pixels = batch.pixels.clone()
        for image, record, (height, width), boxes in zip(pixels, batch.records, batch.valid.tolist(), references, strict=True):
            scale = np.array([width / record.width, height / record.height] * 2, np.float32)
            for x1, y1, x2, y2 in cuts(boxes.xyxy * scale, width, height, default_rng(crc32(record.image_id.encode()))):
                image[:, y1:y2, x1:x2] = _colour(image)
        return replace(batch, pixels=pixels)

    def boxes(self, xyxy: FloatArray, image: ImageRecord) -> FloatArray:
        return xyxy.copy()


def cuts(xyxy: FloatArray, width: int, height: int, rng: Generator) -> list[tuple[int, int, int, int]]:
    """At most two rectangles of whole pixels in an image with boxes xyxy [N, 4]; none without boxes."""
    found: list[tuple[int, int, int, int]] = []
    for across, down, left, top in rng.random((CUT_TRIES, 4)).tolist() if len(xyxy) else []:
        cut_width, cut_height = (
            side * (CUT_SIDES[0] + share * (CUT_SIDES[1] - CUT_SIDES[0])) for side, share in ((width, across), (height, down))
        )
        x1, y1 = left * (width - cut_width), top * (height - cut_height)
        cut = (int(x1), int(y1), int(x1 + cut_width), int(y1 + cut_height))
        if CUT_COVERS[0] <= _covered(xyxy, cut).max() <= CUT_COVERS[1]:
            found.append(cut)
        if len(found) == CUTS:
            break
    return found


def _covered(xyxy: FloatArray, cut: tuple[int, int, int, int]) -> FloatArray:
    """Share of each box that lies under the cut."""
    sides = np.minimum(xyxy[:, 2:], cut[2:]) - np.maximum(xyxy[:, :2], cut[:2])
    return np.clip(sides, 0, None).prod(axis=1) / np.maximum(area(xyxy), 1e-6)


@dataclass(frozen=True)
class Shrunk:
    """`factor` times as large, in the top left corner of the input; the rest is filled with ImageNet's mean colour.

    `valid` shrinks along, so that detections come back in the pixels of the original image and boxes stay where they are.
    """

    factor: float = 0.8

    def apply(self, batch: ImageBatch, references: Sequence[Boxes]) -> ImageBatch:
        valid = (batch.valid * self.factor).round().long().clamp(min=1)
        pixels = torch.empty_like(batch.pixels)
        for image, small, (height, width), (new_height, new_width) in zip(
            batch.pixels, pixels, batch.valid.tolist(), valid.tolist(), strict=True
        ):
            small[:] = _colour(image)
            small[:, :new_height, :new_width] = scaled(image[:, :height, :width], (new_height, new_width))
        return ImageBatch(batch.records, pixels, valid)

    def boxes(self, xyxy: FloatArray, image: ImageRecord) -> FloatArray:
        return xyxy.copy()


@dataclass(frozen=True)
class Rotated:
    """Turned about its centre, in the original image's geometry, and then squeezed until its corners fit in again.

    A box becomes the upright box around the turned one, as in CALD. `degrees`: clockwise as seen.
    """

    degrees: float = 5.0

    def apply(self, batch: ImageBatch, references: Sequence[Boxes]) -> ImageBatch:
        pixels = batch.pixels.clone()
        for image, record, (height, width) in zip(pixels, batch.records, batch.valid.tolist(), strict=True):
            half = np.array([record.width, record.height]) / 2
            to_source = np.linalg.inv(self._matrix(record)) * half[None, :] / half[:, None]  # between coordinates from -1 to 1
            image[:, :height, :width] = _warped(image[:, :height, :width], to_source)
        return replace(batch, pixels=pixels)

    def boxes(self, xyxy: FloatArray, image: ImageRecord) -> FloatArray:
        center = np.array([image.width, image.height]) / 2
        corners = xyxy[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]  # [N, 4 corners, x and y]
        turned = (corners - center) @ self._matrix(image).T + center
        hull = np.concatenate([turned.min(axis=1), turned.max(axis=1)], axis=1)
        return np.clip(hull, 0, [image.width, image.height] * 2).astype(np.float32)

    def _matrix(self, image: ImageRecord) -> np.ndarray:
        """[2, 2]: from a point of the image to where the view shows it, both relative to the centre, in original pixels."""
        cos, sin = math.cos(math.radians(self.degrees)), math.sin(math.radians(self.degrees))
        size = np.array([image.width, image.height])
        needed = np.abs([[cos, sin], [sin, cos]]) @ size
        return (size / needed)[:, None] * np.array([[cos, -sin], [sin, cos]])


def _warped(image: Tensor, to_source: np.ndarray) -> Tensor:
    """uint8 [3, H, W] in which each point shows what the image has at `to_source` [2, 2] of it; coordinates from -1 to 1."""
    theta = torch.from_numpy(np.concatenate([to_source, np.zeros((2, 1))], axis=1)).float()[None]
    grid = affine_grid(theta, [1, *image.shape], align_corners=False).to(image.device)
    colour = _colour(image).float()
    sampled = grid_sample((image.float() - colour)[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0] + colour
    return sampled.round().clamp(0, 255).to(image.dtype)


def _colour(image: Tensor) -> Tensor:
    """What is painted where nothing is known: black, as CALD paints, is itself an object's edge to a network."""
    return torch.tensor(MEAN_COLOUR, dtype=image.dtype, device=image.device)[:, None, None]
