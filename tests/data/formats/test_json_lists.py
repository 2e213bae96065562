"""Create ML and VIA, which list images and their boxes in a JSON file a folder, and FiftyOne's own layout, which is not read."""

import json
from pathlib import Path

import numpy as np
import pytest
from formats_scenario import PLACE, found, kinds, make, read

from boxwise.data.datasets import detect_format, read_dataset, read_labels_for, read_pool
from boxwise.data.formats.base import Dataset, FindingKind
from boxwise.errors import BoxwiseError
from boxwise.records import Split

BOX = PLACE[0]
CENTRE = {"x": 50, "y": 40, "width": 20, "height": 20}


def createml(*names: str, coordinates: dict | None = None) -> str:
    said = [{"label": "cat", "coordinates": CENTRE if coordinates is None else coordinates}]
    return json.dumps([{"image": name, "annotations": said} for name in names])


def via(*regions: dict, attributes: dict | None = None, name: str = "a.jpg") -> str:
    own = {"class": "cat"} if attributes is None else attributes
    entry = {"filename": name, "size": 9, "regions": [{"shape_attributes": r, "region_attributes": own} for r in regions]}
    return json.dumps({f"{name}9": {**entry, "file_attributes": {}}})


RECT = {"name": "rect", "x": 40, "y": 30, "width": 20, "height": 20}


class TestCreateMl:
    def test_a_folder_a_split_as_roboflow_exports_it(self, tmp_path: Path) -> None:
        files = {f"{split}/a.jpg": n for n, split in enumerate(("train", "valid", "test"))}
        files |= {f"{split}/_annotations.createml.json": createml("a.jpg") for split in ("train", "valid", "test")}
        dataset = read(tmp_path, files)
        assert detect_format(tmp_path) == "createml" and detect_format(tmp_path / "train/_annotations.createml.json") == "createml"
        assert found(dataset) == {f"{split}/a.jpg": [("cat", BOX)] for split in ("train", "valid", "test")}
        assert {image.image_id: image.split for image in dataset.images} == {
            "train/a.jpg": Split.TRAIN, "valid/a.jpg": Split.VAL, "test/a.jpg": Split.TEST,
        }  # fmt: skip
        assert not dataset.findings

    def test_an_image_without_a_box_is_empty_by_convention_and_one_without_an_entry_is_said(self, tmp_path: Path) -> None:
        entries = [*json.loads(createml("a.jpg")), {"image": "b.jpg", "annotations": []}]
        files = {"a.jpg": 1, "b.jpg": 2, "c.jpg": 3, "x.json": json.dumps(entries)}
        dataset = read(tmp_path, files)
        assert found(dataset) == {"a.jpg": [("cat", BOX)], "b.jpg": []} and not dataset.findings
        assert any("1 image is not listed" in note and "c.jpg" in note for note in dataset.notes)
        assert found(read_dataset(tmp_path, missing_is_empty=False)) == {"a.jpg": [("cat", BOX)]}

    @pytest.mark.parametrize("coordinates", [{**CENTRE, "x": None}, {**CENTRE, "width": "wide"}, {}, {**CENTRE, "x": 95}])
    def test_a_box_that_is_none_takes_its_image_out(self, tmp_path: Path, coordinates: dict) -> None:
        dataset = read(tmp_path, {"a.jpg": 1, "_annotations.createml.json": createml("a.jpg", coordinates=coordinates)})
        assert kinds(dataset) == [(FindingKind.BAD_BOX, "a.jpg", True)]

    def test_what_is_no_entry_and_an_image_that_is_not_there_are_findings(self, tmp_path: Path) -> None:
        text = json.dumps([*json.loads(createml("a.jpg", "gone.jpg")), {"image": 3}, "x"])
        dataset = read(tmp_path, {"a.jpg": 1, "_annotations.createml.json": text})
        assert found(dataset) == {"a.jpg": [("cat", BOX)]}
        expected = [(FindingKind.BAD_LABEL_FILE, None, False)] * 2 + [(FindingKind.MISSING_IMAGE, "gone.jpg", True)]
        assert kinds(dataset) == expected

    def test_an_image_listed_twice_with_other_boxes_is_left_out(self, tmp_path: Path) -> None:
        other = createml("a.jpg", coordinates={**CENTRE, "width": 10})
        dataset = read(tmp_path, {"a.jpg": 1, "b.jpg": 2, "one.json": createml("a.jpg", "b.jpg"), "two.json": other})
        assert found(dataset) == {"b.jpg": [("cat", BOX)]}
        assert kinds(dataset) == [(FindingKind.CONFLICTING_LABELS, "a.jpg", True)]

    @pytest.mark.parametrize("empty", [False, True])
    def test_labels_for_a_study_leave_what_is_listed_without_a_box_open_unless_told_otherwise(self, tmp_path: Path, empty: bool) -> None:
        entries = [*json.loads(createml("a.jpg")), {"image": "b.jpg", "annotations": []}]
        pool = read_pool(make(tmp_path, {"a.jpg": 1, "b.jpg": 2, "c.jpg": 3, "x.json": json.dumps(entries)}), None, classes=("cat",))
        back = read_labels_for(pool.images, tmp_path / "x.json", format_name=None, classes=("cat",), listed_is_empty=empty)
        assert found(back) == {"a.jpg": [("cat", BOX)]} | ({"b.jpg": []} if empty else {})
        assert any("1 image has no box, of 2" in note for note in back.notes) is not empty


class TestVia:
    @pytest.mark.parametrize("wrapped", [False, True])
    @pytest.mark.parametrize("numbered", [False, True])  # as VIA 1 writes regions
    def test_rectangles(self, tmp_path: Path, wrapped: bool, numbered: bool) -> None:
        content = json.loads(via(RECT))
        if numbered:
            content["a.jpg9"]["regions"] = {"0": content["a.jpg9"]["regions"][0]}
        content = {"_via_settings": {"ui": {}}, "_via_img_metadata": content, "_via_attributes": {}} if wrapped else content
        dataset = read(tmp_path, {"a.jpg": 1, "via_region_data.json": json.dumps(content)})
        assert detect_format(tmp_path) == "via" and found(dataset) == {"a.jpg": [("cat", BOX)]} and not dataset.findings

    @pytest.mark.parametrize(("kind", "shape"), [
        ("polygon", {"name": "polygon", "all_points_x": [40, 60, 50], "all_points_y": [30, 30, 50]}),
        ("circle", {"name": "circle", "cx": 50, "cy": 40, "r": 10}),
        ("ellipse", {"name": "ellipse", "cx": 50, "cy": 40, "rx": 10, "ry": 10, "theta": 0.5}),
    ])  # fmt: skip
    def test_other_shapes_give_their_extent(self, tmp_path: Path, kind: str, shape: dict) -> None:
        dataset = read(tmp_path, {"a.jpg": 1, "via.json": via(shape)})
        assert np.allclose(dataset.labels["a.jpg"].xyxy, BOX)
        assert kinds(dataset) == [(FindingKind.OTHER_SHAPE, None, False)] and f"1 {kind} in 1 image" in dataset.findings[0].message

    @pytest.mark.parametrize("shape", [
        {"name": "point", "cx": 1, "cy": 2}, {"name": "polyline", "all_points_x": [1, 2], "all_points_y": [1, 2]},
    ])  # fmt: skip
    def test_points_and_lines_leave_their_image_labelled_in_part(self, tmp_path: Path, shape: dict) -> None:
        dataset = read(tmp_path, {"a.jpg": 1, "via.json": via(RECT, shape)})
        assert found(dataset) == {"a.jpg": [("cat", BOX)]} and dataset.incomplete == {"a.jpg"}

    @pytest.mark.parametrize(("attributes", "name"), [
        ({"animal": "cat"}, "cat"), ({"occluded": "no", "class": "cat"}, "cat"), ({"animal": {"cat": True}}, "cat"),
    ])  # fmt: skip
    def test_the_attribute_that_names_the_class(self, tmp_path: Path, attributes: dict, name: str) -> None:
        assert found(read(tmp_path, {"a.jpg": 1, "via.json": via(RECT, attributes=attributes)})) == {"a.jpg": [(name, BOX)]}

    @pytest.mark.parametrize(("attributes", "named"), [
        ({}, False), ({"colour": "red", "animal": "cat"}, True), ({"animal": {"cat": True, "dog": True}}, False), ({"class": ""}, False),
    ])  # fmt: skip
    def test_no_class_is_guessed(self, tmp_path: Path, attributes: dict, named: bool) -> None:
        dataset = read(tmp_path, {"a.jpg": 1, "via.json": via(RECT, attributes=attributes)})
        assert kinds(dataset)[-1] == (FindingKind.UNKNOWN_CLASS, "a.jpg", True)
        assert [finding.kind for finding in dataset.findings if "animal, colour" in finding.message] == [FindingKind.BAD_LABEL_FILE] * named


FIFTYONE = {
    "samples.json": json.dumps({"samples": [{"filepath": "data/a.jpg", "ground_truth": {"_cls": "Detections", "detections": []}}]}),
    "metadata.json": json.dumps({"name": "x", "info": {}, "sample_fields": []}),
}


class TestFiftyOne:
    def test_its_own_layout_is_named_and_what_to_export_instead(self, tmp_path: Path) -> None:
        make(tmp_path, {"data/a.jpg": 1, **FIFTYONE})
        for path in (tmp_path, tmp_path / "samples.json"):
            with pytest.raises(BoxwiseError, match=r"FiftyOneDataset.*COCODetectionDataset"):
                read_dataset(path)

    def test_it_hides_no_format_that_is_named(self, tmp_path: Path) -> None:
        dataset: Dataset = read(tmp_path, {"images/a.jpg": 1, "labels/a.txt": "", "data.yaml": "names: [x]\n", **FIFTYONE})
        assert found(dataset) == {"a.jpg": []}
        assert found(read_dataset(tmp_path, format_name="yolo")) == {"a.jpg": []}
