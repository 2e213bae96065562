"""Which image serves which split: VOC07+12 and COCO 2017 as they are published, any other data set at random.

Returns a `Dataset`: the pool, a small random val out of it, and the test split that papers report on; also what tells one data set
from another. Knows nothing of studies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import default_rng

from boxwise.boxes import Boxes
from boxwise.data.formats.base import Dataset, Progress
from boxwise.data.formats.coco import Coco
from boxwise.data.formats.voc import Voc
from boxwise.errors import BoxwiseError, StudyError
from boxwise.records import ImageRecord, Split

VAL_IMAGES = 500  # drawn from the pool once and for all: stopping and calibration need a val that is not the test split
_SEED = 20_070_712
SPLIT_SEED = 20_240_229  # the same frozen test split for every seed and arm, independent of the study's own seed


def read_voc0712(root: Path, *, progress: Progress | None = None) -> Dataset:
    """VOC2007 and VOC2012 trainval as the pool, VOC2007 test as test (Liu et al., ECCV 2016: SSD300 "07+12").

    root: VOCdevkit, which holds VOC2007 (trainval and test) and VOC2012. image_ids begin with the year's folder. Images that no detection
    list names are left out: VOC2012 holds some of 2007's among its segmentations. Files are not verified here: a broken image is found
    when it is read. Raises BoxwiseError that names what is missing.
    """
    root = root / "VOCdevkit" if (root / "VOCdevkit").is_dir() else root
    lists = [f"VOC{year}/ImageSets/Main/{name}.txt" for year, name in ((2007, "trainval"), (2007, "test"), (2012, "trainval"))]
    needed = [*(f"VOC{year}/{part}" for year in (2007, 2012) for part in ("Annotations", "JPEGImages")), *lists]
    _expect(root, needed, "a VOCdevkit folder with VOC2007 (trainval and test) and VOC2012")
    years = [_year(root / name, test=test, progress=progress) for name, test in (("VOC2007", True), ("VOC2012", False))]
    return _with_val(_joined(years))


def read_coco2017(root: Path, *, progress: Progress | None = None) -> Dataset:
    """train2017 as the pool, val2017 as test, as detection papers do (Lin et al., ECCV 2014). Files are not verified here.

    root: holds train2017, val2017 and annotations/instances_{train,val}2017.json. Raises BoxwiseError that names what is missing.
    """
    files = [f"annotations/instances_{part}2017.json" for part in ("train", "val")]
    _expect(root, ["train2017", "val2017", *files], "a COCO 2017 folder")
    parts = [
        Coco().read(root / file, root / part, verify=False, progress=progress)
        for file, part in zip(files, ("train2017", "val2017"), strict=True)
    ]
    splits = zip(parts, ("train2017", "val2017"), (Split.TRAIN, Split.TEST), strict=True)
    return _with_val(_joined([_renamed(_resplit(part, split), name) for part, name, split in splits]))


Reader = Callable[..., Dataset]
PUBLISHED_SPLITS: dict[str, Reader] = {"voc0712": read_voc0712, "coco2017": read_coco2017}


def with_splits(dataset: Dataset) -> Dataset:
    """The data set with train, val and test; a test (20%) or val (15%) split it lacks is drawn at random, once and for all.

    Images that are unlabelled or labelled in part are left out: nothing could answer for them. Raises StudyError when too few are left.
    """
    images = [r for r in dataset.images if r.image_id in dataset.labels and r.image_id not in dataset.incomplete]
    for split, share in ((Split.TEST, 0.20), (Split.VAL, 0.15)):
        if not any(record.split is split for record in images):
            images = _drawn(images, split, share)
    images = [record if record.split else replace(record, split=Split.TRAIN) for record in images]
    if not all(any(record.split is split for record in images) for split in Split):
        raise StudyError(f"a simulation needs labelled images for train, val and test; found {len(images)} labelled images.")
    return replace(dataset, images=tuple(images))


def with_few_val(dataset: Dataset, count: int) -> Dataset:
    """The data set with `count` of its val images, drawn once and for all; the others join train.

    Labels of val are paid for, and a study that begins with 20 labels pays for few. Raises StudyError when there are not so many.
    """
    val = [record.image_id for record in dataset.images if record.split is Split.VAL]
    if count > len(val):
        raise StudyError(f"val: {count} images are wanted, and its val split has {len(val)}.")
    released = {val[row] for row in default_rng([SPLIT_SEED, len(Split)]).permutation(len(val))[count:]}
    images = (replace(record, split=Split.TRAIN) if record.image_id in released else record for record in dataset.images)
    return replace(dataset, images=tuple(images))


def data_facts(dataset: Dataset) -> dict[str, Any]:
    """What tells a data set with splits from another, as JSON: its counts and classes, and digests by what they are made of."""
    records = sorted(dataset.images, key=lambda record: record.image_id)
    splits, labels = Counter(record.split for record in records), [dataset.labels[record.image_id] for record in records]
    return {
        "images": len(records),
        **{f"{split} images": splits[split] for split in Split},
        "boxes": sum(map(len, labels)),
        "classes": list(dataset.classes),
        "digests": {
            "image names": _hashed(record.image_id.encode() for record in records),
            "split of each image": _hashed(f"{record.split} {record.image_id}".encode() for record in records),
            "labels": _hashed(column for boxes in labels for column in _columns(boxes)),
        },
    }


def data_differences(there: Mapping[str, Any], given: Mapping[str, Any], *, words: str = "{} there, {} given") -> list[str]:
    """In which of the facts known of both a data set `there` and the one given differ; digests speak only where nothing else does."""
    names = [name for name in given if name != "digests" and there.get(name, given[name]) != given[name]]
    found = [f"{name}: {words.format(_text(there[name]), _text(given[name]))}" for name in names]
    digests = there.get("digests", {})
    return found or [f"{name}: not the same" for name, digest in given.get("digests", {}).items() if digests.get(name, digest) != digest]


def _expect(root: Path, needed: Sequence[str], what: str) -> None:
    missing = [name for name in needed if not (root / name).exists()]
    if missing:
        raise BoxwiseError(f"{root}: expected {what}; missing: {', '.join(missing)}.")


def _year(folder: Path, *, test: bool, progress: Progress | None) -> Dataset:
    """A year's detection lists: trainval as the pool and, if wanted, test."""
    read = Voc().read(folder, verify=False, progress=progress)
    kept = [record for record in read.images if record.split in (Split.TRAIN, Split.VAL) or (test and record.split is Split.TEST)]
    images = tuple(record if record.split is Split.TEST else replace(record, split=Split.TRAIN) for record in kept)
    return _renamed(replace(read, images=images), folder.name)


def _resplit(dataset: Dataset, split: Split) -> Dataset:
    return replace(dataset, images=tuple(replace(record, split=split) for record in dataset.images))


def _renamed(dataset: Dataset, folder: str) -> Dataset:
    """Ids below `folder`, so that those of two parts never meet; labels of images that were left out go too."""
    images = tuple(replace(record, image_id=f"{folder}/{record.image_id}") for record in dataset.images)
    labels = {f"{folder}/{r.image_id}": dataset.labels[r.image_id] for r in dataset.images if r.image_id in dataset.labels}
    return replace(dataset, images=images, labels=labels, incomplete=frozenset(f"{folder}/{image_id}" for image_id in dataset.incomplete))


def _joined(parts: Sequence[Dataset]) -> Dataset:
    """One data set with the classes of all parts, those of the first in their order."""
    classes = tuple(dict.fromkeys(name for part in parts for name in part.classes))
    labels = {image_id: boxes for part in parts for image_id, boxes in _relabelled(part, classes).items()}
    images = tuple(record for part in parts for record in part.images)
    findings = tuple(finding for part in parts for finding in part.findings)
    incomplete = frozenset(image_id for part in parts for image_id in part.incomplete)
    same = all(part.classes == classes for part in parts)
    return Dataset(classes, images, labels, findings, parts[0].class_ids if same else None, incomplete=incomplete)


def _relabelled(part: Dataset, classes: tuple[str, ...]) -> Mapping[str, Boxes]:
    if part.classes == classes:
        return part.labels
    number = np.array([classes.index(name) for name in part.classes], np.int64)
    return {image_id: replace(boxes, labels=number[boxes.labels]) for image_id, boxes in part.labels.items()}


def _with_val(dataset: Dataset) -> Dataset:
    """A tenth of the pool, at most VAL_IMAGES, serves val."""
    pool = [record.image_id for record in dataset.images if record.split is Split.TRAIN and record.image_id in dataset.labels]
    wanted = min(VAL_IMAGES, round(len(pool) / 10))
    drawn = {pool[row] for row in default_rng(_SEED).permutation(len(pool))[:wanted]}

    def placed(record: ImageRecord) -> ImageRecord:
        return replace(record, split=Split.VAL) if record.image_id in drawn else record

    return replace(dataset, images=tuple(placed(record) for record in dataset.images))


def _drawn(images: Sequence[ImageRecord], split: Split, share: float) -> list[ImageRecord]:
    free = [record.image_id for record in images if record.split in (None, Split.TRAIN)]
    rng = default_rng([SPLIT_SEED, list(Split).index(split)])
    chosen = {free[row] for row in rng.permutation(len(free))[: round(share * len(free))]}
    return [replace(record, split=split) if record.image_id in chosen else record for record in images]


def _columns(boxes: Boxes) -> list[bytes]:
    """What a detector learns of the boxes of one image."""
    columns = (boxes.xyxy, boxes.labels, boxes.difficult, boxes.crowd)
    return [b"" if column is None else column.tobytes() for column in columns]


def _hashed(parts: Iterable[bytes]) -> str:
    """A digest that tells any two sequences of parts apart."""
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
