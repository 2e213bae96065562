"""Writing a data set for other programs: which of its images, under which numbers, and what the format cannot hold.

Returns what was written and remarks for whoever asked for it. Knows nothing of studies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from boxwise.boxes import Boxes
from boxwise.data.earlier_writes import Earlier, check_left_over, check_unchanged, digests_of
from boxwise.data.formats.base import Dataset, Format
from boxwise.data.formats.layout import files_below, is_file, stem_of, whole
from boxwise.data.image_store import find_images
from boxwise.errors import BoxwiseError, plural

_IMAGE_FOLDERS, _LABEL_FOLDERS = ("images", "JPEGImages"), (("labels", ".txt"), ("Annotations", ".xml"))
_ONE_FILE = {("coco", ".json"), ("cvat", ".xml")}  # formats, and how a target ends that is one file


def chosen(dataset: Dataset, writer: Format, *, unlabeled: bool = False, incomplete: bool = False, keep_ids: bool = False) -> Dataset:
    """The part of a data set that is written: the images whose labels are complete.

    An image labelled in part would teach what is not labelled as background; so would one with a crowd, where the format has no place for
    crowds. unlabeled, incomplete: write those images, too. keep_ids: with the source's numbers of images, classes and boxes, which
    otherwise count from 1.
    """
    partly = partly_held(dataset, writer)
    images = [r for r in dataset.images if (unlabeled if r.image_id not in dataset.labels else incomplete or r.image_id not in partly)]
    labels = {record.image_id: dataset.labels[record.image_id] for record in images if record.image_id in dataset.labels}
    part = replace(dataset, images=tuple(images), labels=labels, incomplete=dataset.incomplete & labels.keys())
    return part if keep_ids else _numbered_anew(part)


def partly_held(dataset: Dataset, writer: Format) -> frozenset[str]:
    """The images that are labelled in part, or would be in that format."""
    crowded = (image_id for image_id, boxes in dataset.labels.items() if _count(boxes, "crowd"))
    return dataset.incomplete | (frozenset() if "crowd" in writer.holds else frozenset(crowded))


def write(dataset: Dataset, writer: Format, target: Path, *, copy_images: bool) -> list[str]:
    """Write it, and say what the format cannot hold. Raises BoxwiseError where other images or labels lie in the target already, or
    where what an earlier call has written there was changed since.

    What an earlier call has written there and this one has not is removed: labels that were taken back, lists of splits without images.
    A target that is one file is replaced.
    """
    earlier = Earlier.of(target, writer.name)
    _check_target(dataset, writer, target, earlier, copy_images=copy_images)
    check_left_over(dataset, target, writer.name, earlier)
    check_unchanged(target, earlier)
    remarks = [f"{target} was there already and is replaced."] if is_file(target) else []
    if earlier.digests:
        planned = digests_of(lambda aside: writer.write(dataset, aside, copy_images=False))
        earlier.expecting({target / name: digest for name, digest in planned.items()})
    removed = earlier.followed_by(writer.write(dataset, target, copy_images=copy_images))
    if removed:
        remarks.append(f"{plural(len(removed), 'file', 'was')} removed that an earlier export had written (first: {removed[0]}).")
    return [*remarks, *_lost(dataset, writer)]


def _numbered_anew(dataset: Dataset) -> Dataset:
    images = tuple(replace(record, source_id=None) for record in dataset.images)
    labels = {image_id: replace(boxes, ids=None) for image_id, boxes in dataset.labels.items()}
    return replace(dataset, images=images, labels=labels, class_ids=None)


def _check_target(dataset: Dataset, writer: Format, target: Path, earlier: Earlier, *, copy_images: bool) -> None:
    """What lies there already is of these images, or of others that an earlier export had among them: else two data sets would be mixed.

    Beside one file, which names its images itself, others may lie; none is copied among them.
    """
    one_file = (writer.name, target.suffix.lower()) in _ONE_FILE
    if one_file and (not copy_images or _lie_in(target.parent / "images", dataset)):
        return
    root = target.parent if one_file else target
    ids = {record.image_id for record in dataset.images}
    names = ids | {stem_of(image_id) for image_id in ids}
    pictures = [(root / name, path) for name in _IMAGE_FOLDERS for path in find_images(root / name)]
    texts = [(root / name, path) for name, suffix in _LABEL_FOLDERS for path in files_below(root / name, suffix)] if root == target else []
    foreign = [path for folder, path in pictures if path.relative_to(folder).as_posix() not in ids]
    foreign += [path for folder, path in texts if str(PurePosixPath(path.relative_to(folder)).with_suffix("")) not in names]
    if len(foreign) < len(pictures) + len(texts):
        foreign = [path for path in foreign if not earlier.wrote(path)]
    if foreign:
        message = f"{target}: expected a new folder, or one of this data set, found {plural(len(foreign), 'file')} that it does not name "
        raise BoxwiseError(message + f"(first: {foreign[0]}). Name another folder, or remove what is there.")


def _lie_in(folder: Path, dataset: Dataset) -> bool:
    """Whether the images lie in the folder already, so that copying them there copies nothing."""
    return all(whole(Path(record.uri)) == whole(folder / record.image_id) for record in dataset.images)


def _lost(dataset: Dataset, writer: Format) -> Iterator[str]:
    for column, what in (("scores", "scores"), ("difficult", "marks of difficult boxes"), ("crowd", "crowd regions")):
        count = sum(_count(boxes, column) for boxes in dataset.labels.values())
        if count and column not in writer.holds:
            yield f"{writer.name} has no place for {what}: {count} are not written."
    partly = len(partly_held(dataset, writer))
    if partly and "incomplete" not in writer.holds:
        yield f"{plural(partly, 'image', 'is')} labelled in part, which {writer.name} cannot say: there what has no box is background."
    unlabelled = len(dataset.images) - len(dataset.labels)
    if unlabelled and writer.name == "yolo":
        yield f"{plural(unlabelled, 'image', 'is')} not labelled; programs that read YOLO take images without a label file as empty."
    unlisted = _without_split(dataset, writer)
    if unlisted:
        yield f"{plural(len(unlisted), 'image', 'is')} of no split, so that none of the lists names them (first: {unlisted[0]})."


def _without_split(dataset: Dataset, writer: Format) -> Sequence[str]:
    listed = writer.name in ("yolo", "voc")
    return [record.image_id for record in dataset.images if record.split is None] if listed else []


def _count(boxes: Boxes, column: str) -> int:
    """How many boxes have something in that column."""
    values = getattr(boxes, column)
    return 0 if values is None else len(boxes) if column == "scores" else int(np.count_nonzero(values))
