"""Several COCO files: which are read, which images each speaks of, which counts where two speak of one, and ids of other types."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from formats_scenario import found, kinds, make, read

from boxwise.boxes import Boxes
from boxwise.data.datasets import detect_format, read_dataset, read_labels_for
from boxwise.data.formats.base import Dataset, FindingKind
from boxwise.data.formats.coco import Coco
from boxwise.records import ImageRecord, Split


def content(*names: str, left: float = 40, category: int | str | float = 1, **columns: Any) -> dict[str, Any]:
    return {
        "images": [{"id": n, "file_name": name} for n, name in enumerate(names)],
        "annotations": [
            {"id": n, "image_id": n, "category_id": category, "bbox": [left, 30, 20, 20], **columns} for n in range(len(names))
        ],
        "categories": [{"id": 1, "name": "bee"}],
    }


def coco(*names: str, **options: Any) -> str:
    return json.dumps(content(*names, **options))


def lefts(dataset: Dataset) -> dict[str, list[float]]:
    """Image id → the left edge of each box."""
    return {image_id: [corners[0] for _, corners in rows] for image_id, rows in found(dataset).items()}


def splits(dataset: Dataset) -> dict[str, Split | None]:
    return {image.image_id: image.split for image in dataset.images}


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """A folder with the images of a query and the boxes that a model suggests: one at 10 in a.jpg and none in b.jpg."""
    make(tmp_path, {"photos/a.jpg": 1, "photos/b.jpg": 2, "photos/c.jpg": 3})
    records = tuple(ImageRecord(f"{name}.jpg", str(tmp_path / "photos" / f"{name}.jpg"), 100, 80) for name in "abc")
    suggested = {"a.jpg": Boxes([[10, 30, 30, 50]], [0], scores=[0.6]), "b.jpg": Boxes.empty()}
    Coco().write(Dataset(("bee",), records, suggested), tmp_path / "out" / "proposals.json", copy_images=True, to_correct=True)
    return tmp_path / "out"


class TestWhatIsToBeCorrected:
    @pytest.mark.parametrize("answer", ["result.json", "an_export.json", "export/result.json", "annotations/instances_default.json"])
    def test_does_not_count_beside_an_answer(self, asked: Path, answer: str) -> None:
        read_ = read(asked, {answer: coco("a.jpg")}, images=asked / "images")
        assert lefts(read_) == {"a.jpg": [40]} and not read_.findings
        assert any("proposals.json: boxes that boxwise wrote to be corrected. Not read" in note for note in read_.notes)

    def test_is_read_where_nothing_else_is_there(self, asked: Path) -> None:
        assert lefts(read(asked, {"package.json": '{"name": "x"}'})) == {"a.jpg": [10], "b.jpg": []}

    def test_is_read_by_its_name(self, asked: Path) -> None:
        make(asked, {"result.json": coco("a.jpg")})
        assert lefts(read_dataset(asked / "proposals.json", images=asked / "images"))["a.jpg"] == [10]

    def test_counts_as_an_answer_once_another_program_has_written_it(self, asked: Path) -> None:
        said = json.loads((asked / "proposals.json").read_text())
        said["annotations"][0] |= {"bbox": [20, 30, 20, 20]}
        said["annotations"][0].pop("score")
        (asked / "proposals.json").write_text(json.dumps({**said, "info": {"description": "another program"}}))
        read_ = read(asked, {"result.json": coco("c.jpg")})
        assert lefts(read_) == {"a.jpg": [20], "b.jpg": [], "c.jpg": [40]}

    def test_gives_way_to_tasks_of_label_studio(self, asked: Path) -> None:
        value = {"x": 40, "y": 50, "width": 20, "height": 25, "rotation": 0, "rectanglelabels": ["bee"]}
        result = [{"type": "rectanglelabels", "original_width": 100, "original_height": 80, "value": value}]
        read_ = read(asked, {"tasks.json": json.dumps([{"data": {"image": "a.jpg"}, "annotations": [{"result": result}]}])})
        assert detect_format(asked) == "labelstudio" and lefts(read_) == {"a.jpg": [40]}

    def test_of_an_earlier_query_without_the_mark_is_known_by_its_name(self, asked: Path) -> None:
        said = json.loads((asked / "proposals.json").read_text())
        (asked / "proposals.json").write_text(json.dumps({**said, "info": {"description": "written by boxwise"}}))
        assert lefts(read(asked, {"result.json": coco("b.jpg")})) == {"b.jpg": [40]}


class TestTwoFilesOfOneImage:
    def test_that_differ_take_it_out(self, tmp_path: Path) -> None:
        files = {"a.json": coco("a.jpg", "b.jpg"), "b.json": coco("a.jpg", left=10), "images/a.jpg": 1, "images/b.jpg": 2}
        dataset = read(tmp_path, files)
        assert lefts(dataset) == {"b.jpg": [40]}
        assert kinds(dataset) == [(FindingKind.CONFLICTING_LABELS, "a.jpg", True)]
        message = dataset.findings[0].message
        assert str(tmp_path / "a.json") in message and str(tmp_path / "b.json") in message and "keep one of the two" in message

    def test_that_agree_up_to_rounding_are_a_repetition(self, tmp_path: Path) -> None:
        dataset = read(tmp_path, {"a.json": coco("a.jpg"), "b.json": coco("a.jpg", left=40.004), "images/a.jpg": 1})
        assert lefts(dataset) == {"a.jpg": [40]} and kinds(dataset) == [(FindingKind.DUPLICATE_ID, "a.jpg", False)]

    @pytest.mark.parametrize("first", ["drawn", "guessed"])
    def test_boxes_without_scores_count_over_a_models(self, tmp_path: Path, first: str) -> None:
        names = ("a.json", "b.json") if first == "drawn" else ("b.json", "a.json")
        files = dict(zip(names, (coco("a.jpg"), coco("a.jpg", left=10, score=0.6)), strict=True))
        dataset = read(tmp_path, {**files, "images/a.jpg": 1})
        assert lefts(dataset) == {"a.jpg": [40]} and kinds(dataset) == [(FindingKind.DUPLICATE_ID, "a.jpg", False)]

    @pytest.mark.parametrize("annotations", [[], None])
    def test_a_label_counts_over_none(self, tmp_path: Path, annotations: list | None) -> None:
        bare = json.dumps({**content("a.jpg"), "annotations": annotations})
        dataset = read(tmp_path, {"a.json": bare, "b.json": coco("a.jpg"), "images/a.jpg": 1})
        assert lefts(dataset) == {"a.jpg": [40]}

    def test_an_image_of_the_test_stays_there_whose_labels_lie_in_another_file(self, tmp_path: Path) -> None:
        bare = json.dumps({"images": content("a.jpg")["images"]})
        dataset = read(tmp_path, {"train.json": coco("a.jpg"), "test.json": bare, "images/a.jpg": 1})
        assert lefts(dataset) == {"a.jpg": [40]} and splits(dataset) == {"a.jpg": Split.TEST}


class TestOneFolderAFile:
    FIFTYONE: ClassVar = {
        "train/labels.json": coco("1.jpg"), "train/data/1.jpg": 1,
        "validation/labels.json": coco("1.jpg", left=10), "validation/data/1.jpg": 2,
    }  # fmt: skip
    CAMERAS: ClassVar = {
        "camA/annotations.json": coco("1.jpg"), "camA/1.jpg": 1, "camB/annotations.json": coco("1.jpg", left=10), "camB/1.jpg": 2,
    }  # fmt: skip

    def test_each_finds_its_own_images(self, tmp_path: Path) -> None:
        dataset = read(tmp_path, self.FIFTYONE)
        assert lefts(dataset) == {"train/data/1.jpg": [40], "validation/data/1.jpg": [10]}
        assert splits(dataset) == {"train/data/1.jpg": Split.TRAIN, "validation/data/1.jpg": Split.VAL} and not dataset.findings

    def test_folders_need_not_be_splits(self, tmp_path: Path) -> None:
        dataset = read(tmp_path, self.CAMERAS)
        assert lefts(dataset) == {"camA/1.jpg": [40], "camB/1.jpg": [10]} and not dataset.findings

    def test_the_labels_of_a_study_find_them_by_their_folders(self, tmp_path: Path) -> None:
        labels = make(tmp_path / "labels", {name: text for name, text in self.CAMERAS.items() if name.endswith("json")})
        make(tmp_path / "photos", {name: grey for name, grey in self.CAMERAS.items() if name.endswith("jpg")})
        images = [ImageRecord(i, str(tmp_path / "photos" / i), 100, 80) for i in ("camA/1.jpg", "camB/1.jpg")]
        dataset = read_labels_for(images, labels, format_name=None, classes=("bee",))
        assert lefts(dataset) == {"camA/1.jpg": [40], "camB/1.jpg": [10]} and not dataset.findings

    @pytest.mark.parametrize("files", [FIFTYONE, CAMERAS, {
        "train/_annotations.coco.json": coco("1.jpg"), "train/1.jpg": 1,
        "valid/_annotations.coco.json": coco("1.jpg", left=10), "valid/1.jpg": 2,
    }], ids=["data", "cameras", "roboflow"])  # fmt: skip
    def test_an_image_that_is_missing_is_not_that_of_another_folder(self, tmp_path: Path, files: dict[str, Any]) -> None:
        files = dict(files)
        first, second = (name for name in files if name.endswith("jpg"))
        files.pop(second)
        dataset = read(tmp_path, files)
        assert lefts(dataset) == {first: [40]}
        assert [(kind, out) for kind, _, out in kinds(dataset)] == [(FindingKind.MISSING_IMAGE, True)]
        assert second.partition("/")[0] in str(dataset.findings[0].path)

    def test_a_name_that_says_the_other_folder_is_taken_at_its_word(self, tmp_path: Path) -> None:
        files = {**self.CAMERAS, "camB/annotations.json": coco("camA/2.jpg", left=10), "camA/2.jpg": 3}
        assert lefts(read(tmp_path, files)) == {"camA/1.jpg": [40], "camA/2.jpg": [10]}

    def test_images_may_lie_beside_the_folders(self, tmp_path: Path) -> None:
        files = {"one/labels.json": coco("1.jpg"), "two/labels.json": coco("2.jpg", left=10), "images/1.jpg": 1, "images/2.jpg": 2}
        assert lefts(read(tmp_path, files)) == {"1.jpg": [40], "2.jpg": [10]}

    def test_one_folder_of_labels_beside_the_images(self, tmp_path: Path) -> None:
        assert lefts(read(tmp_path, {"exported/labels.json": coco("1.jpg"), "images/1.jpg": 1, "other/x.md": ""})) == {"1.jpg": [40]}


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_split_with_a_folder_takes_no_image_of_another_where_names_repeat(tmp_path: Path, split: str) -> None:
    files = {f"annotations/instances_{split}.json": coco("1.jpg", "2.jpg"), f"images/{split}/1.jpg": 1}
    dataset = read(tmp_path, {**files, "images/train/1.jpg": 3, "images/train/2.jpg": 2})
    assert lefts(dataset) == {f"{split}/1.jpg": [40]} and kinds(dataset) == [(FindingKind.MISSING_IMAGE, "2.jpg", True)]
    named = read(tmp_path, {f"annotations/instances_{split}.json": coco("1.jpg", "train/2.jpg")})
    assert lefts(named) == {f"{split}/1.jpg": [40], "train/2.jpg": [40]}


@pytest.mark.parametrize(("files", "expected"), [
    ({"annotations/instances_trainval.json": "1234"}, {"train/1": "train", "train/2": "train", "val/3": "train", "val/4": "train"}),
    ({"annotations/instances_train.json": "1", "annotations/instances_val.json": "2", "annotations/instances_test.json": "34"},
     {"train/1": "train", "train/2": "val", "val/3": "test", "val/4": "test"}),
    ({"fold1_train.json": "13", "fold1_val.json": "24"}, {"train/1": "train", "val/3": "train", "train/2": "val", "val/4": "val"}),
], ids=["trainval", "val_of_train", "fold"])  # fmt: skip
def test_a_name_that_no_two_splits_have_is_found_in_any(tmp_path: Path, files: dict[str, str], expected: dict[str, str]) -> None:
    images = {"images/train/1.jpg": 1, "images/train/2.jpg": 2, "images/val/3.jpg": 3, "images/val/4.jpg": 4}
    labels = {name: coco(*(f"{number}.jpg" for number in listed)) for name, listed in files.items()}
    dataset = read(tmp_path, {**labels, **images})
    assert splits(dataset) == {f"{name}.jpg": split for name, split in expected.items()} and not dataset.findings


def test_a_study_takes_the_labels_of_all_its_splits_from_one_file_called_train(tmp_path: Path) -> None:
    photos = make(tmp_path / "photos", {"train/1.jpg": 1, "val/2.jpg": 2})
    labels = make(tmp_path / "labels", {"annotations/instances_train.json": coco("1.jpg", "2.jpg")})
    images = [ImageRecord(i, str(photos / i), 100, 80) for i in ("train/1.jpg", "val/2.jpg")]
    dataset = read_labels_for(images, labels, format_name=None, classes=("bee",))
    assert lefts(dataset) == {"train/1.jpg": [40], "val/2.jpg": [40]} and not dataset.findings
    assert any("1 image is found by file name (first: '2.jpg' is val/2.jpg)" in note for note in dataset.notes)


def test_a_name_that_says_its_split_is_not_that_of_an_image_of_another(tmp_path: Path) -> None:
    files = {"annotations/instances_val.json": coco("1.jpg", "/data/val/2.jpg"), "images/val/1.jpg": 1, "images/train/2.jpg": 2}
    assert lefts(read(tmp_path, files)) == {"val/1.jpg": [40]}


def test_of_two_images_of_a_name_a_trainval_takes_neither(tmp_path: Path) -> None:
    files = {"annotations/instances_trainval.json": coco("1.jpg", "2.jpg")}
    dataset = read(tmp_path, {**files, "images/train/1.jpg": 1, "images/val/1.jpg": 2, "images/val/2.jpg": 3})
    assert lefts(dataset) == {"val/2.jpg": [40]} and kinds(dataset) == [(FindingKind.MISSING_IMAGE, "1.jpg", True)]


def test_splits_of_images_in_one_folder_called_train(tmp_path: Path) -> None:
    files = {
        "annotations/train.json": coco("1.jpg"),
        "annotations/val.json": coco("2.jpg"),
        "images/train/1.jpg": 1,
        "images/train/2.jpg": 2,
    }
    assert splits(read(tmp_path, files)) == {"train/1.jpg": Split.TRAIN, "train/2.jpg": Split.VAL}


@pytest.mark.parametrize(("name", "text"), [
    ("dataset-metadata.json", '{"title": "bees", "id": "ann/bees", "licenses": [{"name": "CC0-1.0"}]}'),
    ("classes.json", '["bee"]'),
    ("info.json", '{"name": "coco-2017", "classes": ["bee"]}'),
    ("notes.json", '{"categories": [{"id": 0, "name": "bee"}], "info": {}}'),
    ("boxes.json", '[{"image_id": 0, "category_id": 1, "bbox": [1, 1, 5, 5], "score": 0.5}]'),
    ("empty.json", ""),
])  # fmt: skip
@pytest.mark.parametrize("place", ["annotations/instances_train.json", "train/labels.json", "labels.json"])
def test_other_json_beside_it(tmp_path: Path, name: str, text: str, place: str) -> None:
    dataset = read(tmp_path, {place: coco("a.jpg"), name: text, "train/a.jpg": 1}, images=tmp_path / "train")
    assert lefts(dataset) == {"a.jpg": [40]} and not dataset.findings
    assert any(f" is not read (first: {tmp_path / name})" in note for note in dataset.notes)


@pytest.mark.parametrize(("name", "files"), [
    ("visdrone", {"annotations/a.txt": "40,30,20,20,1,4,0,0\n"}),
    ("labelme", {"annotations/a.json": '{"shapes": [], "imagePath": "a.jpg", "imageWidth": 100, "imageHeight": 80}'}),
    ("openimages", {"boxes.csv": "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\na,x,/m/1,1,0.1,0.2,0.1,0.2\n"}),
    ("yolo", {"a.jpg": 2, "a.txt": "0 0.5 0.5 0.2 0.25\n"}),
])  # fmt: skip
def test_json_that_tells_nothing_hides_no_other_format(tmp_path: Path, name: str, files: dict[str, Any]) -> None:
    make(tmp_path, {**files, "images/a.jpg": 1, "dataset-metadata.json": '{"title": "bees"}'})
    assert detect_format(tmp_path) == name and read_dataset(tmp_path).images


def test_a_long_file_is_known_by_its_beginning(tmp_path: Path) -> None:
    entries = {**content("a.jpg"), "info": {}}
    padded = {"info": {}, "annotations": entries["annotations"], "licenses": ["x" * 100_000]} | entries
    dataset = read(tmp_path, {"annotations/all.json": json.dumps(padded), "meta.json": "{}", "images/a.jpg": 1})
    assert lefts(dataset) == {"a.jpg": [40]}


LONG = "\u00fc" * 70_000


@pytest.mark.parametrize("long", [
    {"info": {"description": LONG}} | content("a.jpg"),
    {"segments": [0] * 40_000} | content("a.jpg"),
    {"info": LONG, "annotations": [], "categories": [], "images": []} | content("a.jpg")
    | {"images": [{"caption": LONG, "id": 0, "file_name": "a.jpg"}]},
    {"annotations": content("a.jpg")["annotations"], "info": LONG} | content("a.jpg"),
], ids=["info", "segments", "an_entry_at_the_end", "annotations_first"])  # fmt: skip
def test_a_long_file_is_known_by_its_end_too(tmp_path: Path, long: dict[str, Any]) -> None:
    files = {"long.json": json.dumps(long, ensure_ascii=False), "short.json": coco("b.jpg"), "images/a.jpg": 1, "images/b.jpg": 2}
    assert lefts(read(tmp_path, files)) == {"a.jpg": [40], "b.jpg": [40]}


@pytest.mark.parametrize("other", [{"features": [0.5] * 40_000}, {"shapes": [], "imagePath": "a.jpg", "imageData": LONG, "imageWidth": 9}])
def test_a_long_file_of_another_kind_hides_none(tmp_path: Path, other: dict[str, Any]) -> None:
    files = {"annotations/all.json": coco("a.jpg"), "other.json": json.dumps(other), "images/a.jpg": 1}
    dataset = read(tmp_path, files, format_name="coco")
    assert lefts(dataset) == {"a.jpg": [40]} and not dataset.findings
    assert any(f"is not read (first: {tmp_path / 'other.json'})" in note for note in dataset.notes)


class TestIds:
    @pytest.mark.parametrize(("image_id", "category"), [("1", 1), (1.0, 1), (1, "1"), (1, 1.0), ("01", "1"), (1.0, 1.0)])
    def test_are_compared_by_value(self, tmp_path: Path, image_id: Any, category: Any) -> None:
        text = json.dumps({
            "images": [{"id": 1, "file_name": "a.jpg"}],
            "annotations": [{"id": 1.0, "image_id": image_id, "category_id": category, "bbox": [40, 30, 20, 20]}],
            "categories": [{"id": 1, "name": "bee"}],
        })  # fmt: skip
        dataset = read(tmp_path, {"x.json": text, "images/a.jpg": 1})
        assert found(dataset) == {"a.jpg": [("bee", [40, 30, 60, 50])]} and not dataset.findings

    def test_as_tables_write_them(self, tmp_path: Path) -> None:
        text = json.dumps({
            "images": [{"id": 1.0, "file_name": "a.jpg"}], "categories": [{"id": 3.0, "name": "bee"}],
            "annotations": [{"id": 7.0, "image_id": 1.0, "category_id": 3.0, "bbox": [40, 30, 20, 20]}],
        })  # fmt: skip
        dataset = read(tmp_path, {"x.json": text, "images/a.jpg": 1})
        assert lefts(dataset) == {"a.jpg": [40]} and dataset.class_ids == (3,) and dataset.labels["a.jpg"].ids.tolist() == [7]

    def test_of_one_value_and_two_types_are_two(self, tmp_path: Path) -> None:
        text = json.dumps({
            "images": [{"id": 1, "file_name": "a.jpg"}, {"id": "1", "file_name": "b.jpg"}], "categories": [{"id": 1, "name": "bee"}],
            "annotations": [{"id": n, "image_id": i, "category_id": 1, "bbox": [left, 30, 20, 20]}
                            for n, (i, left) in enumerate(((1, 10), ("1", 20), ("01", 30)))],
        })  # fmt: skip
        dataset = read(tmp_path, {"x.json": text, "images/a.jpg": 1, "images/b.jpg": 2})
        assert lefts(dataset) == {"a.jpg": [10], "b.jpg": [20]}
        assert kinds(dataset) == [(FindingKind.BAD_LABEL_FILE, None, False)]  # '01' may be either

    @pytest.mark.parametrize(("owner", "empty"), [("x", False), (7, False), (None, False), (0, True)])
    def test_no_image_is_empty_by_convention_where_a_label_has_no_image(self, tmp_path: Path, owner: Any, empty: bool) -> None:
        said = content("a.jpg")
        said["images"].append({"id": 5, "file_name": "b.jpg"})
        said["annotations"].append({"id": 9, "image_id": owner, "category_id": 1, "bbox": [1, 1, 5, 5]})
        dataset = read(tmp_path, {"x.json": json.dumps(said), "images/a.jpg": 1, "images/b.jpg": 2})
        assert ("b.jpg" in dataset.labels) is empty
        assert (FindingKind.MISSING_LABEL_FILE in [kind for kind, *_ in kinds(dataset)]) is not empty


class TestSupercategories:
    ROBOFLOW: ClassVar = [{"id": 0, "name": "insects", "supercategory": "none"}, {"id": 1, "name": "bee", "supercategory": "insects"}]

    def _read(self, root: Path, categories: list[dict[str, Any]], *, files: dict[str, str] | None = None, **options: Any) -> Dataset:
        texts = files or {"x.json": coco("a.jpg")}
        texts = {name: json.dumps({**json.loads(text), "categories": categories}) for name, text in texts.items()}
        return read(root, {**texts, "images/a.jpg": 1, "images/b.jpg": 2}, **options)

    def test_one_without_boxes_is_no_class(self, tmp_path: Path) -> None:
        dataset = self._read(tmp_path, self.ROBOFLOW)
        assert (dataset.classes, dataset.class_ids) == (("bee",), (1,)) and lefts(dataset) == {"a.jpg": [40]}
        assert any("'insects'" in note for note in dataset.notes)

    def test_it_is_one_where_it_is_named(self, tmp_path: Path) -> None:
        assert self._read(tmp_path, self.ROBOFLOW, classes=("insects", "bee")).classes == ("insects", "bee")

    def test_it_is_one_with_boxes_in_any_file(self, tmp_path: Path) -> None:
        files = {"train.json": coco("a.jpg"), "val.json": coco("b.jpg", category=0)}
        assert self._read(tmp_path, self.ROBOFLOW, files=files).classes == ("insects", "bee")

    @pytest.mark.parametrize("categories", [
        [{"id": 1, "name": "bee", "supercategory": "bee"}, {"id": 2, "name": "ant", "supercategory": "ant"}],
        [{"id": 1, "name": "bee", "supercategory": "animal"}, {"id": 2, "name": "ant", "supercategory": "animal"}],
        [{"id": 1, "name": "bee"}, {"id": 2, "name": "ant", "supercategory": None}],
        [{"id": 1, "name": "bee", "supercategory": "ant"}, {"id": 2, "name": "ant", "supercategory": "ant"}],
    ])  # fmt: skip
    def test_classes_without_boxes_stay(self, tmp_path: Path, categories: list[dict[str, Any]]) -> None:
        assert self._read(tmp_path, categories).classes == ("bee", "ant")

    def test_without_any_box_nothing_is_known(self, tmp_path: Path) -> None:
        files = {"x.json": json.dumps({**content("a.jpg"), "annotations": []})}
        assert self._read(tmp_path, self.ROBOFLOW, files=files).classes == ("insects", "bee")
