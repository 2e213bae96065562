"""Boxes of one image as columns, and their geometry.

Everything is numpy: xyxy float32 in pixels of the original image, x right, y down, x2 and y2 exclusive edges.
Knows nothing of images, files, detectors or torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Boxes:
    """N boxes of one image, one row each. Optional columns are None where they were not filled.

    xyxy: float32 [N, 4], pixels of the original image.
    labels: int64 [N], index into the data set's class names, 0-based, without background.
    scores: float32 [N] in [0, 1], the largest foreground probability.
    probabilities: float32, classes in label order, so `probabilities[:, label]` is a class's: [N, C + 1] with **background last**, of a
    softmax family, or [N, C], independent chances of a sigmoid family.
    difficult, crowd: bool [N], VOC's `difficult` and COCO's `iscrowd`.
    ids: the annotation id each box had in its source file (int, str or None), length N.

    Raises ValueError when a column's length or shape disagrees with `xyxy`.
    """

    xyxy: FloatArray
    labels: NDArray[np.int64]
    scores: FloatArray | None = None
    probabilities: FloatArray | None = None
    difficult: NDArray[np.bool_] | None = None
    crowd: NDArray[np.bool_] | None = None
    ids: NDArray[np.object_] | None = None

    def __post_init__(self) -> None:
        self._cast("xyxy", np.float32, (-1, 4))
        self._cast("labels", np.int64, (-1,))
        for name, dtype in (("scores", np.float32), ("difficult", np.bool_), ("crowd", np.bool_), ("ids", object)):
            if getattr(self, name) is not None:
                self._cast(name, dtype, (-1,))
        if self.probabilities is not None:
            object.__setattr__(self, "probabilities", np.asarray(self.probabilities, np.float32))
        for field in fields(self):
            column = getattr(self, field.name)
            if column is not None and len(column) != len(self.xyxy):
                raise ValueError(f"Boxes.{field.name} has {len(column)} rows, expected {len(self.xyxy)} as in xyxy")

    def _cast(self, name: str, dtype: Any, shape: tuple[int, ...]) -> None:
        object.__setattr__(self, name, np.asarray(getattr(self, name), dtype).reshape(shape))

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, rows: ArrayLike | slice) -> Boxes:
        """The boxes at a boolean mask, index array or slice; a copy in every column."""
        index = rows if isinstance(rows, slice) else np.atleast_1d(np.asarray(rows))
        if not isinstance(index, slice) and index.size == 0:
            index = index.astype(np.int64)
        columns: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        kept: dict[str, Any] = {name: None if column is None else column[index].copy() for name, column in columns.items()}
        return Boxes(**kept)

    @property
    def skipped(self) -> NDArray[np.bool_]:
        """bool [N]: difficult or a crowd, so that VOC's rule neither expects it to be found nor counts it wrong when it is."""
        skipped = np.zeros(len(self), np.bool_)
        for column in (self.difficult, self.crowd):
            skipped |= False if column is None else column
        return skipped

    @property
    def repeats_region(self) -> NDArray[np.bool_]:
        """bool [N]: a crowd where an earlier crowd lies. An ignored region is a crowd of every class, drawn by one act."""
        repeats = np.zeros(len(self), np.bool_)
        seen: set[bytes] = set()
        for row in [] if self.crowd is None else np.flatnonzero(self.crowd):
            place = self.xyxy[row].tobytes()
            repeats[row] = place in seen
            seen.add(place)
        return repeats

    @property
    def drawn(self) -> int:
        """How many acts of drawing the boxes stand for: one each, but one for all the crowds of a region."""
        return len(self) - int(self.repeats_region.sum())

    def at_least(self, score: float) -> Boxes:
        """The boxes of that score or more; all of them where there are no scores."""
        return self if self.scores is None else self[self.scores >= np.float32(score)]

    def equals(self, other: Boxes) -> bool:
        """Same columns with the same values, bit for bit."""
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if (mine is None) != (theirs is None) or (mine is not None and not np.array_equal(mine, theirs)):
                return False
        return True

    @staticmethod
    def empty(class_count: int | None = None) -> Boxes:
        """No boxes; with `class_count` also empty `scores` and `probabilities`, as a detector returns them."""
        none = np.zeros(0, np.float32)
        if class_count is None:
            return Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
        return Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), none, np.zeros((0, class_count + 1), np.float32))

    @staticmethod
    def concatenate(parts: Iterable[Boxes]) -> Boxes:
        """The rows of all parts in order; an optional column survives only if every part has it."""
        parts = list(parts)
        if not parts:
            return Boxes.empty()
        columns: dict[str, Any] = {}
        for field in fields(Boxes):
            values = [getattr(part, field.name) for part in parts]
            columns[field.name] = None if any(v is None for v in values) else np.concatenate(values)
        return Boxes(**columns)


def no_boxes() -> FloatArray:
    """xyxy of no boxes; float32 [0, 4]."""
    return np.zeros((0, 4), np.float32)


def area(xyxy: FloatArray) -> FloatArray:
    """Box areas in square pixels; float32 [N] from xyxy [N, 4]."""
    return (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1])


def iou(a: FloatArray, b: FloatArray) -> FloatArray:
    """Intersection over union of every pair; float32 [N, M] from xyxy [N, 4] and [M, 4]. Empty boxes overlap nothing."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(bottom_right - top_left, 0, None).prod(axis=2)
    union = area(a)[:, None] + area(b)[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def flip_horizontal(xyxy: FloatArray, width: float) -> FloatArray:
    """Boxes mirrored left to right in an image `width` pixels wide; float32 [N, 4]."""
    flipped = xyxy.copy()
    flipped[:, 0], flipped[:, 2] = width - xyxy[:, 2], width - xyxy[:, 0]
    return flipped
