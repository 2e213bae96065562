"""Pictures for the report: small JPEGs as data URIs, and boxes as outlines to lay over them.

Returns plain values for a template. An image that cannot be read gives no picture and no error: one bad image never ends a report.
Knows nothing of rounds, scores or HTML.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from boxwise.boxes import Boxes
from boxwise.data.addresses import Address
from boxwise.data.images import read_image
from boxwise.errors import ImageError
from boxwise.report.charts import BY_MODEL, BY_PERSON

THUMBNAIL = 160
MOST_BOXES = 80


@dataclass(frozen=True)
class Outline:
    """One box in pixels of its thumbnail. dashed: it is the model's, no person answered for it."""

    x: float
    y: float
    width: float
    height: float
    color: str
    name: str
    dashed: bool = False


@dataclass(frozen=True)
class Thumbnail:
    """A small picture and its boxes. hidden: boxes left out beyond the `MOST_BOXES` largest."""

    uri: str
    width: int
    height: int
    outlines: tuple[Outline, ...] = ()
    hidden: int = 0


def thumbnail(
    uri: Address,
    boxes: Boxes | None,
    *,
    classes: Sequence[str],
    colors: Sequence[str],
    by_model: NDArray[np.bool_] | None = None,
    colored_by: Literal["class", "source"] = "class",
) -> Thumbnail | None:
    """The image at most `THUMBNAIL` pixels a side with its boxes (pixels of the original); None when it cannot be read.

    by_model: bool [N], which boxes are the model's and so dashed; None: not shown. colored_by: `colors` of the classes, or the source
    where `by_model` tells it.
    """
    try:
        image = Image.fromarray(read_image(uri))
    except ImageError:
        return None
    scale = min(1.0, THUMBNAIL / max(image.size))
    small = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BOX)
    boxes = Boxes.empty() if boxes is None else boxes
    outlines = _outlines(boxes, scale, classes=classes, colors=colors)
    if by_model is not None:
        outlines = tuple(_sourced(box, by_model[row], colored_by) for box, row in zip(outlines, _largest(boxes), strict=True))
    return Thumbnail(_jpeg(small, quality=68), *small.size, outlines, max(0, len(boxes) - MOST_BOXES))


def picture(uri: Address, *, widest: int = 900) -> Thumbnail | None:
    """A whole sheet at most `widest` pixels a side, without boxes; None when it cannot be read."""
    try:
        image = Image.fromarray(read_image(uri))
    except ImageError:
        return None
    image.thumbnail((widest, widest))
    return Thumbnail(_jpeg(image, quality=80), *image.size)


def _outlines(boxes: Boxes, scale: float, *, classes: Sequence[str], colors: Sequence[str]) -> tuple[Outline, ...]:
    scaled = zip((boxes.xyxy * scale).tolist(), boxes.labels.tolist(), strict=True)
    named = [Outline(x1, y1, x2 - x1, y2 - y1, colors[label], classes[label]) for (x1, y1, x2, y2), label in scaled]
    return tuple(named[index] for index in _largest(boxes))


def _largest(boxes: Boxes) -> NDArray[np.int64]:
    """Rows of the boxes that are drawn, largest first, so that small ones lie on top."""
    sides = boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]
    return np.argsort(-sides.prod(axis=1), kind="stable")[:MOST_BOXES]


def _sourced(outline: Outline, by_model: bool, colored_by: str) -> Outline:
    """The outline marked with who the box is from."""
    color = (BY_MODEL if by_model else BY_PERSON) if colored_by == "source" else outline.color
    return replace(outline, color=color, name=f"{outline.name}, by {'the model' if by_model else 'a person'}", dashed=bool(by_model))


def _jpeg(image: Image.Image, *, quality: int) -> str:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
