"""Layouts that people have: each is recognised without a word, or it is said that label-like files are not used."""

import json
from pathlib import Path
from time import monotonic

import pytest
from formats_scenario import LINE, PLACE, found, kinds, make, read, voc, voc_object

from boxwise.data.datasets import detect_format, read_dataset, read_pool
from boxwise.data.formats.base import FindingKind
from boxwise.data.formats.layout import ImageIndex
from boxwise.records import Split

BOX = PLACE[0]


def coco(*names: str) -> str:
    return json.dumps({
        "images": [{"id": n, "file_name": name} for n, name in enumerate(names)],
        "annotations": [{"id": n, "image_id": n, "category_id": 1, "bbox": [40, 30, 20, 20]} for n in range(len(names))],
        "categories": [{"id": 1, "name": "bee"}],
    })  # fmt: skip


DARKNET = {"obj.names": "ant\nbee\n", "obj_train_data/a.jpg": 1, "obj_train_data/a.txt": LINE}
CVAT_DATA = "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n"
LAYOUTS = {
    "coco file a split": ("coco", {"train/_annotations.coco.json": coco("a.jpg"), "train/a.jpg": 1}, {"train/a.jpg"}),
    "xml a split": ("voc", {"train/a.xml": voc(voc_object("bee"), name="a.jpg"), "train/a.jpg": 1}, {"train/a.jpg"}),
    "xml beside images, small letters": ("voc", {"annotations/a.xml": voc(voc_object("bee"), name="?"), "images/a.jpg": 1}, {"a.jpg"}),
    "images and labels a split": (
        "yolo", {"train/images/a.jpg": 1, "train/labels/a.txt": LINE, "classes.txt": "ant\nbee\n"}, {"train/images/a.jpg"},
    ),
    "images and labels a split, with a sheet": (
        "yolo", {"train/images/a.jpg": 1, "train/labels/a.txt": LINE, "data.yaml": "train: ../train/images\nnames: [ant, bee]\n"},
        {"train/images/a.jpg"},
    ),
    "flat": ("yolo", {"a.jpg": 1, "a.txt": LINE, "classes.txt": "ant\nbee\n"}, {"a.jpg"}),
    "flat, capitals": ("yolo", {"a.JPG": 1, "a.TXT": LINE, "classes.txt": "ant\nbee\n"}, {"a.JPG"}),
    "flat a split": ("yolo", {"train/a.jpg": 1, "train/a.txt": LINE, "train/_darknet.labels": "ant\nbee\n"}, {"train/a.jpg"}),
    "labels in images": ("yolo", {"images/a.jpg": 1, "images/a.txt": LINE, "classes.txt": "ant\nbee\n"}, {"a.jpg"}),
    "darknet, names alone": ("yolo", DARKNET, {"obj_train_data/a.jpg"}),
    "darknet": (
        "yolo", {**DARKNET, "obj.data": CVAT_DATA, "train.txt": "data/obj_train_data/a.jpg\n"}, {"obj_train_data/a.jpg"},
    ),
    "coco with the folder in the name": ("coco", {"annotations/instances.json": coco("images/a.jpg"), "images/a.jpg": 1}, {"a.jpg"}),
    "coco of another folder's name": ("coco", {"labels.json": coco("a.jpg"), "data/a.jpg": 1}, {"data/a.jpg"}),
    "label studio's names, yolo": (
        "yolo", {"images/a.jpg": 1, "labels/0a1b2c3d-a.txt": LINE, "classes.txt": "ant\nbee\n", "notes.json": "{}"}, {"a.jpg"},
    ),
    "label studio's names, coco": ("coco", {"result.json": coco("images/0a1b2c3d-a.jpg"), "images/a.jpg": 1}, {"a.jpg"}),
    "label studio's names, voc": (
        "voc", {"Annotations/0a1b2c3d-a.xml": voc(voc_object("bee"), name="0a1b2c3d-a.jpg"), "images/a.jpg": 1}, {"a.jpg"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_recognised_and_read(tmp_path: Path, layout: str) -> None:
    name, files, image_ids = LAYOUTS[layout]
    dataset = read(tmp_path, files)
    assert detect_format(tmp_path) == name
    assert found(dataset) == {image_id: [("bee", BOX)] for image_id in image_ids}
    assert not dataset.findings


@pytest.mark.parametrize("layout", [layout for layout, (_, files, _) in LAYOUTS.items() if any("train" in name for name in files)])
def test_folders_and_lists_say_the_split(tmp_path: Path, layout: str) -> None:
    assert [image.split for image in read(tmp_path, LAYOUTS[layout][1]).images] == [Split.TRAIN]


def test_darknets_second_name_is_that_of_class_1(tmp_path: Path) -> None:
    boxes = read(tmp_path, DARKNET)
    assert boxes.classes == ("ant", "bee")
    assert boxes.labels["obj_train_data/a.jpg"].labels.tolist() == [1]
    x1, y1, x2, y2 = boxes.labels["obj_train_data/a.jpg"].xyxy[0].tolist()
    assert [x1, y1, x2 - x1, y2 - y1] == [40, 30, 20, 20]


def test_a_split_of_no_image_is_said(tmp_path: Path) -> None:
    sheet = "train: images/train\nval: images/val\nnames: [ant, bee]\n"
    dataset = read(tmp_path, {"images/train/a.jpg": 1, "labels/train/a.txt": LINE, "data.yaml": sheet})
    assert kinds(dataset) == [(FindingKind.MISSING_IMAGE, None, False)]
    assert "names 'images/val'" in dataset.findings[0].message


@pytest.mark.parametrize(("name", "content"), [
    ("one/two/three/four/a.txt", LINE),
    ("one/two/three/labels.json", coco("a.jpg")),
    ("one/two/three/a.xml", voc(voc_object())),
    ("boxes.csv", "path;left;top;right;bottom\n"),
])  # fmt: skip
def test_labels_in_no_known_layout_are_named(tmp_path: Path, name: str, content: str) -> None:
    dataset = read(tmp_path, {"a.jpg": 1, name: content})
    assert [image.image_id for image in dataset.images] == ["a.jpg"] and not dataset.labels
    assert kinds(dataset) == [(FindingKind.UNUSED_FILE, None, False)]
    assert name in dataset.findings[0].message and "not used" in dataset.findings[0].message


def test_images_alone_with_prose_beside_them_are_images_alone(tmp_path: Path) -> None:
    dataset = read(tmp_path, {"a.jpg": 1, "README.txt": "my pictures\n", "requirements.txt": "numpy==2\n", "train.txt": "a.jpg\n"})
    assert not dataset.findings and not dataset.labels


def test_a_study_of_images_says_that_labels_lie_among_them(tmp_path: Path) -> None:
    read(tmp_path, {"a.jpg": 1, "a.txt": LINE})
    assert kinds(read_pool(tmp_path, None)) == [(FindingKind.UNUSED_FILE, None, False)]


def test_the_same_name_in_two_splits_finds_its_own_xml(tmp_path: Path) -> None:
    files = {}
    for number, split in enumerate(("train", "valid")):
        corners = (number, 0, 50, 50)
        files |= {f"{split}/images/a.jpg": number, f"{split}/annotations/a.xml": voc(voc_object(corners=corners), name="a.jpg")}
    dataset = read(tmp_path, files)
    assert {i: rows[0][1][0] for i, rows in found(dataset).items()} == {"train/images/a.jpg": 0, "valid/images/a.jpg": 1}


def test_a_linked_folder_is_read_once_and_one_that_leads_back_is_not(tmp_path: Path) -> None:
    make(tmp_path, {"set/images/b.jpg": 2, "set/labels/b.txt": LINE, "elsewhere/a.jpg": 1, "texts/a.txt": LINE})
    for link, target in (("images/train", "elsewhere"), ("labels/train", "texts"), ("images/again", "elsewhere"), ("images/back", "set")):
        (tmp_path / "set" / link).symlink_to(tmp_path / target)
    dataset = read_dataset(tmp_path / "set")
    assert sum(map(len, dataset.labels.values())) == 2
    assert {image_id.rpartition("/")[2] for image_id in dataset.labels} == {"a.jpg", "b.jpg"} and len(dataset.images) == 2


def test_a_link_to_itself_is_passed_over(tmp_path: Path) -> None:
    make(tmp_path, {"images/a.jpg": 1, "images/b.jpg": 2, "labels/b.txt": LINE})
    (tmp_path / "labels" / "a.txt").symlink_to("a.txt")
    assert found(read_dataset(tmp_path))["b.jpg"] == [("1", PLACE[0])]
    assert found(read_pool(tmp_path / "images", tmp_path / "labels", format_name="yolo")) == {"b.jpg": [("1", PLACE[0])]}


def test_a_path_without_end_is_soon_compared(tmp_path: Path) -> None:
    make(tmp_path, {"b.jpg": 1})
    began = monotonic()
    assert ImageIndex(tmp_path).by_name("a/" * 3000 + "b.jpg") == "b.jpg"
    assert monotonic() - began < 2


@pytest.mark.parametrize("files", [
    {"set/data.yaml": "names: [a, b]\n", "set/images/a.jpg": 1, "set/labels/a.txt": LINE},
    {"data/obj.names": "a\nb\n", "data/obj.data": "names = data/obj.names\ntrain = data/train.txt\n",
     "data/train.txt": "data/obj_train_data/a.jpg\n",
     "data/obj_train_data/a.jpg": 1, "data/obj_train_data/a.txt": LINE},
    {"x/y/images/a.jpg": 1, "x/y/labels/a.txt": LINE, "x/y/classes.txt": "a\nb\n", "README.md": "hello"},
])  # fmt: skip
def test_a_data_set_in_the_only_folder(tmp_path: Path, files: dict) -> None:
    dataset = read(tmp_path, files)
    assert list(found(dataset).values()) == [[("b", PLACE[0])]] and not dataset.findings


@pytest.mark.parametrize("files", [
    {"train/images/a.jpg": 1, "train/labels/a.txt": LINE}, {"images/train/a.jpg": 1, "images/train/a.txt": LINE},
])  # fmt: skip
def test_a_folder_with_a_meaning_is_no_wrapper(tmp_path: Path, files: dict) -> None:
    assert {image.split for image in read(tmp_path, files).images} == {"train"}


def test_paths_of_windows_in_lists(tmp_path: Path) -> None:
    files = {"obj.names": "a\r\nb\r\n", "obj.data": "names=data\\obj.names\r\ntrain=data\\train.txt\r\n",
             "train.txt": "data\\obj_train_data\\a.jpg\r\n",
             "obj_train_data/a.jpg": 1, "obj_train_data/a.txt": LINE}  # fmt: skip
    dataset = read(tmp_path, files)
    assert found(dataset) == {"obj_train_data/a.jpg": [("b", PLACE[0])]} and not dataset.findings
    assert dataset.images[0].split == "train"


def test_train_and_val_of_the_same_images_are_no_split(tmp_path: Path) -> None:
    files = {"data.yaml": "names: [a, b]\ntrain: images\nval: .\n", "images/a.jpg": 1, "labels/a.txt": LINE}
    dataset = read(tmp_path, files)
    assert [image.split for image in dataset.images] == [None]
    assert len(dataset.findings) == 1 and "found the same 1 image in both" in dataset.findings[0].message


@pytest.mark.parametrize("said", ["../datasets/coco8", "/", "x" * 5000])
def test_a_path_that_leads_nowhere_is_a_note(tmp_path: Path, said: str) -> None:
    dataset = read(tmp_path, {"data.yaml": f"names: [a, b]\npath: {said}\n", "images/a.jpg": 1, "labels/a.txt": LINE})
    assert found(dataset) == {"a.jpg": [("b", PLACE[0])]} and not dataset.findings
    assert "is no folder here" in dataset.notes[0]


@pytest.mark.parametrize(("name", "image_id"), [
    ("images\\a.jpg", "a.jpg"), ("C:\\set\\a.jpg", "a.jpg"), ("/home/ann/images/a.jpg", "a.jpg"), ("../images/a.jpg", "a.jpg"),
    ("http://h/a.jpg", "a.jpg"),
    ("other/sub/b.jpg", "sub/b.jpg"),
])  # fmt: skip
def test_coco_calls_images_by_paths_of_another_machine(tmp_path: Path, name: str, image_id: str) -> None:
    text = json.dumps({"images": [{"id": 1, "file_name": name}], "categories": [{"id": 1, "name": "cat"}],
                       "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [40, 30, 20, 20]}]})  # fmt: skip
    dataset = read(tmp_path, {"images/a.jpg": 1, "images/sub/b.jpg": 2, "images/x/c.jpg": 3, "images/y/c.jpg": 4, "x.json": text})
    assert found(dataset) == {image_id: [("cat", PLACE[0])]} and not dataset.findings


def test_an_image_that_is_named_exactly_is_not_taken_for_a_missing_one(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "train/a.jpg"}, {"id": 2, "file_name": "val/a.jpg"}]
    text = json.dumps({"images": images, "categories": [{"id": 1, "name": "cat"}],
                       "annotations": [{"id": n, "image_id": n, "category_id": 1, "bbox": [40, 30, 20, 20]} for n in (1, 2)]})  # fmt: skip
    dataset = read(tmp_path, {"images/train/a.jpg": 1, "x.json": text})
    assert found(dataset) == {"train/a.jpg": [("cat", PLACE[0])]}
    assert kinds(dataset) == [(FindingKind.MISSING_IMAGE, "val/a.jpg", True)]
