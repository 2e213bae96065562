"""The labels of one image as a label file states them, before they are checked.

Knows nothing of any label format, and of no image but its size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boxwise.records import ImageRecord


@dataclass(frozen=True)
class Reading:
    """The labels of one image as `path` states them, unchecked.

    names: class name of each box. xyxy: float64 [N, 4] in pixels or, where `relative`, over the image's width and height. columns: further
    columns of Boxes, N values each. subject: the image, to be named in messages where `path` is a file of many images.
    shapes: kind → how many of the boxes stand for another shape. missing: kind → how many objects are marked by what has no extent, such
    as a line, and so have no box. partly: the file says that objects are missing. implied: nobody has said that there is no object,
    the convention of the format alone does. ignored: float64 [M, 4] like `xyxy`, regions marked as ignored, of no class.
    before: `xyxy` as it was before boxes were turned, where some may have been.
    """

    path: Path
    names: Sequence[str]
    xyxy: NDArray[np.float64]
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    subject: str = ""
    relative: bool = False
    shapes: Mapping[str, int] = field(default_factory=dict)
    implied: bool = False
    missing: Mapping[str, int] = field(default_factory=dict)
    ignored: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))
    partly: bool = False
    before: NDArray[np.float64] | None = None

    @property
    def incomplete(self) -> bool:
        """Whether objects are known to be missing."""
        return self.partly or bool(self.missing)

    @property
    def unlabelled(self) -> bool:
        """Whether nothing is left that a label would say: objects are missing, and none has a box."""
        return self.incomplete and not len(self.names)


def empty_by_convention(path: Path) -> Reading:
    """The reading of an image without labels where the format takes that for an image without objects."""
    return Reading(path, (), np.zeros((0, 4)), implied=True)


def clipped(xyxy: NDArray[np.float64], record: ImageRecord) -> NDArray[np.float32]:
    """The part of boxes that lies in the image; float32 [N, 4]."""
    size = np.array([record.width, record.height, record.width, record.height], np.float64)
    return np.clip(xyxy, 0, size).astype(np.float32)
