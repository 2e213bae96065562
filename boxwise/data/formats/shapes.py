"""The upright box around any other shape, and boxes on a picture that is turned.

Returns corners (x1, y1, x2, y2) in the units of what came in; NaN where a shape has no extent. Knows nothing of files and classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import cos, hypot, nan, radians, sin
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Corners = tuple[float, float, float, float]
NOWHERE: Corners = (nan, nan, nan, nan)


class Extent(NamedTuple):
    """The upright box around a shape. kind: what the shape is unless such a box. before: the corners of a turned box as it was before."""

    corners: Corners
    kind: str = ""
    before: Corners | None = None


def around_points(points: Any) -> Corners:
    """Around points, an iterable of (x, y)."""
    try:
        pairs = [(x, y) for x, y in points]
        xy = np.asarray([(float(x), float(y)) for x, y in pairs], np.float64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError):
        return NOWHERE
    if any(isinstance(value, bool) for pair in pairs for value in pair):
        return NOWHERE
    return _corners(*xy.min(axis=0), *xy.max(axis=0)) if len(xy) else NOWHERE


def around_ellipse(center: tuple[float, float], radii: tuple[float, float], degrees: float = 0.0) -> Corners:
    """Around an ellipse whose first radius is turned by `degrees`, clockwise as seen on the screen."""
    (x, y), (rx, ry), angle = center, radii, radians(degrees)
    half_width, half_height = hypot(rx * cos(angle), ry * sin(angle)), hypot(rx * sin(angle), ry * cos(angle))
    return x - half_width, y - half_height, x + half_width, y + half_height


def around_rotated(corners: Corners, degrees: float, pivot: tuple[float, float]) -> Corners:
    """Around a rectangle turned by `degrees` about `pivot`, clockwise as seen on the screen."""
    x1, y1, x2, y2 = corners
    (px, py), angle = pivot, radians(degrees)
    turned_points = [
        (px + (x - px) * cos(angle) - (y - py) * sin(angle), py + (x - px) * sin(angle) + (y - py) * cos(angle))
        for x in (x1, x2)
        for y in (y1, y2)
    ]
    return around_points(turned_points)


def turned_box(corners: Corners, degrees: float) -> Extent:
    """Around a box turned by `degrees` about its centre; the box itself where that turns nothing."""
    if degrees % 360 == 0:
        return Extent(corners)
    return Extent(around_rotated(corners, degrees, centre_of(corners)), "rotated box", corners)


def unturned(extents: Sequence[Extent]) -> NDArray[np.float64] | None:
    """The corners of boxes before they were turned, of others as they are; float64 [N, 4]. None where none is turned."""
    if not any(extent.before for extent in extents):
        return None
    return np.array([extent.before or extent.corners for extent in extents], np.float64).reshape(-1, 4)


def centre_of(corners: Corners) -> tuple[float, float]:
    return (corners[0] + corners[2]) / 2, (corners[1] + corners[3]) / 2


def around_runs(counts: Sequence[int], height: int) -> Corners:
    """Around a mask as COCO run-length encodes it: pixels outside and inside by turns, column after column of `height` pixels."""
    if height < 1 or any(count < 0 for count in counts):
        return NOWHERE
    ends = np.cumsum([float(count) for count in counts])
    runs = [(start, end) for start, end in zip(ends[0::2], ends[1::2], strict=False) if end > start]
    if not runs:
        return NOWHERE
    columns = [(start // height, (end - 1) // height) for start, end in runs]
    rows = [
        (0, height) if first < last else (s % height, (e - 1) % height + 1) for (s, e), (first, last) in zip(runs, columns, strict=True)
    ]
    return _corners(min(f for f, _ in columns), min(f for f, _ in rows), max(e for _, e in columns) + 1, max(e for _, e in rows))


def runs_of_text(text: str) -> list[int]:
    """The runs in COCO's compressed text: five bits a character from '0' on, the low ones first, as differences from the fourth on.

    Raises ValueError for text that is none.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("run-length text with a strange character")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("run-length text that breaks off")
    return counts


def around_brush(runs: Sequence[int], size: tuple[int, int]) -> Corners:
    """Around a mask as Label Studio's brush stores it: RGBA bytes, row after row, in runs of varying bit lengths; any alpha is inside.

    size: (width, height). Raises ValueError for bytes that break off.
    """
    bits = _Bits(bytes(runs))
    values, word = bits.take(32), bits.take(5) + 1
    lengths = [bits.take(4) + 1 for _ in range(4)]
    if values != size[0] * size[1] * 4:
        raise ValueError("a brush mask of another size")
    inside: list[tuple[int, int]] = []
    at = 0
    while at < values:
        repeated = bits.take(1)
        end = at + 1 + bits.take(lengths[bits.take(2)])
        for first, last in [(at, end)] if repeated else [(i, i + 1) for i in range(at, min(end, values))]:
            if bits.take(word):
                inside.append((first, last))
        at = end
    pixels = [((first + 3 - first % 4) // 4, (last - 1) // 4) for first, last in inside if (first + 3 - first % 4) < last]
    return _around_rows(pixels, size[0])


class _Bits:
    """Numbers of any count of bits out of bytes, the highest bit first."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def take(self, count: int) -> int:
        first, self.at = self.at, self.at + count
        if self.at > len(self.content) * 8:
            raise ValueError("a brush mask that breaks off")
        whole = int.from_bytes(self.content[first // 8 : -(-self.at // 8)])
        return (whole >> (-self.at % 8)) & ((1 << count) - 1)


def _around_rows(runs: Sequence[tuple[int, int]], width: int) -> Corners:
    """Around runs (first, last) of pixels counted row after row."""
    if not runs:
        return NOWHERE
    wide = [(0, width - 1) if first // width < last // width else (first % width, last % width) for first, last in runs]
    top, bottom = min(first for first, _ in runs) // width, max(last for _, last in runs) // width
    return _corners(min(a for a, _ in wide), top, max(b for _, b in wide) + 1, bottom + 1)


def turned(xyxy: NDArray[np.float64], orientation: int, size: tuple[int, int]) -> NDArray[np.float64]:
    """Boxes of a picture of `size` (width, height) after it is turned upright as EXIF's `orientation`, 1 to 8, says; float64 [N, 4]."""
    width, height = size
    x1, y1, x2, y2 = xyxy.T
    if orientation in (2, 3):
        x1, x2 = width - x2, width - x1
    if orientation in (3, 4):
        y1, y2 = height - y2, height - y1
    if orientation in (6, 7):
        y1, y2 = height - y2, height - y1
    if orientation in (7, 8):
        x1, x2 = width - x2, width - x1
    corners = (y1, x1, y2, x2) if orientation >= 5 else (x1, y1, x2, y2)
    return np.stack(corners, axis=1)


def kinds_in_words(counts: Mapping[str, int]) -> str:
    """'3 polygons, 1 mask': each kind with its count, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {kind if count == 1 else _plural(kind)}" for kind, count in ordered)


def _plural(kind: str) -> str:
    return f"{kind}es" if kind.endswith("x") else f"{kind}s"


def _corners(*values: Any) -> Corners:
    x1, y1, x2, y2 = map(float, values)
    return x1, y1, x2, y2
