"""VGG Image Annotator's JSON, to be read: a project of VIA 2, or the annotations that VIA 1 and 2 export.

Rectangles, polygons, circles and ellipses give their upright extent. Returns entries, unchecked. Knows nothing of files and folders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import degrees
from typing import Any

from boxwise.data.formats.json_lists import Entry, JsonLists, real
from boxwise.data.formats.shapes import NOWHERE, Corners, around_ellipse, around_points

_NO_EXTENT = {"point": "point", "polyline": "line"}
_NAMING = ("class", "label", "name", "category", "type", "object")  # attributes that name the class where regions have several
_Region = tuple[Mapping[str, Any], Mapping[str, Any]]  # the shape's attributes, and the region's


def entries(content: Any) -> list[Entry | str]:
    """`{key: {"filename": ..., "regions": [{"shape_attributes": ..., "region_attributes": ...}]}}`, or a project. Raises ValueError."""
    images = content.get("_via_img_metadata", content) if isinstance(content, dict) else None
    if not isinstance(images, dict) or not any(_regions(one) is not None for one in images.values()):
        raise ValueError("no images with regions")
    read = {key: (one, _regions(one)) for key, one in images.items()}
    naming, keys = _naming(region for _, regions in read.values() for region in regions or ())
    found: list[Entry | str] = []
    if naming is None and keys:
        found.append(f"expected one attribute of regions, or one called {_NAMING[0]}, that names the class, found {', '.join(keys)}.")
    for key, (one, regions) in read.items():
        fault = f"image {key!r} is {repr(one)[:80]}. Expected a filename and regions."
        found.append(fault if regions is None else _entry(one["filename"], regions, naming))
    return found


def _regions(image: Any) -> list[_Region] | None:
    """The regions of one image; None where it is none. VIA 1 numbers them."""
    if not isinstance(image, dict) or not isinstance(image.get("filename"), str) or not image["filename"]:
        return None
    regions = image.get("regions")
    regions = list(regions.values()) if isinstance(regions, dict) else regions
    return [(_part(one, "shape_attributes"), _part(one, "region_attributes")) for one in regions] if isinstance(regions, list) else None


def _part(region: Any, key: str) -> Mapping[str, Any]:
    part = region.get(key) if isinstance(region, dict) else None
    return part if isinstance(part, dict) else {}


def _naming(regions: Iterable[_Region]) -> tuple[str | None, list[str]]:
    """The attribute that names the class, if there is one, and all attributes."""
    keys = sorted({key for _, attributes in regions for key in attributes})
    named = (key for name in _NAMING for key in keys if key.casefold() == name)
    return next(named, keys[0] if len(keys) == 1 else None), keys


def _entry(image: str, regions: list[_Region], naming: str | None) -> Entry:
    missing = Counter(_NO_EXTENT[_kind(shape)] for shape, _ in regions if _kind(shape) in _NO_EXTENT)
    areas = [(*_corners(shape), _name(attributes, naming)) for shape, attributes in regions if _kind(shape) not in _NO_EXTENT]
    shapes = Counter(kind for _, kind, _ in areas if kind)
    return Entry(image, [name for *_, name in areas], [corners for corners, *_ in areas], shapes, missing)


def _kind(shape: Mapping[str, Any]) -> str:
    return str(shape.get("name"))


def _name(attributes: Mapping[str, Any], naming: str | None) -> str:
    """The class by the value of an attribute; '' where it says none, or several. Checkboxes say {name: true}."""
    value = None if naming is None else attributes.get(naming)
    if isinstance(value, dict):
        ticked = [name for name, given in value.items() if given]
        return ticked[0] if len(ticked) == 1 else ""
    return value if isinstance(value, str) else ""


def _corners(shape: Mapping[str, Any]) -> tuple[Corners, str]:
    """The corners of a shape, and what it is unless a rectangle."""
    x, y, width, height, cx, cy, r, rx, ry = (real(shape.get(key)) for key in ("x", "y", "width", "height", "cx", "cy", "r", "rx", "ry"))
    try:
        match _kind(shape):
            case "rect":
                return (x, y, x + width, y + height), ""
            case "polygon":
                return around_points(zip(shape["all_points_x"], shape["all_points_y"], strict=True)), "polygon"
            case "circle":
                return around_ellipse((cx, cy), (r, r)), "circle"
            case "ellipse":
                return around_ellipse((cx, cy), (rx, ry), degrees(real(shape.get("theta", 0)))), "ellipse"
    except (TypeError, KeyError, ValueError):
        return NOWHERE, ""
    return NOWHERE, ""


VIA = JsonLists("via", entries)
