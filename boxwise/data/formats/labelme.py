"""LabelMe: one JSON an image beside it, to be read. Rectangles, polygons, circles and masks give their upright extent.

Shapes of one label and one group are one object.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from math import dist
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from boxwise.data.addresses import Images, is_local
from boxwise.data.formats.base import UPRIGHT, Coordinates, Dataset, Finding, FindingKind, Progress
from boxwise.data.formats.checking import assemble, unlabelled
from boxwise.data.formats.layout import (
    ImageIndex,
    at_odds,
    bytes_of,
    existing,
    files_below,
    folder_words,
    has_images,
    image_folder,
    is_folder,
    shared_folder_words,
    whole,
)
from boxwise.data.formats.listing import Listed, check_images, matched_by_name, torn
from boxwise.data.formats.reading import Reading
from boxwise.data.formats.shapes import NOWHERE, Corners, around_ellipse, around_points
from boxwise.errors import BoxwiseError

_AREAS = {"rectangle": "", "polygon": "polygon", "": "polygon", "circle": "circle", "mask": "mask", "rotation": "rotated box"}
_NO_EXTENT = {"line": "line", "linestrip": "line", "point": "point", "points": "point"}


class LabelMe:
    """The files of LabelMe (https://github.com/wkentaro/labelme) and of programs that took its format over, such as AnyLabeling."""

    name = "labelme"

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
        """As `Reader.read`. An image without a JSON is unlabelled; one with points or lines is labelled in part."""
        folder = existing(labels, "a folder of LabelMe's JSON files")
        paths = files_below(folder, ".json") if folder.is_dir() else [folder]
        root = folder if folder.is_dir() else folder.parent
        index = ImageIndex(images or image_folder((root / "images", root)))
        shared = shared_folder_words([path.relative_to(root).as_posix() for path in paths], index.paths)
        owned = {index.with_stem(_stem(path, root)) for path in paths}
        files = [_parse(path, root, index, shared, owned) for path in paths]
        if not files:
            raise BoxwiseError(f"{labels}: expected LabelMe's JSON files, found none.")
        findings = [finding for file in files for finding in file.findings]
        first: dict[str, Path] = {}
        for path, file in zip(paths, files, strict=True):
            if first.setdefault(file.listed.image_id, path) != path:
                findings.append(torn(path, file.listed.image_id, first[file.listed.image_id]))
        listed = {i: Listed(i, path) for i, path in index.paths.items()} | {f.listed.image_id: f.listed for f in files}
        out = {finding.image_id for finding in findings if finding.quarantined}
        sound = [image for image_id, image in sorted(listed.items()) if image_id not in out]
        checked = check_images(sound, verify=verify, coordinates=coordinates, progress=progress, index=index)
        readings = {file.listed.image_id: file.reading for file in files if file.reading is not None}
        findings += unlabelled(root, checked.records, readings, expected="a JSON")
        names = classes or tuple(sorted({name for reading in readings.values() for name in reading.names}))
        by_name = {stated: image_id for file in files for stated, image_id in file.by_name.items()}
        return assemble(checked, readings, classes=names, findings=findings, notes=matched_by_name(by_name, labels))


@dataclass(frozen=True)
class _File:
    listed: Listed
    reading: Reading | None
    findings: Sequence[Finding] = ()
    by_name: Mapping[str, str] = field(default_factory=dict)


def _stem(path: Path, root: Path) -> str:
    return path.relative_to(root).with_suffix("").as_posix()


def _parse(path: Path, root: Path, index: ImageIndex, shared: Set[str], owned: Set[str | None]) -> _File:
    stem = _stem(path, root)
    try:
        content = json.loads(bytes_of(path))
        shapes = content["shapes"]
        if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
            raise TypeError("shapes that are none")
    except (ValueError, KeyError, TypeError, RecursionError, BoxwiseError) as error:
        image_id = index.with_stem(stem) or stem
        message = f"{path}: expected LabelMe's JSON with shapes, found: {type(error).__name__} {error}."
        fault = Finding(FindingKind.BAD_LABEL_FILE, path, message, image_id, quarantined=True)
        return _File(Listed(image_id, index.path(image_id)), None, (fault,))
    stated = index.with_slashes(str(content.get("imagePath") or ""))
    own = index.with_stem(stem, PurePosixPath(stated).name)
    image_id, by_name = _image(stated, path, stem, own, index, shared, owned)
    listed = Listed(image_id, index.path(image_id), size=_size(content), source=path)
    faults: list[Finding] = []
    if own not in (None, image_id):
        message = f"{path}: expected labels of {own}, after which it is called, found the imagePath {stated!r}. Correct one of the two."
        faults.append(Finding(FindingKind.CONFLICTING_LABELS, path, message, image_id, quarantined=True))
    odd = Counter(str(shape.get("shape_type")) for shape in shapes if _kind(shape) not in _AREAS and _kind(shape) not in _NO_EXTENT)
    faults += [
        Finding(FindingKind.BAD_BOX, path, f"{path}: has {count} shapes of the kind {kind!r}. Expected boxes.", image_id, quarantined=True)
        for kind, count in odd.items()
    ]
    return _File(listed, _reading(path, shapes), faults, by_name)


def _image(
    stated: str, path: Path, stem: str, own: str | None, index: ImageIndex, shared: Set[str], owned: Set[str | None]
) -> tuple[str, dict[str, str]]:
    """The image of the file at `path`, and where a name alone says so what it calls the image → its id.

    stated: its imagePath, which leads from the file to the image. It counts first, unless it leads from an image of the file's own name to
    one that has a file of its own; then `own`, the image of that name at the file's place; then the name that imagePath ends in, unless
    its folder is one of the images' and holds others. stem: the file's place from the folder of all files on. shared: by
    `shared_folder_words`. owned: the images that have a file of their name.
    """
    place = whole(path.parent / stated)
    there = index.at(place) if stated else None
    if there is not None and (own in (None, there) or there not in owned):
        return there, {}
    if own is not None:
        return own, {} if there is None else {stated: own}
    named = index.by_name(stated) if stated else None
    elsewhere = PureWindowsPath(stated).drive or not is_local(stated)
    folder = None if elsewhere or "/" not in stated else next((f for f in map(whole, index.folders) if place.is_relative_to(f)), None)
    meant = None if folder is None else place.relative_to(folder).as_posix()
    if named is None or at_odds(stem, named, shared) or (meant and at_odds(meant, named) and _holds_images(place.parent)):
        return meant or f"{stem}.jpg", {}
    return named, {} if folder_words(stem) == folder_words(named) else {stated: named}


def _holds_images(folder: Path) -> bool:
    return is_folder(folder) and has_images(folder)


def _kind(shape: Mapping[str, Any]) -> str:
    return str(shape.get("shape_type") or "")


def _size(content: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = content.get("imageWidth"), content.get("imageHeight")
    return (width, height) if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0 else None


def _reading(path: Path, shapes: list[dict[str, Any]]) -> Reading:
    areas = [shape for shape in shapes if _kind(shape) in _AREAS]
    missing = Counter(_NO_EXTENT[_kind(shape)] for shape in shapes if _kind(shape) in _NO_EXTENT)
    objects = _objects(areas)
    kinds = Counter(kind for parts in objects if (kind := _AREAS[_kind(parts[0])] if len(parts) == 1 else "grouped object"))
    xyxy = np.array([_extent(parts) for parts in objects], np.float64).reshape(-1, 4)
    difficult = [any(shape.get("difficult") is True for shape in parts) for parts in objects]
    columns = {"difficult": difficult} if any(difficult) else {}
    return Reading(path, [str(parts[0].get("label", "")) for parts in objects], xyxy, columns, shapes=kinds, missing=missing)


def _objects(areas: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The shapes of each object: those of one label and group are its parts, as LabelMe's own conversions take them."""
    objects: dict[Any, list[dict[str, Any]]] = {}
    for number, shape in enumerate(areas):
        group = shape.get("group_id")
        objects.setdefault(number if group in (None, "") else (str(shape.get("label", "")), str(group)), []).append(shape)
    return list(objects.values())


def _extent(parts: list[dict[str, Any]]) -> Corners:
    corners = np.array([_corners(shape) for shape in parts], np.float64)
    (x1, y1), (x2, y2) = corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)
    return float(x1), float(y1), float(x2), float(y2)


def _corners(shape: Mapping[str, Any]) -> Corners:
    points = shape.get("points")
    if shape.get("shape_type") != "circle":
        return around_points(points)
    try:
        (x, y), edge = ((float(a), float(b)) for a, b in points or ())
        return around_ellipse((x, y), (dist((x, y), edge),) * 2)
    except (TypeError, ValueError, OverflowError):
        return NOWHERE
