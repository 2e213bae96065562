"""COCO JSON: one file, or a folder with one file a split.

Keeps image, annotation and category ids, `iscrowd`, and scores where predictions have them. Knows nothing of masks and keypoints.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from boxwise.boxes import Boxes
from boxwise.data.formats.base import Dataset, Finding, FindingKind, Progress
from boxwise.data.formats.checking import Listed, Reading, assemble, check_images
from boxwise.data.formats.layout import STRICTNESS, ImageIndex, existing, first_folder, place_images, split_named
from boxwise.errors import BoxwiseError
from boxwise.files import replacing
from boxwise.records import ImageRecord, Split

_FLAGS = {"difficult": "difficult", "scores": "score"}  # column of Boxes → key of an annotation, read where a whole image has it


class Coco:
    """Microsoft COCO's detection format (Lin et al., ECCV 2014), bbox as x, y, width, height in pixels.

    Written beside the standard: `score` and `difficult` of an annotation, and `"labeled": false` for an image nobody has labelled;
    other readers pass over all three.
    """

    name = "coco"

    def read(
        self,
        labels: Path,
        images: Path | None = None,
        *,
        classes: tuple[str, ...] | None = None,
        missing_is_empty: bool = True,
        verify: bool = True,
        progress: Progress | None = None,
    ) -> Dataset:
        """As `Format.read`. A folder's files are told apart by the split in their names; an image without annotations has no objects."""
        files = _json_files(existing(labels, "a COCO JSON file or a folder of them"))
        index = ImageIndex(images or _image_folder(files[0].parent))
        parsed = [_Parser(path, index).parse() for path in files]
        findings = [finding for file in parsed for finding in file.findings]
        if not any(file.images for file in parsed):
            raise BoxwiseError(findings[0].message if findings else f"{labels}: expected a COCO file with images, found none in it.")
        listed, repeats = _merged(parsed)
        records, image_findings = check_images(listed, verify=verify, progress=progress)
        owner = {id(image): file for file in parsed for image in file.images}
        readings = {i.image_id: r for i in listed if (r := owner[id(i)].readings.get(i.image_id)) is not None}
        names, class_ids = _classes(parsed, classes)
        return assemble(records, readings, classes=names, findings=[*findings, *repeats, *image_findings], class_ids=class_ids)

    def write(self, dataset: Dataset, target: Path, *, copy_images: bool = False) -> None:
        """As `Format.write`. A `target` ending in .json takes everything; else instances_<split>.json a split, images in images/."""
        single = target.suffix.lower() == ".json"
        if single:
            _write_json(_content(dataset, dataset.images), target)
        else:
            for split, members in _by_split(dataset.images).items():
                _write_json(_content(dataset, members), target / (f"instances_{split}.json" if split else "instances.json"))
        if copy_images:
            place_images(dataset, (target.parent if single else target) / "images")


@dataclass
class _Parsed:
    """What one JSON file says."""

    images: list[Listed] = field(default_factory=list)
    readings: dict[str, Reading] = field(default_factory=dict)
    categories: dict[Any, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


class _Parser:
    """Reads one file into a _Parsed; every fault becomes a finding there."""

    def __init__(self, path: Path, index: ImageIndex) -> None:
        self.path = path
        self.index = index
        self.result = _Parsed()

    def parse(self) -> _Parsed:
        content = self._load()
        if content is None:
            return self.result
        self._categories(content["categories"])
        entries = self._images(content["images"])
        grouped = self._grouped(content["annotations"], entries)
        self.result.images = self._unambiguous(list(entries.values()))
        stated = {image.image_id for image in self.result.images}
        for source_id, image in entries.items():
            labelled = grouped[source_id] or source_id not in self._unlabelled
            if labelled and image.image_id in stated:
                self.result.readings[image.image_id] = self._reading(grouped[source_id], image.image_id)
        return self.result

    def _load(self) -> dict[str, Any] | None:
        try:
            content = json.loads(self.path.read_bytes())
        except (ValueError, OSError, RecursionError) as error:
            self._fault(f"expected JSON, found: {error}.")
            return None
        if not isinstance(content, dict) or not isinstance(content.get("images"), list):
            found = ", ".join(list(content)[:6]) if isinstance(content, dict) else f"a {type(content).__name__}"
            self._fault(f"expected COCO's lists images, annotations and categories, found {found or 'none'}.")
            return None
        for key in ("annotations", "categories"):
            if not isinstance(content.setdefault(key, []), list):
                self._fault(f"expected a list of {key}, found a {type(content[key]).__name__}.")
                return None
        return content

    def _fault(
        self, message: str, kind: FindingKind = FindingKind.BAD_LABEL_FILE, image_id: str | None = None, *, out: bool = False
    ) -> None:
        self.result.findings.append(Finding(kind, self.path, f"{self.path}: {message}", image_id, quarantined=out))

    def _categories(self, entries: list[Any]) -> None:
        for row, entry in enumerate(entries):
            number, name = _member(entry, "id"), _member(entry, "name")
            if not _is_id(number) or not isinstance(name, str):
                self._fault(f"categories[{row}] is {_shown(entry)}. Expected an id and a name.")
            elif self.result.categories.setdefault(number, name) != name:
                first = self.result.categories[number]
                self._fault(
                    f"categories[{row}] {name!r} has id {number} of {first!r}. Expected ids of their own.", FindingKind.DUPLICATE_ID
                )

    def _images(self, entries: list[Any]) -> dict[Any, Listed]:
        """Source id → image; an id that stands for two files takes both out."""
        self._unlabelled: set[Any] = set()
        found: dict[Any, Listed] = {}
        twice: set[Any] = set()
        for row, entry in enumerate(entries):
            image = self._image(entry, row)
            if image is None:
                continue
            first = found.setdefault(image.source_id, image)
            if first is not image:
                twice |= {image.source_id} if first.image_id != image.image_id else set()
                self._repeated(f"images[{row}] has id {image.source_id} of {first.image_id}. Expected ids of their own.", image, first)
            if entry.get("labeled") is False:
                self._unlabelled.add(image.source_id)
        return {source_id: image for source_id, image in found.items() if source_id not in twice}

    def _image(self, entry: Any, row: int) -> Listed | None:
        number, file_name = _member(entry, "id"), _member(entry, "file_name")
        if not _is_id(number) or not isinstance(file_name, str) or not file_name:
            self._fault(f"images[{row}] is {_shown(entry)}. Expected an id and a file_name.")
            return None
        name = file_name.replace("\\", "/").removeprefix("./")
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or Path(name).drive or "\0" in name:
            message = f"images[{row}] has file_name {file_name!r}. Expected a path inside {self.index.folder}."
            self._fault(message, image_id=name, out=True)
            return None
        split = split_named(self.path.stem) or split_named(self.path.parent.name)
        image_id = self.index.ending_in(name, split) or name
        size = tuple(int(side) for key in ("width", "height") if (side := _number(entry.get(key))) is not None and side > 0)
        stated = (size[0], size[1]) if len(size) == 2 else None
        return Listed(image_id, self.index.path(image_id), split, number, stated, self.path)

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
        for row, entry in enumerate(entries):
            owner, number = _member(entry, "image_id"), _member(entry, "id")
            if not _is_id(owner) or owner not in grouped:
                self._fault(f"annotations[{row}] speaks of image {_shown(owner)}. Expected the id of an image that is listed once.")
                continue
            if _is_id(number) and number in seen:
                message = f"annotations[{row}] has id {number} of an earlier one. Expected ids of their own."
                self._fault(message, FindingKind.DUPLICATE_ID, images[owner].image_id)
            seen |= {number} if _is_id(number) else set()
            grouped[owner].append(entry)
        return grouped

    def _reading(self, entries: list[dict[str, Any]], image_id: str) -> Reading:
        xyxy = np.array([_corners(entry.get("bbox")) for entry in entries], np.float64).reshape(-1, 4)
        columns: dict[str, list[Any]] = {
            "ids": [number if _is_id(number := entry.get("id")) else None for entry in entries],
            "crowd": [bool(_number(entry.get("iscrowd"))) for entry in entries],
        }
        for column, key in _FLAGS.items():
            values = [_number(entry.get(key)) for entry in entries]
            if entries and None not in values:
                columns[column] = values
        return Reading(self.path, [self._class_name(entry) for entry in entries], xyxy, columns, f"{image_id} ")

    def _class_name(self, entry: dict[str, Any]) -> str:
        number = entry.get("category_id")
        return self.result.categories.get(number, f"category {number}") if _is_id(number) else f"category {_shown(number)}"


def _json_files(labels: Path) -> list[Path]:
    """The file itself, or a folder's instances*.json (else all JSON) there or in annotations/, in the order train, val, test, rest."""
    if labels.is_file():
        return [labels]
    found = sorted(labels.glob("*.json")) or sorted(labels.glob("annotations/*.json")) or sorted(labels.glob("*/_annotations.coco.json"))
    found = [path for path in found if path.name.startswith("instances")] or found
    if any("trainval" in path.stem for path in found) and any(split_named(path.stem.replace("trainval", "")) for path in found):
        found = [path for path in found if "trainval" not in path.stem]
    if not found:
        raise BoxwiseError(f"{labels}: expected a COCO JSON file such as instances_train.json, found none.")
    return sorted(found, key=_file_order)


def _file_order(path: Path) -> tuple[bool, int, str]:
    split = split_named(path.stem) or split_named(path.parent.name)
    return split is None, STRICTNESS[split], path.name


def _image_folder(folder: Path) -> Path:
    parent = folder.parent if folder.name == "annotations" or (folder / "_annotations.coco.json").exists() else folder
    return first_folder((folder / "images", parent / "images", parent))


def _merged(parsed: Sequence[_Parsed]) -> tuple[list[Listed], list[Finding]]:
    """The images of all files; one listed in several serves the strictest split, so that nothing of the test is trained on."""
    best: dict[str, Listed] = {}
    findings = []
    for image in (image for file in parsed for image in file.images):
        first = best.setdefault(image.image_id, image)
        if first is not image:
            best[image.image_id] = max(first, image, key=lambda one: STRICTNESS[one.split])
            counts = best[image.image_id].source
            message = f"{image.source}: expected {image.image_id} in one file, found it in {first.source} too; {counts} counts."
            findings.append(Finding(FindingKind.DUPLICATE_ID, image.source or image.path, message, image.image_id))
    return list(best.values()), findings


def _classes(parsed: Iterable[_Parsed], given: tuple[str, ...] | None) -> tuple[tuple[str, ...], tuple[int, ...] | None]:
    """Class names in the order of the files, and their category ids if they are distinct integers."""
    numbers: dict[str, Any] = {}
    for file in parsed:
        for number, name in file.categories.items():
            numbers.setdefault(name, number)
    names = given or tuple(numbers)
    ids = tuple(numbers.get(name) for name in names)
    whole = tuple(number for number in ids if isinstance(number, int))
    return names, whole if len(set(whole)) == len(names) else None


def _member(entry: Any, key: str) -> Any:
    return entry.get(key) if isinstance(entry, dict) else None


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _corners(bbox: Any) -> tuple[float, float, float, float]:
    numbers = [_number(value) for value in bbox] if isinstance(bbox, list) and len(bbox) == 4 else []
    x, y, width, height = (float("nan") if number is None else number for number in numbers or [None] * 4)
    return x, y, x + width, y + height


def _by_split(records: Sequence[ImageRecord]) -> dict[Split | None, list[ImageRecord]]:
    found: dict[Split | None, list[ImageRecord]] = {}
    for record in records:
        found.setdefault(record.split, []).append(record)
    return found or {None: []}


def _content(dataset: Dataset, records: Sequence[ImageRecord]) -> dict[str, Any]:
    class_ids = dataset.class_ids or tuple(range(1, len(dataset.classes) + 1))
    image_ids = _numbered([record.source_id for record in records])
    return {
        "info": {"description": "written by boxwise"},
        "licenses": [],
        "images": [_image_entry(r, number, r.image_id in dataset.labels) for r, number in zip(records, image_ids, strict=True)],
        "annotations": _annotations(dataset, records, image_ids, class_ids),
        "categories": [{"id": n, "name": name, "supercategory": ""} for n, name in zip(class_ids, dataset.classes, strict=True)],
    }


def _numbered(ids: Sequence[Any]) -> list[Any]:
    """The ids as they are if they are distinct, missing ones numbered after the largest; else 1, 2, 3, ..."""
    given = [number for number in ids if number is not None]
    if len(set(given)) < len(given):
        return list(range(1, len(ids) + 1))
    following = count(max((number for number in given if isinstance(number, int)), default=0) + 1)
    return [next(following) if number is None else number for number in ids]


def _image_entry(record: ImageRecord, number: int | str, labeled: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": number, "file_name": record.image_id, "width": record.width, "height": record.height}
    return entry if labeled else {**entry, "labeled": False}


def _annotations(
    dataset: Dataset, records: Sequence[ImageRecord], image_ids: Sequence[Any], class_ids: tuple[int, ...]
) -> list[dict[str, Any]]:
    entries = []
    for record, number in zip(records, image_ids, strict=True):
        boxes = dataset.labels.get(record.image_id, Boxes.empty())
        for row in range(len(boxes)):
            entries.append({"image_id": number, "category_id": class_ids[boxes.labels[row]], **_annotation(boxes, row)})
    numbers = _numbered([entry.pop("id") for entry in entries])
    return [{"id": number, **entry} for number, entry in zip(numbers, entries, strict=True)]


def _annotation(boxes: Boxes, row: int) -> dict[str, Any]:
    x1, y1, x2, y2 = boxes.xyxy[row]
    (x, width), (y, height) = _start_and_length(x1, x2), _start_and_length(y1, y2)
    entry: dict[str, Any] = {
        "id": None if boxes.ids is None else boxes.ids[row],
        "bbox": [x, y, width, height],
        "area": round(width * height, 4),
        "iscrowd": int(boxes.crowd is not None and bool(boxes.crowd[row])),
    }
    if boxes.scores is not None:
        entry["score"] = float(str(boxes.scores[row]))
    if boxes.difficult is not None:
        entry["difficult"] = int(boxes.difficult[row])
    return entry


def _start_and_length(start: np.float32, end: np.float32) -> tuple[float, float]:
    """The shortest decimals of which start + length reads back as the same two float32."""
    first, last = float(str(start)), float(str(end))
    length = round(last - first, 4)
    return first, length if np.float32(first + length) == end else last - first


def _write_json(content: Mapping[str, Any], path: Path) -> None:
    with replacing(path) as aside, aside.open("w", encoding="utf-8") as file:
        json.dump(content, file)
