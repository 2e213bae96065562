"""COCO JSON: one file, or a folder with one file a split.

Keeps image, annotation and category ids, `iscrowd`, and scores where predictions have them. A mask without a box gives its extent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from boxwise.boxes import Boxes
from boxwise.data.addresses import Images
from boxwise.data.formats.base import UPRIGHT, Coordinates, Dataset, Finding, FindingKind, Progress
from boxwise.data.formats.checking import assemble, unlabelled
from boxwise.data.formats.coco_parser import Parsed, Parser
from boxwise.data.formats.layout import (
    JSON,
    STRICTNESS,
    ImageIndex,
    existing,
    files_below,
    image_folder,
    is_file,
    place_images,
    spelled_out,
    split_named,
)
from boxwise.data.formats.listing import Listed, check_images, matched_by_name, not_read, unlisted
from boxwise.errors import BoxwiseError
from boxwise.files import replacing
from boxwise.records import ImageRecord, Split


class Coco:
    """Microsoft COCO's detection format (Lin et al., ECCV 2014), bbox as x, y, width, height in pixels.

    COCO's file does not say whether an image without an annotation was looked at. Written beside the standard, therefore: `"labeled": true`
    of an image known to hold no object, `"labeled": false` of one that is not labelled, `"complete": false` of one in which objects are
    missing; also `score` and `difficult` of an annotation. Other readers pass over all of them.
    """

    name = "coco"
    holds = frozenset({"scores", "difficult", "crowd", "ids", "incomplete"})

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
        """As `Reader.read`. A folder's files are assigned to splits by their names.

        missing_is_empty: whether an image without an annotation has no objects (COCO's convention) or is unlabelled; in a file without a
        list of annotations every image is unlabelled either way.
        """
        files, others = _json_files(existing(labels, "a COCO JSON file or a folder of them"))
        index = ImageIndex(images or _image_folder(files[0].parent))
        parsed = [Parser(path, index, missing_is_empty=missing_is_empty).parse() for path in files]
        findings = [finding for file in parsed for finding in file.findings]
        if not any(file.images for file in parsed):
            raise BoxwiseError(findings[0].message if findings else f"{labels}: expected a COCO file with images, found none in it.")
        listed, repeats = _merged(parsed)
        checked = check_images(listed, verify=verify, coordinates=coordinates, progress=progress)
        owner = {id(image): file for file in parsed for image in file.images}
        readings = {i.image_id: r for i in listed if (r := owner[id(i)].readings.get(i.image_id)) is not None}
        names, class_ids = _classes(parsed, classes)
        named = [finding.image_id for finding in findings]
        by_name = {name: image_id for file in parsed for name, image_id in file.by_name.items()}
        notes = [
            *not_read(others, files),
            *matched_by_name(by_name, labels),
            *unlisted(index, [*named, *(image.image_id for image in listed)], labels),
        ]
        findings += [*repeats, *unlabelled(labels, checked.records, readings, expected="an annotation")]
        return assemble(checked, readings, classes=names, findings=findings, class_ids=class_ids, notes=notes)

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


def _json_files(labels: Path) -> tuple[list[Path], list[Path]]:
    """The file itself, or a folder's JSON files there, in annotations/ or in a folder a split; and those that are left aside."""
    if is_file(labels):
        return [labels], []
    places = ("*.{}", "annotations/*.{}", "*/_annotations.coco.{}", "*/*.{}")
    found = [sorted(labels.glob(place.format(JSON))) for place in places]
    if not any(found):
        raise BoxwiseError(f"{labels}: expected a COCO JSON file such as instances_train.json, found none.")
    chosen = _chosen(next(paths for paths in found if paths))
    return chosen, [path for path in files_below(labels, ".json") if path not in chosen]


def _chosen(found: list[Path]) -> list[Path]:
    """Those called instances*, else all, in the order train, val, test, rest; no trainval where its parts lie beside it."""
    found = [path for path in found if path.name.startswith("instances")] or found
    if any("trainval" in path.stem for path in found) and any(split_named(path.stem.replace("trainval", "")) for path in found):
        found = [path for path in found if "trainval" not in path.stem]
    return sorted(found, key=_file_order)


def _file_order(path: Path) -> tuple[bool, int, str]:
    split = split_named(path.stem) or split_named(spelled_out(path.parent).name)
    return split is None, STRICTNESS[split], path.name


def _image_folder(folder: Path) -> Path:
    called = spelled_out(folder)
    parent = called.parent if called.name == "annotations" or is_file(folder / "_annotations.coco.json") else folder
    return image_folder((folder / "images", parent / "images", parent))


def _merged(parsed: Sequence[Parsed]) -> tuple[list[Listed], list[Finding]]:
    """The images of all files; one listed in several serves the strictest split, so that nothing of the test is trained on."""
    best: dict[str, Listed] = {}
    findings = []
    for image in (image for file in parsed for image in file.images):
        first = best.setdefault(image.image_id, image)
        if first is not image:
            best[image.image_id] = max(first, image, key=lambda one: STRICTNESS[one.split])
            counts = best[image.image_id].source
            message = f"{image.source}: expected {image.image_id} in one file, found it in {first.source} too; {counts} counts."
            findings.append(Finding(FindingKind.DUPLICATE_ID, image.source or image.uri, message, image.image_id))
    return list(best.values()), findings


def _classes(parsed: Iterable[Parsed], given: tuple[str, ...] | None) -> tuple[tuple[str, ...], tuple[int, ...] | None]:
    """Class names in the order of the files, and their category ids if they are distinct integers."""
    numbers: dict[str, Any] = {}
    for file in parsed:
        for number, name in file.categories.items():
            numbers.setdefault(name, number)
    names = given or tuple(numbers)
    ids = tuple(numbers.get(name) for name in names)
    whole = tuple(number for number in ids if isinstance(number, int))
    return names, whole if len(set(whole)) == len(names) else None


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
        "images": [_image_entry(r, number, dataset) for r, number in zip(records, image_ids, strict=True)],
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


def _image_entry(record: ImageRecord, number: int | str, dataset: Dataset) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": number, "file_name": record.image_id, "width": record.width, "height": record.height}
    boxes = dataset.labels.get(record.image_id)
    if not boxes:
        entry["labeled"] = boxes is not None
    return {**entry, "complete": False} if record.image_id in dataset.incomplete else entry


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
