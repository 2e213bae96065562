from pathlib import Path

import numpy as np
import pytest
import yaml
from globox import AnnotationSet

from boxwise.boxes import Boxes
from boxwise.data.formats.base import Dataset, FindingKind
from boxwise.data.formats.yolo import Yolo
from boxwise.data.images import write_image
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord, Split

LINE = "1 0.5 0.5 0.25 0.2\n"  # in 40 x 30 pixels: 15, 12, 25, 18


def _image(path: Path, value: int) -> None:
    write_image(np.full((30, 40, 3), value, np.uint8), path)


def _text(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Images a and b without labels, c with one."""
    for number, name in enumerate("abc"):
        _image(tmp_path / "images" / f"{name}.png", number)
    _text(tmp_path / "labels" / "c.txt", LINE)
    return tmp_path


def _faults(dataset: Dataset) -> list[tuple[FindingKind, str | None, bool]]:
    return [(finding.kind, finding.image_id, finding.quarantined) for finding in dataset.findings]


def test_reads_normalised_centres_as_pixels(root: Path) -> None:
    read = Yolo().read(root)
    assert not read.findings
    assert read.classes == ("0", "1")
    assert read.labels["c.png"].xyxy.tolist() == [[15, 12, 25, 18]]
    assert read.labels["c.png"].labels.tolist() == [1]


def test_no_label_file_means_no_object_unless_set_otherwise(root: Path) -> None:
    assert {i: len(boxes) for i, boxes in Yolo().read(root).labels.items()} == {"a.png": 0, "b.png": 0, "c.png": 1}
    growing = Yolo().read(root, missing_is_empty=False)
    assert set(growing.labels) == {"c.png"}
    assert len(growing.images) == 3
    assert _faults(growing) == [(FindingKind.MISSING_LABEL_FILE, None, False)]
    assert "each of 3 images, found none for 2" in growing.findings[0].message


def test_not_one_label_file_means_a_wrong_folder_not_a_thousand_empty_images(root: Path) -> None:
    (root / "labels" / "c.txt").unlink()
    read = Yolo().read(root)
    assert not read.labels
    assert _faults(read) == [(FindingKind.MISSING_LABEL_FILE, None, False)]


@pytest.mark.parametrize("names", [["ant", "bee"], {0: "ant", 1: "bee"}])
def test_names_come_from_data_yaml(root: Path, names: list[str] | dict[int, str]) -> None:
    _text(root / "data.yaml", yaml.safe_dump({"names": names}))
    for labels in (root, root / "data.yaml"):
        assert Yolo().read(labels).classes == ("ant", "bee")


def test_a_gap_in_the_names_keeps_its_number(root: Path) -> None:
    _text(root / "data.yaml", yaml.safe_dump({"names": {1: "bee", 3: "dog"}}))
    assert Yolo().read(root).classes == ("0", "bee", "2", "dog")


def test_classes_txt_of_labelling_tools(root: Path) -> None:
    _text(root / "labels" / "classes.txt", "ant\r\nbee")
    read = Yolo().read(root)
    assert read.classes == ("ant", "bee")
    assert not read.findings


def test_given_classes_name_the_numbers_or_reorder_the_names(root: Path) -> None:
    assert Yolo().read(root, classes=("x", "y", "z")).labels["c.png"].labels.tolist() == [1]
    _text(root / "data.yaml", yaml.safe_dump({"names": ["ant", "bee"]}))
    assert Yolo().read(root, classes=("bee", "ant")).labels["c.png"].labels.tolist() == [0]


@pytest.mark.parametrize("layout", ["folders", "lists", "hosted", "no yaml"])
def test_splits(tmp_path: Path, layout: str) -> None:
    hosted = layout == "hosted"
    for number, split in enumerate(("train", "val", "test")):
        images, labels = (tmp_path / split / "images", tmp_path / split / "labels") if hosted else (
            tmp_path / "images" / split, tmp_path / "labels" / split
        )  # fmt: skip
        _image(images / "x.png", number)
        _text(labels / "x.txt", f"{number} 0.5 0.5 0.5 0.5\n")
        if layout == "lists":
            _text(tmp_path / f"{split}.txt", f"./images/{split}/x.png\n\n")
    entry = {"folders": "images/{}", "lists": "{}.txt", "hosted": "../{}/images", "no yaml": ""}[layout]
    if entry:
        sheet = {split: entry.format(split) for split in ("train", "val", "test")}
        _text(tmp_path / "data.yaml", yaml.safe_dump({**sheet, "names": ["a", "b", "c"]}))
    read = Yolo().read(tmp_path)
    assert not read.findings
    assert [(i.split, read.labels[i.image_id].labels.tolist()) for i in sorted(read.images, key=lambda i: i.split)] == [
        (Split.TEST, [2]), (Split.TRAIN, [0]), (Split.VAL, [1])
    ]  # fmt: skip


def test_an_image_of_train_and_val_serves_val(root: Path) -> None:
    _text(root / "data.yaml", yaml.safe_dump({"train": "images", "val": ["val.txt"], "names": ["a", "b"]}))
    _text(root / "val.txt", "images/a.png\nimages/ghost.png\n")
    read = Yolo().read(root)
    assert {i.image_id: i.split for i in read.images} == {"a.png": Split.VAL, "b.png": Split.TRAIN, "c.png": Split.TRAIN}
    assert (FindingKind.DUPLICATE_ID, "a.png", False) in _faults(read)
    assert (FindingKind.MISSING_IMAGE, "ghost.png", True) in _faults(read)


def test_a_flat_folder_of_images_and_texts(tmp_path: Path) -> None:
    _image(tmp_path / "a.png", 1)
    _text(tmp_path / "a.txt", LINE)
    _text(tmp_path / "classes.txt", "ant\nbee\n")
    read = Yolo().read(tmp_path)
    assert {i: len(boxes) for i, boxes in read.labels.items()} == {"a.png": 1}
    assert not read.findings


def test_a_folder_of_labels_with_the_images_elsewhere_or_beside(root: Path) -> None:
    assert len(Yolo().read(root / "labels", root / "images").labels["c.png"]) == 1
    assert len(Yolo().read(root / "labels").labels["c.png"]) == 1


def test_a_polygon_gives_its_extent_and_a_sixth_number_a_score(root: Path) -> None:
    _text(root / "labels" / "a.txt", "0 0.25 0.5 0.5 0.1 0.75 0.9\n")
    _text(root / "labels" / "b.txt", "0 0.5 0.5 0.5 0.5 0.75\n")
    read = Yolo().read(root)
    assert np.allclose(read.labels["a.png"].xyxy, [[10, 3, 30, 27]])
    assert read.labels["b.png"].scores.tolist() == [0.75]


def test_scores_are_written_and_read(root: Path, tmp_path: Path) -> None:
    boxes = Boxes(np.array([[1, 2, 3, 4.5]]), np.array([0]), scores=np.array([1 / 3]))
    record = ImageRecord("a.png", root / "images" / "a.png", 40, 30)
    Yolo().write(Dataset(("cat",), (record,), {"a.png": boxes}), tmp_path / "out", copy_images=True)
    assert Yolo().read(tmp_path / "out").labels["a.png"].equals(boxes)


def test_a_box_over_the_edge_by_rounding_is_clipped(root: Path) -> None:
    _text(root / "labels" / "a.txt", "0 0.5 0.5 1.000001 1.001\n")
    read = Yolo().read(root)
    assert read.labels["a.png"].xyxy.tolist() == [[0, 0, 40, 30]]
    assert not read.findings


@pytest.mark.parametrize(
    "line", ["0 0.9 0.5 0.5 0.2", "0 0.5 0.5 0 0.2", "0 0.5 0.5 -0.1 0.2", "0 nan 0.5 0.1 0.2", "0 0.5 inf 0.1 0.2", "0 20 15 10 10"]
)
def test_a_bad_box_quarantines_its_image(root: Path, line: str) -> None:
    _text(root / "labels" / "a.txt", LINE + line)
    read = Yolo().read(root)
    assert _faults(read) == [(FindingKind.BAD_BOX, "a.png", True)]
    assert "a.txt: box 2 ('0') has" in read.findings[0].message
    assert set(read.labels) == {"b.png", "c.png"}


@pytest.mark.parametrize("line", ["7 0.5 0.5 0.1 0.1", "-1 0.5 0.5 0.1 0.1"])
def test_a_class_without_a_name_quarantines_its_image(root: Path, line: str) -> None:
    _text(root / "data.yaml", yaml.safe_dump({"names": ["ant", "bee"]}))
    _text(root / "labels" / "a.txt", line)
    assert _faults(Yolo().read(root)) == [(FindingKind.UNKNOWN_CLASS, "a.png", True)]


@pytest.mark.parametrize(
    "content",
    ["0 0.5 0.5", "cat 0.5 0.5 0.1 0.1", "0.5 0.5 0.5 0.1 0.1", "<xml/>", b"\xff\xfe\x00", "1e999 0.5 0.5 0.1 0.1", "nan 1 1 1 1"],
)
def test_a_text_that_is_no_label_file_quarantines_its_image(root: Path, content: str | bytes) -> None:
    _text(root / "labels" / "a.txt", content)
    read = Yolo().read(root)
    assert _faults(read) == [(FindingKind.BAD_LABEL_FILE, "a.png", True)]
    assert "a.txt: " in read.findings[0].message
    assert "xpected" in read.findings[0].message


def test_a_label_file_without_image_is_a_finding(root: Path) -> None:
    _text(root / "labels" / "ghost.txt", LINE)
    read = Yolo().read(root)
    assert [f.kind for f in read.findings] == [FindingKind.MISSING_IMAGE]
    assert "ghost.txt: expected an image ghost.*" in read.findings[0].message


def test_two_images_of_one_label_file(root: Path) -> None:
    _image(root / "images" / "c.bmp", 9)
    assert _faults(Yolo().read(root)) == [(FindingKind.DUPLICATE_ID, "c.png", True)]


@pytest.mark.parametrize(
    "content",
    [
        "- just\n- a list\n",
        "names: [a, b",
        "names: 7\n",
        "names: {a: b}\n",
        b"\xff\xfe\x01\x02",
        "names: {99999999999: x}",
        "!!python/object:os.x {}",
    ],
)
def test_garbage_in_data_yaml_is_a_finding_and_the_folders_are_read(root: Path, content: str | bytes) -> None:
    _text(root / "data.yaml", content)
    read = Yolo().read(root)
    assert _faults(read) == [(FindingKind.BAD_LABEL_FILE, None, False)]
    assert "data.yaml: expected YAML with names" in read.findings[0].message
    assert len(read.images) == 3


def test_garbage_in_data_yaml_with_nothing_beside_it_is_an_error(tmp_path: Path) -> None:
    _text(tmp_path / "data.yaml", "7")
    with pytest.raises(BoxwiseError, match=r"data\.yaml: expected YAML"):
        Yolo().read(tmp_path / "data.yaml")


def test_agrees_with_globox(shared_data: Path) -> None:
    root = shared_data / "coco256"
    read = Yolo().read(root, verify=False)
    assert len(read.classes) == 80
    assert not read.findings
    assert sum(len(boxes) == 0 for boxes in read.labels.values()) == 2
    total = 0
    for split in ("train", "val"):
        oracle = AnnotationSet.from_yolo_v5(root / "labels" / split, image_folder=root / "images" / split)
        for image_id in oracle.image_ids:
            boxes = read.labels[f"{split}/{image_id}"]
            theirs = oracle[image_id].boxes
            assert [read.classes[label] for label in boxes.labels] == [box.label for box in theirs]
            assert np.allclose(boxes.xyxy, [(b.xmin, b.ymin, b.xmax, b.ymax) for b in theirs], atol=1e-3)
            total += len(boxes)
    assert total == sum(map(len, read.labels.values())) == 1827
