"""Labels for images that lie in no folder in common: found by the images' ids, no picture is opened or needed beside the labels."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from boxwise.boxes import Boxes
from boxwise.data.datasets import read_dataset, read_labels_for
from boxwise.data.formats.base import Dataset, FindingKind
from boxwise.data.formats.names import FORMATS
from boxwise.data.images import write_image
from boxwise.records import ImageRecord

WHERE = {
    "two buckets": {"a.jpg": "s3://one/a.jpg", "sub/b.jpg": "s3://two/deep/sub/b.jpg"},
    "a bucket and a web server": {"a.jpg": "s3://one/a.jpg", "sub/b.jpg": "https://host/sub/b.jpg"},
    "ids that are no paths": {"a.jpg": "s3://one/0001.jpg", "sub/b.jpg": "s3://one/0002.jpg"},
    "one folder, and ids that are no paths": {"a.jpg": "s3://one/a.jpg", "sub/b.jpg": "s3://one/0002.jpg"},
}


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("name", FORMATS)
def test_labels_find_images_of_several_places(tmp_path: Path, name: str, where: str) -> None:
    images = tuple(ImageRecord(image_id, uri, 100, 80) for image_id, uri in WHERE[where].items())
    labels = {image.image_id: Boxes([[40, 30, 60, 50]], [1]) for image in images}
    FORMATS[name].write(Dataset(("cat", "dog"), images, labels), tmp_path)
    found = read_labels_for(images, tmp_path, format_name=None, classes=("cat", "dog"))
    assert {i: (boxes.xyxy.tolist(), boxes.labels.tolist()) for i, boxes in found.labels.items()} == {
        image.image_id: ([[40, 30, 60, 50]], [1]) for image in images
    }
    assert not found.findings


def test_a_picture_outside_of_them_is_named(tmp_path: Path) -> None:
    lost = ImageRecord("lost.jpg", "s3://three/lost.jpg", 100, 80)
    FORMATS["cvat"].write(Dataset(("cat",), (lost,), {"lost.jpg": Boxes([[1, 1, 9, 9]], [0])}), tmp_path)
    images = [ImageRecord(image_id, uri, 100, 80) for image_id, uri in WHERE["two buckets"].items()]
    found = read_labels_for(images, tmp_path, format_name=None, classes=("cat",))
    assert not found.labels and [finding.kind for finding in found.findings] == [FindingKind.MISSING_IMAGE]
    assert "expected the image lost.jpg" in found.findings[0].message and "of 2 in the images' folders" in found.notes[0]


@pytest.mark.parametrize("size", [(100, 80), (0, 0)], ids=["known", "never opened"])
def test_an_image_out_of_use_is_named_and_not_looked_for_in_its_store(tmp_path: Path, size: tuple[int, int]) -> None:
    images = [ImageRecord(name, f"s3://{place}/{name}", 100, 80) for name, place in (("a.jpg", "one"), ("c.jpg", "two"))]
    images.append(ImageRecord("sub/b.jpg", "s3://gone/deep/sub/b.jpg", *size))
    labels = {image.image_id: Boxes([[1, 1, 9, 9]], [0]) for image in images}
    FORMATS["voc"].write(Dataset(("cat",), tuple(replace(image, width=100, height=80) for image in images), labels), tmp_path)
    why = {"sub/b.jpg": "excluded by lead: the store is gone"}
    found = read_labels_for(images, tmp_path, format_name=None, classes=("cat",), out_of_use=why)
    assert list(found.labels) == ["a.jpg", "c.jpg"]
    assert [(finding.kind, finding.image_id) for finding in found.findings] == [(FindingKind.OUT_OF_USE, "sub/b.jpg")]


def test_a_data_set_takes_the_addresses_of_its_images(tmp_path: Path, digits: Dataset) -> None:
    images = digits.images[:2]
    labels = {image.image_id: digits.labels[image.image_id] for image in images}
    FORMATS["yolo"].write(Dataset(digits.classes, images, labels), tmp_path)
    read = read_dataset(tmp_path, images={image.image_id: image.uri for image in images})
    assert {image.image_id: image.uri for image in read.images} == {image.image_id: image.uri for image in images}
    assert read.labels.keys() == labels.keys()


class TestOutOfUseElsewhere:
    """Images out of use that lie in another folder, some of them called as one in use is."""

    FOLDERS = ("p", "p", "q", "q", "q")
    NAMES = ("a/x.jpg", "c/y.jpg", "z/x.jpg", "z/w.jpg", "v/y.jpg")
    WHY: ClassVar = dict.fromkeys(NAMES[2:], "excluded by lead: dup")

    def _images(self, root: Path) -> list[ImageRecord]:
        places = [root / folder / name for folder, name in zip(self.FOLDERS, self.NAMES, strict=True)]
        for number, place in enumerate(places):
            write_image(np.full((80, 100, 3), number, np.uint8), place)
        return [ImageRecord(name, str(place), 100, 80) for name, place in zip(self.NAMES, places, strict=True)]

    @pytest.mark.parametrize("name", ["coco", "cvat", "voc", "yolo"])
    @pytest.mark.parametrize("apart", [False, True], ids=["one folder in use", "no folder in common"])
    def test_the_image_in_use_has_the_labels_of_its_name(self, tmp_path: Path, name: str, apart: bool) -> None:
        images = self._images(tmp_path)
        if apart:
            write_image(np.full((80, 100, 3), 9, np.uint8), tmp_path / "r" / "u.jpg")
            images.append(ImageRecord("u.jpg", str(tmp_path / "r" / "u.jpg"), 100, 80))
        called = ("x.jpg", "y.jpg", "w.jpg")
        pictures = tuple(ImageRecord(file, str(tmp_path / file), 100, 80) for file in called)
        for picture in pictures:
            write_image(np.full((80, 100, 3), 99, np.uint8), Path(picture.uri))
        FORMATS[name].write(Dataset(("cat",), pictures, dict.fromkeys(called, Boxes([[1, 1, 9, 9]], [0]))), tmp_path / "l")
        shutil.rmtree(tmp_path / "l" / "images", ignore_errors=True)
        shutil.rmtree(tmp_path / "l" / "JPEGImages", ignore_errors=True)
        found = read_labels_for(images, tmp_path / "l", format_name=name, classes=("cat",), out_of_use=self.WHY)
        assert sorted(found.labels) == ["a/x.jpg", "c/y.jpg"]
        assert [(finding.kind, finding.image_id) for finding in found.findings] == [(FindingKind.OUT_OF_USE, "z/w.jpg")]
        assert not any(image_id in note for note in found.notes for image_id in self.WHY)
        unlisted = [note for note in found.notes if "not listed" in note]
        assert len(unlisted) == (apart and name in ("coco", "cvat")) and all("of 3 in" in note for note in unlisted)

    def test_a_name_that_may_be_one_in_use_means_none_out_of_use(self, tmp_path: Path) -> None:
        images = self._images(tmp_path)
        why = {"z/x.jpg": "excluded by lead: dup"}  # y.jpg is the name of two in use
        found = read_labels_for(images, coco(tmp_path / "l.json", "y.jpg"), format_name=None, classes=("cat",), out_of_use=why)
        (finding,) = found.findings
        assert finding.kind is FindingKind.MISSING_IMAGE and "2 images of that name: c/y.jpg, v/y.jpg" in finding.message

    def test_all_images_may_be_out_of_use(self, tmp_path: Path) -> None:
        images = self._images(tmp_path)[2:4]
        found = read_labels_for(images, coco(tmp_path / "l.json", "z/x.jpg"), format_name=None, classes=("cat",), out_of_use=self.WHY)
        assert not found.labels and [finding.kind for finding in found.findings] == [FindingKind.OUT_OF_USE]


def coco(path: Path, *names: str) -> Path:
    entries = [{"id": n, "image_id": n, "category_id": 1, "bbox": [1, 1, 5 + n, 5]} for n in range(len(names))]
    images = [{"id": n, "file_name": name} for n, name in enumerate(names)]
    path.write_text(json.dumps({"images": images, "annotations": entries, "categories": [{"id": 1, "name": "cat"}]}))
    return path


class TestOthersBeside:
    """A study of some images of a folder, in which others have the same names."""

    def _study(self, root: Path) -> list[ImageRecord]:
        for number, name in enumerate(("cam1/1.jpg", "cam1/2.jpg", "cam2/1.jpg", "cam2/2.jpg")):
            write_image(np.full((80, 100, 3), number, np.uint8), root / name)
        return [ImageRecord(name, str(root / name), 100, 80) for name in ("cam1/1.jpg", "cam1/2.jpg")]

    def test_labels_of_other_images_are_not_taken(self, tmp_path: Path) -> None:
        images = self._study(tmp_path)
        found = read_labels_for(images, coco(tmp_path / "l.json", "cam2/1.jpg", "cam2/2.jpg"), format_name=None, classes=("cat",))
        assert not found.labels
        assert [(finding.kind, finding.image_id) for finding in found.findings] == [
            (FindingKind.MISSING_IMAGE, "cam2/1.jpg"), (FindingKind.MISSING_IMAGE, "cam2/2.jpg")
        ]  # fmt: skip
        assert "Expected an image of the study" in found.findings[0].message

    def test_labels_of_all_of_them_go_to_the_images_that_they_name(self, tmp_path: Path) -> None:
        images = self._study(tmp_path)
        path = coco(tmp_path / "l.json", "cam2/1.jpg", "cam1/1.jpg", "cam2/2.jpg", "cam1/2.jpg")
        found = read_labels_for(images, path, format_name=None, classes=("cat",))
        assert {i: boxes.xyxy.tolist() for i, boxes in found.labels.items()} == {
            "cam1/1.jpg": [[1, 1, 7, 6]], "cam1/2.jpg": [[1, 1, 9, 6]]
        }  # fmt: skip

    def test_a_link_to_an_image_of_the_study_is_that_image(self, tmp_path: Path) -> None:
        images = self._study(tmp_path)
        (tmp_path / "link").mkdir()
        (tmp_path / "link" / "x.jpg").symlink_to(tmp_path / "cam1" / "1.jpg")
        found = read_labels_for(images, coco(tmp_path / "l.json", "link/x.jpg"), format_name=None, classes=("cat",))
        assert list(found.labels) == ["cam1/1.jpg"] and not found.findings
        again = ImageRecord("x.jpg", str(tmp_path / "link" / "x.jpg"), 100, 80)  # the same file, joined twice, and this one out of use
        path = coco(tmp_path / "l.json", "cam1/../link/x.jpg")
        found = read_labels_for([*images, again], path, format_name=None, classes=("cat",), out_of_use={"x.jpg": "excluded"})
        assert list(found.labels) == ["cam1/1.jpg"] and not found.findings
