"""Shapes beside boxes give their upright extent, said once with a count; the image's other boxes stay."""

import json
from pathlib import Path

import numpy as np
import pytest
from formats_scenario import PLACE, found, kinds, read, voc, voc_object
from pycocotools import mask as masks

from boxwise.data.datasets import detect_format
from boxwise.data.formats.base import FindingKind
from boxwise.data.formats.shapes import around_brush, around_ellipse, around_rotated, around_runs, kinds_in_words, runs_of_text

BOX = PLACE[0]
SAID = (FindingKind.OTHER_SHAPE, None, False)
TURNED = [40.0, 30.0, 60.0, 50.0]  # a box of 20 x 20 turned by 90 degrees about its centre


def cvat(*shapes: str, images: str = "a.jpg") -> str:
    return f'<annotations><image name="{images}" width="100" height="80">{"".join(shapes)}</image></annotations>'


CVAT_BOX = '<box label="cat" xtl="1" ytl="2" xbr="3" ybr="4"/>'
CVAT_SHAPES = {
    "polygon": '<polygon label="cat" points="40,30;60,30.5;50,50"/>',
    "mask": '<mask label="cat" rle="1" left="40" top="30" width="20" height="20"/>',
    "ellipse": '<ellipse label="cat" cx="50" cy="40" rx="10" ry="10"/>',
    "rotated box": '<box label="cat" xtl="35" ytl="35" xbr="65" ybr="45" rotation="90"/>',
}
EXTENTS = {"rotated box": [45.0, 25.0, 55.0, 55.0]}


@pytest.mark.parametrize("kind", CVAT_SHAPES)
def test_cvats_shapes(tmp_path: Path, kind: str) -> None:
    dataset = read(tmp_path, {"images/a.jpg": 1, "annotations.xml": cvat(CVAT_SHAPES[kind], CVAT_BOX)})
    rows = found(dataset)["a.jpg"]
    assert rows[0][0] == "cat" and np.allclose(rows[0][1], EXTENTS.get(kind, BOX), atol=1e-4)
    assert rows[1] == ("cat", [1, 2, 3, 4])
    assert kinds(dataset) == [SAID] and f"1 {kind} in 1 image" in dataset.findings[0].message


def test_a_cuboid_of_cvat(tmp_path: Path) -> None:
    corners = {"xtl1": 40, "ytl1": 31, "xbl1": 41, "ybl1": 49, "xtr1": 59, "ytr1": 31, "xbr1": 58, "ybr1": 50,
               "xtl2": 60, "ytl2": 30, "xbl2": 59, "ybl2": 48, "xtr2": 45, "ytr2": 33, "xbr2": 44, "ybr2": 47}  # fmt: skip
    shape = f'<cuboid label="cat" {" ".join(f"{name}={chr(34)}{value}{chr(34)}" for name, value in corners.items())}/>'
    assert found(read(tmp_path, {"images/a.jpg": 1, "annotations.xml": cvat(shape)})) == {"a.jpg": [("cat", BOX)]}


def coco(*annotations: dict) -> str:
    entries = [{"id": n, "image_id": 1, "category_id": 1, **annotation} for n, annotation in enumerate(annotations)]
    images = [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}]
    return json.dumps({"images": images, "annotations": entries, "categories": [{"id": 1, "name": "cat"}]})


def runs(compressed: bool) -> dict:
    mask = np.zeros((80, 100), np.uint8, order="F")
    mask[30:50, 40:60] = 1
    encoded = masks.encode(mask)
    counts = encoded["counts"].decode()
    return {"size": [80, 100], "counts": counts if compressed else runs_of_text(counts)}


SEGMENTATIONS = {
    "polygon": [[40, 30, 60, 30, 50, 50]],
    "polygon of two parts": [[40, 30, 45, 30, 42, 40], [50, 40, 60, 40, 55, 50]],
    "mask": runs(compressed=False),
    "compressed mask": runs(compressed=True),
}


@pytest.mark.parametrize("kind", SEGMENTATIONS)
@pytest.mark.parametrize("box", [{}, {"bbox": []}, {"bbox": None}])
def test_coco_without_a_box(tmp_path: Path, kind: str, box: dict) -> None:
    text = coco({**box, "segmentation": SEGMENTATIONS[kind]}, {"bbox": [1, 2, 2, 2], "segmentation": [[9, 9, 12, 9, 12, 12]]})
    dataset = read(tmp_path, {"images/a.jpg": 1, "instances.json": text})
    assert found(dataset) == {"a.jpg": [("cat", BOX), ("cat", [1, 2, 3, 4])]}
    assert kinds(dataset) == [SAID]


@pytest.mark.parametrize("bad", [
    [[40]], [["x", 1]], "40 30", {"size": [80, 100]}, {"size": [80, 100], "counts": "~~"}, {"size": [0, 0], "counts": [1, 2]},
    {"size": [80, 100], "counts": [8000]}, {"counts": [1, 2], "size": 5}, [[]], {"size": [80, 100], "counts": [5, -3]},
])  # fmt: skip
def test_a_mask_that_is_none_takes_its_image_out(tmp_path: Path, bad: object) -> None:
    dataset = read(tmp_path, {"images/a.jpg": 1, "instances.json": coco({"segmentation": bad})})
    assert kinds(dataset) == [(FindingKind.BAD_BOX, "a.jpg", True)]


def test_oriented_boxes_and_polygons_of_yolo(tmp_path: Path) -> None:
    lines = "0 0.4 0.5 0.5 0.375 0.6 0.5 0.5 0.625\n0 0.1 0.1 0.1 0.1\n"
    dataset = read(tmp_path, {"images/a.jpg": 1, "labels/a.txt": lines})
    assert np.allclose(found(dataset)["a.jpg"][0][1], BOX) and len(dataset.labels["a.jpg"]) == 2
    assert kinds(dataset) == [SAID] and "1 polygon" in dataset.findings[0].message


@pytest.mark.parametrize("inside", [
    "<polygon><x1>40</x1><y1>30</y1><x2>60</x2><y2>30</y2><x3>50</x3><y3>50</y3></polygon>",
    "<polygon><pt><x>40</x><y>30</y></pt><pt><x>60</x><y>50</y></pt></polygon>",
    "<robndbox><cx>50</cx><cy>40</cy><w>20</w><h>20</h><angle>1.5707963267948966</angle></robndbox>",
])  # fmt: skip
def test_vocs_relatives(tmp_path: Path, inside: str) -> None:
    text = voc(f"<object><name>cat</name>{inside}</object>", voc_object("dog", corners=(1, 2, 3, 4)), name="a.jpg")
    dataset = read(tmp_path, {"JPEGImages/a.jpg": 1, "Annotations/a.xml": text})
    assert [name for name, _ in found(dataset)["a.jpg"]] == ["cat", "dog"]
    assert np.allclose(found(dataset)["a.jpg"][0][1], BOX, atol=1e-4) and kinds(dataset) == [SAID]


def test_the_parts_of_a_person_are_no_objects(tmp_path: Path) -> None:
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></part>"
    dataset = read(tmp_path, {"JPEGImages/a.jpg": 1, "Annotations/a.xml": voc(voc_object("person", part), name="a.jpg")})
    assert found(dataset) == {"a.jpg": [("person", BOX)]}
    assert not dataset.findings


def _region(kind: str, **value) -> dict:
    return {"id": kind + str(value), "type": kind, "original_width": 100, "original_height": 80, "value": {**value, kind: ["cat"]}}


REGIONS = {
    "": _region("rectanglelabels", x=40, y=37.5, width=20, height=25, rotation=0),
    "ellipse": _region("ellipselabels", x=50, y=50, radiusX=10, radiusY=12.5, rotation=90),
    "polygon": _region("polygonlabels", points=[[40, 37.5], [60, 37.5], [50, 62.5]]),
    "rotated box": _region("rectanglelabels", x=60, y=37.5, width=20, height=25, rotation=90),  # about its first corner
}


@pytest.mark.parametrize("kind", REGIONS)
def test_label_studios_regions(tmp_path: Path, kind: str) -> None:
    region = REGIONS[kind]
    task = {"id": 1, "data": {"image": "/data/upload/1/0a1b2c3d-a%20b.jpg"}, "annotations": [{"result": [region]}]}
    flat = {
        "image": "http://host/x/a%20b.jpg",
        "annotation_id": 3,
        "label": [{**region["value"], "original_width": 100, "original_height": 80}],
    }
    for number, content in enumerate(([task], [flat])):
        root = tmp_path / str(number)
        dataset = read(root, {"images/a b.jpg": 1, "export.json": json.dumps(content)})
        assert detect_format(root) == "labelstudio"
        assert np.allclose(found(dataset)["a b.jpg"][0][1], BOX, atol=1e-4) and dataset.classes == ("cat",)
        assert kinds(dataset) == ([SAID] if kind else [])


def test_label_studio_tells_looked_at_from_not(tmp_path: Path) -> None:
    names = ("labelled", "empty", "skipped", "open", "twice")
    regions = {"labelled": [REGIONS[""]], "empty": [], "skipped": [REGIONS[""]], "twice": [REGIONS[""]]}
    tasks = [{"data": {"image": f"{name}.jpg"}, "annotations": []} for name in names]
    for task, name in zip(tasks, names, strict=True):
        if name in regions:
            task["annotations"].append({"result": regions[name], "was_cancelled": name == "skipped", "updated_at": "2026-01-01"})
    tasks[-1]["annotations"].insert(0, {"result": [], "updated_at": "2026-02-01"})
    files = {f"{name}.jpg": n for n, name in enumerate(names)} | {"export.json": json.dumps(tasks)}
    dataset = read(tmp_path, files)
    assert {image_id: len(rows) for image_id, rows in found(dataset).items()} == {"labelled.jpg": 1, "empty.jpg": 0, "twice.jpg": 0}
    assert kinds(dataset) == [(FindingKind.CONFLICTING_LABELS, "twice.jpg", False), (FindingKind.MISSING_LABEL_FILE, None, False)]


def test_a_label_apart_from_its_shape_and_a_region_of_no_class(tmp_path: Path) -> None:
    shape = {
        "id": "r",
        "type": "rectangle",
        "original_width": 100,
        "original_height": 80,
        "value": {"x": 40, "y": 37.5, "width": 20, "height": 25},
    }
    label = {"id": "r", "type": "labels", "value": {**shape["value"], "labels": ["cat"]}}
    choice = {"id": "c", "type": "choices", "value": {"choices": ["blurred"]}}
    task = {"data": {"image": "a.jpg"}, "annotations": [{"result": [shape, label, choice]}]}
    bare = {"data": {"image": "b.jpg"}, "annotations": [{"result": [shape]}]}
    dataset = read(tmp_path, {"a.jpg": 1, "b.jpg": 2, "export.json": json.dumps([task, bare])})
    assert found(dataset) == {"a.jpg": [("cat", BOX)]}
    assert kinds(dataset) == [(FindingKind.UNKNOWN_CLASS, "b.jpg", True)]


def test_the_brush_of_label_studio() -> None:
    mask = np.zeros((8, 10, 4), np.uint8)
    mask[2:5, 3:7, 3] = 255
    assert around_brush(_brush(mask), (10, 8)) == (3, 2, 7, 5)
    with pytest.raises(ValueError, match="breaks off"):
        around_brush(_brush(mask)[:-6], (10, 8))


def _brush(mask: np.ndarray) -> list[int]:
    """The encoding with runs of one length alone: a header, then (repeated?, which length, length - 1, value or values)."""
    values = mask.ravel().tolist()
    bits = f"{len(values):032b}" + f"{7:05b}" + f"{7:04b}" * 4
    at = 0
    while at < len(values):
        end = at + 1
        while end < len(values) and values[end] == values[at] and end - at < 256:
            end += 1
        bits += f"1{0:02b}{end - at - 1:08b}{values[at]:08b}"
        at = end
    bits += "0" * (-len(bits) % 8)
    return list(int(bits, 2).to_bytes(len(bits) // 8))


def test_labelme(tmp_path: Path) -> None:
    shapes = [
        {"label": "cat", "points": [[60, 50], [40, 30]], "shape_type": "rectangle"},
        {"label": "dog", "points": [[50, 40], [50, 50]], "shape_type": "circle"},
        {"label": "dog", "points": [[1, 2], [3, 4], [1, 4]], "shape_type": "polygon"},
    ]
    content = {"version": "5.0", "shapes": shapes, "imagePath": "..\\a.jpg", "imageWidth": 100, "imageHeight": 80}
    line = {**content, "shapes": [{"label": "cat", "points": [[1, 1], [2, 2]], "shape_type": "line"}], "imagePath": "b.jpg"}
    dataset = read(tmp_path, {"a.jpg": 1, "b.jpg": 2, "c.jpg": 3, "a.json": json.dumps(content), "b.json": json.dumps(line)})
    assert detect_format(tmp_path) == "labelme"
    assert found(dataset) == {"a.jpg": [("cat", BOX), ("dog", BOX), ("dog", [1, 2, 3, 4])]}
    assert sorted(kinds(dataset), key=str) == sorted([(FindingKind.MISSING_LABEL_FILE, None, False), SAID, SAID], key=str)
    assert "found 1 line in 1 image" in dataset.findings[-1].message and "b.jpg" in {image.image_id for image in dataset.images}


def test_open_images(tmp_path: Path) -> None:
    head = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
    rows = "a,xclick,/m/01,1,0.4,0.6,0.375,0.625,0,0,0,0,0\na,xclick,/m/02,1,0.4,0.6,0.375,0.625,0,0,1,0,0\n"
    names = "/m/01,Cat\n/m/02,Dog\n"
    files = {"a.jpg": 1, "b.jpg": 2, "train-annotations-bbox.csv": head + rows, "class-descriptions-boxable.csv": names}
    dataset = read(tmp_path, files)
    assert detect_format(tmp_path) == "openimages"
    assert [name for name, _ in found(dataset)["a.jpg"]] == ["Cat", "Dog"] and np.allclose(dataset.labels["a.jpg"].xyxy, BOX)
    assert dataset.labels["a.jpg"].crowd.tolist() == [False, True]
    assert {image.image_id: image.split for image in dataset.images} == {"a.jpg": "train", "b.jpg": None}
    assert kinds(dataset) == [(FindingKind.MISSING_LABEL_FILE, None, False)]


def rotated_by_cvat(angle: object) -> dict[str, dict[str, str]]:
    """A box of 30 x 10 about (50, 40) with CVAT's attribute `rotation`, as it exports it to VOC and to COCO."""
    attributes = f"<attributes><attribute><name>occluded</name><value>0</value></attribute>{_attribute(angle)}</attributes>"
    annotation = {"bbox": [35, 35, 30, 10], "segmentation": [], "attributes": {"occluded": False, "rotation": angle}}
    return {
        "voc": {"Annotations/a.xml": voc(voc_object(inside=attributes, corners=(35, 35, 65, 45)), name="a.jpg")},
        "coco": {"annotations/instances_default.json": coco(annotation)},
    }


def _attribute(angle: object) -> str:
    return f"<attribute><name>rotation</name><value>{angle}</value></attribute>"


@pytest.mark.parametrize("name", ["voc", "coco"])
@pytest.mark.parametrize("angle", [90.0, -90, "450"])
def test_boxes_that_cvat_exports_as_rotated(tmp_path: Path, name: str, angle: object) -> None:
    dataset = read(tmp_path, {"images/a.jpg": 1, **rotated_by_cvat(angle)[name]})
    assert np.allclose(dataset.labels["a.jpg"].xyxy, EXTENTS["rotated box"], atol=1e-4)
    assert kinds(dataset) == [SAID] and "1 rotated box in 1 image" in dataset.findings[0].message


@pytest.mark.parametrize("mask", [[[35, 35, 65, 35, 65, 45, 35, 45]], {"size": [80, 100], "counts": [1, 2]}])
def test_a_box_around_a_mask_is_its_extent_already(tmp_path: Path, mask: object) -> None:
    annotation = {"bbox": [35, 35, 30, 10], "segmentation": mask, "attributes": {"rotation": 90.0}}
    dataset = read(tmp_path, {"images/a.jpg": 1, "instances_default.json": coco(annotation)})
    assert found(dataset) == {"a.jpg": [("cat", [35, 35, 65, 45])]} and not dataset.findings


def turned_by_30(x: float) -> dict[str, dict[str, str]]:
    """A box of 20 x 50 from (x, 0) that is turned by 30 degrees about its centre, in each format that says so."""
    radians, centre = 0.5235987755982988, f"<cx>{x + 10}</cx><cy>25</cy><w>20</w><h>50</h>"
    attributes = f"<attributes>{_attribute(30)}</attributes>"
    return {
        "voc": {"Annotations/a.xml": voc(voc_object(inside=attributes, corners=(x, 0, x + 20, 50)), name="a.jpg")},
        "roLabelImg": {"Annotations/a.xml": voc(
            f"<object><name>cat</name><robndbox>{centre}<angle>{radians}</angle></robndbox></object>", name="a.jpg")},
        "coco": {"annotations/instances_default.json": coco({"bbox": [x, 0, 20, 50], "attributes": {"rotation": 30}})},
        "cvat": {"annotations.xml": cvat(f'<box label="cat" xtl="{x}" ytl="0" xbr="{x + 20}" ybr="50" rotation="30"/>')},
        "tracks": {"annotations.xml": '<annotations><track id="0" label="cat"><box frame="0" keyframe="1" outside="0" '
                   f'xtl="{x}" ytl="0" xbr="{x + 20}" ybr="50" rotation="30"/></track></annotations>'},
    }  # fmt: skip


@pytest.mark.parametrize("name", turned_by_30(0))
def test_what_a_turned_box_loses_at_the_images_edge(tmp_path: Path, name: str) -> None:
    image = "images/frame_000000.jpg" if name == "tracks" else "images/a.jpg"
    dataset = read(tmp_path / "inside", {image: 1, **turned_by_30(40)[name]})
    (boxes,) = dataset.labels.values()
    assert np.allclose(boxes.xyxy, [[28.84, 0, 71.16, 51.65]], atol=0.01) and kinds(dataset) == [SAID]
    dataset = read(tmp_path / "outside", {image: 1, **turned_by_30(-15)[name]})
    assert [(kind, out) for kind, _, out in kinds(dataset)] == [(FindingKind.BAD_BOX, True)]


@pytest.mark.parametrize("name", ["voc", "coco"])
@pytest.mark.parametrize("angle", [0.0, 360, "left", "inf", "nan", None])
def test_a_rotation_that_turns_nothing(tmp_path: Path, name: str, angle: object) -> None:
    dataset = read(tmp_path, {"images/a.jpg": 1, **rotated_by_cvat(angle)[name]})
    assert found(dataset) == {"a.jpg": [("cat", [35, 35, 65, 45])]} and not dataset.findings


def _regions(dataset) -> dict[str, list[tuple[str, list[float]]]]:
    """Image id → its crowds."""
    return {i: [(dataset.classes[n], row) for n, row in zip(b.labels[b.crowd], b.xyxy[b.crowd].tolist(), strict=True)]
            for i, b in dataset.labels.items() if b.crowd is not None}  # fmt: skip


def test_kitti(tmp_path: Path) -> None:
    tail = "-1 -1 -1 -1000 -1000 -1000 -10"
    lines = f"Car 0.00 0 1.85 40.00 30.00 60.00 50.00 1.6 1.6 3.9 1.0 1.5 8.0 1.9\nDontCare -1 -1 -10 1 2 3 4 {tail}\n"
    lines += f"Van 0 0 0 10 10 20 20 {tail}\ndont_care -1 -1 -10 90 70 300 300 {tail}\n"
    dataset = read(tmp_path, {"training/image_2/000001.png": 1, "training/label_2/000001.txt": lines})
    assert detect_format(tmp_path) == "kitti"
    assert found(dataset)["000001.png"][:2] == [("Car", BOX), ("Van", [10, 10, 20, 20])]
    assert _regions(dataset) == {"000001.png": [(name, row) for row in ([1, 2, 3, 4], [90, 70, 100, 80]) for name in ("Car", "Van")]}
    assert not dataset.findings and "2 regions are marked as ignored, in 1 image" in dataset.notes[0]


def test_the_sixteenth_number_of_kitti_is_a_score(tmp_path: Path) -> None:
    line = "Car 0 0 1.85 40 30 60 50 1.6 1.6 3.9 1 1.5 8 1.9 0.875\n"
    dataset = read(tmp_path, {"image_2/1.png": 1, "label_2/1.txt": line})
    assert dataset.labels["1.png"].scores.tolist() == [0.875]


def test_visdrone(tmp_path: Path) -> None:
    lines = "40,30,20,20,1,4,0,0\n1,2,2,2,0,0,0,0\n1,1,5,5,1,11,0,0,\n7,7,3,3,0,4,0,0\n"
    dataset = read(tmp_path, {"images/a.jpg": 1, "annotations/a.txt": lines})
    assert detect_format(tmp_path) == "visdrone"
    assert found(dataset)["a.jpg"][0] == ("car", BOX) and len(dataset.classes) == 10
    places = ([1, 2, 3, 4], [1, 1, 6, 6], [7, 7, 10, 10])  # of category 0, of the others, and of score 0
    assert _regions(dataset) == {"a.jpg": [(name, row) for row in places for name in dataset.classes]}
    assert not dataset.findings and dataset.labels["a.jpg"].scores is None
    (tmp_path / "annotations" / "a.txt").write_text("40,30,20\n40,30,20,20,1,4,0,0\n")
    assert kinds(read(tmp_path, {}, format_name="visdrone")) == [(FindingKind.BAD_LABEL_FILE, "a.jpg", True)]


@pytest.mark.parametrize("root", ["", "VisDrone2019-DET-"])
def test_visdrone_in_a_folder_a_split(tmp_path: Path, root: str) -> None:
    files = {f"{root}{split}/{part}": content for split, number in (("train", 1), ("val", 2)) for part, content in (
        ("images/a.jpg", number), ("annotations/a.txt", f"{number},30,20,20,1,4,0,0\n"))}  # fmt: skip
    dataset = read(tmp_path, {**files, "README.txt": "none of it"})
    assert {i.image_id: (i.split, dataset.labels[i.image_id].xyxy[0][0]) for i in dataset.images} == {
        f"{root}train/images/a.jpg": ("train", 1), f"{root}val/images/a.jpg": ("val", 2)}  # fmt: skip
    assert not dataset.findings


NO_EXTENT = {"points": '<points label="cat" points="1,1"/>', "polyline": '<polyline label="cat" points="1,1;5,5"/>',
             "skeleton": '<skeleton label="cat"><points label="1" points="1,1"/></skeleton>'}  # fmt: skip


@pytest.mark.parametrize("kind", NO_EXTENT)
def test_what_has_no_extent_leaves_the_other_boxes(tmp_path: Path, kind: str) -> None:
    dataset = read(tmp_path, {"images/a.jpg": 1, "annotations.xml": cvat(NO_EXTENT[kind], CVAT_BOX)})
    assert found(dataset) == {"a.jpg": [("cat", [1, 2, 3, 4])]} and dataset.incomplete == {"a.jpg"}
    assert kinds(dataset) == [SAID] and f"found 1 {kind} in 1 image" in dataset.findings[0].message


def test_an_image_of_lines_alone_is_unlabelled(tmp_path: Path) -> None:
    dataset = read(tmp_path, {"images/a.jpg": 1, "annotations.xml": cvat(NO_EXTENT["polyline"])})
    assert [image.image_id for image in dataset.images] == ["a.jpg"]
    assert not dataset.labels and not dataset.incomplete and kinds(dataset) == [SAID]


@pytest.mark.parametrize(("kind", "value", "said"), [
    ("keypointlabels", {"x": 10, "y": 10, "width": 1}, "1 point"),
    ("vectorlabels", {"vertices": [{"x": 1, "y": 1}, {"x": 9, "y": 9}], "closed": False}, "1 line"),
])  # fmt: skip
def test_points_and_lines_of_label_studio(tmp_path: Path, kind: str, value: dict, said: str) -> None:
    regions = [REGIONS[""], _region(kind, **value)]
    flat = {"image": "a.jpg", "annotation_id": 3, "label": [region["value"] for region in regions]}
    for number, content in enumerate(({"data": {"image": "a.jpg"}, "annotations": [{"result": regions}]}, flat)):
        dataset = read(tmp_path / str(number), {"a.jpg": 1, "export.json": json.dumps([content])})
        assert found(dataset) == {"a.jpg": [("cat", BOX)]} and dataset.incomplete == {"a.jpg"}
        assert kinds(dataset) == [SAID] and f"found {said} in 1 image" in dataset.findings[0].message


@pytest.mark.parametrize("address", [
    "https://host/x/a.jpg?sig=x.y/z&d=1", "s3://bucket/deep/a.jpg", "C:\\x\\a.jpg", "/data/local-files/?d=other\\images\\a.jpg",
])  # fmt: skip
def test_label_studios_addresses(tmp_path: Path, address: str) -> None:
    task = {"data": {"text": "v1.0", "image": address}, "annotations": [{"result": [REGIONS[""]]}]}
    assert found(read(tmp_path, {"images/a.jpg": 1, "export.json": json.dumps([task])})) == {"a.jpg": [("cat", BOX)]}


def _track(*boxes: str, label: str = "cat") -> str:
    return f'<track id="0" label="{label}">{"".join(boxes)}</track>'


def _key(frame: int, x: float, outside: int = 0, **more) -> str:
    extra = "".join(f' {name}="{value}"' for name, value in more.items())
    return f'<box frame="{frame}" keyframe="1" outside="{outside}" xtl="{x}" ytl="10" xbr="{x + 10}" ybr="20"{extra}/>'


def test_the_tracks_of_a_video_are_read_on_its_frames(tmp_path: Path) -> None:
    size = "<original_size><width>100</width><height>80</height></original_size><start_frame>0</start_frame><stop_frame>6</stop_frame>"
    tracks = _track(_key(0, 0), _key(4, 20), _key(5, 30, outside=1)) + _track(_key(2, 50), label="dog")
    text = f"<annotations><meta><task>{size}<labels><label><name>dog</name></label></labels></task></meta>{tracks}</annotations>"
    files = {f"images/frame_{number:06d}.png": number for number in range(8)}
    dataset = read(tmp_path, {**files, "annotations.xml": text})
    rows = {int(image_id[6:12]): [(name, corners[0]) for name, corners in rows] for image_id, rows in found(dataset).items()}
    assert rows == {
        0: [("cat", 0)], 1: [("cat", 5)], 2: [("cat", 10), ("dog", 50)], 3: [("cat", 15), ("dog", 50)], 4: [("cat", 20), ("dog", 50)],
        5: [("dog", 50)], 6: [("dog", 50)],
    }  # fmt: skip
    assert dataset.classes == ("dog", "cat") and not dataset.findings


def test_a_track_of_points_is_no_box(tmp_path: Path) -> None:
    size = "<original_size><width>100</width><height>80</height></original_size><stop_frame>1</stop_frame>"
    line = '<track id="1" label="cat"><polyline frame="0" keyframe="1" outside="0" points="1,1;50,50"/></track>'
    text = f"<annotations><meta><task>{size}</task></meta>{_track(_key(0, 0), _key(1, 20))}{line}</annotations>"
    dataset = read(tmp_path, {**{f"images/frame_{number:06d}.png": number for number in range(2)}, "annotations.xml": text})
    assert {len(boxes) for boxes in dataset.labels.values()} == {1} and len(dataset.incomplete) == 2


def test_geometry() -> None:
    assert np.allclose(around_rotated((35, 35, 65, 45), 90, (50, 40)), (45, 25, 55, 55))
    assert np.allclose(around_ellipse((50, 40), (10, 5), 90), (45, 30, 55, 50))
    assert around_runs([30, 5, 100], 10) == (3, 0, 4, 5)
    assert around_runs([35, 10, 100], 10) == (3, 0, 5, 10)
    assert kinds_in_words({"box": 2, "mask": 1}) == "2 boxes, 1 mask"
