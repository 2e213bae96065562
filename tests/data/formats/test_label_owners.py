"""Which label file is whose: by path, else by name, never that of another folder or split; and what is written is found again."""

import json
from pathlib import Path
from unicodedata import normalize

import pytest
from formats_scenario import LINE, PLACE, found, kinds, make, read, voc, voc_object

from boxwise.boxes import Boxes
from boxwise.data.datasets import read_dataset
from boxwise.data.formats import yolo_owners
from boxwise.data.formats.base import Dataset, FindingKind
from boxwise.data.formats.labelme import LabelMe
from boxwise.data.formats.layout import ImageIndex, at_odds, shared_folder_words, shared_stems
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
        ("cam1/day1/1.txt", "cam2/day1/1.jpg", True), ("../images/1.txt", "x/1.jpg", False),
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


COCO = {"images": [{"id": n, "file_name": f"project5/{n}.jpg"} for n in range(4)], "categories": [{"id": 1, "name": "dog"}],
        "annotations": [{"id": n, "image_id": n, "category_id": 1, "bbox": [40, 30, 20, 20]} for n in range(4)]}  # fmt: skip
CVAT_BOX = '<box label="dog" xtl="40" ytl="30" xbr="60" ybr="50"/>'
CVAT = "".join(f'<image id="{n}" name="project5/{n}.jpg" width="100" height="80">{CVAT_BOX}</image>' for n in range(4))
LABELME = '{"shapes": [{"label": "dog", "points": [[40, 30], [60, 50]], "shape_type": "rectangle"}]}'
OF_ONE_FOLDER = {
    "CVAT's Ultralytics": {f"labels/train/{n}.txt": LINE for n in range(4)},
    "FiftyOne": {f"labels/val/{n}.txt": LINE for n in range(4)},
    "deeper": {f"labels/reviewed/task_17/{n}.txt": LINE for n in range(4)},
    "VOC": {f"Annotations/project5/{n}.xml": voc(voc_object("dog"), name=f"{n}.jpg") for n in range(4)},
    "COCO": {"labels.json": json.dumps(COCO)},
    "CVAT": {"annotations.xml": f"<annotations>{CVAT}</annotations>"},
    "LabelMe": {f"labelled/anna/{n}.json": LABELME.replace("}]", f'}}], "imagePath": "{n}.jpg"') for n in range(4)},
}


class TestAFolderOfAProgram:
    """A folder in which all labels lie is one that a program has added."""

    IMAGES = {f"cam{n % 2}/{n}.jpg": n for n in range(4)}  # noqa: RUF012

    @pytest.mark.parametrize("program", OF_ONE_FOLDER)
    def test_says_nothing_of_the_images(self, tmp_path: Path, program: str) -> None:
        make(tmp_path / "to", {**OF_ONE_FOLDER[program], "labelled/classes.cfg": ""})
        dataset = read_dataset(tmp_path / "to", images=make(tmp_path / "images", self.IMAGES))
        assert dataset.labels.keys() == self.IMAGES.keys() and not dataset.findings
        assert program == "LabelMe" or any("4 images are found by file name" in note for note in dataset.notes)

    @pytest.mark.parametrize("program", OF_ONE_FOLDER)
    def test_names_that_several_images_have_are_nobodys(self, tmp_path: Path, program: str) -> None:
        images = make(tmp_path / "images", {f"cam{n % 2}/{n // 2}.jpg": n for n in range(4)})
        dataset = read_dataset(make(tmp_path / "to", {**OF_ONE_FOLDER[program], "labelled/classes.cfg": ""}), images=images)
        assert not any(len(boxes) for boxes in dataset.labels.values())

    @pytest.mark.parametrize(("labels", "images", "shared"), [
        (["p/1.txt", "p/q/2.txt"], ["cam/1.jpg"], {"p"}), (["p/1.txt", "2.txt"], ["cam/1.jpg"], set()), ([], ["cam/1.jpg"], set()),
        (["val/1.txt"], ["train/1.jpg"], set()), (["val/1.txt"], ["train/1.jpg", "val/2.jpg"], {Split.VAL}),
        (["cam2/1.txt"], ["cam1/1.jpg", "cam2/2.jpg", "cam1/2.jpg"], set()), (["val/1.txt"], ["cam1/1.jpg"], {Split.VAL}),
    ])  # fmt: skip
    def test_what_all_labels_say(self, labels: list[str], images: list[str], shared: set[str]) -> None:
        assert shared_folder_words(labels, images) == shared

    def test_two_files_of_coco_have_no_folder_in_common(self, tmp_path: Path) -> None:
        files = {f"{split}.json": json.dumps(COCO).replace("project5", split) for split in ("left", "right")}
        dataset = read(tmp_path, {**files, "images/left/0.jpg": 1, "images/left/1.jpg": 2})
        assert found(dataset) == {f"left/{n}.jpg": [("dog", BOX)] for n in range(2)}

    def test_a_file_of_another_folder_says_which_image_there_is(self, tmp_path: Path) -> None:
        files = {"images/train/1.jpg": 1, "images/a/2.jpg": 2, "images/b/2.jpg": 3, "labels/val/1.txt": LINE, "labels/x/2.txt": LINE}
        files |= {"images/train/4.jpg": 4, "labels/train/4.txt": LINE, "labels/val/4.txt": LINE}
        said = [finding.message.rpartition("found ")[2] for finding in read(tmp_path, {**files, "labels/x/3.txt": LINE}).findings[:4]]
        assert said == ["train/1.jpg, in another folder.", "train/4.jpg, in another folder.", "a/2.jpg and 1 more.", "none."]

    def test_frames_of_many_sequences_take_time_in_proportion(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        looked: list[str] = []
        candidates = yolo_owners._candidates
        monkeypatch.setattr(yolo_owners, "_candidates", lambda i, *rest: looked.append(i) or candidates(i, *rest))
        frames = [f"{sequence}/{frame}" for sequence in range(12) for frame in range(5)]
        texts = {f"labels/S{name}.txt": LINE for name in frames}
        read(tmp_path, {**{f"images/s{name}.jpg": n for n, name in enumerate(frames)}, **texts}, verify=False)
        assert len(looked) <= 3 * len(frames)


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


@pytest.mark.parametrize(("file", "content"), [
    ("labels.json", '{"images": [{"id": 1, "file_name": "NAME"}], "annotations": [], "categories": []}'),
    ("annotations.xml", '<annotations><image id="0" name="NAME" width="100" height="80"/></annotations>'),
    ("a.createml.json", '[{"image": "NAME", "annotations": []}]'),
    ("Annotations/1.xml", voc(name="NAME")),
])  # fmt: skip
class TestSeveralOfOneName:
    def said(self, root: Path, file: str, content: str, name: str) -> str:
        make(root, {"images/a/1.jpg": 1, "images/b/1.jpg": 2, file: content.replace("NAME", name)})
        try:
            findings = read_dataset(root).findings
        except BoxwiseError as error:  # of a file without any other image
            return str(error)
        return next(finding.message for finding in findings if finding.kind is not FindingKind.MISSING_LABEL_FILE)

    def test_are_named_where_the_name_alone_is_said(self, tmp_path: Path, file: str, content: str) -> None:
        for name in ("1.jpg", "/far/away/1.jpg"):
            assert "found 2 images of that name: a/1.jpg, b/1.jpg. Give its folder" in self.said(tmp_path, file, content, name)

    def test_are_not_where_there_is_none(self, tmp_path: Path, file: str, content: str) -> None:
        assert "of that name" not in self.said(tmp_path, file.replace("1.xml", "3.xml"), content, "3.jpg")
