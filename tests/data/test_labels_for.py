"""Labels for images that lie in no folder in common: found by the images' ids, no picture is opened or needed beside the labels."""

from pathlib import Path

import pytest

from boxwise.boxes import Boxes
from boxwise.data.datasets import read_dataset, read_labels_for
from boxwise.data.formats.base import Dataset, FindingKind
from boxwise.data.formats.names import FORMATS
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


def test_a_data_set_takes_the_addresses_of_its_images(tmp_path: Path, digits: Dataset) -> None:
    images = digits.images[:2]
    labels = {image.image_id: digits.labels[image.image_id] for image in images}
    FORMATS["yolo"].write(Dataset(digits.classes, images, labels), tmp_path)
    read = read_dataset(tmp_path, images={image.image_id: image.uri for image in images})
    assert {image.image_id: image.uri for image in read.images} == {image.image_id: image.uri for image in images}
    assert read.labels.keys() == labels.keys()
