"""Create ML's JSON, to be read: a list of images, each with its boxes by their centres, in pixels. Apple's format, which Roboflow exports.

Returns entries, unchecked. Knows nothing of files and folders.
"""

from __future__ import annotations

from typing import Any

from boxwise.data.formats.json_lists import Entry, JsonLists, real
from boxwise.data.formats.shapes import NOWHERE, Corners


def entries(content: Any) -> list[Entry | str]:
    """`[{"image": ..., "annotations": [{"label": ..., "coordinates": {"x", "y", "width", "height"}}]}]`. Raises ValueError."""
    if not isinstance(content, list) or not any(isinstance(_entry(one), Entry) for one in content):
        raise ValueError("no list of images with annotations")
    return [_entry(one) or f"entry {row} is {repr(one)[:80]}. Expected an image and its annotations." for row, one in enumerate(content)]


def _entry(member: Any) -> Entry | None:
    if not isinstance(member, dict):
        return None
    image = member.get("image", member.get("imagefilename"))
    boxes = member.get("annotations", member.get("annotation"))
    if not isinstance(image, str) or not image or not isinstance(boxes, list):
        return None
    return Entry(image, [_name(box) for box in boxes], [_corners(box) for box in boxes])


def _name(box: Any) -> str:
    name = box.get("label") if isinstance(box, dict) else None
    return name if isinstance(name, str) else ""


def _corners(box: Any) -> Corners:
    coordinates = box.get("coordinates") if isinstance(box, dict) else None
    if not isinstance(coordinates, dict):
        return NOWHERE
    x, y, width, height = (real(coordinates.get(key)) for key in ("x", "y", "width", "height"))
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


CREATE_ML = JsonLists("createml", entries)
