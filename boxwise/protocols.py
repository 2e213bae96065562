"""VOC07+12 and COCO 2017 from the folders they are downloaded as, split as their published protocols do.

Returns a `Dataset`: the pool, a small random val out of it, and the test split that papers report on. Knows nothing of studies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.random import default_rng

from boxwise.boxes import Boxes
from boxwise.errors import BoxwiseError
from boxwise.formats.base import Dataset, Progress
from boxwise.formats.coco import Coco
from boxwise.formats.voc import Voc
from boxwise.records import ImageRecord, Split

VAL_IMAGES = 500  # drawn from the pool once and for all: stopping and calibration need a val that is not the test split
_SEED = 20_070_712


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
PROTOCOLS: dict[str, Reader] = {"voc0712": read_voc0712, "coco2017": read_coco2017}


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
    return replace(dataset, images=images, labels=labels)


def _joined(parts: Sequence[Dataset]) -> Dataset:
    """One data set with the classes of all parts, those of the first in their order."""
    classes = tuple(dict.fromkeys(name for part in parts for name in part.classes))
    labels = {image_id: boxes for part in parts for image_id, boxes in _relabelled(part, classes).items()}
    images = tuple(record for part in parts for record in part.images)
    findings = tuple(finding for part in parts for finding in part.findings)
    same = all(part.classes == classes for part in parts)
    return Dataset(classes, images, labels, findings, parts[0].class_ids if same else None)


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
