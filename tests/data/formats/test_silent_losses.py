"""Nothing is lost in silence: kinds of inputs in which labels used to vanish, or came to mean something else."""

import json
from pathlib import Path
from typing import ClassVar

import pytest
import yaml
from formats_scenario import LINE, PLACE, found, kinds, read, voc, voc_object

from boxwise.data.datasets import read_dataset
from boxwise.data.formats.base import FindingKind
from boxwise.data.formats.coco import Coco
from boxwise.data.formats.voc import Voc
from boxwise.data.formats.yolo import Yolo
from boxwise.records import Split

BOX = PLACE[0]
YAML = yaml.safe_dump({"names": ["ant", "bee"]})


class TestReservedWords:
    @pytest.mark.parametrize("stem", ["train", "val", "valid", "test", "notes", "readme", "labels", "classes", "README"])
    def test_a_text_whose_image_exists_is_a_label(self, tmp_path: Path, stem: str) -> None:
        files = {f"images/{stem}.jpg": 1, f"labels/{stem}.txt": LINE, "images/other.jpg": 2, "labels/other.txt": LINE, "data.yaml": YAML}
        dataset = read(tmp_path, files)
        assert found(dataset) == {f"{stem}.jpg": [("bee", BOX)], "other.jpg": [("bee", BOX)]}
        assert not dataset.findings

    @pytest.mark.parametrize("name", ["b.TXT", "b.Txt"])
    def test_a_suffix_in_capitals(self, tmp_path: Path, name: str) -> None:
        dataset = read(tmp_path, {"images/b.jpg": 1, f"labels/{name}": LINE, "data.yaml": YAML})
        assert found(dataset) == {"b.jpg": [("bee", BOX)]}

    def test_a_flat_folder_keeps_its_lists_and_its_labels_apart(self, tmp_path: Path) -> None:
        sheet = yaml.safe_dump({"names": ["ant", "bee"], "train": "train.txt"})
        files = {"train.jpg": 1, "a.jpg": 2, "a.txt": LINE, "train.txt": "./train.jpg\n./a.jpg\n", "data.yaml": sheet}
        dataset = read(tmp_path, files)
        assert found(dataset) == {"train.jpg": [], "a.jpg": [("bee", BOX)]}
        assert {i.image_id: i.split for i in dataset.images} == {"train.jpg": Split.TRAIN, "a.jpg": Split.TRAIN}
        assert not dataset.findings

    @pytest.mark.parametrize(("text", "expected"), [
        (LINE, [(FindingKind.MISSING_IMAGE, "labels/test", True)]),  # labels of an image that is not there
        ("a picture a line\n", []),
        ("./images/a.jpg\n", []),
    ])  # fmt: skip
    def test_without_an_image_its_content_decides(self, tmp_path: Path, text: str, expected: list) -> None:
        dataset = read(tmp_path, {"images/a.jpg": 1, "labels/a.txt": LINE, "labels/test.txt": text, "data.yaml": YAML})
        assert kinds(dataset) == expected

    @pytest.mark.parametrize("name", [
        "README.dataset.txt", "README.roboflow.txt", "LICENSE.txt", "license-images.txt", "requirements.txt", "requirements_dev.txt",
    ])  # fmt: skip
    def test_prose_beside_the_labels_is_no_label_unless_it_holds_boxes(self, tmp_path: Path, name: str) -> None:
        files = {"train/images/a.jpg": 1, "train/labels/a.txt": LINE, "data.yaml": "train: ../train/images\nnames: [ant, bee]\n"}
        dataset = read(tmp_path / "prose", {**files, name: "Exported on November 14\n\n1 image\n"})
        assert found(dataset) == {"train/images/a.jpg": [("bee", BOX)]} and not dataset.findings
        assert (FindingKind.MISSING_IMAGE, name[:-4], True) in kinds(read(tmp_path / "boxes", {**files, name: LINE}))

    @pytest.mark.parametrize("name", ["test_1.txt", "train_1.txt", "labels2.txt"])
    def test_labels_called_after_a_split_are_no_prose(self, tmp_path: Path, name: str) -> None:
        dataset = read(tmp_path, {"images/a.jpg": 1, "labels/a.txt": LINE, f"labels/{name}": "", "data.yaml": YAML})
        assert kinds(dataset) == [(FindingKind.MISSING_IMAGE, f"labels/{name[:-4]}", True)]

    @pytest.mark.parametrize("text", ["", "Exported on November 14\n"])
    def test_prose_beside_labels_of_one_line_an_object(self, tmp_path: Path, text: str) -> None:
        files = {"a.png": 1, "a.txt": "40,30,20,20,1,4,0,0\n", "README.dataset.txt": text}
        dataset = read(tmp_path, files, format_name="visdrone")
        assert found(dataset) == {"a.png": [("car", BOX)]} and not dataset.findings

    def test_a_list_of_classes_that_is_the_label_of_an_image_names_nothing(self, tmp_path: Path) -> None:
        dataset = read(tmp_path, {"classes.jpg": 1, "classes.txt": LINE})
        assert found(dataset) == {"classes.jpg": [("1", BOX)]}


class TestColumns:
    def _read(self, root: Path, *lines: str, **sheet):
        files = {f"images/{n}.jpg": n + 1 for n in range(len(lines))} | {f"labels/{n}.txt": line for n, line in enumerate(lines)}
        return read(root, {**files, "data.yaml": yaml.safe_dump({"names": ["ant", "bee"], **sheet})})

    @pytest.mark.parametrize("sixth", [("17", "3"), ("1", "0"), ("0.5", "1.5"), ("-1", "0.5"), ("nan", "0.5")])
    def test_a_sixth_column_that_is_no_score_is_said_once(self, tmp_path: Path, sixth: tuple[str, str]) -> None:
        dataset = self._read(tmp_path, *(f"1 0.5 0.5 0.2 0.25 {word}\n" for word in sixth))
        assert [boxes.scores for boxes in dataset.labels.values()] == [None, None]
        assert kinds(dataset) == [(FindingKind.EXTRA_COLUMN, None, False)]
        assert "2 files" in dataset.findings[0].message
        assert found(dataset)["0.jpg"] == [("bee", BOX)]

    def test_scores_stay_scores(self, tmp_path: Path) -> None:
        dataset = self._read(tmp_path, "1 0.5 0.5 0.2 0.25 0.5\n", "1 0.5 0.5 0.2 0.25 1.0\n")
        assert [boxes.scores.tolist() for boxes in dataset.labels.values()] == [[0.5], [1.0]]
        assert not dataset.findings

    def test_scores_of_some_lines_are_not_dropped_in_silence(self, tmp_path: Path) -> None:
        dataset = self._read(tmp_path, "1 0.5 0.5 0.2 0.25 0.5\n0 0.5 0.5 0.1 0.1\n")
        assert dataset.labels["0.jpg"].scores is None
        assert kinds(dataset) == [(FindingKind.EXTRA_COLUMN, None, False)]

    @pytest.mark.parametrize("shape", [[2, 2], [2, 3], [4, 2]])
    def test_key_points_are_no_polygon(self, tmp_path: Path, shape: list[int]) -> None:
        points = " ".join(["0.01"] * (shape[0] * shape[1]))
        dataset = self._read(tmp_path, f"1 0.5 0.5 0.2 0.25 {points}\n", kpt_shape=shape)
        assert found(dataset) == {"0.jpg": [("bee", BOX)]}
        assert not dataset.findings and any("key points" in note for note in dataset.notes)

    def test_a_pose_file_without_its_shape_is_refused_with_a_hint(self, tmp_path: Path) -> None:
        dataset = self._read(tmp_path, "1 0.5 0.5 0.2 0.25 0.1 0.1 2\n", LINE)
        assert kinds(dataset) == [(FindingKind.BAD_LABEL_FILE, "0.jpg", True)]
        assert "kpt_shape" in dataset.findings[0].message

    @pytest.mark.parametrize(("names", "expected"), [
        ("[yes, no]", ("yes", "no")),
        ("[off, 007]", ("off", "007")),
        ("[1e3, 2024-01-01]", ("1e3", "2024-01-01")),
        ("{'0': cat, '1': dog}", ("cat", "dog")),
        ("{0: no, 1: ~}", ("no", "~")),
        ("[null, 0x10]", ("null", "0x10")),
    ])  # fmt: skip
    def test_names_stay_as_they_are_written(self, tmp_path: Path, names: str, expected: tuple[str, ...]) -> None:
        dataset = read(tmp_path, {"images/a.jpg": 1, "labels/a.txt": LINE, "data.yaml": f"names: {names}\n"})
        assert dataset.classes == expected
        assert found(dataset) == {"a.jpg": [(expected[1], BOX)]}
        Yolo().write(dataset, tmp_path / "out", copy_images=True)
        assert Yolo().read(tmp_path / "out").classes == expected

    def test_a_name_used_twice_is_one_class_and_a_finding(self, tmp_path: Path) -> None:
        dataset = read(tmp_path, {"images/a.jpg": 1, "labels/a.txt": "0 0.5 0.5 0.2 0.25\n", "data.yaml": "names: [cat, cat, dog]\n"})
        assert dataset.classes == ("cat", "dog")
        assert found(dataset) == {"a.jpg": [("cat", BOX)]}
        assert kinds(dataset) == [(FindingKind.DUPLICATE_ID, None, False)]

    def test_no_names_are_said(self, tmp_path: Path) -> None:
        dataset = read(tmp_path, {"images/a.jpg": 1, "labels/a.txt": LINE})
        assert dataset.classes == ("0", "1") and any("called by their numbers" in note for note in dataset.notes)

    @pytest.mark.parametrize("score", [17, -0.5, "0.5x", float("nan"), None])
    def test_a_score_that_is_none_in_coco(self, tmp_path: Path, score: object) -> None:
        content = _coco(bbox=[40, 30, 20, 20], score=score)
        dataset = read(tmp_path, {"images/a.jpg": 1, "instances.json": json.dumps(content)})
        assert dataset.labels["a.jpg"].scores is None
        assert found(dataset) == {"a.jpg": [("cat", BOX)]}
        is_number = isinstance(score, int | float) and score == score
        assert kinds(dataset) == ([(FindingKind.EXTRA_COLUMN, None, False)] if is_number else [])


def _coco(**annotation) -> dict:
    return {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, **annotation}],
        "categories": [{"id": 1, "name": "cat"}],
    }


class TestDuplicateBoxes:
    FILES = {  # noqa: RUF012
        "yolo": {"images/a.jpg": 1, "labels/a.txt": LINE * 2 + "0 0.5 0.5 0.2 0.25\n", "data.yaml": "names: [dog, cat]\n"},
        "voc": {"JPEGImages/a.jpg": 1, "Annotations/a.xml": voc(voc_object(), voc_object("dog"), voc_object(), name="a.jpg")},
        "coco": {
            "images/a.jpg": 1,
            "instances.json": json.dumps({
                **_coco(bbox=[1, 1, 1, 1]),
                "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
                "annotations": [
                    {"id": n, "image_id": 1, "category_id": category, "bbox": [40, 30, 20, 20]} for n, category in enumerate((1, 2, 1))
                ],
            }),
        },
        "cvat": {
            "images/a.jpg": 1,
            "annotations.xml": '<annotations><image name="a.jpg" width="100" height="80">'
            + "".join(f'<box label="{name}" xtl="40" ytl="30" xbr="60" ybr="50"/>' for name in ("cat", "dog", "cat"))
            + "</image></annotations>",
        },
    }  # fmt: skip

    @pytest.mark.parametrize("name", FILES)
    def test_one_of_each_stays_and_another_class_at_its_place_does(self, tmp_path: Path, name: str) -> None:
        dataset = read(tmp_path, self.FILES[name])
        assert sorted(found(dataset)["a.jpg"]) == [("cat", BOX), ("dog", BOX)]
        assert kinds(dataset) == [(FindingKind.DUPLICATE_BOX, "a.jpg", False)]

    def test_the_best_score_and_the_plain_one_stay(self, tmp_path: Path) -> None:
        lines = "".join(f"1 0.5 0.5 0.2 0.25 {score}\n" for score in (0.25, 0.75, 0.5))
        assert read(tmp_path / "y", {"images/a.jpg": 1, "labels/a.txt": lines}).labels["a.jpg"].scores.tolist() == [0.75]
        objects = [voc_object(inside=f"<difficult>{flag}</difficult>") for flag in (1, 0)]
        files = {"JPEGImages/a.jpg": 1, "Annotations/a.xml": voc(*objects, name="a.jpg")}
        assert read(tmp_path / "v", files).labels["a.jpg"].difficult.tolist() == [False]

    def test_copies_that_are_cut_at_the_edge_are_copies(self, tmp_path: Path) -> None:
        dataset = read(tmp_path, {"images/a.jpg": 1, "labels/a.txt": "0 0.5 0.5 1 1\n0 0.5 0.5 1.001 1\n"})
        assert found(dataset) == {"a.jpg": [("0", [0, 0, 100, 80])]}


class TestCopiesOfAnImage:
    @pytest.mark.parametrize("labelled", ["a", "b"])
    @pytest.mark.parametrize("missing_is_empty", [True, False])
    @pytest.mark.parametrize("name", ["yolo", "voc", "coco"])
    def test_the_labelled_one_stays(self, tmp_path: Path, labelled: str, missing_is_empty: bool, name: str) -> None:
        images = [{"id": n, "file_name": f"{stem}.png"} for n, stem in enumerate("ab")]
        number = "ab".index(labelled)
        files = {
            "yolo": {"images/a.png": 1, "images/b.png": 1, f"labels/{labelled}.txt": LINE, "data.yaml": "names: [dog, cat]\n"},
            "voc": {"JPEGImages/a.png": 1, "JPEGImages/b.png": 1, f"Annotations/{labelled}.xml": voc(voc_object(), name=f"{labelled}.png")},
            "coco": {
                "images/a.png": 1,
                "images/b.png": 1,
                "instances.json": json.dumps({
                    **_coco(bbox=[40, 30, 20, 20]), "images": images,
                    "annotations": [{"id": 1, "image_id": number, "category_id": 1, "bbox": [40, 30, 20, 20]}],
                }),
            },
        }[name]  # fmt: skip
        dataset = read(tmp_path, files, missing_is_empty=missing_is_empty)
        other = {"a": "b.png", "b": "a.png"}[labelled]
        assert found(dataset) == {f"{labelled}.png": [("cat", BOX)]}
        assert [image.image_id for image in dataset.images] == [f"{labelled}.png"]
        assert (FindingKind.DUPLICATE_IMAGE, other, True) in kinds(dataset)
        assert FindingKind.CONFLICTING_LABELS not in {finding.kind for finding in dataset.findings}

    @pytest.mark.parametrize("second", ["0 0.5 0.5 0.2 0.25\n", "1 0.5 0.5 0.2 0.3\n", "", LINE + "1 0.2 0.2 0.1 0.1\n"])
    def test_labels_that_disagree_are_a_finding(self, tmp_path: Path, second: str) -> None:
        dataset = read(tmp_path, {"images/a.png": 1, "images/b.png": 1, "labels/a.txt": LINE, "labels/b.txt": second})
        assert kinds(dataset) == [(FindingKind.DUPLICATE_IMAGE, "b.png", True), (FindingKind.CONFLICTING_LABELS, "a.png", False)]

    def test_labels_that_agree_in_another_order_are_none(self, tmp_path: Path) -> None:
        lines = [LINE, "0 0.2 0.2 0.1 0.1\n"]
        files = {"images/a.png": 1, "images/b.png": 1, "labels/a.txt": "".join(lines), "labels/b.txt": "".join(lines[::-1])}
        assert kinds(read(tmp_path, files)) == [(FindingKind.DUPLICATE_IMAGE, "b.png", True)]

    def test_of_two_labelled_ones_that_of_the_test_split_stays(self, tmp_path: Path) -> None:
        files = {f"images/{split}/{split}.png": 1 for split in ("train", "test")}
        files |= {f"labels/{split}/{split}.txt": LINE for split in ("train", "test")}
        assert [image.image_id for image in read(tmp_path, files).images] == ["test/test.png"]

    def test_a_bad_box_on_the_labelled_copy_does_not_make_the_other_one_empty(self, tmp_path: Path) -> None:
        files = {"images/a.png": 1, "images/b.png": 1, "labels/b.txt": "0 0.9 0.9 0.5 0.5\n", "images/c.png": 2, "labels/c.txt": LINE}
        assert found(read(tmp_path, files)) == {"c.png": [("1", BOX)]}


class TestAbsenceIsNoEvidence:
    def test_coco_without_annotations_labels_nothing(self, tmp_path: Path) -> None:
        content = {"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 1, "name": "cat"}]}
        for missing_is_empty in (True, False):
            dataset = read(tmp_path, {"images/a.jpg": 1, "i.json": json.dumps(content)}, missing_is_empty=missing_is_empty)
            assert not dataset.labels and len(dataset.images) == 1
            assert kinds(dataset) == [(FindingKind.MISSING_LABEL_FILE, None, False)]

    def test_an_image_that_an_export_merely_lists_is_unlabelled_in_a_growing_study(self, tmp_path: Path) -> None:
        content = _coco(bbox=[40, 30, 20, 20])
        content["images"] += [{"id": 2, "file_name": "b.jpg"}, {"id": 3, "file_name": "c.jpg", "labeled": True}]
        files = {"images/a.jpg": 1, "images/b.jpg": 2, "images/c.jpg": 3, "instances.json": json.dumps(content)}
        assert set(read(tmp_path, files, missing_is_empty=False).labels) == {"a.jpg", "c.jpg"}
        by_convention = read(tmp_path, files)
        assert set(by_convention.labels) == {"a.jpg", "b.jpg", "c.jpg"}
        assert by_convention.notes == ("1 of 3 labelled images have no label and are taken as without objects (first: b.jpg).",)

    @pytest.mark.parametrize("wrapped", [
        "<objects>{}</objects>", "<annotations><objects>{}</objects></annotations>", '<x:a xmlns:x="urn:y">{}</x:a>',
    ])  # fmt: skip
    def test_objects_within_a_wrapper_are_read(self, tmp_path: Path, wrapped: str) -> None:
        text = voc(wrapped.format(voc_object()), name="a.jpg")
        assert found(read(tmp_path, {"JPEGImages/a.jpg": 1, "Annotations/a.xml": text})) == {"a.jpg": [("cat", BOX)]}

    def test_a_namespace_hides_nothing(self, tmp_path: Path) -> None:
        text = voc(voc_object(), name="a.jpg").replace("<annotation>", '<annotation xmlns="http://example.org/voc">')
        assert found(read(tmp_path, {"JPEGImages/a.jpg": 1, "Annotations/a.xml": text})) == {"a.jpg": [("cat", BOX)]}

    @pytest.mark.parametrize("tag", ["Object", "item"])
    def test_boxes_outside_of_any_object_take_the_image_out(self, tmp_path: Path, tag: str) -> None:
        text = voc(voc_object(), name="a.jpg").replace("object>", f"{tag}>")
        dataset = read(tmp_path, {"JPEGImages/a.jpg": 1, "Annotations/a.xml": text})
        assert kinds(dataset) == [(FindingKind.BAD_LABEL_FILE, "a.jpg", True)]
        assert not dataset.labels

    def test_what_nobody_opened_in_cvat_is_said(self, tmp_path: Path) -> None:
        text = '<annotations><image name="a.jpg" width="100" height="80"/></annotations>'
        dataset = read(tmp_path, {"images/a.jpg": 1, "annotations.xml": text})
        assert found(dataset) == {"a.jpg": []} and "taken as without objects" in dataset.notes[0]
        assert not read_dataset(tmp_path, missing_is_empty=False).labels


def test_what_is_written_says_what_is_known_to_be_empty(tmp_path: Path) -> None:
    dataset = read(tmp_path, {"images/a.jpg": 1, "labels/a.txt": "", "images/b.jpg": 2, "labels/b.txt": LINE, "images/c.jpg": 3},
                   missing_is_empty=False)  # fmt: skip
    for writer in (Coco(), Voc(), Yolo()):
        writer.write(dataset, tmp_path / writer.name, copy_images=True)
        assert set(writer.read(tmp_path / writer.name, missing_is_empty=False).labels) == {"a.jpg", "b.jpg"}


@pytest.mark.parametrize(
    ("a", "b", "kept"), [("", LINE, "b.jpg"), (LINE, "", "a.jpg"), ("1 2 2 2 2\n", LINE, "b.jpg"), ("", None, "a.jpg")]
)
def test_of_copies_the_one_that_says_most_stays(tmp_path: Path, a: str, b: str | None, kept: str) -> None:
    files = {"images/a.jpg": 1, "images/b.jpg": 1, "labels/a.txt": a} | ({} if b is None else {"labels/b.txt": b})
    dataset = read(tmp_path, files)
    assert found(dataset) == {kept: [("1", PLACE[0])] if LINE in (a, b) else []}
    assert (FindingKind.CONFLICTING_LABELS in [finding.kind for finding in dataset.findings]) is (b is not None)


@pytest.mark.parametrize(("names", "called"), [
    ('["", b]', ("class 0", "b")), ('[" ", "b"]', ("class 0", "b")), ('["a\\nx", "b"]', ("class 0", "b")), ('["a", "b c"]', ("a", "b c")),
])  # fmt: skip
def test_names_that_no_list_holds(tmp_path: Path, names: str, called: tuple[str, str]) -> None:
    dataset = read(tmp_path, {"images/a.jpg": 1, "labels/a.txt": LINE, "data.yaml": f"names: {names}\n"})
    assert dataset.classes == called and found(dataset) == {"a.jpg": [(called[1], PLACE[0])]}
    assert [finding.kind for finding in dataset.findings] == ([FindingKind.BAD_NAME] if called[0] == "class 0" else [])


def test_names_as_windows_writes_them(tmp_path: Path) -> None:
    dataset = read(tmp_path, {"images/a.jpg": 1, "labels/a.txt": LINE, "classes.txt": "no\nyes\n".encode("utf-16")})
    assert found(dataset) == {"a.jpg": [("yes", PLACE[0])]}


@pytest.mark.parametrize(("count", "hint"), [(5, True), (4, False)])
def test_polygons_that_may_be_key_points_are_noted(tmp_path: Path, count: int, hint: bool) -> None:
    dataset = read(tmp_path, {"images/a.jpg": 1, "labels/a.txt": "0 " + "0.25 0.5 " * (count - 1) + "0.75 0.75\n"})
    assert any("say kpt_shape" in note for note in dataset.notes) is hint


def test_annotations_of_null_are_none(tmp_path: Path) -> None:
    text = json.dumps({"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": None, "categories": None})
    dataset = read(tmp_path, {"images/a.jpg": 1, "x.json": text})
    assert not dataset.labels and [image.image_id for image in dataset.images] == ["a.jpg"]
    assert kinds(dataset) == [(FindingKind.MISSING_LABEL_FILE, None, False)]


class TestLabelsBesideTheFolderForThem:
    """Tools save an image's label file with the image, or in the folder that was opened, though a folder for labels is there."""

    VOC: ClassVar = {"Annotations/a.xml": voc(voc_object("cat"), name="a.png"), "JPEGImages/a.png": 1, "JPEGImages/b.png": 2}
    YOLO: ClassVar = {"labels/a.txt": LINE, "images/a.png": 1, "images/b.png": 2, "data.yaml": YAML}

    @pytest.mark.parametrize(("files", "beside"), [
        (VOC, {"JPEGImages/b.xml": voc(voc_object("bee"), name="b.png")}),
        (VOC, {"b.xml": voc(voc_object("bee"), name="b.png")}),
        (YOLO, {"images/b.txt": LINE}),
        (YOLO, {"b.txt": LINE}),
    ])  # fmt: skip
    def test_they_count(self, tmp_path: Path, files: dict, beside: dict) -> None:
        dataset = read(tmp_path, {**files, **beside})
        assert found(dataset)["b.png"] == [("bee", BOX)] and len(found(dataset)["a.png"]) == 1 and not dataset.findings

    @pytest.mark.parametrize(("files", "same", "other"), [
        (VOC, {"JPEGImages/a.xml": VOC["Annotations/a.xml"]}, {"a.xml": voc(name="a.png")}),
        (YOLO, {"images/a.txt": LINE}, {"a.txt": LINE + LINE}),
    ])  # fmt: skip
    def test_a_copy_is_no_fault_and_a_contradiction_is(self, tmp_path: Path, files: dict, same: dict, other: dict) -> None:
        dataset = read(tmp_path / "same", {**files, **same})
        assert len(found(dataset)["a.png"]) == 1 and not [f for f in dataset.findings if f.quarantined]
        dataset = read(tmp_path / "other", {**files, **other})
        assert (FindingKind.DUPLICATE_ID, "a.png", True) in kinds(dataset) and "a.png" not in dataset.labels

    def test_a_broken_one_is_a_fault(self, tmp_path: Path) -> None:
        assert (FindingKind.BAD_LABEL_FILE, "b.png", True) in kinds(
            read(tmp_path / "voc", {**self.VOC, "JPEGImages/b.xml": "<annotation>"})
        )
        assert (FindingKind.BAD_LABEL_FILE, "b.png", True) in kinds(read(tmp_path / "yolo", {**self.YOLO, "images/b.txt": "1 0.5 0.5\n"}))

    def test_captions_and_other_xml_are_none(self, tmp_path: Path) -> None:
        dataset = read(tmp_path / "yolo", {**self.YOLO, "images/a.txt": "a bee on a leaf\n", "train.txt": "images/a.png\n"})
        assert found(dataset)["a.png"] == [("bee", BOX)] and not [f for f in dataset.findings if f.quarantined]
        dataset = read(tmp_path / "voc", {**self.VOC, "project.xml": "<project/>", "JPEGImages/c.xml": "<meta/>"})
        assert found(dataset)["a.png"] == [("cat", BOX)] and not [f for f in dataset.findings if f.quarantined] and not dataset.notes

    @pytest.mark.parametrize(("files", "further"), [(VOC, {"old/a.xml": voc()}), (YOLO, {"old/a.txt": LINE})])
    def test_further_down_they_are_said(self, tmp_path: Path, files: dict, further: dict) -> None:
        assert "1 more file beside" in " ".join(read(tmp_path, {**files, **further}).notes)
