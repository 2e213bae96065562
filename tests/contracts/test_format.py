"""What every label format promises; a format is tested by being named in registry.py."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boxwise.boxes import Boxes
from boxwise.data.formats.base import Dataset, FindingKind
from boxwise.data.formats.names import FORMATS
from boxwise.data.images import write_image
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord, Split

CLASSES = ("zebra", "ant", "größe")  # not sorted, one never used, one not ASCII


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Six images in folders: boxes at the very edges, fractions, an empty one, one that shares its stem with another."""
    rng = np.random.default_rng(0)
    names = ["a.png", "a.jpg", "b/a.png", "b/d e/c.JPG", "z.png", "ü.png"]
    splits = [Split.TRAIN, Split.TRAIN, Split.VAL, Split.TEST, Split.TRAIN, None]
    records, labels = [], {}
    for number, (name, split) in enumerate(zip(names, splits, strict=True)):
        width, height = 40 + 7 * number, 30 + number
        path = tmp_path / "origin" / name
        write_image(rng.integers(0, 256, (height, width, 3), np.uint8), path)
        records.append(ImageRecord(name, path, width, height, split))
        start = rng.uniform(0, 15, (number, 2))
        xyxy = np.hstack([start, start + rng.uniform(0.5, 14, (number, 2))]).astype(np.float32)
        xyxy = np.vstack([xyxy, [[0, 0, width, height]]]).astype(np.float32) if number else xyxy
        labels[name] = Boxes(xyxy, rng.integers(0, 2, len(xyxy)))
    return Dataset(CLASSES, tuple(records), labels)


def geometry(dataset: Dataset) -> dict[str, tuple[bytes, list[str]]]:
    return {i: (b.xyxy.tobytes(), [dataset.classes[label] for label in b.labels]) for i, b in dataset.labels.items()}


def assert_same(read: Dataset, expected: Dataset) -> None:
    """Equal in all but where the images lie and in which order."""
    where = Path()
    assert {i.image_id: replace(i, uri=where) for i in read.images} == {i.image_id: replace(i, uri=where) for i in expected.images}
    assert (read.classes, read.class_ids) == (expected.classes, expected.class_ids)
    assert read.labels.keys() == expected.labels.keys()
    for image_id, boxes in expected.labels.items():
        assert read.labels[image_id].equals(boxes), image_id


@pytest.mark.parametrize("name", FORMATS)
class TestFormatContract:
    def test_round_trip_keeps_every_image_split_class_and_box(self, name: str, dataset: Dataset, tmp_path: Path) -> None:
        FORMATS[name].write(dataset, tmp_path / "out", copy_images=True)
        read = FORMATS[name].read(tmp_path / "out")
        assert not read.findings
        assert read.classes == CLASSES
        assert {(i.image_id, i.width, i.height, i.split) for i in read.images} == {
            (i.image_id, i.width, i.height, i.split) for i in dataset.images
        }
        assert geometry(read) == geometry(dataset)

    def test_what_was_read_writes_and_reads_the_same(self, name: str, dataset: Dataset, tmp_path: Path) -> None:
        FORMATS[name].write(dataset, tmp_path / "one", copy_images=True)
        once = FORMATS[name].read(tmp_path / "one")
        FORMATS[name].write(once, tmp_path / "two", copy_images=True)
        assert_same(FORMATS[name].read(tmp_path / "two"), once)

    def test_labels_alone_read_with_the_images_elsewhere(self, name: str, dataset: Dataset, tmp_path: Path) -> None:
        FORMATS[name].write(dataset, tmp_path / "out")
        read = FORMATS[name].read(tmp_path / "out", tmp_path / "origin")
        assert not read.findings
        assert not list((tmp_path / "out").rglob("*.png"))
        assert geometry(read) == geometry(dataset)
        assert {i.image_id: (i.uri, i.split) for i in read.images} == {i.image_id: (i.uri, i.split) for i in dataset.images}

    def test_an_unlabelled_image_stays_unlabelled(self, name: str, dataset: Dataset, tmp_path: Path) -> None:
        partly = replace(dataset, labels={i: boxes for i, boxes in dataset.labels.items() if i != "z.png"})
        FORMATS[name].write(partly, tmp_path / "out", copy_images=True)
        read = FORMATS[name].read(tmp_path / "out", missing_is_empty=False)
        assert "z.png" in {image.image_id for image in read.images}
        assert geometry(read) == geometry(partly)

    def test_writing_again_over_it_changes_nothing(self, name: str, dataset: Dataset, tmp_path: Path) -> None:
        for _ in range(2):
            FORMATS[name].write(dataset, tmp_path / "out", copy_images=True)
        assert geometry(FORMATS[name].read(tmp_path / "out")) == geometry(dataset)
        assert not [path for path in (tmp_path / "out").rglob("*") if path.name.startswith(".")]

    def test_known_classes_fix_the_numbers(self, name: str, dataset: Dataset, tmp_path: Path) -> None:
        FORMATS[name].write(dataset, tmp_path / "out", copy_images=True)
        read = FORMATS[name].read(tmp_path / "out", classes=("ant", "größe", "zebra"))
        assert read.classes == ("ant", "größe", "zebra")
        assert geometry(read) == geometry(dataset)

    def test_a_class_outside_the_known_ones_quarantines_its_images(self, name: str, dataset: Dataset, tmp_path: Path) -> None:
        FORMATS[name].write(dataset, tmp_path / "out", copy_images=True)
        read = FORMATS[name].read(tmp_path / "out", classes=("zebra",))
        with_ant = {i for i, boxes in dataset.labels.items() if (boxes.labels == 1).any()}
        assert {finding.image_id for finding in read.findings} == with_ant != set()
        assert {finding.kind for finding in read.findings} == {FindingKind.UNKNOWN_CLASS}
        assert {image.image_id for image in read.images} == {image.image_id for image in dataset.images} - with_ant

    def test_each_broken_image_is_one_finding_and_the_rest_is_read(self, name: str, dataset: Dataset, tmp_path: Path) -> None:
        FORMATS[name].write(dataset, tmp_path / "out", copy_images=True)
        place = {path.name: path for path in (tmp_path / "out").rglob("*") if path.suffix in (".png", ".JPG", ".jpg")}
        place["c.JPG"].write_bytes(place["c.JPG"].read_bytes()[:-200])
        place["z.png"].write_bytes(b"")
        place["ü.png"].unlink()
        read = FORMATS[name].read(tmp_path / "out")
        found = {finding.image_id: finding for finding in read.findings if finding.kind is not FindingKind.MISSING_IMAGE}
        assert {i: finding.kind for i, finding in found.items()} == dict.fromkeys(["b/d e/c.JPG", "z.png"], FindingKind.CORRUPT_IMAGE)
        assert any(f.kind is FindingKind.MISSING_IMAGE and "ü" in f.message for f in read.findings)
        assert all(finding.quarantined and "xpected" in finding.message for finding in read.findings)
        assert {image.image_id for image in read.images} == {"a.png", "a.jpg", "b/a.png"}
        assert set(read.labels) == {"a.png", "a.jpg", "b/a.png"}

    def test_the_later_of_two_copies_is_quarantined(self, name: str, dataset: Dataset, tmp_path: Path) -> None:
        first, last = dataset.images[0], dataset.images[4]
        shutil.copy(first.uri, last.uri)
        copied = replace(dataset, images=(*dataset.images[:4], replace(last, width=first.width, height=first.height)))
        copied = replace(copied, labels={**{i.image_id: dataset.labels[i.image_id] for i in copied.images[:4]}, "z.png": Boxes.empty()})
        FORMATS[name].write(copied, tmp_path / "out", copy_images=True)
        read = FORMATS[name].read(tmp_path / "out")
        assert [(f.kind, f.image_id, f.quarantined) for f in read.findings] == [(FindingKind.DUPLICATE_IMAGE, "z.png", True)]
        assert "copy of a.png" in read.findings[0].message
        assert not FORMATS[name].read(tmp_path / "out", verify=False).findings

    def test_progress_counts_every_image_once(self, name: str, dataset: Dataset, tmp_path: Path) -> None:
        FORMATS[name].write(dataset, tmp_path / "out", copy_images=True)
        calls: list[tuple[int, int]] = []
        FORMATS[name].read(tmp_path / "out", progress=lambda done, total: calls.append((done, total)))
        assert calls == [(number, 6) for number in range(1, 7)]

    def test_sizes_are_those_of_the_upright_image(self, name: str, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        (tmp_path / "origin").mkdir()
        Image.new("RGB", (30, 20)).save(tmp_path / "origin" / "turned.jpg", exif=exif)
        record = ImageRecord("turned.jpg", tmp_path / "origin" / "turned.jpg", 20, 30, Split.TRAIN)
        dataset = Dataset(("a",), (record,), {"turned.jpg": Boxes(np.array([[1, 2, 19, 29]]), np.array([0]))})
        FORMATS[name].write(dataset, tmp_path / "out", copy_images=True)
        read = FORMATS[name].read(tmp_path / "out")
        assert not read.findings
        assert (read.images[0].width, read.images[0].height) == (20, 30)

    def test_nothing_to_read_is_an_error_that_says_what_was_expected(self, name: str, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        for path in (tmp_path / "empty", tmp_path / "absent"):
            with pytest.raises(BoxwiseError, match=rf"{path.name}: expected .*found"):
                FORMATS[name].read(path)


def _slow(source: str, name: str):  # type: ignore[no-untyped-def]
    return pytest.param(source, name, marks=pytest.mark.slow)


@pytest.mark.parametrize(("source", "name"), [_slow("bccd", "voc"), _slow("fod", "voc"), ("pothole", "coco"), _slow("coco256", "yolo")])
def test_round_trip_of_real_data_is_exact(source: str, name: str, shared_data: Path, tmp_path: Path) -> None:
    read = FORMATS[name].read(_fewer(shared_data / source, tmp_path), shared_data / source / _IMAGES[source], verify=False)
    FORMATS[name].write(read, tmp_path / "out")
    again = FORMATS[name].read(tmp_path / "out", shared_data / source / _IMAGES[source], verify=False)
    images = set(read.labels)
    assert len(images) > 200
    assert_same(replace(again, images=tuple(i for i in again.images if i.image_id in images)), replace(read, images=_labelled(read)))


@pytest.mark.parametrize(("source", "name"), [_slow("bccd", "voc"), _slow("pothole", "coco"), ("coco256", "yolo")])
def test_a_way_through_all_formats_moves_no_box(source: str, name: str, shared_data: Path, tmp_path: Path) -> None:
    start = FORMATS[name].read(shared_data / source, verify=False)
    folder = shared_data / source / _IMAGES[source]
    step = start
    for number, station in enumerate(("voc", "coco", "yolo", "voc")):
        FORMATS[station].write(step, tmp_path / str(number))
        step = FORMATS[station].read(tmp_path / str(number), folder, verify=False)
    step = replace(step, images=tuple(image for image in step.images if image.image_id in start.labels))
    assert step.classes == start.classes
    assert {i.image_id: i.split for i in step.images} == {i.image_id: i.split for i in start.images}
    for image_id, boxes in start.labels.items():
        assert np.array_equal(step.labels[image_id].labels, boxes.labels)
        assert np.allclose(step.labels[image_id].xyxy, boxes.xyxy, atol=1e-2)


_IMAGES = {"bccd": "JPEGImages", "fod": "JPEGImages", "pothole": "images", "coco256": "images"}


def _labelled(dataset: Dataset) -> tuple[ImageRecord, ...]:
    return tuple(image for image in dataset.images if image.image_id in dataset.labels)


def _fewer(folder: Path, tmp_path: Path) -> Path:
    """The data set itself; of fod's 3,791 labels every twelfth."""
    if folder.name != "fod":
        return folder
    for path in sorted((folder / "Annotations").iterdir())[::12]:
        (tmp_path / "few" / "Annotations").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "few" / "Annotations")
    shutil.copytree(folder / "ImageSets", tmp_path / "few" / "ImageSets")
    return tmp_path / "few"
