"""What the numbers of YOLO's label files mean: the list that a labelling tool left beside them counts, and two lists may not disagree."""

from pathlib import Path

import pytest
from formats_scenario import PLACE, found, make, read

from boxwise.data.datasets import read_dataset, read_labels_for, read_pool
from boxwise.data.formats.base import Dataset, FindingKind
from boxwise.errors import BoxwiseError

BOX = PLACE[0]
LINE = "0 0.5 0.5 0.2 0.25\n"
STUDY = ("cat", "dog", "fox")
OTHER = "fox\ndog\ncat\n"  # the order of the tool that drew them
SET: dict[str, str | bytes | int] = {"images/a.jpg": 1, "labels/a.txt": LINE}
IN_IMAGES: dict[str, str | bytes | int] = {"images/a.jpg": 1, "images/a.txt": LINE}
SHEET = {"data.yaml": "names: [cat, dog, fox]\n"}


def label(dataset: Dataset) -> str:
    """The class of the one box of the one image."""
    return next(iter(found(dataset).values()))[0][0]


def as_a_study_takes_it(root: Path, path: Path) -> Dataset:
    return read_labels_for(read_pool(root / "images", None).images, path, format_name="yolo", classes=STUDY)


class TestContradiction:
    @pytest.mark.parametrize("given", [".", "labels", "data.yaml"])
    def test_a_list_beside_the_labels_and_the_sheet_above(self, tmp_path: Path, given: str) -> None:
        root = make(tmp_path, {**SET, **SHEET, "labels/classes.txt": OTHER})
        with pytest.raises(
            BoxwiseError, match=r"labels/classes\.txt: expected the names of .*data\.yaml, found that class 0 is 'fox', there 'cat'"
        ):
            as_a_study_takes_it(root, root / given)

    @pytest.mark.parametrize(
        "files",
        [
            {**IN_IMAGES, **SHEET, "images/classes.txt": OTHER},
            {**SET, **SHEET, "classes.txt": OTHER},
            {**SET, **SHEET, "labels/classes.txt": "cat\ndog\nwolf\n"},
            {**SET, "classes.txt": "cat\ndog\n", "labels/classes.txt": OTHER},
            {**SET, "classes.txt": "cat\ndog\n", "obj.names": "dog\ncat\n"},
            {"images/t/a.jpg": 1, "labels/t/a.txt": LINE, **SHEET, "labels/t/classes.txt": OTHER},
        ],
        ids=["images", "root", "one number", "two lists", "two in a folder", "deeper"],
    )
    def test_wherever_the_two_lie(self, tmp_path: Path, files: dict[str, str | bytes | int]) -> None:
        with pytest.raises(BoxwiseError, match="cannot be known"):
            read(tmp_path, files)

    @pytest.mark.parametrize("names", ["cat\ndog\nfox\n", "cat\ndog\n", "cat\ndog\nfox\nwolf\n", " Cat \ndog\n"])
    def test_lists_that_agree_as_far_as_both_go_are_one(self, tmp_path: Path, names: str) -> None:
        dataset = read(tmp_path, {**SET, **SHEET, "labels/classes.txt": names})
        assert found(dataset) == {"a.jpg": [("cat", BOX)]} and not dataset.findings and not dataset.notes


class TestAgreement:
    @pytest.mark.parametrize(
        ("sheet", "names"),
        [
            ("[cat, dog, fox]", "0: cat\n1: dog\n2: fox\n"),
            ("[cat, dog, fox]", "0 cat\n1 dog\n2 fox\n"),
            ("[cat, dog, fox]", "cat, dog, fox\n"),
            ("[cat, dog, fox]", "# classes\ncat\ndog\nfox\n"),
            ("[cat, red cell, fox]", "Cat\nred_cell\nfox\n"),
            ("['#1', '0 x']", "#1\n0 x\n"),
        ],
    )
    def test_of_lists_that_are_written_in_another_way(self, tmp_path: Path, sheet: str, names: str) -> None:
        dataset = read(tmp_path, {**SET, "data.yaml": f"names: {sheet}\n", "classes.txt": names})
        assert len(dataset.labels) == 1

    @pytest.mark.parametrize(
        "names", ["0: fox\n1: dog\n2: cat\n", "fox, dog, cat\n", "# classes\nfox\ndog\ncat\n", "#1\n#2\n", "wolf\nbear\n"]
    )
    def test_not_of_those_with_other_names(self, tmp_path: Path, names: str) -> None:
        with pytest.raises(BoxwiseError, match="cannot be known"):
            read(tmp_path, {**SET, **SHEET, "classes.txt": names})

    def test_a_number_that_the_sheet_leaves_out_has_the_name_of_the_list(self, tmp_path: Path) -> None:
        root = make(tmp_path, {**SET, "labels/a.txt": LINE.replace("0", "1", 1), "data.yaml": "names: {0: cat, 2: fox}\n"})
        assert label(read_dataset(root)) == "1"
        assert label(read_dataset(make(root, {"classes.txt": "cat\ndog\nfox\n"}))) == "dog"
        with pytest.raises(BoxwiseError, match="found that class 1 is 'dog', there 'cat'"):
            read_dataset(make(root, {"data.yaml": "names: {1: cat, 2: dog}\n"}))

    def test_of_several_sheets_with_the_same_names(self, tmp_path: Path) -> None:
        root = make(tmp_path, {**SET, "a.yaml": "names: [fox, dog]\ntrain: images\n", "b.yaml": "names: {0: fox, 1: dog}\nval: images\n"})
        for given in (root, root / "labels"):
            dataset = as_a_study_takes_it(root, given)
            assert label(dataset) == "fox" and not dataset.by_number and "which name the same; nothing else" in dataset.notes[0]


class TestGivenFolder:
    """The answer is the same whichever folder of a data set is named."""

    @pytest.mark.parametrize("lists", [{"data.yaml": "names: [fox, dog, cat]\n"}, {"classes.txt": OTHER}], ids=["sheet", "list"])
    @pytest.mark.parametrize(("images", "labels"), [("train/images", "train/labels"), ("images/train", "labels/train")])
    def test_names_above_count(self, tmp_path: Path, images: str, labels: str, lists: dict[str, str]) -> None:
        root = make(tmp_path, {f"{images}/a.jpg": 1, f"{labels}/a.txt": LINE, **lists})
        for given in (Path(labels), Path(labels).parent):
            dataset = read_pool(root / images, root / given, format_name="yolo", classes=STUDY)
            assert label(dataset) == "fox" and not dataset.by_number

    @pytest.mark.parametrize("given", ["labels", "labels/train"])
    @pytest.mark.parametrize(
        "files",
        [{"data.yaml": "names: [fox, dog\n"}, {"one.yaml": "names: [cat, dog]\n", "two.yaml": "names: [dog, cat]\n"}],
        ids=["broken", "two"],
    )
    def test_so_do_sheets_above_that_cannot_be_read(self, tmp_path: Path, given: str, files: dict[str, str]) -> None:
        root = make(tmp_path, {"images/train/a.jpg": 1, "labels/train/a.txt": LINE, **files})
        with pytest.raises(BoxwiseError, match="cannot be known without the names"):
            read_pool(root / "images", root / given, format_name="yolo", classes=STUDY)

    def test_what_lies_above_a_folder_of_another_name_does_not(self, tmp_path: Path) -> None:
        root = make(
            tmp_path, {"mine/images/a.jpg": 1, "mine/labels/a.txt": LINE, "data.yaml": "names: [fox, dog, cat]\n", "classes.txt": OTHER}
        )
        assert label(as_a_study_takes_it(root / "mine", root / "mine" / "labels")) == "cat"


class TestBeside:
    @pytest.mark.parametrize("given", [".", "images"])
    def test_a_list_among_the_images_counts_whichever_folder_is_named(self, tmp_path: Path, given: str) -> None:
        root = make(tmp_path, {**IN_IMAGES, "images/classes.txt": OTHER})
        dataset = read_pool(root / "images", root / given, classes=STUDY)
        assert label(dataset) == "fox" and not dataset.by_number
        assert label(as_a_study_takes_it(root, root / given)) == "fox"

    def test_each_folder_has_its_own(self, tmp_path: Path) -> None:
        root = make(
            tmp_path,
            {
                "images/t/a.jpg": 1,
                "labels/t/a.txt": LINE,
                "labels/t/classes.txt": "cat\ndog\n",
                "images/v/b.jpg": 2,
                "labels/v/b.txt": LINE,
                "labels/v/classes.txt": "dog\ncat\n",
            },
        )
        assert found(read_dataset(root)) == {"t/a.jpg": [("cat", BOX)], "v/b.jpg": [("dog", BOX)]}

    def test_the_sheet_above_counts_where_the_folder_of_labels_is_named(self, tmp_path: Path) -> None:
        root = make(tmp_path, {**SET, "data.yaml": "names: [fox, dog, cat]\n"})
        assert label(as_a_study_takes_it(root, root / "labels")) == "fox"

    @pytest.mark.parametrize("sheet", ["names: [cat, dog\n", "names: cat,dog\n"])
    def test_a_list_beside_a_sheet_that_cannot_be_read(self, tmp_path: Path, sheet: str) -> None:
        root = make(tmp_path, {**SET, "data.yaml": sheet, "classes.txt": OTHER})
        dataset = as_a_study_takes_it(root, root)
        assert label(dataset) == "fox" and [finding.kind for finding in dataset.findings] == [FindingKind.BAD_LABEL_FILE]

    def test_a_name_twice_in_a_list_is_a_finding(self, tmp_path: Path) -> None:
        dataset = read(tmp_path, {**SET, "labels/classes.txt": "cat\ncat\n"})
        assert [finding.kind for finding in dataset.findings] == [FindingKind.DUPLICATE_ID]


class TestNumbersAlone:
    @pytest.mark.parametrize("sheet", ["names: [cat, dog\n", "names: cat,dog\n"])
    def test_they_are_no_classes_of_a_study_where_the_names_cannot_be_read(self, tmp_path: Path, sheet: str) -> None:
        root = make(tmp_path, {**SET, "data.yaml": sheet})
        with pytest.raises(BoxwiseError, match=r"data\.yaml: expected YAML .* cannot be known"):
            read_pool(root / "images", root, classes=STUDY)

    def test_nor_where_of_several_sheets_none_is_followed(self, tmp_path: Path) -> None:
        root = make(tmp_path, {**SET, "one.yaml": "names: [cat, dog]\n", "two.yaml": "names: [dog, cat]\n"})
        with pytest.raises(BoxwiseError, match=r"found one\.yaml, two\.yaml"):
            as_a_study_takes_it(root, root)

    def test_else_a_note_says_what_they_were_taken_for(self, tmp_path: Path) -> None:
        root = make(tmp_path, SET)
        for dataset in (as_a_study_takes_it(root, root), read_pool(root / "images", root, classes=STUDY)):
            assert label(dataset) == "cat" and dataset.by_number
            assert [note for note in dataset.notes if "taken for those of the study's classes (0 = cat)" in note]

    def test_labels_without_a_box_go_by_no_number(self, tmp_path: Path) -> None:
        root = make(tmp_path, {**SET, "labels/a.txt": ""})
        dataset = as_a_study_takes_it(root, root)
        assert not dataset.by_number and not dataset.notes
