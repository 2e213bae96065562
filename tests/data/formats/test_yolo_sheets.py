"""What a YOLO data set's sheet may be called, what its entries may be, and where they may lead; other files beside it do not hide it."""

from pathlib import Path

import pytest
from formats_scenario import LINE, PLACE, found, kinds, make, read

from boxwise.data.datasets import detect_format, read_dataset, read_labels_for, read_pool
from boxwise.data.formats.base import Dataset, FindingKind
from boxwise.records import Split

BOX = PLACE[0]
SET = {"images/train/a.jpg": 1, "labels/train/a.txt": LINE}


@pytest.mark.parametrize("name", ["mydata.yaml", "coco8.yml", "MY.YAML"])
def test_a_sheet_by_any_name(tmp_path: Path, name: str) -> None:
    dataset = read(tmp_path, {**SET, name: "train: images/train\nnames: [cat, dog]\n", "hyp.yaml": "lr: 1\n", "compose.yml": "[1"})
    assert found(dataset) == {"train/a.jpg": [("dog", BOX)]} and not dataset.findings and not dataset.notes


def test_of_several_sheets_none_is_followed_and_they_are_named(tmp_path: Path) -> None:
    dataset = read(tmp_path, {**SET, "one.yaml": "names: [cat, dog]\n", "two.yaml": "names: [ant, bee]\n"})
    assert found(dataset) == {"train/a.jpg": [("1", BOX)]}
    assert "found one.yaml, two.yaml; none is followed" in dataset.notes[0]
    assert read_dataset(tmp_path / "two.yaml").classes == ("ant", "bee")


@pytest.mark.parametrize("said", ["null", "~", "", "NULL", "[null]", "''"])
def test_a_split_that_is_null_is_absent(tmp_path: Path, said: str) -> None:
    dataset = read(tmp_path, {**SET, "data.yaml": f"path: {said}\ntrain: images/train\nval: {said}\nnames: [cat, dog]\nkpt_shape: null\n"})
    assert found(dataset) == {"train/a.jpg": [("dog", BOX)]} and not dataset.findings


@pytest.mark.parametrize("name", ["project.xml", "broken.xml"])
def test_an_xml_of_something_else_does_not_hide_it(tmp_path: Path, name: str) -> None:
    make(tmp_path, {**SET, "data.yaml": "names: [cat, dog]\n", name: "<project/>" if name == "project.xml" else "<proj"})
    assert detect_format(tmp_path) == "yolo"
    assert found(read_dataset(tmp_path)) == {"train/a.jpg": [("dog", BOX)]}


def test_an_xml_that_is_all_there_is_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    assert detect_format(make(tmp_path, {"a.jpg": 1, "a.xml": "<annot"})) == "voc"


class TestElsewhere:
    def _set(self, root: Path) -> Path:
        """Train in the sheet's folder, val beside it, test somewhere else; labels of none of them below the sheet's alone."""
        files = {f"{place}/images/{name}.jpg": number for number, (place, name) in enumerate(PLACES.items())}
        files |= {f"{place}/labels/{name}.txt": LINE for place, name in PLACES.items()}
        files |= {"other/images/no.jpg": 9, "other/labels/no.txt": LINE}  # a data set of its own
        sheet = f"train: images\nval: ../val/images\ntest: {root}/far/away/images\nnames: [cat, dog]\n"
        return make(root, {**files, "ds/data.yaml": sheet})

    def test_what_the_sheet_names_outside_of_its_folder_is_read(self, tmp_path: Path) -> None:
        dataset = read_dataset(self._set(tmp_path) / "ds")
        assert found(dataset) == {f"{place}/images/{name}.jpg": [("dog", BOX)] for place, name in PLACES.items()}
        assert [image.split for image in dataset.images] == [Split.TRAIN, Split.VAL, Split.TEST] and not dataset.findings

    def test_a_study_takes_the_labels_by_the_same_ids(self, tmp_path: Path) -> None:
        sheet = self._set(tmp_path) / "ds" / "data.yaml"
        pool = read_pool(None, sheet)
        taken = read_labels_for(pool.images, sheet, format_name=None, classes=("cat", "dog"))
        assert taken.labels.keys() == pool.labels.keys() and len(pool.labels) == 3 and not taken.findings

    def test_only_elsewhere(self, tmp_path: Path) -> None:
        make(tmp_path, {"val/images/a.jpg": 1, "val/labels/a.txt": LINE, "ds/data.yaml": "val: ../val/images\nnames: [cat, dog]\n"})
        dataset = read_dataset(tmp_path / "ds" / "data.yaml")
        assert found(dataset) == {"val/images/a.jpg": [("dog", BOX)]} and dataset.images[0].split == Split.VAL

    def test_a_sheet_among_the_labels_names_the_images_beside_them(self, tmp_path: Path) -> None:
        dataset = read_dataset(make(tmp_path, {**SET, "labels/data.yaml": "train: ../images/train\nnames: [cat, dog]\n"}) / "labels")
        assert found(dataset) == {"train/a.jpg": [("dog", BOX)]} and dataset.images[0].split == Split.TRAIN

    def test_a_folder_beside_the_sheet_comes_before_one_outside(self, tmp_path: Path) -> None:
        make(tmp_path, {"train/images/no.jpg": 1, "ds/train/images/a.jpg": 2, "ds/train/labels/a.txt": LINE})
        make(tmp_path, {"ds/data.yaml": "train: ../train/images\nnames: [cat, dog]\n"})
        dataset = read_dataset(tmp_path / "ds")
        assert found(dataset) == {"train/images/a.jpg": [("dog", BOX)]} and kinds(dataset) == []

    def test_one_that_is_missing_beside_the_sheet_is_not_that_of_a_stranger(self, tmp_path: Path) -> None:
        make(tmp_path, {"test/images/no.jpg": 1, "test/labels/no.txt": LINE, "ds/train/images/a.jpg": 2, "ds/train/labels/a.txt": LINE})
        make(tmp_path, {"ds/data.yaml": "train: ../train/images\ntest: ../test/images\nnames: [cat, dog]\n"})
        dataset = read_dataset(tmp_path / "ds")
        assert found(dataset) == {"train/images/a.jpg": [("dog", BOX)]}
        assert kinds(dataset) == [(FindingKind.MISSING_IMAGE, None, False)] and "'../test/images'" in dataset.findings[0].message

    def test_images_that_are_given_keep_their_labels(self, tmp_path: Path) -> None:
        sheet = "train: images/train\ntest: ../bench/images\n"
        root = make(tmp_path / "ds", {**SET, "images/train/b.jpg": 2, "labels/train/b.txt": LINE, "data.yaml": sheet})
        make(tmp_path, {"bench/images/b.jpg": 3, "bench/labels/b.txt": "0 0.5 0.5 0.1 0.1\n"})
        dataset = read_dataset(root, images=root / "images")
        assert found(dataset) == {f"train/{name}.jpg": [("1", BOX)] for name in "ab"}
        assert {image.split for image in dataset.images} == {Split.TRAIN}

    def test_images_that_are_given_and_lie_outside_are_found_by_a_sheet_alone(self, tmp_path: Path) -> None:
        make(tmp_path, {**SET, "cfg/data.yaml": "train: ../images/train\nnames: [cat, dog]\n"})
        dataset = read_dataset(tmp_path / "cfg", images=tmp_path / "images")
        assert found(dataset) == {"train/a.jpg": [("dog", BOX)]} and dataset.images[0].split == Split.TRAIN


class TestLinksAndCopies:
    """Whole paths in a sheet that lead to the data set's own images another way, or to those that it was copied from."""

    FILES = {"images/train/train.jpg": 1, "images/val/val.jpg": 2, "labels/train/train.txt": LINE, "labels/val/val.txt": LINE}  # noqa: RUF012

    def _is_read_once(self, dataset: Dataset) -> None:
        assert found(dataset) == {f"{split}/{split}.jpg": [("dog", BOX)] for split in ("train", "val")}
        assert {image.image_id: image.split for image in dataset.images} == {"train/train.jpg": Split.TRAIN, "val/val.jpg": Split.VAL}
        assert not dataset.findings

    def _sheet(self, root: Path) -> str:
        return f"train: {root}/images/train\nval: {root}/images/val\nnames: [cat, dog]\n"

    def test_a_data_set_that_is_reached_through_a_link(self, tmp_path: Path) -> None:
        make(tmp_path / "disk", {**self.FILES, "data.yaml": self._sheet(tmp_path / "home")})
        (tmp_path / "home").symlink_to(tmp_path / "disk")
        self._is_read_once(read_dataset(tmp_path / "disk"))

    @pytest.mark.parametrize("linked", ["images", "images/train"])
    def test_folders_that_are_links(self, tmp_path: Path, linked: str) -> None:
        sheet = self._sheet(tmp_path / "set").replace(f"set/{linked}", "disk")
        folder = make(tmp_path / "set", {**self.FILES, "data.yaml": sheet}) / linked
        folder.rename(tmp_path / "disk")
        folder.symlink_to(tmp_path / "disk")
        self._is_read_once(read_dataset(tmp_path / "set"))

    def test_a_folder_of_the_set_that_links_to_an_empty_one(self, tmp_path: Path) -> None:
        make(tmp_path / "set", {**self.FILES, "data.yaml": self._sheet(tmp_path / "set") + "test: images/test\n"})
        (tmp_path / "empty").mkdir()
        (tmp_path / "set" / "images" / "test").symlink_to(tmp_path / "empty")
        dataset = read_dataset(tmp_path / "set")
        assert found(dataset) == {f"{split}/{split}.jpg": [("dog", BOX)] for split in ("train", "val")}
        assert [finding.kind for finding in dataset.findings] == [FindingKind.MISSING_IMAGE]

    def test_a_copy_beside_its_original(self, tmp_path: Path) -> None:
        for name in ("old", "new"):
            make(tmp_path / name, {**self.FILES, "data.yaml": self._sheet(tmp_path / "old")})
        self._is_read_once(read_dataset(tmp_path / "new"))
        self._is_read_once(read_dataset(tmp_path / "old"))

    def test_a_sheet_of_two_data_sets_is_no_copy(self, tmp_path: Path) -> None:
        for number, name in enumerate(("old", "new")):
            make(tmp_path / name, {"images/train/a.jpg": number, "labels/train/a.txt": LINE})
        sheet = f"train: [{tmp_path}/old/images/train, {tmp_path}/new/images/train]\nnames: [cat, dog]\n"
        dataset = read_dataset(make(tmp_path / "new", {"data.yaml": sheet}))
        assert set(found(dataset)) == {"old/images/train/a.jpg", "new/images/train/a.jpg"} and not dataset.findings

    def test_folders_above_images_by_a_link(self, tmp_path: Path) -> None:
        files = {f"{name}/images/{name}.jpg": number for number, name in enumerate(("one", "two"))}
        files |= {f"{name}/labels/{name}.txt": LINE for name in ("one", "two")}
        sheet = f"train: {tmp_path}/home/one/images\nval: {tmp_path}/home/two/images\nnames: [cat, dog]\n"
        make(tmp_path / "disk", {**files, "data.yaml": sheet})
        (tmp_path / "home").symlink_to(tmp_path / "disk")
        dataset = read_dataset(tmp_path / "disk")
        assert [(image.image_id, image.split) for image in dataset.images] == [
            ("one/images/one.jpg", Split.TRAIN), ("two/images/two.jpg", Split.VAL)
        ]  # fmt: skip


PLACES = {"ds": "a", "val": "b", "far/away": "c"}
