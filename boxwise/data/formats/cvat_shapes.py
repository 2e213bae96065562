"""CVAT's shapes as upright boxes, and its tracks as the shapes on each frame of a video.

Returns corners in pixels, and copies of elements. Knows nothing of images and classes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element

from boxwise.data.formats.shapes import Corners, Extent, around_ellipse, around_points, turned_box
from boxwise.data.formats.xml import number

_AREAS = ("box", "polygon", "mask", "ellipse", "cuboid")
_NO_EXTENT = ("points", "polyline", "skeleton")
_BOX = ("xtl", "ytl", "xbr", "ybr")
_CUBOID = [(f"x{corner}{side}", f"y{corner}{side}") for corner in ("tl", "bl", "tr", "br") for side in "12"]


def is_area(shape: Element) -> bool:
    """Whether the shape covers an area; points and lines do not."""
    return shape.tag in _AREAS


def has_no_extent(shape: Element) -> bool:
    """Whether the shape marks an object without saying how far it goes."""
    return shape.tag in _NO_EXTENT


def extent_of(shape: Element) -> Extent:
    """Of a shape with an area."""
    angle = number(shape.get("rotation", "0"))
    if shape.tag == "box":
        return turned_box(_four(shape, _BOX), angle)
    if shape.tag == "ellipse":
        cx, cy, rx, ry = _four(shape, ("cx", "cy", "rx", "ry"))
        return Extent(around_ellipse((cx, cy), (rx, ry), angle), "ellipse")
    if shape.tag == "mask":
        left, top, width, height = _four(shape, ("left", "top", "width", "height"))
        return Extent((left, top, left + width, top + height), "mask")
    if shape.tag == "cuboid":
        return Extent(around_points((number(shape.get(x)), number(shape.get(y))) for x, y in _CUBOID), "cuboid")
    return Extent(around_points(point.split(",") for point in shape.get("points", "").split(";")), "polygon")


def _four(shape: Element, names: Iterable[str]) -> Corners:
    a, b, c, d = (number(shape.get(name)) for name in names)
    return a, b, c, d


def frames_of(root: Element, image_ids: Iterable[str]) -> dict[str, list[Element]]:
    """Image id → the shapes that the tracks show on it, of the images whose name ends in the number of a frame of the video.

    A shape between two key frames is a box half way between theirs; a track is seen until it is `outside` or the video ends.
    """
    stop = number(root.findtext("meta/*/stop_frame") or root.findtext("meta/job/stop_frame"))
    tracks = [(track.get("label", ""), _keyed(track)) for track in root.findall("track")]
    listed = {image.get("name") for image in root.findall("image")}
    numbered = {image_id: int(found[-1]) for image_id in image_ids if (found := re.findall(r"\d{1,9}", PurePosixPath(image_id).stem))}
    frames = {image_id: frame for image_id, frame in numbered.items() if image_id not in listed and not frame > stop}
    return {i: [shape for label, keyed in tracks if (shape := _at(frame, keyed, label)) is not None] for i, frame in frames.items()}


def _keyed(track: Element) -> list[tuple[float, Element]]:
    """(frame, shape) in order of frames."""
    keyed = [(number(shape.get("frame")), shape) for shape in track if shape.get("frame") is not None]
    return sorted(((frame, shape) for frame, shape in keyed if frame >= 0), key=lambda one: one[0])


def _at(frame: int, keyed: list[tuple[float, Element]], label: str) -> Element | None:
    """The shape of a track on `frame`; None where it is not seen."""
    if not keyed or frame < keyed[0][0]:
        return None
    last = keyed[-1]
    (before, shape), (after, following) = next((pair for pair in pairwise(keyed) if pair[0][0] <= frame < pair[1][0]), (last, last))
    if shape.get("outside") == "1":
        return None
    moved = Element(shape.tag, {**shape.attrib, "label": label})
    moved.extend(shape)
    if before < frame < after and following.get("outside") != "1" and is_area(shape) and is_area(following):
        share = (frame - before) / (after - before)
        ends = zip(extent_of(shape).corners, extent_of(following).corners, strict=True)
        between = (repr(start + share * (end - start)) for start, end in ends)
        moved = Element("box", {"label": label, **dict(zip(_BOX, between, strict=True))})
        moved.extend(shape)
    return moved
