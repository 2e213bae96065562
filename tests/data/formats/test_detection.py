"""Which format a folder shows where it holds files of several, or names that are those of two things."""

import json
from pathlib import Path

import pytest
from formats_scenario import found, kinds, make, read, voc

from boxwise.data.datasets import detect_format
from boxwise.data.formats import detect
from boxwise.data.formats.detect import detected
from boxwise.errors import BoxwiseError

CENTRE = {"x": 50, "y": 40, "width": 20, "height": 20}
COCO = {
    "images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 1, "name": "cat"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [40, 30, 20, 20]}],
}  # fmt: skip
REGION = {"shape_attributes": {"name": "rect", "x": 40, "y": 30, "width": 20, "height": 20}, "region_attributes": {"class": "cat"}}
VIA = {"a.jpg9": {"filename": "a.jpg", "size": 9, "regions": [REGION], "file_attributes": {}}}
LABELME = {
    "shapes": [{"label": "cat", "points": [[40, 30], [60, 50]], "shape_type": "rectangle"}], "imagePath": "a.jpg",
    "imageWidth": 100, "imageHeight": 80,
}  # fmt: skip
BOX = [("cat", [40.0, 30.0, 60.0, 50.0])]


def createml(label: str = "cat") -> str:
    return json.dumps([{"image": "a.jpg", "annotations": [{"label": label, "coordinates": CENTRE}]}])


class TestSeveralFormats:
    @pytest.mark.parametrize(("files", "second"), [
        ({"images/a.jpg": 1, "annotations/instances.json": COCO, "via_project.json": VIA}, "via"),
        ({"images/a.jpg": 1, "annotations/instances.json": COCO, "boxes.createml.json": json.loads(createml())}, "createml"),
        ({"a.jpg": 1, "via_project_1.json": VIA, "via_project_1_coco.json": COCO}, "via"),
        ({"a.jpg": 1, "a.json": COCO, "b.json": {"_via_settings": {}, "_via_img_metadata": VIA}}, "via"),
    ])  # fmt: skip
    def test_coco_counts_beside_createml_and_via_which_are_named(self, tmp_path: Path, files: dict, second: str) -> None:
        make(tmp_path, {name: text if isinstance(text, int) else json.dumps(text) for name, text in files.items()})
        assert detect_format(tmp_path) == "coco" and detected(tmp_path, None) == ("coco", [second])
        assert found(read(tmp_path, {})) == {"a.jpg": BOX}

    def test_voc_two_folders_below_counts_before_via(self, tmp_path: Path) -> None:
        make(tmp_path, {"images/a.jpg": 1, "labels_of/b/a.xml": voc(name="a.jpg"), "via.json": json.dumps(VIA)})
        assert detected(tmp_path, None) == ("voc", ["via"])

    @pytest.mark.parametrize("place", ["", "labels_of/b/"])
    def test_via_and_createml_alone_are_found_wherever_they_lie(self, tmp_path: Path, place: str) -> None:
        for name, text in (("via", json.dumps(VIA)), ("createml", createml())):
            assert detected(make(tmp_path / name, {"a.jpg": 1, f"{place}x.json": text}), None) == (name, [])

    def test_few_files_of_a_large_folder_are_opened(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        opened: list[Path] = []
        known = detect.root_tag
        monkeypatch.setattr(detect, "root_tag", lambda path: (opened.append(path), known(path))[1])
        make(tmp_path, {f"labels_of/{number}.xml": voc(name=f"{number}.jpg") for number in range(60)})
        assert detected(tmp_path, "voc") == ("voc", []) and len(opened) <= 20


FIFTYONE = {"fiftyone/samples.json": json.dumps({"samples": []}), "fiftyone/metadata.json": json.dumps({"info": {}})}


class TestFiftyOnesFiles:
    def test_they_hide_no_coco_that_lies_elsewhere(self, tmp_path: Path) -> None:
        dataset = read(tmp_path, {"images/a.jpg": 1, "instances.json": json.dumps(COCO), **FIFTYONE})
        assert detected(tmp_path, None) == ("coco", []) and found(dataset) == {"a.jpg": BOX}

    def test_alone_they_are_refused_wherever_they_lie(self, tmp_path: Path) -> None:
        with pytest.raises(BoxwiseError, match=r"FiftyOneDataset.*COCODetectionDataset"):
            read(tmp_path, {"images/a.jpg": 1, **FIFTYONE})


class TestOneJson:
    @pytest.mark.parametrize("name", ["data", "annotation_id", "predictions", "coordinates"])
    def test_createml_whatever_its_classes_are_called(self, tmp_path: Path, name: str) -> None:
        dataset = read(tmp_path, {"a.jpg": 1, "x.json": createml(name)})
        assert detect_format(tmp_path) == "createml" and found(dataset) == {"a.jpg": [(name, BOX[0][1])]}

    def test_a_place_on_earth_of_label_studio_is_no_box(self, tmp_path: Path) -> None:
        region = {"x": 40, "y": 37.5, "width": 20, "height": 25, "rotation": 0, "rectanglelabels": ["cat"]}
        task = {"image": "/data/upload/a.jpg", "coordinates": {"lat": 1.0, "lon": 2.0}, "label": [region], "annotation_id": 1}
        assert found(read(tmp_path / "1", {"a.jpg": 1, "tasks.json": json.dumps([task])})) == {"a.jpg": BOX}
        task["coordinates"] = {"x": 1.0, "y": 2.0}
        assert found(read(tmp_path / "2", {"a.jpg": 1, "tasks.json": json.dumps([task])})) == {"a.jpg": BOX}

    @pytest.mark.parametrize("more", [
        {"shape_attributes": {}}, {"regions": 1, "file_attributes": {}}, {"filename": "x", "regions": []},
    ])  # fmt: skip
    def test_words_of_via_in_labelme_and_coco(self, tmp_path: Path, more: dict) -> None:
        coco = {**COCO, "images": [{**COCO["images"][0], **more}]}
        assert found(read(tmp_path / "labelme", {"a.jpg": 1, "a.json": json.dumps({**LABELME, **more})})) == {"a.jpg": BOX}
        assert found(read(tmp_path / "coco", {"images/a.jpg": 1, "instances.json": json.dumps(coco)})) == {"a.jpg": BOX}
        assert [detect_format(tmp_path / name) for name in ("labelme", "coco")] == ["labelme", "coco"]

    @pytest.mark.parametrize("name", ["images", "shapes", "info", "categories"])
    def test_via_whatever_its_classes_are_called(self, tmp_path: Path, name: str) -> None:
        entry = {**VIA["a.jpg9"], "regions": [{**REGION, "region_attributes": {"class": name}}]}
        assert found(read(tmp_path, {"a.jpg": 1, "x.json": json.dumps({"a.jpg9": entry})})) == {"a.jpg": [(name, BOX[0][1])]}


class TestTextsBesideImages:
    @pytest.mark.parametrize(("name", "text"), [
        ("train_list.txt", ""), ("notes-john.txt", ""), ("trainval.txt", ""), ("labels_scores.txt", "1 0.5 0.5 0.5 0.5\n"),
        ("README.roboflow.txt", ""), ("LICENSE.txt", ""), ("licenses.third.party.txt", ""),
    ])  # fmt: skip
    def test_a_text_about_all_makes_no_label_of_images_alone(self, tmp_path: Path, name: str, text: str) -> None:
        assert detect_format(make(tmp_path, {"1.jpg": 1, "2.jpg": 2, name: text})) is None

    def test_a_text_of_an_image_is_its_label_whatever_it_is_called(self, tmp_path: Path) -> None:
        assert detect_format(make(tmp_path, {"train_list.jpg": 1, "train_list.txt": ""})) == "yolo"

    @pytest.mark.parametrize("name", ["license_plate_0002", "licence-2", "readme_2", "requirements_2"])
    def test_labels_of_licence_plates_are_labels(self, tmp_path: Path, name: str) -> None:
        line = "0 0.5 0.5 0.2 0.25\n"
        files = {"images/license_plate_0001.jpg": 1, "labels/license_plate_0001.txt": line, f"labels/{name}.txt": ""}
        dataset = read(tmp_path, {**files, "data.yaml": "names: [plate]\n"})
        assert [(kind.value, quarantined) for kind, _, quarantined in kinds(dataset)] == [("missing image", True)]

    def test_pictures_of_licence_plates_are_no_wrapping(self, tmp_path: Path) -> None:
        make(tmp_path, {"license_plate_1.jpg": 1, "more/license_plate_2.jpg": 2})
        assert {image.image_id for image in read(tmp_path, {}).images} == {"license_plate_1.jpg", "more/license_plate_2.jpg"}
