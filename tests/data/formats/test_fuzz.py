"""Mutated data sets of every format: no exception but ours, no hang, no box that no input says, nothing dropped without a finding.

`BOXWISE_FUZZ=2000 pytest tests/data/formats/test_fuzz.py -s` tries so many mutations a format and prints the counts; 80 by default.
"""

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from formats_scenario import HEIGHT, WIDTH, make
from mutations import Files, mutate

from boxwise.boxes import Boxes
from boxwise.data.addresses import IMAGE_SUFFIXES
from boxwise.data.datasets import read_dataset
from boxwise.data.formats.base import Dataset
from boxwise.data.formats.names import FORMATS, READERS
from boxwise.data.images import write_image
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord, Split

TIMES = int(os.environ.get("BOXWISE_FUZZ", "80"))
SECONDS = 10  # far more than any of these takes
ROWS = {"a.png": [(0, 10, 10, 30, 40), (1, 40, 30, 60, 50)], "b.png": [(1, 0, 0, 100, 80)], "c.jpg": [], "train.png": [(0, 5, 6, 7, 8)]}
CLASSES = ("ant", "bee")
SUFFIXES = {
    **dict.fromkeys(("voc", "cvat"), ".xml"), **dict.fromkeys(("coco", "labelstudio", "labelme", "createml", "via"), ".json"),
    **dict.fromkeys(("yolo", "kitti", "visdrone"), ".txt"), "openimages": ".csv",
}  # fmt: skip
FOLDERS = {"voc": "JPEGImages/", "kitti": "image_2/", **dict.fromkeys(("coco", "yolo", "cvat", "visdrone", "labelstudio"), "images/")}


def _dataset(root: Path) -> Dataset:
    records, labels = [], {}
    for number, (name, rows) in enumerate(ROWS.items()):
        rng = np.random.default_rng(number)
        write_image(rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)[:HEIGHT, :WIDTH], root / name)
        records.append(ImageRecord(name, root / name, 96, HEIGHT, Split.TRAIN if number < 3 else Split.VAL))
        corners = np.array([row[1:] for row in rows], np.float32).reshape(-1, 4)
        labels[name] = Boxes(np.minimum(corners, [96, 80, 96, 80]), np.array([row[0] for row in rows], np.int64))
    return Dataset(CLASSES, tuple(records), labels)


def _texts(name: str) -> dict[str, str]:
    """The same labels in a format that is only read; the one empty image as that format says it."""
    if name == "labelstudio":
        tasks = [
            {"data": {"image": f"/data/upload/1/0a1b2c3d-{image}"}, "annotations": [{"result": [
                {"id": str(n), "type": "rectanglelabels", "original_width": 96, "original_height": 80, "value": {
                    "x": x1 / 0.96, "y": y1 / 0.8, "width": (min(x2, 96) - x1) / 0.96, "height": (y2 - y1) / 0.8,
                    "rectanglelabels": [CLASSES[label]]}}
                for n, (label, x1, y1, x2, y2) in enumerate(rows)
            ]}]}
            for image, rows in ROWS.items()
        ]  # fmt: skip
        return {"export.json": json.dumps(tasks)}
    if name == "labelme":
        return {
            f"{Path(image).stem}.json": json.dumps({
                "version": "5", "imagePath": image, "imageWidth": 96, "imageHeight": 80, "shapes": [
                    {"label": CLASSES[label], "points": [[x1, y1], [min(x2, 96), y2]], "shape_type": "rectangle"}
                    for label, x1, y1, x2, y2 in rows
                ]})
            for image, rows in ROWS.items()
        }  # fmt: skip
    if name == "createml":
        entries = [
            {"image": image, "annotations": [
                {"label": CLASSES[label], "coordinates": {
                    "x": (x1 + min(x2, 96)) / 2, "y": (y1 + y2) / 2, "width": min(x2, 96) - x1, "height": y2 - y1}}
                for label, x1, y1, x2, y2 in rows
            ]}
            for image, rows in ROWS.items()
        ]  # fmt: skip
        return {"_annotations.createml.json": json.dumps(entries)}
    if name == "via":
        entries = {
            f"{image}9": {"filename": image, "size": 9, "file_attributes": {}, "regions": [
                {"shape_attributes": {"name": "rect", "x": x1, "y": y1, "width": min(x2, 96) - x1, "height": y2 - y1},
                 "region_attributes": {"class": CLASSES[label]}}
                for label, x1, y1, x2, y2 in rows
            ]}
            for image, rows in ROWS.items()
        }  # fmt: skip
        return {"via_region_data.json": json.dumps(entries)}
    if name == "openimages":
        lines = [
            f"{Path(image).stem},x,{CLASSES[label]},1,{x1 / 96},{min(x2 / 96, 1)},{y1 / 80},{y2 / 80},0"
            for image, rows in ROWS.items() for label, x1, y1, x2, y2 in rows
        ]  # fmt: skip
        return {"boxes.csv": "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf\n" + "\n".join(lines) + "\n"}
    line = {
        "kitti": "{name} 0 0 0 {x1} {y1} {x2} {y2} 1 1 1 1 1 1 1\n", "visdrone": "{x1},{y1},{w},{h},1,{n},0,0\n",
    }[name]  # fmt: skip
    folder = {"kitti": "label_2", "visdrone": "annotations"}[name]
    return {
        f"{folder}/{Path(image).stem}.txt": "".join(
            line.format(name=CLASSES[label], n=label + 1, x1=x1, y1=y1, x2=min(x2, 96), y2=y2, w=min(x2, 96) - x1, h=y2 - y1)
            for label, x1, y1, x2, y2 in rows
        )
        for image, rows in ROWS.items()
    }


def original(name: str, root: Path) -> Files:
    """The files of a sound data set in that format."""
    dataset = _dataset(root / "pictures")
    if name in FORMATS:
        FORMATS[name].write(dataset, root / "out", copy_images=True)
    else:
        make(root / "out", _texts(name))
        folder = FOLDERS.get(name, "")
        make(root / "out", {f"{folder}{record.image_id}": Path(record.uri).read_bytes() for record in dataset.images})
    paths = [path for path in (root / "out").rglob("*") if path.is_file()]
    return {path.relative_to(root / "out").as_posix(): path.read_bytes() for path in paths}


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Ends what takes longer by an exception, wherever it is."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def numbers_in(files: Files) -> np.ndarray:
    """All numbers that the label files say."""
    texts = [content.decode("utf-8", "replace") for name, content in files.items() if Path(name).suffix.lower() not in IMAGE_SUFFIXES]
    found = {float(word) for text in texts for word in re.findall(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", text)}
    return np.array(sorted(number for number in found if abs(number) < 1e6))


def unsaid(name: str, dataset: Dataset, files: Files) -> list[tuple[str, list[float]]]:
    """Boxes with a side that the input says nowhere, neither as it is nor as the format adds and scales it."""
    said = numbers_in(files)
    sums, centred = np.add.outer(said, said).ravel(), [np.add.outer(said, sign * said / 2).ravel() for sign in (1, -1)]
    relative = np.concatenate([said, *centred, sums, sums / 100, said / 100])
    sums = np.concatenate([sums, *centred]) if name == "createml" else sums
    odd = []
    for record in dataset.images:
        for row in dataset.labels.get(record.image_id, Boxes.empty()).xyxy.tolist():
            for value, side in zip(row, (record.width, record.height) * 2, strict=True):
                inside = {0.0, float(side)}
                near = min((abs(known - value) for known in (*inside,)), default=1)
                near = min(near, np.abs(said - value).min(initial=1), np.abs(sums - value).min(initial=1))
                near = min(near, np.abs(relative * side - value).min(initial=1))
                if near > 0.01:
                    odd.append((record.image_id, row))
    return odd


def markers(name: str, files: Files) -> int | None:
    """How many objects the label files mention, counted without a reader; None where they cannot be told."""
    texts = {path: content.decode("utf-8", "replace") for path, content in files.items() if path.lower().endswith(SUFFIXES[name])}
    if name in ("yolo", "kitti", "visdrone"):
        folder = {"yolo": "labels/", "kitti": "label_2/", "visdrone": "annotations/"}[name]
        return sum(bool(line.strip()) for path, text in texts.items() if path.startswith(folder) for line in text.splitlines())
    if name == "labelstudio":  # of several annotations of a task one counts
        try:
            tasks = {
                json.dumps(task): task for text in texts.values() for task in json.loads(text)
            }.values()  # doubled ones say nothing new
            said = [[json.dumps(one).count('"rectanglelabels": ') for one in task["annotations"]] for task in tasks]
        except (ValueError, TypeError, KeyError):
            return None
        return sum(max(counts, default=0) for counts in said)
    pattern = {
        "voc": "<bndbox>", "cvat": "<box ", "coco": '"bbox"', "labelme": '"points"', "createml": '"coordinates"',
        "via": '"shape_attributes"',
    }  # fmt: skip
    return sum(text.count(pattern[name]) for text in texts.values()) if name in pattern else None


def check(name: str, dataset: Dataset, files: Files) -> None:
    """What must hold of any reading of these files."""
    assert not unsaid(name, dataset, files)
    boxes = sum(map(len, dataset.labels.values()))
    said = {finding.image_id for finding in dataset.findings} | {Path(finding.path).name for finding in dataset.findings}
    spoken = " ".join((*(finding.message for finding in dataset.findings), *dataset.notes))
    uncounted = any("not listed in" in note for note in dataset.notes)  # names the first of them alone
    uncounted |= name not in FOLDERS and any("/" in path for path in files)  # images in several places
    there = {Path(record.uri).name for record in dataset.images}
    for path in files:
        base = Path(path).name
        if Path(path).suffix.lower() in IMAGE_SUFFIXES and path.startswith(FOLDERS.get(name, "")) and base not in there:
            assert uncounted or Path(path).stem in spoken or any(base in str(one) for one in said), f"{path} is gone without a word"
    if not dataset.findings:
        worded = any(" not read (first" in note or "are taken as without objects" in note for note in dataset.notes)
        mentioned = None if worded else markers(name, files)
        assert mentioned is None or boxes >= mentioned, f"{mentioned} objects, {boxes} boxes, and no finding"
        alone = not any(path.lower().endswith(SUFFIXES[name]) for path in files)
        unlabelled = [record.image_id for record in dataset.images if record.image_id not in dataset.labels]
        assert alone or not unlabelled, f"{unlabelled} lost their labels without a word"
    for record in dataset.images:
        corners = dataset.labels.get(record.image_id, Boxes.empty()).xyxy
        assert ((corners >= 0) & (corners <= [record.width, record.height] * 2)).all()
        assert (corners[:, :2] < corners[:, 2:]).all()
    assert all(finding.message.isprintable() and finding.message.encode() for finding in dataset.findings)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.slow
def test_a_mutated_data_set_loses_nothing_in_silence(name: str, tmp_path: Path) -> None:
    files = original(name, tmp_path)
    outcome: Counter[str] = Counter()
    for seed, (guess, _) in zip(range(TIMES), product((True, False), range(TIMES)), strict=False):
        mutated, said = mutate(files, np.random.default_rng([seed, len(name)]))
        with TemporaryDirectory(dir=tmp_path) as folder, within(SECONDS):
            try:
                root = make(Path(folder), mutated)
            except OSError:  # a folder where a file should be: the mutation made none
                continue
            try:
                dataset = read_dataset(root, format_name=name if guess and seed % 2 else None)
            except BoxwiseError as error:
                assert str(error).isprintable() or "\n" in str(error)
                outcome["refused in one message"] += 1
                continue
            except BaseException as error:
                raise AssertionError(f"{name}, seed {seed}: {said}: {type(error).__name__}: {error}") from error
            try:
                check(name, dataset, mutated)
            except AssertionError as error:
                raise AssertionError(f"{name}, seed {seed}: {said}: {error}") from error
            outcome["read with findings" if dataset.findings else "read without findings"] += 1
    print(f"\n{name}: {dict(outcome)}")
    assert outcome["read with findings"] > TIMES // 5


@pytest.mark.parametrize("name", READERS)
def test_the_originals_are_sound(name: str, tmp_path: Path) -> None:
    files = original(name, tmp_path)
    dataset = read_dataset(make(tmp_path / "again", files))
    check(name, dataset, files)
    assert sum(map(len, dataset.labels.values())) == 4
    assert {Path(record.uri).name for record in dataset.images} == set(ROWS)
