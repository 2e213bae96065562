import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from globox import AnnotationSet
from pycocotools.coco import COCO

from boxwise.boxes import Boxes
from boxwise.data.formats.base import Dataset, FindingKind
from boxwise.data.formats.coco import Coco
from boxwise.data.images import write_image
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord, Split


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate("abc"):
        write_image(np.full((30, 40, 3), number, np.uint8), tmp_path / "images" / f"{name}.png")
    return tmp_path


def _content() -> dict[str, Any]:
    return {
        "images": [{"id": 10 + n, "file_name": f"{name}.png", "width": 40, "height": 30} for n, name in enumerate("abc")],
        "annotations": [
            {"id": 7, "image_id": 10, "category_id": 3, "bbox": [1.5, 2.7, 10.1, 20.3], "iscrowd": 0, "area": 205.03},
            {"id": 9, "image_id": 10, "category_id": 90, "bbox": [0, 0, 40, 30], "iscrowd": 1, "area": 1200},
            {"id": 8, "image_id": 12, "category_id": 3, "bbox": [5, 5, 1, 1], "iscrowd": 0, "area": 1},
        ],
        "categories": [{"id": 90, "name": "zebra"}, {"id": 3, "name": "ant"}],
    }


def _read(root: Path, content: Any, **changes: Any) -> Dataset:
    (root / "instances_train.json").write_text(content if isinstance(content, str) else json.dumps({**content, **changes}))
    return Coco().read(root)


def _faults(dataset: Dataset) -> list[tuple[FindingKind, str | None, bool]]:
    return [(finding.kind, finding.image_id, finding.quarantined) for finding in dataset.findings]


def test_keeps_ids_crowd_order_and_empty_images(root: Path) -> None:
    read = _read(root, _content())
    assert not read.findings
    assert (read.classes, read.class_ids) == (("zebra", "ant"), (90, 3))
    assert [(i.image_id, i.source_id, i.split) for i in read.images] == [(f"{n}.png", 10 + k, Split.TRAIN) for k, n in enumerate("abc")]
    boxes = read.labels["a.png"]
    assert boxes.ids.tolist() == [7, 9]
    assert boxes.crowd.tolist() == [False, True]
    assert boxes.labels.tolist() == [1, 0]
    assert boxes.xyxy.tobytes() == np.array([[1.5, 2.7, 1.5 + 10.1, 2.7 + 20.3], [0, 0, 40, 30]], np.float32).tobytes()
    assert len(read.labels["b.png"]) == 0


def test_writes_what_it_read(root: Path, tmp_path: Path) -> None:
    _read(root, _content())
    Coco().write(Coco().read(root), tmp_path / "out")
    written = json.loads((tmp_path / "out" / "instances_train.json").read_text())
    before = _content()
    assert written["images"] == [entry | ({"labeled": True} if entry["id"] == 11 else {}) for entry in before["images"]]
    assert [category["id"] for category in written["categories"]] == [90, 3]
    for mine, theirs in zip(written["annotations"], before["annotations"], strict=True):
        assert {key: mine[key] for key in theirs} == {**theirs, "area": pytest.approx(theirs["area"], abs=1e-3)}


def test_files_of_three_splits_and_ids_that_meet_again_in_each(root: Path, tmp_path: Path) -> None:
    for number, split in enumerate(("train", "val2017", "test")):
        content = {**_content(), "annotations": [], "images": [{"id": 1, "file_name": f"{'abc'[number]}.png"}]}
        (root / f"instances_{split}.json").write_text(json.dumps(content))
    read = Coco().read(root)
    assert not read.findings
    assert [(i.image_id, i.split, i.source_id) for i in read.images] == [
        ("a.png", Split.TRAIN, 1), ("b.png", Split.VAL, 1), ("c.png", Split.TEST, 1)
    ]  # fmt: skip
    Coco().write(read, tmp_path / "all.json")
    assert [image["id"] for image in json.loads((tmp_path / "all.json").read_text())["images"]] == [1, 2, 3]


def test_the_layout_that_coco_itself_has(tmp_path: Path) -> None:
    for number, split in enumerate(("train2017", "val2017")):
        write_image(np.full((30, 40, 3), number, np.uint8), tmp_path / split / "x.png")
        content = {**_content(), "annotations": [], "images": [{"id": 1, "file_name": "x.png"}]}
        (tmp_path / "annotations").mkdir(exist_ok=True)
        (tmp_path / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    for labels in (tmp_path, tmp_path / "annotations"):
        read = Coco().read(labels)
        assert [(i.image_id, i.split) for i in read.images] == [("train2017/x.png", Split.TRAIN), ("val2017/x.png", Split.VAL)]


def test_scores_are_written_and_read(root: Path, tmp_path: Path) -> None:
    boxes = Boxes(np.array([[1, 2, 3, 4], [5, 6, 7.7, 8]]), np.array([0, 0]), scores=np.array([0.9, 1 / 3]))
    record = ImageRecord("a.png", root / "images" / "a.png", 40, 30)
    Coco().write(Dataset(("cat",), (record,), {"a.png": boxes}), tmp_path / "predictions.json")
    read = Coco().read(tmp_path / "predictions.json", root / "images")
    assert np.array_equal(read.labels["a.png"].scores, boxes.scores)
    assert np.array_equal(read.labels["a.png"].xyxy, boxes.xyxy)


def test_missing_ids_are_numbered_after_the_given(root: Path, tmp_path: Path) -> None:
    records = tuple(ImageRecord(f"{n}.png", root / "images" / f"{n}.png", 40, 30, None, number) for n, number in (("a", None), ("b", 5)))
    Coco().write(Dataset(("cat",), records, {}), tmp_path / "out.json")
    assert [image["id"] for image in json.loads((tmp_path / "out.json").read_text())["images"]] == [6, 5]


def test_difficult_survives_for_formats_that_have_it(root: Path, tmp_path: Path) -> None:
    boxes = Boxes(np.array([[1, 2, 3, 4], [5, 6, 7, 8]]), np.array([0, 0]), difficult=np.array([True, False]))
    record = ImageRecord("a.png", root / "images" / "a.png", 40, 30)
    Coco().write(Dataset(("cat",), (record,), {"a.png": boxes}), tmp_path / "out.json")
    assert Coco().read(tmp_path / "out.json", root / "images").labels["a.png"].difficult.tolist() == [True, False]


@pytest.mark.parametrize("name", ["../../etc/x.png", "/etc/passwd", "images/../../x.png", "..\\..\\x.png", "a\0.png"])
def test_a_file_name_cannot_leave_the_image_folder(root: Path, name: str) -> None:
    content = _content()
    content["images"][0]["file_name"] = name
    write_image(np.zeros((3, 3, 3), np.uint8), root.parent / "x.png")
    read = _read(root, content)
    assert (FindingKind.BAD_LABEL_FILE, name.replace("\\", "/").replace("\0", "\\x00"), True) in _faults(read)
    assert {i.image_id for i in read.images} == {"b.png", "c.png"}
    assert all(Path(image.uri).is_relative_to(root) for image in read.images)


@pytest.mark.parametrize("bbox", [
    [1, 2, 0, 5], [1, 2, -3, 5], [1, 2, 50, 5], [-5, 2, 10, 5], [float("nan"), 2, 3, 4], [1, 2, float("inf"), 4],
    [1, 2, 3], "1,2,3,4", None, [1, 2, 3, "x"], {"x": 1}, [10**400, 2, 3, 4], [[1], [2], [3], [4]],
])  # fmt: skip
def test_a_bad_box_quarantines_its_image(root: Path, bbox: Any) -> None:
    content = _content()
    content["annotations"][1]["bbox"] = bbox
    read = _read(root, content)
    assert _faults(read) == [(FindingKind.BAD_BOX, "a.png", True)]
    assert "instances_train.json: a.png box 2 ('zebra') has" in read.findings[0].message
    assert set(read.labels) == {"b.png", "c.png"}


def test_an_unknown_category_quarantines_its_image(root: Path) -> None:
    content = _content()
    content["annotations"][2]["category_id"] = 4
    read = _read(root, content)
    assert _faults(read) == [(FindingKind.UNKNOWN_CLASS, "c.png", True)]
    assert "'category 4'" in read.findings[0].message


@pytest.mark.parametrize("owner", [999, None, [10], {}, "x"])
def test_an_annotation_of_no_listed_image_is_a_finding(root: Path, owner: Any) -> None:
    content = _content()
    content["annotations"].append({"id": 20, "image_id": owner, "category_id": 3, "bbox": [1, 1, 2, 2]})
    read = _read(root, content)
    assert _faults(read) == [(FindingKind.BAD_LABEL_FILE, None, False), (FindingKind.MISSING_LABEL_FILE, None, False)]
    assert set(read.labels) == {"a.png", "c.png"}  # of b.png nothing is said: the annotation may be its
    assert len(read.images) == 3


def test_one_image_id_for_two_files_quarantines_both(root: Path) -> None:
    content = _content()
    content["images"][1]["id"] = 10
    read = _read(root, content)
    assert {(kind, image_id) for kind, image_id, out in _faults(read) if out} == {
        (FindingKind.DUPLICATE_ID, "a.png"), (FindingKind.DUPLICATE_ID, "b.png")
    }  # fmt: skip
    assert [image.image_id for image in read.images] == ["c.png"]


def test_one_file_under_two_ids_is_quarantined(root: Path) -> None:
    content = _content()
    content["images"].append({"id": 99, "file_name": "a.png"})
    read = _read(root, content)
    assert _faults(read) == [(FindingKind.DUPLICATE_ID, "a.png", True)]
    assert set(read.labels) == {"b.png", "c.png"}


def test_an_entry_repeated_word_for_word_costs_nothing(root: Path) -> None:
    content = _content()
    content["images"].append(content["images"][0])
    read = _read(root, content)
    assert _faults(read) == [(FindingKind.DUPLICATE_ID, "a.png", False)]
    assert len(read.labels["a.png"]) == 2


def test_an_annotation_id_used_twice_is_a_finding(root: Path) -> None:
    content = _content()
    content["annotations"][2]["id"] = 7
    read = _read(root, content)
    assert _faults(read) == [(FindingKind.DUPLICATE_ID, "c.png", False)]
    assert len(read.labels["c.png"]) == 1


def test_an_image_of_train_and_test_serves_the_test(root: Path) -> None:
    (root / "instances_test.json").write_text(json.dumps(_content()))
    read = _read(root, _content())
    assert {image.split for image in read.images} == {Split.TEST}
    assert _faults(read) == [(FindingKind.DUPLICATE_ID, f"{name}.png", False) for name in "abc"]


def test_a_stated_size_that_is_wrong_quarantines(root: Path) -> None:
    content = _content()
    content["images"][0]["width"] = 80
    assert _faults(_read(root, content)) == [(FindingKind.SIZE_MISMATCH, "a.png", True)]


@pytest.mark.parametrize(
    "entry", [None, 5, {}, {"id": 1}, {"id": None, "file_name": "a.png"}, {"id": [1], "file_name": "a.png"}, {"id": 2, "file_name": 7}]
)
def test_an_image_entry_without_id_or_name_is_a_finding(root: Path, entry: Any) -> None:
    content = _content()
    content["images"].append(entry)
    read = _read(root, content)
    assert _faults(read) == [(FindingKind.BAD_LABEL_FILE, None, False)]
    assert "images[3]" in read.findings[0].message


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "[[1]]", "7", '{"images": 3}', '{"hello": []}', "[" * 100_000, "\xff", '{"images": [], "annotations": 4}']
)
def test_json_that_is_not_coco_is_an_error_alone_and_a_finding_in_company(root: Path, text: str) -> None:
    with pytest.raises(BoxwiseError, match=r"instances_train\.json: expected"):
        _read(root, text)
    (root / "instances_val.json").write_text(json.dumps(_content()))
    read = Coco().read(root)
    assert _faults(read) == [(FindingKind.BAD_LABEL_FILE, None, False)]
    assert len(read.images) == 3


@pytest.mark.parametrize("categories", [[{"id": 3}], [None], [{"id": {}, "name": "x"}], [{"id": 3, "name": "x"}, {"id": 3, "name": "y"}]])
def test_broken_categories_are_findings(root: Path, categories: Any) -> None:
    read = _read(root, {**_content(), "annotations": []}, categories=categories)
    assert len(read.findings) == 1
    assert "categories[" in read.findings[0].message
    assert len(read.images) == 3


def test_agrees_with_pycocotools_and_globox(shared_data: Path) -> None:
    root = shared_data / "pothole"
    read = Coco().read(root, verify=False)
    quarantined = {finding.image_id for finding in read.findings if finding.quarantined}
    assert len(quarantined) == 1  # one box without width
    total = 0
    for split in ("train", "test"):
        oracle = COCO(str(root / f"instances_{split}.json"))
        globox = AnnotationSet.from_coco(root / f"instances_{split}.json")
        records = [record for record in read.images if record.split == split]
        assert len(records) == len(oracle.imgs) - sum(image["file_name"] in quarantined for image in oracle.imgs.values())
        for record in records:
            theirs = oracle.loadAnns(oracle.getAnnIds(record.source_id))
            mine = read.labels[record.image_id]
            assert mine.ids.tolist() == [annotation["id"] for annotation in theirs]
            corners = [(x, y, x + w, y + h) for x, y, w, h in (annotation["bbox"] for annotation in theirs)]
            assert mine.xyxy.tobytes() == np.clip(np.array(corners).reshape(-1, 4), 0, 512).astype(np.float32).tobytes()
            assert np.allclose([(b.xmin, b.ymin, b.xmax, b.ymax) for b in globox[record.image_id].boxes], mine.xyxy, atol=1e-3)
            total += len(mine)
    assert total == 1737


def test_what_it_writes_is_read_by_pycocotools_and_hotcoco(shared_data: Path, tmp_path: Path) -> None:
    import hotcoco

    read = Coco().read(shared_data / "pothole", verify=False)
    Coco().write(read, tmp_path)
    for reader in (COCO, hotcoco.COCO):
        theirs = reader(str(tmp_path / "instances_train.json"))
        assert len(theirs.getAnnIds()) == sum(len(read.labels[i.image_id]) for i in read.images if i.split is Split.TRAIN)


@pytest.mark.parametrize("ignore", [1, True, "1"])
def test_boxes_to_be_ignored_are_crowds_and_counted_once(root: Path, ignore: Any) -> None:
    content = _content()
    content["annotations"][0]["ignore"] = ignore
    content["annotations"][2]["ignore"] = ignore
    read = _read(root, content)
    assert not read.findings
    assert (read.labels["a.png"].crowd.tolist(), read.labels["c.png"].crowd.tolist()) == ([True, True], [True])
    assert [note for note in read.notes if "2 boxes are marked" in note and "ignore" in note]


def test_boxes_with_an_ignore_that_is_not_set_are_taught(root: Path) -> None:
    content = _content()
    content["annotations"][0]["ignore"] = 0
    read = _read(root, content)
    assert read.labels["a.png"].crowd.tolist() == [False, True] and not any("ignore" in note for note in read.notes)
