"""VOC07+12 and COCO 2017, on tiny folders laid out as the downloads are."""

import json
from pathlib import Path

import numpy as np
import pytest

from boxwise.boxes import Boxes
from boxwise.data import splits
from boxwise.data.formats.base import Dataset
from boxwise.data.formats.voc import Voc
from boxwise.data.images import write_image
from boxwise.data.splits import read_coco2017, read_voc0712
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord, Split
from boxwise.simulation.simulate import with_splits


def picture(path, seed):
    write_image(np.random.default_rng(seed).integers(0, 255, (20, 30, 3)).astype(np.uint8), path)


def year(root, name, classes, members):
    """A VOC year: `members` maps a set file of ImageSets/Main to image stems; "" holds images that no list names."""
    records, labels = [], {}
    for stem in dict.fromkeys(stem for stems in members.values() for stem in stems):
        path = root / name / "JPEGImages" / f"{stem}.jpg"
        picture(path, len(records))
        records.append(ImageRecord(path.name, path, 30, 20))
        labels[path.name] = Boxes(np.array([[2, 3, 12, 13]], np.float32), np.array([len(records) % len(classes)], np.int64))
    Voc().write(Dataset(classes, tuple(records), labels), root / name)
    (root / name / "classes.txt").unlink()  # the downloads have none
    for file, stems in members.items():
        if file:
            path = root / name / "ImageSets" / "Main" / f"{file}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{stem}\n" for stem in stems))


@pytest.fixture
def devkit(tmp_path):
    root = tmp_path / "VOCdevkit"
    first, second, test = [f"{n:06}" for n in range(12)], [f"{n:06}" for n in range(12, 20)], [f"{n:06}" for n in range(20, 26)]
    year(root, "VOC2007", ("cat", "dog"), {"train": first, "val": second, "trainval": first + second, "test": test})
    later = [f"2008_{n:06}" for n in range(10)]
    year(root, "VOC2012", ("bird", "cat"), {"trainval": later, "test": ["2008_000100"], "": ["2007_000027"]})
    return root


def test_both_years_join_and_only_2007_is_tested(devkit):
    found = read_voc0712(devkit)
    of = {split: {r.image_id for r in found.images if r.split is split} for split in Split}
    assert of[Split.TEST] == {f"VOC2007/{n:06}.jpg" for n in range(20, 26)}
    assert of[Split.TRAIN] | of[Split.VAL] == {f"VOC2007/{n:06}.jpg" for n in range(20)} | {f"VOC2012/2008_{n:06}.jpg" for n in range(10)}
    assert len(of[Split.VAL]) == 3  # a tenth of 30
    assert with_splits(found).images == found.images  # a simulation draws nothing more


def test_classes_of_both_years_are_one_list_and_labels_follow(devkit):
    found = read_voc0712(devkit)
    assert found.classes == ("cat", "dog", "bird")
    names = {image_id: found.classes[boxes.labels[0]] for image_id, boxes in found.labels.items()}
    assert [names[f"VOC2007/{n:06}.jpg"] for n in range(3)] == ["dog", "cat", "dog"]
    assert [names[f"VOC2012/2008_{n:06}.jpg"] for n in range(3)] == ["cat", "bird", "cat"]


def test_the_folder_above_serves_too_and_val_is_drawn_once_and_for_all(devkit):
    assert read_voc0712(devkit.parent).images == read_voc0712(devkit).images


def test_what_is_missing_of_a_devkit_is_named(devkit):
    (devkit / "VOC2007/ImageSets/Main/test.txt").unlink()
    with pytest.raises(BoxwiseError, match=r"missing: VOC2007/ImageSets/Main/test\.txt\.$"):
        read_voc0712(devkit)


@pytest.fixture
def coco(tmp_path):
    for part, count in (("train2017", 20), ("val2017", 5)):
        images = [{"id": n, "file_name": f"{n:012}.jpg", "width": 30, "height": 20} for n in range(count)]
        for image in images:
            picture(tmp_path / part / image["file_name"], image["id"])
        boxes = [{"id": n, "image_id": n, "category_id": 18, "bbox": [1, 2, 5, 6], "iscrowd": 0} for n in range(count - 1)]
        content = {"images": images, "annotations": boxes, "categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}]}
        path = tmp_path / "annotations" / f"instances_{part}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    (tmp_path / "annotations" / "captions_train2017.json").write_text("{}")
    return tmp_path


def test_coco_tests_on_val2017_although_ids_of_both_parts_are_the_same(coco):
    found = read_coco2017(coco)
    of = {split: [r for r in found.images if r.split is split] for split in Split}
    assert [len(of[split]) for split in (Split.TRAIN, Split.VAL, Split.TEST)] == [18, 2, 5]
    assert {r.image_id for r in of[Split.TEST]} == {f"val2017/{n:012}.jpg" for n in range(5)}
    assert all(Path(r.uri).is_file() for r in found.images)
    assert found.classes == ("cat", "dog") and found.class_ids == (17, 18)
    assert len(found.labels["train2017/000000000019.jpg"]) == 0  # no annotation: no object, as COCO means it
    assert found.labels["val2017/000000000000.jpg"].xyxy.tolist() == [[1, 2, 6, 8]]


def test_what_is_missing_of_coco_is_named(coco):
    (coco / "annotations/instances_val2017.json").unlink()
    with pytest.raises(BoxwiseError, match=r"missing: annotations/instances_val2017\.json"):
        read_coco2017(coco)


def test_val_is_bounded(devkit, monkeypatch):
    monkeypatch.setattr(splits, "VAL_IMAGES", 2)
    found = read_voc0712(devkit)
    assert sum(r.split is Split.VAL for r in found.images) == 2
    assert sum(r.split is Split.TRAIN for r in found.images) == 28
