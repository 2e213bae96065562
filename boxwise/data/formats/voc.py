"""PASCAL VOC: one XML an image, splits in ImageSets/Main.

Reads a data set's root (Annotations, ImageSets/Main, JPEGImages), a bare folder of XML, or such a folder a split. Coordinates are taken as
they are, as continuous pixels from 0, unless the caller says that they count from 1. Knows nothing of segmentation masks, parts and poses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import degrees, isfinite
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from boxwise.data.addresses import Images
from boxwise.data.earlier_writes import as_written
from boxwise.data.formats.base import UPRIGHT, Coordinates, Dataset, Finding, FindingKind, Progress
from boxwise.data.formats.beside import places_beside
from boxwise.data.formats.checking import assemble, unlabelled
from boxwise.data.formats.layout import (
    STRICTNESS,
    ImageIndex,
    at_odds,
    check_names,
    existing,
    files_below,
    first_folder,
    folder_words,
    image_folder,
    is_file,
    listed_names,
    shared_folder_words,
    shared_stems,
    spelled_out,
    split_named,
    stem_of,
    text_of,
)
from boxwise.data.formats.listing import Listed, check_images, matched_by_name, not_read, torn
from boxwise.data.formats.placing import place_images, write_texts
from boxwise.data.formats.reading import Reading
from boxwise.data.formats.shapes import NOWHERE, Extent, around_points, around_rotated, turned_box, unturned
from boxwise.data.formats.xml import number, root_of, root_tag, size
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord, Split

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_BOX_TAGS = ("bndbox", "robndbox", "xmin")


class Voc:
    """The PASCAL Visual Object Classes layout (Everingham et al., IJCV 2010).

    Written beside the standard: `classes.txt`, one name a line, which keeps the order of classes and those without a box, a `crowd`
    element where boxes have that column, and `<complete>0</complete>` where objects are missing. Other readers pass over all of them.
    """

    name = "voc"
    holds = frozenset({"difficult", "crowd", "incomplete"})

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
        """As `Reader.read`. Classes come from `classes`, else classes.txt, else the names found, sorted."""
        folders = _Folders.of(existing(labels, "a VOC folder"), images)
        index = ImageIndex(folders.images)
        places, not_taken = _places(labels, folders, index)
        parsed = {place: [_parse(path, coordinates.voc_origin) for path in paths] for place, paths in places.items()}
        files = [file for of_place in parsed.values() for file in of_place]
        if not files and not index.paths:
            raise BoxwiseError(f"{labels}: expected Annotations/*.xml and JPEGImages, found neither labels nor images.")
        called: dict[Path, str] = {}
        by_name: dict[str, str] = {}
        for place, of_place in parsed.items():
            ids, names_alone = _image_ids(of_place, index, place)
            called, by_name = called | ids, by_name | names_alone
        named, findings = _match(files, called, as_written(folders.root, self.name))
        splits, split_findings = _splits(folders.sets, index, {stem_of(image_id): image_id for image_id in named})
        findings += split_findings
        listed = _listed(named, index, splits, {finding.image_id for finding in findings if finding.quarantined})
        checked = check_images(listed, verify=verify, coordinates=coordinates, progress=progress, index=index)
        readings = {image_id: file.reading for image_id, file in named.items() if file.reading is not None}
        findings += unlabelled(folders.annotations, checked.records, readings, expected="an XML")
        names = (
            classes
            or listed_names(folders.root / "classes.txt")
            or tuple(sorted({name for r in readings.values() for name in r.names} - {""}))
        )
        notes = [*matched_by_name(by_name, folders.annotations), *not_read(not_taken, [folders.annotations])]
        return assemble(checked, readings, classes=names, findings=findings, notes=notes)

    def write(self, dataset: Dataset, target: Path, *, copy_images: bool = False) -> list[Path]:
        """As `Format.write`. An unlabelled image gets no XML; images go to JPEGImages/image_id."""
        check_names(dataset)
        stems = _xml_stems(dataset.images)
        texts = {target / "classes.txt": _lines(dataset.classes)}
        for record in dataset.images:
            if record.image_id in dataset.labels:
                tree = _tree(record, dataset)
                texts[target / "Annotations" / f"{stems[record.image_id]}.xml"] = tostring(tree, encoding="unicode")
        write_texts(texts)
        if copy_images:
            place_images(dataset, target / "JPEGImages")
        members = {split: [stems[record.image_id] for record in dataset.images if record.split == split] for split in Split}
        lists = {target / "ImageSets" / "Main" / f"{split}.txt": _lines(stems) for split, stems in members.items() if stems}
        write_texts(lists)
        return [*texts, *lists]


@dataclass(frozen=True)
class _Folders:
    """Where a VOC data set keeps what; `sets` may not exist."""

    root: Path
    annotations: Path
    images: Images
    sets: Path

    @staticmethod
    def of(labels: Path, images: Images | None) -> _Folders:
        called = spelled_out(labels)
        root = called.parent if called.name == "Annotations" else labels
        annotations = first_folder((root / "Annotations", root / "annotations", labels))
        beside = (root / "JPEGImages", root / "images", annotations)
        return _Folders(root, annotations, images or image_folder(beside), root / "ImageSets" / "Main")


def _places(labels: Path, folders: _Folders, index: ImageIndex) -> tuple[dict[Path, list[Path]], list[Path]]:
    """Place → the XMLs there that are read: in Annotations, and where labelling tools save theirs beside it; and those not read."""
    own = {folders.annotations: files_below(folders.annotations, ".xml")}
    if folders.annotations == labels and labels == folders.root:
        return own, []
    near, far = places_beside(folders.root, folders.annotations, ".xml")
    near = {place: [path for path in paths if _is_label(path, place, index)] for place, paths in near.items()}
    far = [path for path in far if root_tag(path) == "annotation"]
    if labels != folders.root:  # Annotations was named, and so it alone is meant
        return own, [*far, *(path for paths in near.values() for path in paths)]
    return own | near, far


def _is_label(path: Path, place: Path, index: ImageIndex) -> bool:
    """Whether it is VOC's; of what is no XML at all, whether it is called after an image."""
    tag = root_tag(path)
    return tag == "annotation" or (not tag and index.with_stem(path.relative_to(place).with_suffix("").as_posix()) is not None)


@dataclass(frozen=True)
class _File:
    """One XML as parsed: either `reading` or `fault`."""

    path: Path
    file_name: str = ""
    size: tuple[int, int] | None = None
    reading: Reading | None = None
    fault: str | None = None


def _parse(path: Path, origin: int) -> _File:
    try:
        root = root_of(path, "annotation", owner="VOC")
        objects = _objects(path, root)
    except BoxwiseError as error:
        return _File(path, fault=str(error))
    file_name = (root.findtext("filename") or "").strip()
    stated = size(root.findtext("size/width"), root.findtext("size/height"))
    reading = replace(_reading(path, objects, origin), partly=(root.findtext("complete") or "").strip() == "0")
    return _File(path, file_name, stated, reading)


def _objects(path: Path, root: Element) -> list[Element]:
    """The objects, however deep they lie. BoxwiseError for a box outside of any: nothing would say that it was passed over."""
    objects = list(root.iter("object"))
    boxes, read = (sum(element.tag.lower() in _BOX_TAGS for part in parts for element in part.iter()) for parts in ([root], objects))
    if any(len(element.findall("bndbox")) > 1 for element in objects):
        raise BoxwiseError(f"{path}: expected one box an object, found an object with several.")
    if boxes > read:
        raise BoxwiseError(f"{path}: expected every box inside an <object>, found {boxes - read} outside of one.")
    return objects


def _reading(path: Path, objects: list[Element], origin: int) -> Reading:
    shaped = [_extent(element) for element in objects]
    first = [origin, origin, 0, 0]  # the first pixel inside, from 0; the last one from 1 is the edge after it
    xyxy = np.array([extent.corners for extent in shaped], np.float64).reshape(-1, 4) - first
    columns: dict[str, list[bool]] = {"difficult": [_flag(o, "difficult") for o in objects]}
    if any(o.find("crowd") is not None for o in objects):
        columns["crowd"] = [_flag(o, "crowd") for o in objects]
    names = [(o.findtext("name") or "").strip() for o in objects]
    shapes, before = Counter(extent.kind for extent in shaped if extent.kind), unturned(shaped)
    return Reading(path, names, xyxy, columns, shapes=shapes, before=None if before is None else before - first)


def _extent(element: Element) -> Extent:
    """Of an object."""
    box, rotated, polygon = (element.find(tag) for tag in ("bndbox", "robndbox", "polygon"))
    if box is not None:
        x1, y1, x2, y2 = (number(box.findtext(corner)) for corner in _CORNERS)
        return turned_box((x1, y1, x2, y2), 0.0 if polygon is not None else _rotation(element))
    if rotated is not None:  # roLabelImg: centre, size and radians
        cx, cy, width, height, angle = (number(rotated.findtext(tag)) for tag in ("cx", "cy", "w", "h", "angle"))
        flat = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
        return Extent(around_rotated(flat, degrees(angle), (cx, cy)), "rotated box", flat)
    if polygon is not None:
        xs = [number(e.text) for e in polygon.iter() if e.tag.startswith("x")]
        ys = [number(e.text) for e in polygon.iter() if e.tag.startswith("y")]
        return Extent(around_points(zip(xs, ys, strict=True)), "polygon")
    return Extent(NOWHERE)


def _rotation(element: Element) -> float:
    """By how many degrees the box is turned: CVAT exports rotated boxes as they were before, with an attribute that says so."""
    angles = (number(a.findtext("value")) for a in element.iterfind("attributes/attribute") if a.findtext("name") == "rotation")
    return next(filter(isfinite, angles), 0.0)


def _flag(element: Element, tag: str) -> bool:
    return (element.findtext(tag) or "").strip().lower() in ("1", "true")


def _match(
    files: Iterable[_File], called: Mapping[Path, str], is_as_written: Callable[[Path], bool]
) -> tuple[dict[str, _File], list[Finding]]:
    """The image id that each XML speaks of; an XML that cannot be read, or speaks of a taken image, quarantines that image.

    is_as_written: whether boxwise wrote an XML and nobody has changed it since; another of the same image counts in its place.
    """
    named: dict[str, _File] = {}
    findings = []
    for file in files:
        image_id = called[file.path]
        if file.fault is not None:
            findings.append(Finding(FindingKind.BAD_LABEL_FILE, file.path, file.fault, image_id, quarantined=True))
        elif (before := named.get(image_id)) is None or is_as_written(before.path):
            named[image_id] = file
        elif not (is_as_written(file.path) or _is_copy(file, before)):
            findings.append(torn(file.path, image_id, before.path))
    return named, findings


def _is_copy(file: _File, other: _File) -> bool:
    """Whether a file in another folder says the same of the image."""
    one, two = file.reading, other.reading
    if one is None or two is None or file.path.parent == other.path.parent:
        return False
    same = (one.names, one.columns, one.partly) == (two.names, two.columns, two.partly)
    return same and np.array_equal(one.xyxy, two.xyxy, equal_nan=True)


def _image_ids(files: Sequence[_File], index: ImageIndex, annotations: Path) -> tuple[dict[Path, str], dict[str, str]]:
    """The image of each XML, or what it would be called; and XML → image id, where their names alone agree.

    By the XML's own path, which data sets keep right, then by the `filename` it states, which they often do not; at last by its name alone,
    or in other letters, if that image has no XML yet. Never an image whose folder says another thing, such as another split.
    """
    stems = {file.path: PurePosixPath(file.path.relative_to(annotations).with_suffix("").as_posix()) for file in files}
    stated = {file.path: index.with_slashes(file.file_name).rpartition("/")[2] or f"{stems[file.path].name}.jpg" for file in files}
    found = {path: own for path, stem in stems.items() if (own := _own_image(stem, stated[path], index)) is not None}
    shared = shared_folder_words([str(stem) for stem in stems.values()], index.paths)
    by_name: dict[str, str] = {}
    for path, stem in ((path, stem) for path, stem in stems.items() if path not in found):
        named = index.ending_in(stated[path], split_named(stem.parts[0]))
        if named is not None and not at_odds(str(stem), named, shared):
            found[path] = named
            by_name |= {str(stem): named} if folder_words(str(stem)) != folder_words(named) else {}
    taken = set(found.values())
    for path, stem in ((path, stem) for path, stem in stems.items() if path not in found):
        alike = index.with_stem(stem.name) or index.respelled(str(stem))
        if alike is not None and alike not in taken and not at_odds(str(stem), alike, shared):
            found[path] = by_name[str(stem)] = alike
    return {path: found.get(path) or str(stem.parent / stated[path]) for path, stem in stems.items()}, by_name


def _own_image(stem: PurePosixPath, stated: str, index: ImageIndex) -> str | None:
    """The image at the XML's own path; of several of that stem the one that the XML states."""
    beside = str(stem.parent / stated)
    own = beside if beside in index.paths and str(stem) in (beside, stem_of(beside)) else index.with_stem(str(stem), stated)
    return own or (beside if beside in index.paths else None)


def _splits(folder: Path, index: ImageIndex, labelled: Mapping[str, str]) -> tuple[dict[str, Split], list[Finding]]:
    """Image id → split. An image in two lists serves the stricter one, so that nothing of the test is ever trained on."""
    splits: dict[str, Split] = {}
    findings = []
    for path, split in _set_files(folder):
        for entry in text_of(path).splitlines():
            image_id = _listed_id(entry, index) or _listed_id(entry.strip(), index) or labelled.get(entry.strip())
            if image_id is None:
                if entry.strip():
                    message = f"{path}: lists {entry.strip()!r}. Expected an image of that name in {index}."
                    findings.append(Finding(FindingKind.MISSING_IMAGE, path, message, entry.strip(), quarantined=True))
                continue
            before = splits.setdefault(image_id, split)
            if before != split:
                splits[image_id] = max(before, split, key=STRICTNESS.__getitem__)
                message = f"{path}: expected {image_id} in one split, found it in {before} too; it serves {splits[image_id]}."
                findings.append(Finding(FindingKind.DUPLICATE_ID, path, message, image_id))
    return splits, findings


def _set_files(folder: Path) -> list[tuple[Path, Split]]:
    train = folder / "train.txt"
    train = train if is_file(train) else folder / "trainval.txt"
    files = [(train, Split.TRAIN), (folder / "val.txt", Split.VAL), (folder / "test.txt", Split.TEST)]
    return [(path, split) for path, split in files if is_file(path)]


def _listed_id(entry: str, index: ImageIndex) -> str | None:
    """The image that a line of a set file names: with or without suffix, alone or followed by VOC's -1/0/1 column."""
    for name in (entry, entry.split(" ")[0]):
        image_id = name if name in index.paths else index.with_stem(name) or index.below_with_stem(name) or index.respelled(name)
        if image_id is not None:
            return image_id
    return None


def _listed(named: Mapping[str, _File], index: ImageIndex, splits: Mapping[str, Split], quarantined: set[str | None]) -> list[Listed]:
    listed = []
    for image_id in sorted({*index.paths, *named} - quarantined):
        file = named.get(image_id)
        stated, source = (file.size, file.path) if file else (None, None)
        listed.append(Listed(image_id, index.path(image_id), splits.get(image_id), None, stated, source))
    return listed


def _xml_stems(records: Iterable[ImageRecord]) -> dict[str, str]:
    ids = [record.image_id for record in records]
    shared = shared_stems(ids)
    return {image_id: image_id if stem_of(image_id) in shared else stem_of(image_id) for image_id in ids}


def _tree(record: ImageRecord, dataset: Dataset) -> Element:
    boxes, classes = dataset.labels[record.image_id], dataset.classes
    root = Element("annotation")
    _add(root, {"folder": "JPEGImages", "filename": PurePosixPath(record.image_id).name})
    _add(SubElement(root, "size"), {"width": record.width, "height": record.height, "depth": 3})
    _add(root, {"segmented": 0, **({"complete": 0} if record.image_id in dataset.incomplete else {})})
    for row in range(len(boxes)):
        element = SubElement(root, "object")
        difficult = boxes.difficult is not None and bool(boxes.difficult[row])
        _add(element, {"name": classes[boxes.labels[row]], "pose": "Unspecified", "truncated": 0, "difficult": int(difficult)})
        if boxes.crowd is not None:
            _add(element, {"crowd": int(boxes.crowd[row])})
        _add(SubElement(element, "bndbox"), dict(zip(_CORNERS, map(_short, boxes.xyxy[row]), strict=True)))
    indent(root, "\t")
    return root


def _add(parent: Element, texts: Mapping[str, Any]) -> None:
    for tag, text in texts.items():
        SubElement(parent, tag).text = str(text)


def _short(value: np.float32) -> str:
    """The shortest decimal that reads back as the same float32; integers without a point."""
    return str(int(value)) if value == int(value) else str(value)


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
