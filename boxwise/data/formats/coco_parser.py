"""One COCO JSON file as it is parsed: images, the labels of each, categories, and a finding for every fault.

Returns readings, unchecked. Knows nothing of other files beside it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite, nan
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from boxwise.data.formats.base import Finding, FindingKind
from boxwise.data.formats.coco_files import Places, folder_split_of, split_of
from boxwise.data.formats.layout import ImageIndex, bytes_of, shared_folder_words, split_named, strict_float, whole
from boxwise.data.formats.listing import Listed, expected_inside
from boxwise.data.formats.reading import Reading
from boxwise.data.formats.shapes import NOWHERE, Corners, Extent, around_points, around_runs, runs_of_text, turned_box, unturned
from boxwise.errors import BoxwiseError, plural

_LARGEST_ID = 2**63 - 1  # what databases and numpy take
_DIGITS = 40  # of an id that is compared as a number


@dataclass
class Parsed:
    """What one JSON file says."""

    images: list[Listed] = field(default_factory=list)
    readings: dict[str, Reading] = field(default_factory=dict)
    categories: dict[Any, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    by_name: dict[str, str] = field(default_factory=dict)  # file_name → image id, where the names alone agree
    above: dict[str, str] = field(default_factory=dict)  # class name → its supercategory
    ignored: int = 0  # boxes with the mark `ignore`


class Parser:
    """Reads one file into a Parsed; every fault becomes a finding there."""

    def __init__(self, path: Path, index: ImageIndex, places: Places, *, missing_is_empty: bool, alone: bool) -> None:
        """alone: whether no other file is read with it."""
        self.path = path
        self.index = index
        self._places = places.of(path)
        self._of_any_split = places.of_any_split(path)
        self._prefix = places.prefix(path)
        self.missing_is_empty = missing_is_empty
        self._alone = alone
        self.result = Parsed()
        self._split = split_of(path)
        self._folder_split = folder_split_of(path)
        self._folders = [f"{whole(folder).as_posix()}/" for folder in index.folders]

    def parse(self) -> Parsed:
        content = self._load()
        if content is None:
            return self.result
        self._categories(content.get("categories") or [])
        entries = self._images(content["images"])
        grouped = self._grouped(content.get("annotations") or [], entries)
        self.result.images = self._unambiguous(list(entries.values()))
        alone = {image.image_id for image in self.result.images}
        by_convention = self.missing_is_empty and content.get("annotations") is not None and not self._astray
        for source_id, image in entries.items():
            stated = self._stated.get(source_id)
            if image.image_id in alone and (grouped[source_id] or stated or (stated is None and by_convention)):
                reading = self._reading(grouped[source_id], image.image_id)
                implied, partly = not (grouped[source_id] or stated), source_id in self._partly
                self.result.readings[image.image_id] = replace(reading, implied=implied, partly=partly)
        return self.result

    def _load(self) -> dict[str, Any] | None:
        try:
            content = json.loads(bytes_of(self.path))
        except (ValueError, BoxwiseError, RecursionError, MemoryError) as error:
            self._fault(f"expected JSON, found: {error}.")
            return None
        if not isinstance(content, dict) or not isinstance(content.get("images"), list):
            found = ", ".join(list(content)[:6]) if isinstance(content, dict) else f"a {type(content).__name__}"
            self._fault(f"expected COCO's lists images, annotations and categories, found {found or 'none'}.")
            return None
        for key in ("annotations", "categories"):
            if not isinstance(content.get(key) or [], list):
                self._fault(f"expected a list of {key}, found {_brief(content[key])}.")
                return None
        return content

    def _fault(
        self, message: str, kind: FindingKind = FindingKind.BAD_LABEL_FILE, image_id: str | None = None, *, out: bool = False
    ) -> None:
        self.result.findings.append(Finding(kind, self.path, f"{self.path}: {message}", image_id, quarantined=out))

    def _categories(self, entries: list[Any]) -> None:
        for row, entry in enumerate(entries):
            number, name, above = _id(_member(entry, "id")), _member(entry, "name"), _member(entry, "supercategory")
            if number is None or not isinstance(name, str):
                self._fault(f"categories[{row}] is {_brief(entry)}. Expected an id and a name.")
            elif self.result.categories.setdefault(number, name) != name:
                first = self.result.categories[number]
                self._fault(
                    f"categories[{row}] {name!r} has id {number} of {first!r}. Expected ids of their own.", FindingKind.DUPLICATE_ID
                )
            elif isinstance(above, str):
                self.result.above[name] = above
        self._category = _by_value(self.result.categories)

    def _images(self, entries: list[Any]) -> dict[Any, Listed]:
        """Source id → image; an id given to two files takes both out."""
        self._stated: dict[Any, bool] = {}  # source id → whether the entry says that the image is labelled
        self._ids = {_value(_id(_member(entry, "id"))) for entry in entries}
        self._partly: set[Any] = set()  # source ids of entries that say that objects are missing
        self._sizeless: list[str] = []  # what images with a size that is none say of it
        names = [self._plain(str(name)) for entry in entries if (name := _member(entry, "file_name"))]
        self._exact = {self._below_folder(name) for name in names} & set(self.index.paths)
        self._shared = shared_folder_words(names, self.index.paths) if self._alone else frozenset()
        found: dict[Any, Listed] = {}
        repeated: set[Any] = set()
        for row, entry in enumerate(entries):
            image = self._image(entry, row)
            if image is None:
                continue
            first = found.setdefault(image.source_id, image)
            if first is not image:
                repeated |= {image.source_id} if first.image_id != image.image_id else set()
                self._repeated(f"images[{row}] has id {image.source_id} of {first.image_id}. Expected ids of their own.", image, first)
            if isinstance(entry.get("labeled"), bool):
                self._stated[image.source_id] = entry["labeled"]
            self._partly |= {image.source_id} if entry.get("complete") is False else set()
        if self._sizeless:
            odd = f"{plural(len(self._sizeless), 'image')} without (first: {self._sizeless[0]})"
            self._fault(f"expected a width and a height in pixels, found {odd}. The pictures' own count.", FindingKind.SIZE_MISMATCH)
        return {source_id: image for source_id, image in found.items() if source_id not in repeated}

    def _image(self, entry: Any, row: int) -> Listed | None:
        number, file_name = _id(_member(entry, "id")), _member(entry, "file_name")
        if number is None or not isinstance(file_name, str) or not file_name:
            self._fault(f"images[{row}] is {_brief(entry)}. Expected an id and a file_name.")
            return None
        name = self._below_folder(self._plain(file_name))
        outside = PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or bool(Path(name).drive) or "\0" in name
        image_id = (None if outside else self._ending_in(name)) or self._in_full(file_name) or self._by_name(file_name)
        if image_id is None and outside:
            message = f"images[{row}] has file_name {file_name!r}. {expected_inside(self.index, file_name)}"
            self._fault(message, image_id=name, out=True)
            return None
        stated = self._size(entry, row)
        image_id = image_id or f"{self._prefix}{name.removeprefix(self._prefix)}"
        return Listed(image_id, self.index.path(image_id), self._split, number, stated, self.path)

    def _ending_in(self, name: str) -> str | None:
        return next((found for place in self._places if (found := place.ending_in(name, self._folder_split))), None)

    def _in_full(self, file_name: str) -> str | None:
        """The image of another file's or split's folder, where the name says that folder, too."""
        name = self.index.with_slashes(file_name)
        found = self.index.by_name(name) if "/" in name else None
        return found if found is not None and "/" in found and f"/{name}".endswith(f"/{found}") else None

    def _by_name(self, file_name: str) -> str | None:
        """The image that the name alone says, unless another entry names it by its path; in any split's folder if the name says none."""
        split = split_named(self.index.with_slashes(file_name).rpartition("/")[0])
        places = (*self._places, *self._of_any_split) if split is None else self._places
        found = next((found for place in places if (found := place.by_name(file_name, self._shared))), None)
        if found is None or found in self._exact:
            return None
        self.result.by_name[file_name] = found
        return found

    def _size(self, entry: Mapping[str, Any], row: int) -> tuple[int, int] | None:
        sides = [_number(entry.get(key)) for key in ("width", "height")]
        if all(side is not None and side >= 1 for side in sides):
            return int(sides[0] or 0), int(sides[1] or 0)
        if any(entry.get(key) is not None for key in ("width", "height")):
            self._sizeless.append(f"images[{row}] says {_brief(entry.get('width'))} x {_brief(entry.get('height'))}")
        return None

    def _plain(self, file_name: str) -> str:
        return self.index.with_slashes(file_name).removeprefix("./")

    def _below_folder(self, name: str) -> str:
        """A whole path into the image folder, as the path below it."""
        return next((name.removeprefix(folder) for folder in self._folders if name.startswith(folder)), name)

    def _repeated(self, message: str, *images: Listed) -> None:
        for image_id in dict.fromkeys(image.image_id for image in images):
            self._fault(message, FindingKind.DUPLICATE_ID, image_id, out=len({image.image_id for image in images}) > 1)

    def _unambiguous(self, images: list[Listed]) -> list[Listed]:
        """The images that one entry alone speaks of; a file listed under two ids has its labels torn apart, so it is taken out."""
        ids: dict[str, list[Any]] = {}
        for image in images:
            ids.setdefault(image.image_id, []).append(image.source_id)
        for image_id, sources in ids.items():
            if len(sources) > 1:
                listed = ", ".join(map(str, sources))
                self._fault(f"{image_id} is listed with ids {listed}. Expected one.", FindingKind.DUPLICATE_ID, image_id, out=True)
        return [image for image in images if len(ids[image.image_id]) == 1]

    def _grouped(self, entries: list[Any], images: Mapping[Any, Listed]) -> dict[Any, list[dict[str, Any]]]:
        grouped: dict[Any, list[dict[str, Any]]] = {source_id: [] for source_id in images}
        seen: set[Any] = set()
        by_value = _by_value(images)
        self._astray = False  # whether an annotation speaks of an image that no entry lists, so that any may be without its own
        for row, entry in enumerate(entries):
            image_id, number = _id(_member(entry, "image_id")), _id(_member(entry, "id"))
            owner = image_id if image_id in grouped else by_value.get(_value(image_id))
            if owner is None:
                owner = _member(entry, "image_id")
                self._astray |= image_id is None or _value(image_id) not in self._ids
                self._fault(f"annotations[{row}] speaks of image {_brief(owner)}. Expected the id of an image that is listed once.")
                continue
            if number is not None and number in seen:
                message = f"annotations[{row}] has id {number} of an earlier one. Expected ids of their own."
                self._fault(message, FindingKind.DUPLICATE_ID, images[owner].image_id)
            seen |= set() if number is None else {number}
            grouped[owner].append(entry)
        return grouped

    def _reading(self, entries: list[dict[str, Any]], image_id: str) -> Reading:
        shaped = [_extent(entry) for entry in entries]
        xyxy = np.array([extent.corners for extent in shaped], np.float64).reshape(-1, 4)
        columns: dict[str, list[Any]] = {
            "ids": [_id(entry.get("id")) for entry in entries],
            "crowd": [_is_set(entry.get("iscrowd")) or _is_set(entry.get("ignore")) for entry in entries],
        }
        self.result.ignored += sum(_is_set(entry.get("ignore")) for entry in entries)
        if any("difficult" in entry for entry in entries):
            columns["difficult"] = [_is_set(entry.get("difficult")) for entry in entries]
        if any("score" in entry for entry in entries):
            columns["scores"] = [_number(entry.get("score")) for entry in entries]
        shapes = Counter(extent.kind for extent in shaped if extent.kind)
        names = [self._class_name(entry) for entry in entries]
        return Reading(self.path, names, xyxy, columns, f"{image_id} ", shapes=shapes, before=unturned(shaped))

    def _class_name(self, entry: dict[str, Any]) -> str:
        category, categories = _id(entry.get("category_id")), self.result.categories
        number = category if category in categories else self._category.get(_value(category))
        if number is None:
            return f"category {_brief(entry.get('category_id')) if category is None else category}"
        return categories[number]


def _member(entry: Any, key: str) -> Any:
    return entry.get(key) if isinstance(entry, dict) else None


def _id(value: Any) -> int | str | None:
    """The id that `value` is, 1.0 being 1 as tables write it; None where it is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    whole_number = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST_ID
    return value if whole_number or isinstance(value, str) else None


def _value(number: int | str | None) -> int | str | None:
    """What an id says as a number, if it says one: "1" and 1 are the same."""
    return int(number) if isinstance(number, str) and number.isdecimal() and number.isascii() and len(number) < _DIGITS else number


def _by_value(ids: Iterable[Any]) -> dict[Any, Any]:
    """Value → the only id of that value."""
    found: dict[Any, Any] = {}
    repeated: set[Any] = set()
    for number in ids:
        repeated |= {_value(number)} if found.setdefault(_value(number), number) != number else set()
    return {value: number for value, number in found.items() if value not in repeated}


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _number(value: Any) -> float | None:
    """The finite number that `value` is or says."""
    try:
        if isinstance(value, bool):
            return None
        number = strict_float(value) if isinstance(value, str) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def _is_set(value: Any) -> bool:
    return value is True or bool(_number(value))


def _extent(entry: dict[str, Any]) -> Extent:
    """Of an annotation. CVAT says of a box alone by how much it is turned; the box of a mask is its extent already."""
    bbox, mask = entry.get("bbox"), entry.get("segmentation")
    if not bbox and mask:
        return Extent(_mask_corners(mask), "mask" if isinstance(mask, dict) else "polygon")
    numbers = [_number(value) for value in bbox] if isinstance(bbox, list) and len(bbox) == 4 else []
    x, y, width, height = (nan if number is None else number for number in numbers or [None] * 4)
    rotation = None if mask else _number(_member(entry.get("attributes"), "rotation"))
    return turned_box((x, y, x + width, y + height), rotation or 0.0)


def _mask_corners(mask: Any) -> Corners:
    """Around polygons, each a flat list of coordinates, or around run lengths."""
    try:
        if isinstance(mask, dict):
            counts = runs_of_text(mask["counts"]) if isinstance(mask["counts"], str) else [int(count) for count in mask["counts"]]
            return around_runs(counts, int(mask["size"][0]))
        parts = mask if isinstance(mask[0], list) else [mask]
        return around_points(point for part in parts for point in zip(part[::2], part[1::2], strict=True))
    except (TypeError, ValueError, KeyError, IndexError, OverflowError):
        return NOWHERE
