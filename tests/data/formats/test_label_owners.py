"""Which label file is whose: by path, else by name, never that of another folder or split; and what is written is found again."""

import json
from pathlib import Path
from unicodedata import normalize

import pytest
from formats_scenario import LINE, PLACE, found, kinds, make, read, voc, voc_object

from boxwise.boxes import Boxes
from boxwise.data.datasets import read_dataset
from boxwise.data.formats.base import Dataset, FindingKind
from boxwise.data.formats.labelme import LabelMe
from boxwise.data.formats.layout import ImageIndex, at_odds, shared_stems
from boxwise.data.formats.names import FORMATS
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord, Split

BOX = PLACE[0]
NFC, NFD = normalize("NFC", "é1"), normalize("NFD", "é1")


class TestOtherSplits:
    def test_yolo_does_not_take_the_labels_of_val_for_an_image_of_train(self, tmp_path: Path) -> None:
        files = {"images/train/1.jpg": 1, "images/train/2.jpg": 2, "labels/train/2.txt": LINE, "labels/val/1.txt": LINE}
        dataset = read(tmp_path, files)
        assert found(dataset) == {"train/2.jpg": [("1", BOX)]}  # not even without objects: the file without an image may be its
        assert kinds(dataset)[0] == (FindingKind.MISSING_IMAGE, "labels/val/1", True)

    def test_voc_neither_and_an_image_keeps_its_own(self, tmp_path: Path) -> None:
        own, other = voc(voc_object(), name="2.jpg"), voc(voc_object("dog"), name="2.jpg")
        files = {"train/1.jpg": 1, "train/2.jpg": 2, "train/2.xml": own, "valid/2.xml": other}
        files |= {"valid/1.xml": voc(voc_object("dog"), name="1.jpg")}
        dataset = read(tmp_path, files)
        assert found(dataset) == {"train/2.jpg": [("cat", BOX)]}
        said = [finding.message for finding in dataset.findings if finding.kind is FindingKind.MISSING_IMAGE]
        assert len(said) == 2 and all("valid/" in message for message in said)

    def test_labelme_neither(self, tmp_path: Path) -> None:
        shape = '{"label": "x", "points": [[1, 1], [9, 9]], "shape_type": "rectangle"}'
        text = f'{{"shapes": [{shape}], "imagePath": "1.jpg"}}'
        make(tmp_path, {"train/1.jpg": 1, "train/1.json": text, "valid/1.json": text.replace("9", "7")})
        dataset = LabelMe().read(tmp_path)
        assert {i: boxes.xyxy.tolist() for i, boxes in dataset.labels.items()} == {"train/1.jpg": [[1, 1, 9, 9]]}

    @pytest.mark.parametrize(("one", "other", "odd"), [
        ("val/1.txt", "train/1.jpg", True), ("cam2/1.txt", "cam1/1.jpg", True), ("valid/1.txt", "val2017/1.jpg", False),
        ("1.txt", "cam1/1.jpg", False), ("train/cam1/1.txt", "cam1/1.jpg", False), ("labels/cam1/1.txt", "images/CAM1/1.jpg", False),
        ("cam1/day1/1.txt", "cam2/day1/1.jpg", True), ("../images/1.txt", "x/1.jpg", False), ("valid\\1.txt", "train/1.jpg", True),
    ])  # fmt: skip
    def test_folders_at_odds(self, one: str, other: str, odd: bool) -> None:
        assert at_odds(one, other) == at_odds(other, one) == odd

    def test_a_server_of_label_studio_says_nothing_of_folders(self, tmp_path: Path) -> None:
        value = {"x": 40, "y": 37.5, "width": 20, "height": 25, "rotation": 0, "rectanglelabels": ["cat"]}
        region = {"type": "rectanglelabels", "original_width": 100, "original_height": 80, "value": value}
        task = {"data": {"image": "/data/upload/1/0a1b2c3d-b.jpg"}, "annotations": [{"id": 1, "result": [region]}]}
        dataset = read(tmp_path, {"sub/b.jpg": 1, "tasks.json": json.dumps([task])})
        assert found(dataset) == {"sub/b.jpg": [("cat", BOX)]} and not dataset.findings

    def test_a_path_within_the_set_is_not_that_of_another_folder(self, tmp_path: Path) -> None:
        index = ImageIndex(make(tmp_path, {"cam1/1.jpg": 1}))
        assert index.by_name("cam2/1.jpg") is None
        assert [index.by_name(name) for name in ("1.jpg", "/home/ann/1.jpg", "http://h/1.jpg")] == ["cam1/1.jpg"] * 3


class TestOtherLetters:
    FILES = {f"images/{NFD}.jpg": 1, "images/IMG_2.JPG": 2, "images/plain.jpg": 3}  # noqa: RUF012

    def test_yolo_finds_them_and_says_so(self, tmp_path: Path) -> None:
        texts = dict.fromkeys((f"labels/{NFC}.txt", "labels/img_2.txt", "labels/plain.txt"), LINE)
        dataset = read(tmp_path, {**self.FILES, **texts})
        assert found(dataset) == {f"{NFD}.jpg": [("1", BOX)], "IMG_2.JPG": [("1", BOX)], "plain.jpg": [("1", BOX)]}
        assert not dataset.findings and any("2 images are found by file name" in note for note in dataset.notes)

    def test_so_does_voc_also_in_its_lists(self, tmp_path: Path) -> None:
        texts = {f"annotations/{stem}.xml": voc(voc_object(), name="?") for stem in (NFC, "img_2", "plain")}
        dataset = read(tmp_path, {**self.FILES, **texts, "ImageSets/Main/val.txt": f"{NFC}\nimg_2\n"})
        assert found(dataset) == {f"{NFD}.jpg": [("cat", BOX)], "IMG_2.JPG": [("cat", BOX)], "plain.jpg": [("cat", BOX)]}
        assert {i.image_id for i in dataset.images if i.split == Split.VAL} == {f"{NFD}.jpg", "IMG_2.JPG"}
        assert not dataset.findings and any("2 images are found by file name" in note for note in dataset.notes)

    def test_where_two_fit_none_is_taken_and_none_is_without_objects(self, tmp_path: Path) -> None:
        files = {"images/A.jpg": 1, "images/a.png": 2, "images/b.jpg": 3, "images/c.jpg": 4, "labels/b.txt": LINE}
        dataset = read(tmp_path, {**files, "labels/x/A.txt": LINE})
        assert found(dataset) == {"b.jpg": [("1", BOX)], "c.jpg": []}
        assert [finding.kind for finding in dataset.findings] == [FindingKind.MISSING_IMAGE, FindingKind.MISSING_LABEL_FILE]

    def test_an_image_that_is_named_exactly_is_not_taken_for_one_in_other_letters(self, tmp_path: Path) -> None:
        dataset = read(tmp_path, {"images/A.jpg": 1, "labels/A.txt": LINE, "labels/a.txt": "0 0.5 0.5 0.1 0.1\n"})
        assert found(dataset) == {"A.jpg": [("1", BOX)]} and kinds(dataset) == [(FindingKind.MISSING_IMAGE, "labels/a", True)]


class TestWrittenAndRead:
    @pytest.mark.parametrize("name", FORMATS)
    @pytest.mark.parametrize("ids", [
        ["train/images/a.jpg", "b.jpg"], ["train/images/a.jpg", "train/images/a.png"], ["images/in.jpg", "in.jpg"],
        ["a.jpg", "a.png", "a.jpg.jpg"], ["a.jpg", "a.jpg.jpg"], ["labels/a.jpg", "a.jpg"], ["x/images/y/images/a.jpg", "x/images/a.jpg"],
    ], ids=" ".join)  # fmt: skip
    def test_ids_with_folders_called_images_and_equal_stems(self, tmp_path: Path, name: str, ids: list[str]) -> None:
        make(tmp_path, {f"from/{image_id}": number for number, image_id in enumerate(ids)})
        images = tuple(ImageRecord(image_id, str(tmp_path / "from" / image_id), 100, 80, Split.TRAIN) for image_id in ids)
        labels = {image_id: Boxes([[1 + number, 2, 30, 40]], [number % 2]) for number, image_id in enumerate(ids)}
        FORMATS[name].write(Dataset(("x", "y"), images, labels), tmp_path / "to", copy_images=True)
        dataset = read_dataset(tmp_path / "to")
        assert not dataset.findings and dataset.labels.keys() == labels.keys()
        assert {image_id: (boxes.xyxy.tolist(), boxes.labels.tolist()) for image_id, boxes in dataset.labels.items()} == {
            image_id: (boxes.xyxy.tolist(), boxes.labels.tolist()) for image_id, boxes in labels.items()
        }

    def test_two_images_with_one_place_for_labels_are_refused(self, tmp_path: Path) -> None:
        ids = ("images/labels/a.jpg", "labels/images/a.jpg")
        images = tuple(ImageRecord(image_id, str(tmp_path / image_id), 100, 80) for image_id in ids)
        with pytest.raises(BoxwiseError, match="one place for its labels and those of another image"):
            FORMATS["yolo"].write(Dataset(("x",), images, {image_id: Boxes.empty() for image_id in ids}), tmp_path)

    def test_a_stem_that_is_another_image(self) -> None:
        assert shared_stems(["a.jpg", "a.jpg.png", "b.jpg"]) == {"a.jpg"}
