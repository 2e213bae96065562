"""Finding and reading a user's data: which format it is, the pool of a new study, labels that come in later.

Returns a `Dataset`; each fault is among its findings. Knows nothing of studies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from boxwise.boxes import Boxes
from boxwise.data.formats.base import UPRIGHT, Coordinates, Dataset, Finding, FindingKind
from boxwise.data.formats.detect import detect_format, unused_labels
from boxwise.data.formats.folder import read_folder
from boxwise.data.formats.names import READERS
from boxwise.errors import BoxwiseError, named
from boxwise.records import ImageRecord, Split

Progress = Callable[[int, int], None]
_OF_THE_REST = (FindingKind.MISSING_LABEL_FILE, FindingKind.UNUSED_FILE)  # of images that labels need not speak of, where a study grows


def read_dataset(
    path: Path,
    *,
    format_name: str | None = None,
    images: Path | None = None,
    classes: tuple[str, ...] | None = None,
    missing_is_empty: bool = True,
    verify: bool = True,
    coordinates: Coordinates = UPRIGHT,
    progress: Progress | None = None,
) -> Dataset:
    """The data set at `path` in the format named or, without a name, the one its files show.

    Where they show none it is read as images alone; files that look like labels all the same are a finding then.
    verify: decode each image; False reads headers only.
    """
    name = format_name or detect_format(path)
    if name is None:
        return _images_alone(path, progress)
    reader = named("format", READERS, name)
    return reader.read(
        path, images, classes=classes, missing_is_empty=missing_is_empty, verify=verify, coordinates=coordinates, progress=progress
    )


def _images_alone(images: Path, progress: Progress | None) -> Dataset:
    read = read_folder(images, progress=progress)
    return replace(read, findings=(*read.findings, *unused_labels(images)))


def read_pool(
    images: Path | None,
    labels: Path | None,
    *,
    format_name: str | None = None,
    classes: tuple[str, ...] | None = None,
    coordinates: Coordinates = UPRIGHT,
    progress: Progress | None = None,
) -> Dataset:
    """What a study starts from: every image below `images`, with the `labels` that exist already.

    An image without labels joins the pool no matter which split it was listed under, since only labels could make it serve another.
    Raises BoxwiseError when neither is given.
    """
    if labels is None:
        if images is None:
            raise BoxwiseError("Give --images DIR, --labels PATH, or both.")
        return replace(_images_alone(images, progress), classes=classes or ())
    options: dict[str, Any] = {"format_name": format_name, "classes": classes, "coordinates": coordinates, "progress": progress}
    known = read_dataset(labels, images=images, missing_is_empty=False, **options)
    records = [record if record.image_id in known.labels else replace(record, split=Split.TRAIN) for record in known.images]
    findings = tuple(finding for finding in known.findings if finding.kind not in _OF_THE_REST)
    return _with_unlisted(replace(known, images=tuple(records), findings=findings), images, progress)


def _with_unlisted(known: Dataset, images: Path | None, progress: Progress | None) -> Dataset:
    """`known` and the images of the folder that its labels do not mention (a COCO file lists only some)."""
    if images is None:
        return known
    folder = read_folder(images, progress=progress)
    listed = {record.path.resolve() for record in known.images} | {finding.path.resolve() for finding in known.findings}
    taken = {record.image_id for record in known.images} | {finding.image_id for finding in known.findings}
    extra = [record for record in folder.images if record.path.resolve() not in listed and record.image_id not in taken]
    findings = [finding for finding in folder.findings if finding.image_id not in taken]
    return replace(known, images=(*known.images, *extra), findings=(*known.findings, *findings))


def read_labels_for(
    images: Sequence[ImageRecord],
    path: Path,
    *,
    format_name: str | None,
    classes: tuple[str, ...],
    coordinates: Coordinates = UPRIGHT,
    progress: Progress | None = None,
) -> Dataset:
    """Labels at `path` for a study's images, by its image ids: matched by id, else by file name where that is unique.

    Labels of other images, and names that fit several, become findings. Raises BoxwiseError when `path` has no labels.
    """
    root = _common_folder(images)
    options: dict[str, Any] = {"format_name": format_name, "classes": classes, "coordinates": coordinates, "progress": progress}
    found = read_dataset(path, images=root, missing_is_empty=False, verify=False, **options)  # they were decoded when they joined
    ids = {record.image_id for record in images}
    by_stem: dict[str, list[str]] = {}
    for record in images:
        by_stem.setdefault(Path(record.image_id).stem, []).append(record.image_id)
    labels: dict[str, Boxes] = {}
    findings = [finding for finding in found.findings if finding.kind not in _OF_THE_REST]
    for image_id, boxes in found.labels.items():
        matches = [image_id] if image_id in ids else by_stem.get(Path(image_id).stem, [])
        if len(matches) == 1:
            labels[matches[0]] = boxes
        else:
            message = f"labels for {image_id!r}: expected one image of the study, found {len(matches)}."
            findings.append(Finding(FindingKind.MISSING_IMAGE, path, message, image_id))
    return replace(found, labels=labels, findings=tuple(findings))


def _common_folder(images: Sequence[ImageRecord]) -> Path | None:
    """The folder below which the image ids are paths, if it is one for all."""
    roots = {
        Path(*record.path.parts[: -len(Path(record.image_id).parts)])
        for record in images
        if record.path.parts[-len(Path(record.image_id).parts) :] == Path(record.image_id).parts
    }
    return roots.pop() if len(roots) == 1 else None
