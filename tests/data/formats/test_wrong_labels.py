"""Label files that say more than one thing at first sight: which image is meant, which boxes are one object, which of two labels counts."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from formats_scenario import PLACE, found, kinds, make, read

from boxwise.data.datasets import detect_format, read_dataset, read_pool
from boxwise.data.formats.base import FindingKind
from boxwise.data.formats.plain_texts import kitti_line

BOX = PLACE[0]
TAIL = "1.6 1.6 3.9 1.0 1.5 8.0 1.9"


class TestKitti:
    def test_a_type_may_hold_blanks(self, tmp_path: Path) -> None:
        lines = {1: "traffic light", 2: "traffic sign"}
        files = {f"training/label_2/{n}.txt": f"{name} 0.0 0 0 40 30 60 50 {TAIL}\n" for n, name in lines.items()}
        dataset = read(tmp_path, {**files, **{f"training/image_2/{n}.png": n for n in lines}})
        assert detect_format(tmp_path) == "kitti" and not dataset.findings
        assert found(dataset) == {"1.png": [("traffic light", BOX)], "2.png": [("traffic sign", BOX)]}
        assert all(boxes.scores is None for boxes in dataset.labels.values())

    @pytest.mark.parametrize(("line", "kind", "score"), [
        (f"Car 0 0 0 40 30 60 50 {TAIL}", "Car", None), (f"traffic light 0 0 0 40 30 60 50 {TAIL} 0.5", "traffic light", 0.5),
        ("Car 0 0 0 40 30 60 50", "Car", None), ("Car 0 0 0 40 30 60 50 0.5", "Car", 0.5), (f"0 0 0 0 40 30 60 50 {TAIL}", "0", None),
        (f"Dont Care -1 -1 -10 40 30 60 50 {TAIL}", "", None),
    ])  # fmt: skip
    def test_what_a_line_says(self, line: str, kind: str, score: float | None) -> None:
        assert kitti_line(line) == (kind, tuple(BOX), score)

    @pytest.mark.parametrize("line", [
        "Car a b c 40 30 60 50 x", f"Car 0 0 0 40 30 60 50 {TAIL} 1 1", "Car 0 0 40 30 60 50", f"0 1 Car 0 0 0 40 30 60 50 {TAIL}", "Car",
        "lane 2 0 0 0 40 30 60 50", "0 0 0 0 40 30 60 50 0.5",
    ])  # fmt: skip
    def test_any_other_line_is_a_finding(self, tmp_path: Path, line: str) -> None:
        dataset = read(tmp_path, {"image_2/1.png": 1, "label_2/1.txt": line}, format_name="kitti")
        assert not dataset.labels and kinds(dataset) == [(FindingKind.BAD_LABEL_FILE, "1.png", True)]


def labelme(said: str, *shapes: dict) -> str:
    return json.dumps({"shapes": shapes or (rectangle(),), "imagePath": said, "imageWidth": 100, "imageHeight": 80})


def rectangle(*corners: float, **more: object) -> dict:
    x1, y1, x2, y2 = corners or BOX
    return {"label": "dog", "points": [[x1, y1], [x2, y2]], "shape_type": "rectangle", **more}


class TestImagesOfLabelMe:
    DOG = [("dog", BOX)]  # noqa: RUF012

    def of(self, root: Path, files: dict) -> dict:
        make(root, files)
        self.dataset = read_dataset(root / "ann", images=root / "images")
        return found(self.dataset)

    def test_a_path_of_another_folder_is_not_that_of_an_image_of_the_name(self, tmp_path: Path) -> None:
        files = {"images/cam1/1.jpg": 1, "images/cam2/2.jpg": 2, "ann/1.json": labelme("../images/cam2/1.jpg")}
        assert self.of(tmp_path, files) == {}
        missing = [finding for finding in self.dataset.findings if finding.kind is FindingKind.MISSING_IMAGE]
        assert [finding.image_id for finding in missing] == ["cam2/1.jpg"]

    @pytest.mark.parametrize(("name", "said"), [("1", "../images/cam2/1.jpg"), ("cam2_1", "..\\images\\cam2\\1.jpg")])
    def test_a_path_tells_images_of_one_name_apart(self, tmp_path: Path, name: str, said: str) -> None:
        files = {"images/cam1/1.jpg": 1, "images/cam2/1.jpg": 2, f"ann/{name}.json": labelme(said)}
        assert self.of(tmp_path, files) == {"cam2/1.jpg": self.DOG} and not self.dataset.notes

    def test_so_it_does_among_images_of_several_folders(self, tmp_path: Path) -> None:
        make(tmp_path, {"a/1.jpg": 1, "b/1.jpg": 2, "ann/x.json": labelme("../b/1.jpg")})
        dataset = read_dataset(tmp_path / "ann", images={f"{name}.jpg": str(tmp_path / name / "1.jpg") for name in "ab"})
        assert found(dataset) == {"b.jpg": self.DOG}

    def test_a_path_of_another_machine_leaves_the_name_and_a_note(self, tmp_path: Path) -> None:
        files = {"images/cam1/1.jpg": 1, "images/cam1/2.jpg": 2, "ann/1.json": labelme("/home/ann/1.jpg"), "ann/2.json": labelme("2.jpg")}
        assert self.of(tmp_path, files) == {"cam1/1.jpg": self.DOG, "cam1/2.jpg": self.DOG}
        assert any("2 images are found by file name (first: '/home/ann/1.jpg' is cam1/1.jpg)" in note for note in self.dataset.notes)

    def test_the_image_that_the_file_is_called_after_is_named_where_it_is_another(self, tmp_path: Path) -> None:
        dataset = read(tmp_path, {"a.jpg": 1, "b.jpg": 2, "a.json": labelme("b.jpg")})
        assert found(dataset) == {} and kinds(dataset)[0] == (FindingKind.CONFLICTING_LABELS, "b.jpg", True)
        assert "found the imagePath 'b.jpg'" in dataset.findings[0].message

    def test_a_copy_of_a_file_belongs_to_the_image_of_its_name(self, tmp_path: Path) -> None:
        other = labelme("a.jpg", rectangle(1, 2, 3, 4))
        dataset = read(tmp_path, {"a.jpg": 1, "a.json": labelme("a.jpg"), "a_flip.jpg": 2, "a_flip.json": other})
        assert found(dataset) == {"a.jpg": self.DOG, "a_flip.jpg": [("dog", [1, 2, 3, 4])]} and not dataset.findings

    @pytest.mark.parametrize("said", ["../JPEGs/{}.jpg", "..\\raw\\{}.jpg", "D:\\proj\\raw\\{}.jpg", "all/{}.jpg"])
    def test_an_image_beside_its_file_needs_no_path(self, tmp_path: Path, said: str) -> None:
        files = {f"{split}/{n}.{kind}": labelme(said.format(n)) if kind == "json" else n
                 for split, n in (("train", 1), ("val", 2)) for kind in ("jpg", "json")}  # fmt: skip
        dataset = read(tmp_path, files)
        assert found(dataset) == {"train/1.jpg": self.DOG, "val/2.jpg": self.DOG} and not dataset.findings

    @pytest.mark.parametrize("said", ["D:\\proj\\raw\\1.jpg", "../raw/1.jpg", "https://h/raw/1.jpg"])
    def test_a_folder_that_is_not_there_leaves_the_name_and_a_note(self, tmp_path: Path, said: str) -> None:
        dataset = read(tmp_path, {"photos/1.jpg": 1, "json/1.json": labelme(said)})
        assert found(dataset) == {"photos/1.jpg": self.DOG} and not dataset.findings
        assert any("1 image is found by file name" in note for note in dataset.notes)


def test_shapes_of_labelme_in_one_group_are_one_object(tmp_path: Path) -> None:
    parts = [rectangle(*corners, group_id=1) for corners in ((10, 10, 30, 30), (50, 12, 70, 40))]
    other = [rectangle(1, 2, 3, 4, group_id=2), rectangle(5, 6, 7, 8, group_id=1, label="cat"), rectangle(group_id=None)]
    other += [rectangle(2, 2, 9, 9, group_id=""), rectangle(20, 2, 29, 9, group_id="")]
    dataset = read(tmp_path, {"a.jpg": 1, "a.json": labelme("a.jpg", *parts, *other)})
    assert found(dataset) == {"a.jpg": [("dog", [10, 10, 70, 40]), ("dog", [1, 2, 3, 4]), ("cat", [5, 6, 7, 8]),
                                        ("dog", BOX), ("dog", [2, 2, 9, 9]), ("dog", [20, 2, 29, 9])]}  # fmt: skip
    assert kinds(dataset) == [(FindingKind.OTHER_SHAPE, None, False)] and "1 grouped object in 1 image" in dataset.findings[0].message


def test_an_object_of_labelme_may_be_difficult(tmp_path: Path) -> None:
    dataset = read(tmp_path, {"a.jpg": 1, "a.json": labelme("a.jpg", rectangle(1, 2, 3, 4, difficult=True), rectangle(difficult=False))})
    difficult = dataset.labels["a.jpg"].difficult
    assert difficult is not None and difficult.tolist() == [True, False] and not dataset.findings


@pytest.mark.parametrize("version", ["", "oidv6-", "oidv7-"])
def test_names_of_open_images_of_any_version(tmp_path: Path, version: str) -> None:
    table = "ImageID,LabelName,XMin,XMax,YMin,YMax\na,/m/01,0.4,0.6,0.375,0.625\n"
    names = "LabelName,DisplayName\n/m/01,Cat\n"
    files = {f"{version}train-annotations-bbox.csv": table, f"{version}class-descriptions-boxable.csv": names}
    dataset = read(tmp_path, {"a.jpg": 1, **files})
    assert dataset.classes == ("Cat",) and [name for name, _ in found(dataset)["a.jpg"]] == ["Cat"] and not dataset.findings
    alone = read_dataset(tmp_path / f"{version}train-annotations-bbox.csv")
    assert alone.classes == ("Cat",)


REGION = {"original_width": 100, "original_height": 80, "x": 40, "y": 37.5, "width": 20, "height": 25, "rotation": 0}
MAY, JANUARY = "2024-05-01T00:00:00Z", "2024-01-01T00:00:00Z"


def entry(label: str, when: str | None) -> dict:
    times = {} if when is None else {"updated_at": when}
    return {"image": "a.jpg", "annotation_id": 1, "label": [{**REGION, "rectanglelabels": [label]}], **times}


def task(label: str, when: str | None) -> dict:
    region = {"type": "rectanglelabels", "value": {**REGION, "rectanglelabels": [label]}}
    return {"data": {"image": "a.jpg"}, "annotations": [{"result": [region], **({} if when is None else {"updated_at": when})}]}


@pytest.mark.parametrize("of", [entry, task])
@pytest.mark.parametrize(("first", "second", "label", "said"), [
    (MAY, JANUARY, "cat", f"the latest counts, of {MAY}."), (JANUARY, MAY, "dog", f"the latest counts, of {MAY}."),
    (None, None, "dog", "the last one counts."), (MAY, None, "cat", f"the latest counts, of {MAY}."),
])  # fmt: skip
def test_of_several_annotations_of_label_studio_the_latest_counts(
    tmp_path: Path, of: Callable[[str, str | None], dict], first: str | None, second: str | None, label: str, said: str
) -> None:
    dataset = read(tmp_path, {"a.jpg": 1, "tasks.json": json.dumps([of("cat", first), of("dog", second)])})
    assert found(dataset) == {"a.jpg": [(label, BOX)]}
    assert kinds(dataset) == [(FindingKind.CONFLICTING_LABELS, "a.jpg", False)] and dataset.findings[0].message.endswith(said)


@pytest.mark.parametrize(("name", "content"), [
    ("label_02/0000.txt", f"0 1 Car 0 0 0 40 30 60 50 {TAIL}\n"), ("annotations/s1.txt", "1,1,40,30,20,20,1,4,0,0\n"),
    ("train/Apple/Label/0a.txt", "Apple 40.0 30.0 60.0 50.0\n"), ("labels.jsonl", '{"image": "a.jpg", "box": [40, 30, 60, 50]}\n'),
])  # fmt: skip
def test_labels_of_a_layout_that_is_not_read_are_named(tmp_path: Path, name: str, content: str) -> None:
    dataset = read(tmp_path, {"images/a.jpg": 1, name: content})
    assert kinds(dataset) == [(FindingKind.UNUSED_FILE, None, False)] and name in dataset.findings[0].message
    assert kinds(read_pool(None, tmp_path, classes=("cat",))) == kinds(dataset)


def test_a_format_is_only_asked_for_where_one_could_read_the_files(tmp_path: Path) -> None:
    assert "name their format" not in read(tmp_path, {"a.jpg": 1, "metadata.jsonl": "{}"}).findings[0].message
    assert "name their format" in read(tmp_path, {"b.csv": "a,b\n"}).findings[0].message


def test_a_text_that_ends_in_fourteen_numbers_is_no_label_of_kitti(tmp_path: Path) -> None:
    make(tmp_path, {"a.jpg": 1, "log.txt": "epoch 1 loss at 0 0 1 9 8 3 2 6 7 8 9 10 11 12\n"})
    assert detect_format(tmp_path) is None


def test_the_findings_of_a_study_are_no_labels_of_the_folder_around_it(tmp_path: Path) -> None:
    study = {f"study/{name}": "" for name in ("config.yaml", "study.sqlite", ".lock")}
    dataset = read(tmp_path, {"a.jpg": 1, "a.txt": "0 0.5 0.5 0.2 0.25\n", "study/findings.txt": "duplicate box: a.txt\n", **study})
    assert list(dataset.labels) == ["a.jpg"] and not dataset.findings


def test_prose_in_a_folder_of_labels_is_none(tmp_path: Path) -> None:
    files = {"labels_of_june/about.txt": "Drawn by Ann, 3 days.\n", "labels_of_june/notes.txt": "1 2 3 4 are blurred\n"}
    assert not read(tmp_path, {"images/a.jpg": 1, **files}).findings
