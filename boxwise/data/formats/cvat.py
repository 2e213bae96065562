"""CVAT for images 1.1: one annotations.xml with every image, its boxes and the class names in order.

Reads what CVAT exports of tasks and projects, and what is written here. Coordinates are continuous pixels from 0, floats allowed.
Polygons, masks, ellipses and rotated boxes are read as their upright extent; points and lines have none, so that their image is labelled
in part. The tracks of a video are read where its frames are given as images. Knows nothing of CVAT's server.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from boxwise.boxes import Boxes
from boxwise.data.addresses import Images
from boxwise.data.earlier_writes import as_written
from boxwise.data.formats.base import UPRIGHT, Coordinates, Dataset, Finding, FindingKind, Progress
from boxwise.data.formats.checking import assemble, unlabelled
from boxwise.data.formats.cvat_shapes import extent_of, frames_of, has_no_extent, is_area
from boxwise.data.formats.layout import (
    XML,
    ImageIndex,
    check_names,
    existing,
    files_below,
    image_folder,
    is_file,
    shared_folder_words,
    split_named,
)
from boxwise.data.formats.listing import Listed, check_images, expected_inside, matched_by_name, not_read, unlisted
from boxwise.data.formats.placing import place_images, write_texts
from boxwise.data.formats.reading import Reading
from boxwise.data.formats.shapes import unturned
from boxwise.data.formats.xml import number, root_of, root_tag, size
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord

FILE = "annotations.xml"
_CORNERS = ("xtl", "ytl", "xbr", "ybr")
_FLAGS = ("difficult", "crowd")
_INPUTS = {"score": ("text", "", ""), **dict.fromkeys(_FLAGS, ("checkbox", "false", "false\ntrue"))}
_BOX_TYPES = ("", "any", "rectangle", "bbox", "polygon", "mask", "ellipse", "cuboid")


class Cvat:
    """CVAT's XML for image tasks (https://docs.cvat.ai/docs/dataset_management/formats/xml_format/).

    `score`, `difficult` and `crowd` of a box are attributes of it, declared with its label, so that CVAT keeps them. CVAT's file does not
    say whether a person has looked at an image without a shape. Written beside the standard, therefore: `labeled="1"` of an image known
    to hold no object, `labeled="0"` of one that is not labelled, `complete="0"` of one in which objects are missing; CVAT passes over
    them. In an export of CVAT itself an image tag (of whatever name) says the first; without one, `missing_is_empty` decides.
    """

    name = "cvat"
    holds = frozenset({"scores", "difficult", "crowd", "incomplete"})

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
        """As `Reader.read`. Classes come from `classes`, else the declared labels in order, then undeclared names, sorted.

        missing_is_empty: whether an image without a shape, that nothing marks as labelled, has no objects or is unlabelled.
        """
        path, *others = _xml_files(existing(labels, "a CVAT annotations.xml or a folder with one"))
        index = ImageIndex(images or image_folder((path.parent / "images", path.parent)))
        root = root_of(path, "annotations", owner="CVAT")
        names = [_plain(element, index) for element in root.iter("image")]
        exact, shared = set(names) & set(index.paths), shared_folder_words(names, index.paths)
        entries = [_entry(path, element, row, index, exact, shared) for row, element in enumerate(root.iter("image"))]
        entries += _frames(path, root, index)
        findings = [finding for entry in entries for finding in entry.findings] + _strays(path, root)
        if not any(entry.listed is not None or entry.stated for entry in entries):
            raise BoxwiseError(findings[0].message if findings else f"{path}: expected CVAT images, found none in it.")
        sound, repeats = _distinct(path, entries)
        listed = [entry.listed for entry in sound if entry.listed is not None]
        checked = check_images(listed, verify=verify, coordinates=coordinates, progress=progress, index=index)
        readings = {e.listed.image_id: e.labelled(missing_is_empty) for e in sound if e.listed is not None}
        given = {image_id: reading for image_id, reading in readings.items() if reading is not None}
        by_name = {name: image_id for entry in sound for name, image_id in entry.by_name.items()}
        notes = not_read(others, [path]) + matched_by_name(by_name, path) + unlisted(index, [entry.image_id for entry in entries], path)
        findings += [*repeats, *unlabelled(path, checked.records, given, expected="a shape or a tag")]
        return assemble(checked, given, classes=classes or _class_names(root, given.values()), findings=findings, notes=notes)

    def write(self, dataset: Dataset, target: Path, *, copy_images: bool = False) -> list[Path]:
        """As `Format.write`. A `target` ending in .xml is the file; else it is target/annotations.xml. Images go to images/ beside it."""
        path = target if target.suffix.lower() == ".xml" else target / FILE
        check_names(dataset)
        root = _tree(dataset)
        indent(root, "  ")
        write_texts({path: '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"})
        if copy_images:
            place_images(dataset, path.parent / "images")
        return [path]


def is_cvat(path: Path) -> bool:
    """Whether `path` is an XML file with CVAT's root element; only its first bytes are read."""
    return root_tag(path) == "annotations"


@dataclass(frozen=True)
class _Entry:
    """One <image>: its record and labels, unless there is a fault. stated: whether the file marks it as labelled, or as not.

    by_name: what the file calls it → image id, where the names alone agree.
    """

    reading: Reading
    image_id: str = ""
    listed: Listed | None = None
    stated: bool | None = None
    findings: list[Finding] = field(default_factory=list)
    by_name: Mapping[str, str] = field(default_factory=dict)

    def labelled(self, missing_is_empty: bool) -> Reading | None:
        """The reading; None where the image is unlabelled."""
        if self.stated is None:
            return replace(self.reading, implied=True) if missing_is_empty else None
        return self.reading if self.stated else None


def _xml_files(labels: Path) -> list[Path]:
    """The file to read, and others beside it: annotations.xml first, but for one that boxwise wrote and nobody has changed since."""
    if is_file(labels):
        return [labels]
    places = (labels / FILE, *sorted(labels.glob(f"*.{XML}")), *sorted(labels.glob(f"*/*.{XML}")), *files_below(labels, ".xml"))
    found = [path for path in dict.fromkeys(places) if is_file(path)]
    if len(found) > 1 and as_written(labels, Cvat.name)(found[0]):
        found = sorted(found, key=lambda path: path == found[0] or not is_cvat(path))
    if not found:
        raise BoxwiseError(f"{labels}: expected {FILE} as CVAT exports it, found no XML file.")
    return found


def _plain(element: Element, index: ImageIndex) -> str:
    return index.with_slashes(element.get("name", "")).removeprefix("./")


def _entry(path: Path, element: Element, row: int, index: ImageIndex, exact: Set[str], shared: Set[str]) -> _Entry:
    """exact: the images that some entry calls by their ids; no other is taken for them by its name. shared: by `shared_folder_words`."""
    name = _plain(element, index)
    split, stated = split_named(element.get("subset", "")), size(element.get("width"), element.get("height"))
    outside = not name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\0" in name or bool(Path(name).drive)
    image_id = None if outside else index.ending_in(name, split)
    by_name = None if image_id else index.by_name(name, shared)
    by_name = None if by_name in exact else by_name
    image_id = image_id or by_name
    if image_id is None and outside:
        message = f"{path}: image {row} has the name {element.get('name')!r}. {expected_inside(index, element.get('name', ''))}"
        fault = Finding(FindingKind.BAD_LABEL_FILE, path, message, name or None, quarantined=True)
        return _Entry(Reading(path, (), np.zeros((0, 4))), name, findings=[fault])
    image_id = image_id or name
    listed = Listed(image_id, index.path(image_id), split, None, stated, path)
    faults = [*_unknown_children(element), *_odd_rotations(element)]
    findings = [
        Finding(FindingKind.BAD_BOX, path, f"{path}: {image_id} {fault} Expected boxes.", image_id, quarantined=True) for fault in faults
    ]
    reading = replace(_reading(path, list(element), f"{image_id} "), partly=element.get("complete") == "0")
    return _Entry(reading, image_id, None if faults else listed, _stated(element), findings, {name: by_name} if by_name else {})


def _stated(image: Element) -> bool | None:
    if any(is_area(child) or has_no_extent(child) or child.tag == "tag" for child in image):
        return True
    return {"1": True, "0": False}.get(image.get("labeled", ""))


def _unknown_children(image: Element) -> Iterable[str]:
    found = Counter(child.tag for child in image if not (is_area(child) or has_no_extent(child) or child.tag == "tag"))
    return [f"has {count} {'shape' if count == 1 else 'shapes'} of the kind {tag!r}." for tag, count in found.items()]


def _odd_rotations(image: Element) -> Iterable[str]:
    for row, shape in enumerate(filter(is_area, image), start=1):
        if not isfinite(number(shape.get("rotation", "0"))):
            yield f"box {row} ({shape.get('label', '')!r}) is rotated by {shape.get('rotation')} degrees."


def _reading(path: Path, children: Sequence[Element], subject: str) -> Reading:
    """What the children of an <image>, or the shapes on a frame, say."""
    shapes = [child for child in children if is_area(child)]
    missing = Counter(child.tag for child in children if has_no_extent(child))
    shaped = [extent_of(shape) for shape in shapes]
    xyxy = np.array([extent.corners for extent in shaped], np.float64).reshape(-1, 4)
    stated = [{a.get("name"): (a.text or "").strip() for a in shape.findall("attribute")} for shape in shapes]
    columns: dict[str, list[Any]] = {}
    for flag in _FLAGS:
        if any(flag in attributes for attributes in stated):
            columns[flag] = [attributes.get(flag, "").lower() in ("true", "1") for attributes in stated]
    scores = [number(attributes.get("score")) for attributes in stated]
    if np.isfinite(scores).any():
        columns["scores"] = [score if isfinite(score) else None for score in scores]
    names = [shape.get("label", "") for shape in shapes]
    kinds = Counter(extent.kind for extent in shaped if extent.kind)
    return Reading(path, names, xyxy, columns, subject, shapes=kinds, missing=missing, before=unturned(shaped))


def _strays(path: Path, root: Element) -> list[Finding]:
    """One finding for the boxes outside of any image and track, if there are any."""
    owned = {id(box) for tag in ("image", "track") for owner in root.iter(tag) for box in owner.iter("box")}
    count = sum(id(box) not in owned for box in root.iter("box"))
    message = f"{path}: expected every box in an <image>, found {count} outside of one. They are passed over."
    return [Finding(FindingKind.BAD_LABEL_FILE, path, message)] if count else []


def _frames(path: Path, root: Element, index: ImageIndex) -> list[_Entry]:
    """The frames of a video among the images, with what its tracks show on each."""
    tracks = root.findall("track")
    if not tracks:
        return []
    stated = size(root.findtext("meta/*/original_size/width"), root.findtext("meta/*/original_size/height"))
    frames = frames_of(root, index.paths)
    listed = [Listed(image_id, index.path(image_id), None, None, stated, path) for image_id in frames]
    entries = [
        _Entry(_reading(path, shapes, f"{frame.image_id} "), frame.image_id, frame, bool(shapes) or None)
        for frame, shapes in zip(listed, frames.values(), strict=True)
    ]
    if entries:
        return entries
    message = f"{path}: expected frames such as frame_000000.png in {index}, found none for {len(tracks)} tracks of a video. "
    message += "Export the task as 'CVAT for images 1.1', or add the frames."
    return [_Entry(Reading(path, (), np.zeros((0, 4))), findings=[Finding(FindingKind.BAD_LABEL_FILE, path, message)])]


def _distinct(path: Path, entries: Iterable[_Entry]) -> tuple[list[_Entry], list[Finding]]:
    """The sound entries of images listed once; labels of an image listed twice are spread over both entries, so the image is left out."""
    sound = [entry for entry in entries if entry.listed is not None]
    times = Counter(entry.listed.image_id for entry in sound if entry.listed is not None)
    findings = [
        Finding(FindingKind.DUPLICATE_ID, path, f"{path}: expected {image_id} once, found it {count} times.", image_id, quarantined=True)
        for image_id, count in times.items()
        if count > 1
    ]
    return [entry for entry in sound if entry.listed is not None and times[entry.listed.image_id] == 1], findings


def _class_names(root: Element, readings: Iterable[Reading]) -> tuple[str, ...]:
    labels = [label for label in root.findall("meta/*/labels/label") if label.findtext("type", "").strip() in _BOX_TYPES]
    declared = dict.fromkeys(label.findtext("name", "") for label in labels if label.find("parent") is None)
    used = {name for reading in readings for name in reading.names}
    return tuple(name for name in (*declared, *sorted(used - set(declared))) if name)


def _tree(dataset: Dataset) -> Element:
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    task = SubElement(SubElement(root, "meta"), "task")
    for tag, text in (("name", "boxwise"), ("size", str(len(dataset.images))), ("mode", "annotation")):
        SubElement(task, tag).text = text
    labels = SubElement(task, "labels")
    columns = [name for name in _INPUTS if any(_column(boxes, name) is not None for boxes in dataset.labels.values())]
    for name in dataset.classes:
        _declare(SubElement(labels, "label"), name, columns)
    for row, record in enumerate(dataset.images):
        _image(SubElement(root, "image"), row, record, dataset)
    return root


def _declare(label: Element, name: str, columns: Sequence[str]) -> None:
    SubElement(label, "name").text = name
    SubElement(label, "type").text = "rectangle"
    attributes = SubElement(label, "attributes")
    for column in columns:
        kind, default, values = _INPUTS[column]
        texts = {"name": column, "mutable": "False", "input_type": kind, "default_value": default, "values": values}
        attribute = SubElement(attributes, "attribute")
        for tag, text in texts.items():
            SubElement(attribute, tag).text = text


def _image(element: Element, row: int, record: ImageRecord, dataset: Dataset) -> None:
    stated: dict[str, Any] = {"id": row, "name": record.image_id, "subset": record.split, "width": record.width, "height": record.height}
    boxes = dataset.labels.get(record.image_id, Boxes.empty())
    if not len(boxes):
        stated["labeled"] = int(record.image_id in dataset.labels)
    if record.image_id in dataset.incomplete:
        stated["complete"] = 0
    for name, value in stated.items():
        if value is not None:
            element.set(name, str(value))
    for box in range(len(boxes)):
        _box(SubElement(element, "box"), boxes, box, dataset.classes)


def _box(element: Element, boxes: Boxes, row: int, classes: Sequence[str]) -> None:
    corners = zip(_CORNERS, map(str, boxes.xyxy[row]), strict=True)  # the shortest decimals that read back as the same float32
    source = "manual" if boxes.scores is None else "auto"
    element.attrib |= {"label": classes[boxes.labels[row]], "source": source, "occluded": "0", **dict(corners), "z_order": "0"}
    for name in _INPUTS:
        column = _column(boxes, name)
        if column is not None:
            attribute = SubElement(element, "attribute", name=name)
            attribute.text = str(column[row]) if name == "score" else str(bool(column[row])).lower()


def _column(boxes: Boxes, name: str) -> Any:
    return boxes.scores if name == "score" else getattr(boxes, name)
