"""Pictures for the report: small JPEGs as data URIs, and boxes as outlines to lay over them.

Returns plain values for a template. An image that cannot be read gives no picture and no error: one bad image never ends a report.
Knows nothing of rounds, scores or HTML.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from boxwise.boxes import Boxes
from boxwise.errors import ImageError
from boxwise.images import read_image

THUMBNAIL = 160
MOST_BOXES = 80


@dataclass(frozen=True)
class Outline:
    """One box in pixels of its thumbnail."""

    x: float
    y: float
    width: float
    height: float
    color: str
    name: str


@dataclass(frozen=True)
class Thumbnail:
    """A small picture and its boxes. hidden: boxes left out beyond the `MOST_BOXES` largest."""

    uri: str
    width: int
    height: int
    outlines: tuple[Outline, ...] = ()
    hidden: int = 0


def thumbnail(path: Path, boxes: Boxes | None, *, classes: Sequence[str], colors: Sequence[str]) -> Thumbnail | None:
    """The image at most `THUMBNAIL` pixels a side with its boxes (pixels of the original); None when it cannot be read."""
    try:
        image = Image.fromarray(read_image(path))
    except ImageError:
        return None
    scale = min(1.0, THUMBNAIL / max(image.size))
    small = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BOX)
    boxes = Boxes.empty() if boxes is None else boxes
    outlines = _outlines(boxes, scale, classes=classes, colors=colors)
    return Thumbnail(_jpeg(small, quality=68), *small.size, outlines, max(0, len(boxes) - MOST_BOXES))


def picture(path: Path, *, widest: int = 900) -> Thumbnail | None:
    """A whole sheet at most `widest` pixels a side, without boxes; None when it cannot be read."""
    try:
        image = Image.fromarray(read_image(path))
    except ImageError:
        return None
    image.thumbnail((widest, widest))
    return Thumbnail(_jpeg(image, quality=80), *image.size)


def _outlines(boxes: Boxes, scale: float, *, classes: Sequence[str], colors: Sequence[str]) -> tuple[Outline, ...]:
    sides = boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]
    largest = (-sides.prod(axis=1)).argsort(kind="stable")[:MOST_BOXES]  # largest first, so that small ones lie on top
    shown = zip((boxes.xyxy * scale).tolist(), boxes.labels.tolist(), strict=True)
    named = [Outline(x1, y1, x2 - x1, y2 - y1, colors[label], classes[label]) for (x1, y1, x2, y2), label in shown]
    return tuple(named[index] for index in largest)


def _jpeg(image: Image.Image, *, quality: int) -> str:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
