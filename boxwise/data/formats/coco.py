"""COCO JSON: one file, or a folder with one file a split.

Keeps image, annotation and category ids, `iscrowd`, and scores where predictions have them. A box marked `ignore` is a crowd. A mask
without a box gives its extent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from boxwise.boxes import Boxes
from boxwise.data.addresses import Images
from boxwise.data.formats.base import UPRIGHT, Coordinates, Dataset, Progress
from boxwise.data.formats.checking import assemble, unlabelled
from boxwise.data.formats.coco_files import TO_CORRECT, WRITTEN, Places, coco_files, image_folder_of
from boxwise.data.formats.coco_merging import classes_of, merged
from boxwise.data.formats.coco_parser import Parser
from boxwise.data.formats.layout import ImageIndex, existing
from boxwise.data.formats.listing import check_images, matched_by_name, unlisted
from boxwise.data.formats.placing import place_images
from boxwise.errors import BoxwiseError, plural
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
        files, notes = coco_files(existing(labels, "a COCO JSON file or a folder of them"))
        index = ImageIndex(images or image_folder_of(labels, files))
        places = Places(index, files)
        parsed = [Parser(path, index, places, missing_is_empty=missing_is_empty, alone=len(files) == 1).parse() for path in files]
        findings = [finding for file in parsed for finding in file.findings]
        if not any(file.images for file in parsed):
            raise BoxwiseError(findings[0].message if findings else f"{labels}: expected a COCO file with images, found none in it.")
        listed, readings, repeats = merged(parsed)
        checked = check_images(listed, verify=verify, coordinates=coordinates, progress=progress, index=index)
        names, class_ids, headings = classes_of(parsed, classes)
        findings += repeats
        named = [finding.image_id for finding in findings]
        by_name = {name: image_id for file in parsed for name, image_id in file.by_name.items()}
        notes += [
            *_ignored(sum(file.ignored for file in parsed), labels),
            *headings,
            *matched_by_name(by_name, labels),
            *unlisted(index, [*named, *(image.image_id for image in listed)], labels),
        ]
        findings += unlabelled(labels, checked.records, readings, expected="an annotation")
        return assemble(checked, readings, classes=names, findings=findings, class_ids=class_ids, notes=notes)

    def write(self, dataset: Dataset, target: Path, *, copy_images: bool = False, to_correct: bool = False) -> list[Path]:
        """As `Format.write`. A `target` ending in .json takes everything; else instances_<split>.json a split, images in images/.

        to_correct: the boxes are for a person to correct, so that the file does not count beside the one with the answers.
        """
        description = TO_CORRECT if to_correct else WRITTEN
        single = target.suffix.lower() == ".json"
        parts: dict[Split | None, list[ImageRecord]] = {None: list(dataset.images)} if single else _by_split(dataset.images)
        files = {target if single else target / file_of(split): members for split, members in parts.items()}
        for path, members in files.items():
            _write_json(_content(dataset, members, description), path)
        if copy_images:
            place_images(dataset, (target.parent if single else target) / "images")
        return list(files)


def _ignored(count: int, labels: Path) -> list[str]:
    """A note on boxes with a mark by which other programs leave them out of training, if there are any."""
    return [f"{labels}: {plural(count, 'box', 'is')} marked `ignore`: crowds, which are neither taught nor background."] if count else []


def file_of(split: Split | None) -> str:
    """What the file of a split is called, or that of images of no split."""
    return f"instances_{split}.json" if split else "instances.json"


def _by_split(records: Sequence[ImageRecord]) -> dict[Split | None, list[ImageRecord]]:
    found: dict[Split | None, list[ImageRecord]] = {}
    for record in records:
        found.setdefault(record.split, []).append(record)
    return found or {None: []}


def _content(dataset: Dataset, records: Sequence[ImageRecord], description: str) -> dict[str, Any]:
    class_ids = dataset.class_ids or tuple(range(1, len(dataset.classes) + 1))
    image_ids = _numbered([record.source_id for record in records])
    return {
        "info": {"description": description},
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
