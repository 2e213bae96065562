"""Label Studio's exports JSON and JSON-MIN, to be read: tasks with their annotations in one file.

Rectangles, ellipses, polygons and brush masks give their upright extent. Images are found by the end of their address, with or without the
prefix that uploads get. Knows nothing of servers; `boxwise labelstudio` does.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from boxwise.data.addresses import Images
from boxwise.data.formats.base import UPRIGHT, Coordinates, Dataset, Finding, FindingKind, Progress
from boxwise.data.formats.checking import assemble, unlabelled
from boxwise.data.formats.coco_files import is_draft
from boxwise.data.formats.layout import JSON, ImageIndex, bytes_of, existing, image_folder, is_file
from boxwise.data.formats.listing import Listed, check_images, not_read, unlisted
from boxwise.data.formats.reading import Reading
from boxwise.data.formats.shapes import NOWHERE, Corners, around_brush, around_ellipse, around_points, around_rotated
from boxwise.errors import BoxwiseError

_WIDEST = 1e6  # pixels; what is stated beyond is no size
_NO_OBJECTS = {"choices", "textarea", "number", "rating", "taxonomy", "datetime", "relation", "pairwise", "ranker"}
_NO_EXTENT = {"keypointlabels": "point", "keypoint": "point", "vectorlabels": "line", "vector": "line"}
_Result = tuple[str, list[Any]]  # of an annotation: when it was written last, '' where nothing says so, and its regions
_LABELS = ("rectanglelabels", "ellipselabels", "polygonlabels", "brushlabels", "labels", "hypertextlabels")


class LabelStudio:
    """https://labelstud.io/guide/export: lists of tasks, or of one flat entry an annotation (JSON-MIN).

    A task that somebody submitted without a region has no objects; one without an annotation, or with a skipped one only, is unlabelled.
    """

    name = "labelstudio"

    def read(
        self,
        labels: Path,
        images: Images | None = None,
        *,
        classes: tuple[str, ...] | None = None,
        missing_is_empty: bool = True,
        verify: bool = True,
        coordinates: Coordinates = UPRIGHT,
        progress: Progress | None = None,
    ) -> Dataset:
        """As `Reader.read`. Classes come from `classes`, else the names found, sorted. `missing_is_empty` says nothing here."""
        path, *others = _json_files(existing(labels, "a Label Studio export or a folder with one"))
        index = ImageIndex(images or image_folder((path.parent / "images", path.parent)))
        tasks, findings = _tasks(path, index)
        if not tasks:
            raise BoxwiseError(findings[0].message if findings else f"{path}: expected Label Studio's tasks with images, found none.")
        listed = [task.listed for task in tasks.values()]
        checked = check_images(listed, verify=verify, coordinates=coordinates, progress=progress, index=index)
        readings = {image_id: task.reading for image_id, task in tasks.items() if task.reading is not None}
        findings += unlabelled(path, checked.records, readings, expected="a submitted annotation")
        names = classes or tuple(sorted({name for reading in readings.values() for name in reading.names} - {""}))
        return assemble(
            checked, readings, classes=names, findings=findings, notes=[*not_read(others, [path]), *unlisted(index, tasks, path)]
        )


@dataclass(frozen=True)
class _Task:
    listed: Listed
    reading: Reading | None


def _json_files(labels: Path) -> list[Path]:
    found = [labels] if is_file(labels) else [path for path in sorted(labels.glob(f"*.{JSON}")) if is_file(path)]
    if not found:
        raise BoxwiseError(f"{labels}: expected Label Studio's export as JSON, found no such file.")
    return sorted(found, key=is_draft)


def _tasks(path: Path, index: ImageIndex) -> tuple[dict[str, _Task], list[Finding]]:
    """Image id → its task. Of several annotations of an image, also of several tasks, the latest counts; a finding if they differ."""
    try:
        content = json.loads(bytes_of(path))
    except (ValueError, RecursionError) as error:
        raise BoxwiseError(f"{path}: expected JSON, found: {error}.") from None
    if not isinstance(content, list):
        raise BoxwiseError(f"{path}: expected a list of Label Studio's tasks, found a {type(content).__name__}.")
    results: dict[str, list[_Result]] = {}
    findings: list[Finding] = []
    for row, task in enumerate(content):
        name = _image_name(task)
        if name is None:
            findings.append(Finding(FindingKind.BAD_LABEL_FILE, path, f"{path}: task {row} has no image. Expected one in its data."))
            continue
        image_id = index.by_name(f"/{name}") or index.with_slashes(name).rpartition("/")[2]  # what comes first is the server's
        results.setdefault(image_id, []).extend(_results(task))
    tasks: dict[str, _Task] = {}
    for image_id, found in results.items():
        found.sort(key=lambda result: result[0])
        listed = Listed(image_id, index.path(image_id), source=path, size=_stated_size(regions for _, regions in found))
        readings = [_reading(path, regions, image_id) for _, regions in found]
        if len({_content(reading) for reading in readings}) > 1:
            taken = f"the latest counts, of {found[-1][0]}" if found[-1][0] else "the last one counts"
            message = f"{path}: expected annotations of {image_id} that agree, found {len(readings)} that do not; {taken}."
            findings.append(Finding(FindingKind.CONFLICTING_LABELS, path, message, image_id))
        tasks[image_id] = _Task(listed, readings[-1] if readings else None)
    return tasks, findings


def _image_name(task: Any) -> str | None:
    """The path at the end of the image's address: of a file, an upload, local storage (?d=...) or a server."""
    data = task.get("data", task) if isinstance(task, dict) else None
    if not isinstance(data, dict):
        return None
    entries = [data.get(key) for key in ("image", "img", "url")] + list(data.values())
    names = (_path_of(text) for text in entries if isinstance(text, str))
    name = next((name for name in names if "." in name.rpartition("/")[2]), None)
    return None if name is None or ".." in name.replace("\\", "/").split("/") else name


def _path_of(address: str) -> str:
    """The path of an address; '' where it is none."""
    try:
        split = urlsplit(address)
        inner = parse_qs(split.query).get("d", [])
    except ValueError:
        return ""
    return unquote(inner[0] if inner and "." in inner[0] else split.path).lstrip("/")


def _results(task: Mapping[str, Any]) -> list[_Result]:
    """Each annotation that counts."""
    if "data" not in task:  # JSON-MIN
        regions = [item for value in task.values() if isinstance(value, list) for item in value if isinstance(item, dict)]
        return [(_when(task), regions)] if regions or "annotation_id" in task else []
    annotations = task.get("annotations", task.get("completions", []))
    if not isinstance(annotations, list):
        return [("", [annotations])]
    kept = [one for one in annotations if not (isinstance(one, dict) and one.get("was_cancelled"))]
    results = [(_when(one), _member(one, "result")) for one in kept]
    return [(when, result if isinstance(result, list) else [result]) for when, result in results]


def _when(annotation: Any) -> str:
    return str(_member(annotation, "updated_at") or "")


def _member(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _stated_size(results: Iterable[Iterable[Any]]) -> tuple[int, int] | None:
    regions = (region for result in results for region in result if isinstance(region, dict))
    sizes = ((region.get("original_width"), region.get("original_height")) for region in regions)
    return next(((width, height) for width, height in sizes if isinstance(width, int) and isinstance(height, int)), None)


def _reading(path: Path, result: Iterable[Any], image_id: str) -> Reading:
    """The regions that are objects. A shape and its label may be two entries with one id; what is no region at all is a bad box."""
    regions: dict[str, dict[str, Any]] = {}
    for number, entry in enumerate(result):
        value = _member(entry, "value") if _member(entry, "type") is not None else entry
        region = regions.setdefault(str(_member(entry, "id") or f"#{number}"), {"types": []})
        if _member(entry, "type") in region["types"]:  # another region that has taken this one's id
            region = regions.setdefault(f"#{number}", {"types": []})
        region["types"].append(_member(entry, "type"))
        sizes = {key: entry[key] for key in ("original_width", "original_height") if key in entry} if isinstance(entry, dict) else {}
        region.update({**sizes, **(value if isinstance(value, dict) else {})})
    objects = [region for region in regions.values() if not set(region["types"]) <= _NO_OBJECTS]
    missing = Counter(kind for region in objects if (kind := _without_extent(region)))
    shaped = [(region, *_corners(region)) for region in objects if not _without_extent(region)]
    xyxy = np.array([corners for _, corners, _ in shaped], np.float64).reshape(-1, 4) / 100
    names = [_name(region) for region, _, _ in shaped]
    shapes = Counter(kind for _, _, kind in shaped if kind)
    return Reading(path, names, xyxy, subject=f"{image_id} ", relative=True, shapes=shapes, missing=missing)


def _without_extent(region: Mapping[str, Any]) -> str:
    """'point' or 'line' for a region that is one; '' for any other. JSON-MIN gives no types, but the name of the labels."""
    return next((kind for word, kind in _NO_EXTENT.items() if word in region["types"] or word in region), "")


def _name(region: Mapping[str, Any]) -> str:
    labels = next((region[key] for key in _LABELS if isinstance(region.get(key), list) and region[key]), [""])
    return str(labels[0]) if len(labels) == 1 else ""


def _corners(region: Mapping[str, Any]) -> tuple[Corners, str]:
    """Corners in percent of the image, and the shape unless an upright box."""
    try:
        width, height = float(region.get("original_width", 100)), float(region.get("original_height", 100))
        if not (1 <= width <= _WIDEST and 1 <= height <= _WIDEST):
            return NOWHERE, ""
        if "rle" in region:
            return _percent(around_brush(region["rle"], (int(width), int(height))), width, height), "mask"
        if "points" in region:
            return around_points(region["points"]), "polygon"
        across, down, angle = width / 100, height / 100, float(region.get("rotation") or 0)
        x, y = float(region["x"]) * across, float(region["y"]) * down
        if "radiusX" in region:
            radii = (float(region["radiusX"]) * across, float(region["radiusY"]) * down)
            return _percent(around_ellipse((x, y), radii, angle), width, height), "ellipse"
        box = (x, y, x + float(region["width"]) * across, y + float(region["height"]) * down)
        if angle % 360 == 0:
            return _percent(box, width, height), ""
        return _percent(around_rotated(box, angle, (x, y)), width, height), "rotated box"  # it turns about its first corner
    except (TypeError, ValueError, KeyError, OverflowError, ZeroDivisionError):
        return NOWHERE, ""


def _percent(corners: Corners, width: float, height: float) -> Corners:
    x1, y1, x2, y2 = corners
    return x1 * 100 / width, y1 * 100 / height, x2 * 100 / width, y2 * 100 / height


def _content(reading: Reading) -> frozenset[tuple[str, bytes]]:
    rows = np.round(reading.xyxy, 6)
    return frozenset((name, row.tobytes()) for name, row in zip(reading.names, rows, strict=True))
