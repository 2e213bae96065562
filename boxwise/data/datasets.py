"""Finding and reading a user's data: which format it is, the pool of a new study, labels that come in later.

Returns a `Dataset`; each fault is among its findings. Knows nothing of studies.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from boxwise.data.addresses import IMAGE_SUFFIXES, Address, Images, folder_of, is_local, redacted
from boxwise.data.formats.base import UPRIGHT, Coordinates, Dataset, Finding, FindingKind
from boxwise.data.formats.class_names import without_blanks
from boxwise.data.formats.detect import detect_format, unused_labels, unwrapped
from boxwise.data.formats.folder import read_folder
from boxwise.data.formats.image_list import is_image_list, read_image_list
from boxwise.data.formats.layout import ImageIndex, at_odds, is_file, is_folder, shared_folder_words
from boxwise.data.formats.listing import NO_SPLIT, pictures_not_read
from boxwise.data.formats.names import READERS
from boxwise.errors import BoxwiseError, named, plural, quoted
from boxwise.records import ImageRecord, Split

Progress = Callable[[int, int], None]
_A_FILE = (
    "expected a folder, or a file of COCO, CVAT, Label Studio, Open Images, Create ML or VIA, data.yaml or obj.data. "
    "What has one file an image (VOC, YOLO, LabelMe) is read by its folder."
)
_LISTING = ("coco", "cvat", "createml", "via")  # formats of one file that lists images


def read_dataset(
    path: Path | str,
    *,
    format_name: str | None = None,
    images: Images | None = None,
    classes: tuple[str, ...] | None = None,
    missing_is_empty: bool = True,
    verify: bool = True,
    coordinates: Coordinates = UPRIGHT,
    progress: Progress | None = None,
) -> Dataset:
    """The data set at `path` in the format named or, without a name, the one its files show.

    Where they show none it is read as images alone; files that look like labels all the same are a finding then. A folder that holds
    nothing but one folder, as archives unpack, is that folder. Names of classes lose the blanks around them, unless `classes` are given.
    images: their folder if not beside the labels, or image id → address.
    verify: decode each image; False reads headers only. Raises BoxwiseError, which says what the labels look like instead.
    """
    path = Path(path) if format_name else unwrapped(Path(path))
    name = format_name or detect_format(path)
    if name is None:
        return _images_alone(path, progress)
    reader = named("format", READERS, name)
    try:
        read = reader.read(
            path, images, classes=classes, missing_is_empty=missing_is_empty, verify=verify, coordinates=coordinates, progress=progress
        )
    except BoxwiseError as error:
        raise BoxwiseError(f"{error}{_hint(path, name)}") from None
    if classes is None:
        read = without_blanks(read, path)
    if verify and (folder := _local_folder(path if images is None else images)) is not None:
        read = replace(read, findings=(*read.findings, *pictures_not_read(folder)))
    hint = "" if read.labels else _hint(path, name)
    return replace(read, notes=(*read.notes, f"no labels of the format {name} were found.{hint}")) if hint else read


def _local_folder(images: Images) -> Path | None:
    """The folder of this machine that images lie below, if it is one."""
    return Path(images) if isinstance(images, str | Path) and is_local(images) and is_folder(Path(images)) else None


def _hint(path: Path, name: str) -> str:
    """' This looks like voc: --format voc.' where the labels look like another format than the one they were read as."""
    if not is_file(path) and not is_folder(path):
        return ""
    try:
        looks = detect_format(path)
    except BoxwiseError as error:  # a layout that is known and not read
        return f" {error}"
    return f" This looks like {looks}: --format {looks}." if looks not in (None, name) else ""


def _images_alone(images: Address, progress: Progress | None) -> Dataset:
    if not is_local(images):
        return read_folder(images, progress=progress)
    if is_file(Path(images)):
        raise BoxwiseError(f"{images}: {_A_FILE}")
    read = read_folder(images, progress=progress)
    return replace(read, findings=(*read.findings, *unused_labels(Path(images))))


def read_pool(
    images: Address | None,
    labels: Path | str | None,
    *,
    format_name: str | None = None,
    classes: tuple[str, ...] | None = None,
    renumbered: frozenset[int] = frozenset(),
    coordinates: Coordinates = UPRIGHT,
    progress: Progress | None = None,
) -> Dataset:
    """What a study starts from: every image below `images`, or in the list that it is, with the `labels` that exist already.

    An image without labels, or with labels in part, joins the pool no matter which split it was listed under, since only complete labels
    could make it serve another. renumbered: as in `read_labels_for`.
    Raises BoxwiseError when neither is given, or `labels` beside `images` are in no format that is known.
    """
    if labels is None:
        if images is None:
            raise BoxwiseError("Give --images DIR, --labels PATH, or both.")
        if is_image_list(images):
            return replace(read_image_list(Path(images)), classes=classes or ())
        return replace(_images_alone(images, progress), classes=classes or ())
    if images is not None and is_image_list(images):
        then = f"`boxwise import STUDY {quoted(labels)}`"
        raise BoxwiseError(f"{images}: a list of images goes without --labels. Give --classes, then {then}.")
    if images is not None and _real(str(images)) != _real(str(labels)):
        format_of_labels(Path(labels), format_name)  # what lies elsewhere and is no labels is not taken for further images
    options: dict[str, Any] = {"format_name": format_name, "classes": classes, "coordinates": coordinates, "progress": progress}
    labelled = _by_name(read_dataset(labels, images=images, missing_is_empty=False, **options), labels, renumbered)
    complete = labelled.labels.keys() - labelled.incomplete
    records = [record if record.image_id in complete else replace(record, split=Split.TRAIN) for record in labelled.images]
    findings = tuple(finding for finding in labelled.findings if finding.kind is not FindingKind.MISSING_LABEL_FILE)  # it may come later
    return _with_unlisted(replace(labelled, images=tuple(records), findings=findings), images, progress)


def _with_unlisted(labelled: Dataset, images: Address | None, progress: Progress | None) -> Dataset:
    """`labelled` and the images of the folder that its labels do not mention (a COCO file lists only some)."""
    if images is None:
        return labelled
    folder = read_folder(images, known={record.uri for record in labelled.images}, progress=progress)
    listed = {_real(uri) for uri in (*(r.uri for r in labelled.images), *(str(f.path) for f in labelled.findings))}
    taken = {record.image_id for record in labelled.images} | {finding.image_id for finding in labelled.findings}
    extra = [record for record in folder.images if _real(record.uri) not in listed and record.image_id not in taken]
    findings = [f for f in folder.findings if f.image_id not in taken and f.kind is not FindingKind.UNREAD_PICTURE]  # said already
    notes = (*labelled.notes, *folder.notes)
    return replace(labelled, images=(*labelled.images, *extra), findings=(*labelled.findings, *findings), notes=notes)


def _real(uri: str) -> str:
    """The address without links, so that one file has one."""
    return os.path.realpath(uri) if is_local(uri) else uri


def read_labels_for(
    images: Sequence[ImageRecord],
    path: Path,
    *,
    format_name: str | None,
    classes: tuple[str, ...],
    listed_is_empty: bool = False,
    renumbered: frozenset[int] = frozenset(),
    out_of_use: Mapping[str, str] = MappingProxyType({}),
    coordinates: Coordinates = UPRIGHT,
    progress: Progress | None = None,
) -> Dataset:
    """Labels at `path` for a study's images, by its image ids: matched by id, else by the file that the labels' id leads to.

    listed_is_empty: whether an image that a file of COCO, CVAT, Create ML or VIA lists without a box has no objects; such a file does not
    say, so by default it is unlabelled. renumbered: numbers of `classes` that once were of others, so that labels that name no class are
    not taken by them. out_of_use: id → why, of those of `images` that take no labels: the others are looked for alone, and only a name
    that none of them may have can mean one of these. Labels of these and of other images become findings. Raises BoxwiseError when `path`
    has no labels.
    """
    name = format_of_labels(path, format_name)
    sizes = {record.uri: (record.width, record.height) for record in images if record.measured and not is_local(record.uri)}
    meant = replace(coordinates, sizes=sizes)
    options: dict[str, Any] = {"format_name": format_name, "classes": classes, "coordinates": meant, "progress": progress}
    lists = name in _LISTING
    options["verify"] = False  # the images were decoded when they joined
    used = [record for record in images if record.image_id not in out_of_use]
    others = [record for record in images if record.image_id in out_of_use]
    places: Images = _common_folder(used) or {record.image_id: record.uri for record in used}
    found = _by_name(read_dataset(path, images=places, missing_is_empty=lists and listed_is_empty, **options), path, renumbered)
    matches, findings = _matches([*others, *used], found, path)  # of two links to one file the one in use is meant, which comes last
    aside = _meant_of(others, found.findings, used)
    findings += _not_taken({*matches.values(), *aside.values()}, out_of_use, path)
    matches = {given_id: own_id for given_id, own_id in matches.items() if own_id not in out_of_use}
    taken = Counter(matches.values())
    labels = {own_id: found.labels[given_id] for given_id, own_id in matches.items() if taken[own_id] == 1}
    for image_id, count in taken.items():
        if count > 1:
            message = f"{path}: expected one set of labels for {image_id}, found {count}. None of them is taken."
            findings.append(Finding(FindingKind.CONFLICTING_LABELS, path, message, image_id))
    notes = [note for note in found.notes if not note.startswith(NO_SPLIT)]
    bare = sum(record.image_id not in found.labels for record in found.images) if lists else 0
    if bare:
        notes.append(
            f"{plural(bare, 'image', 'has')} no box, of {len(found.images)} in {path}: left open, since {name} does not say "
            "whether they were looked at; --missing empty takes them as labelled, with nothing to find."
        )
    reported = (finding for finding in found.findings if finding not in aside)
    kept = [finding for finding in reported if finding.kind is not FindingKind.MISSING_LABEL_FILE and not finding.unlabelled]
    incomplete = frozenset(own_id for given_id, own_id in matches.items() if given_id in found.incomplete and own_id in labels)
    return replace(found, labels=labels, findings=(*kept, *findings), notes=tuple(notes), incomplete=incomplete)


def _by_name(read: Dataset, path: Path | str, renumbered: Set[int]) -> Dataset:
    """What was read at `path`; BoxwiseError where it goes by a number that had another meaning."""
    if numbers := sorted(read.by_number & renumbered):
        folder = Path(path) if is_folder(Path(path)) else Path(path).parent
        raise BoxwiseError(
            f"{path}: expected names of classes, found numbers alone, and {numbers[0]} has meant another class of the study before: "
            f"which is meant cannot be known. Write the names, one a line in the order of these numbers, to {folder / 'classes.txt'}."
        )
    return read


def format_of_labels(path: Path, format_name: str | None) -> str:
    """The format named or, without a name, the one that the files at `path` show. Raises BoxwiseError where they show none."""
    name = format_name or detect_format(unwrapped(path))
    if name is None:
        raise BoxwiseError(_no_labels(path))
    return name


def _no_labels(path: Path) -> str:
    if is_file(path):
        return f"{path}: {_A_FILE}"
    found = unused_labels(path) if is_folder(path) else []
    formats = f"Known formats: {', '.join(READERS)}; --format names one."
    return f"{found[0].message} {formats}" if found else f"{path}: no labels of the study's images were found. {formats}"


def _matches(images: Sequence[ImageRecord], found: Dataset, path: Path) -> tuple[dict[str, str], list[Finding]]:
    """What the labels call an image → the study's id: the same, else that of the study's image which is the same file, by a link.

    The labels' readers have looked for file names already, so what is left is a picture of its own that lies beside those of the study.
    """
    ids = {record.image_id for record in images}
    matches = {image_id: image_id for image_id in found.labels if image_id in ids}
    places = {record.image_id: record.uri for record in found.images if record.image_id in found.labels.keys() - ids}
    by_place = {_real(record.uri): record.image_id for record in images if record.image_id not in matches} if places else {}
    findings = []
    for image_id, uri in places.items():
        own_id = by_place.get(_real(uri))
        if own_id is not None:
            matches[image_id] = own_id
        else:
            message = f"{path}: labels for {image_id!r}. Expected an image of the study, found {redacted(uri)}, which is none. "
            message += "They are not taken; `boxwise add` adds images."
            findings.append(Finding(FindingKind.MISSING_IMAGE, path, message, image_id))
    return matches, findings


def _meant_of(others: Sequence[ImageRecord], findings: Sequence[Finding], used: Sequence[ImageRecord]) -> dict[Finding, str]:
    """Of the findings of images that are missing those that mean one of `others`, which are out of use → its id.

    By names alone: their store may be the reason why they are out of use. A name that may be that of an image in use, too, means none.
    """
    missing = [f for f in findings if f.kind is FindingKind.MISSING_IMAGE and f.image_id and not f.unlabelled] if others else []
    if not missing:
        return {}
    index = ImageIndex({record.image_id: record.uri for record in (*used, *others)})
    shared = shared_folder_words([str(finding.image_id) for finding in missing], index.paths)
    there = {record.image_id for record in others if not is_local(record.uri) or is_file(Path(record.uri))}
    meant = {finding: _called(str(finding.image_id), index, shared) for finding in missing}
    return {finding: image_id for finding, image_id in meant.items() if image_id in there}


def _called(name: str, index: ImageIndex, shared: Set[str]) -> str | None:
    """The image that labels call `name`; what the name of a label file says has no suffix."""
    image_id = index.by_name(name, shared)
    if image_id is None and PurePosixPath(name).suffix.lower() not in IMAGE_SUFFIXES:
        image_id = index.below_with_stem(PurePosixPath(name).name)
        return None if image_id is None or at_odds(name, image_id, shared) else image_id
    return image_id


def _not_taken(image_ids: Set[str], out_of_use: Mapping[str, str], path: Path) -> list[Finding]:
    """A finding for each of the images, of which there are labels, that is out of use."""
    findings = []
    for image_id in sorted(image_ids & out_of_use.keys()):
        message = f"{path}: labels for {image_id!r}. Expected an image in use, found one that is not: {out_of_use[image_id].rstrip('.')}. "
        message += f"They are not taken; `boxwise include STUDY {quoted(image_id)}` puts it to use again."
        findings.append(Finding(FindingKind.OUT_OF_USE, path, message, image_id))
    return findings


def _common_folder(images: Sequence[ImageRecord]) -> str | None:
    """The folder below which the image ids are paths, if it is one for all."""
    roots = {folder_of(record.uri, record.image_id) for record in images}
    return roots.pop() if len(roots) == 1 else None
