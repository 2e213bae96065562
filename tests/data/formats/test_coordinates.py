"""What numbers mean where files do not say it: labels drawn before EXIF turned the photo, and VOC's first pixel."""

import json
from pathlib import Path

import numpy as np
import pytest
from formats_scenario import found, kinds, make, voc, voc_object
from PIL import Image

from boxwise.data.datasets import read_dataset
from boxwise.data.formats.base import Coordinates, FindingKind
from boxwise.data.formats.shapes import Corners
from boxwise.data.images import read_image

RAW = Coordinates(raw=True)
DRAWN = (10, 20, 40, 30)  # on the stored pixels, 100 x 80


def _photo(path: Path, orientation: int) -> list[float]:
    """A stored picture with one white rectangle and that orientation; where the rectangle is once it is upright."""
    pixels = np.zeros((80, 100, 3), np.uint8)
    pixels[DRAWN[1] : DRAWN[3], DRAWN[0] : DRAWN[2]] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    rows, columns = np.nonzero(read_image(path)[..., 0] > 128)
    return [float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)]


def _labels(name: str) -> dict[str, str]:
    x1, y1, x2, y2 = DRAWN
    centre = f"0 {(x1 + x2) / 200} {(y1 + y2) / 160} {(x2 - x1) / 100} {(y2 - y1) / 80}\n"
    image = {"id": 1, "file_name": "a.png", "width": 100, "height": 80}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
    shape = f'<box label="cat" xtl="{x1}" ytl="{y1}" xbr="{x2}" ybr="{y2}"/>'
    return {
        "voc": {"Annotations/a.xml": voc(voc_object(corners=DRAWN))},
        "yolo": {"labels/a.txt": centre, "data.yaml": "names: [cat]\n"},
        "coco": {"instances.json": json.dumps({"images": [image], "annotations": [box], "categories": [{"id": 1, "name": "cat"}]})},
        "cvat": {"annotations.xml": f'<annotations><image name="a.png" width="100" height="80">{shape}</image></annotations>'},
    }[name]


@pytest.mark.parametrize("name", ["voc", "yolo", "coco", "cvat"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_labels_drawn_on_stored_pixels_turn_with_the_photo(tmp_path: Path, name: str, orientation: int) -> None:
    expected = _photo(tmp_path / "images" / "a.png", orientation)
    make(tmp_path, _labels(name))
    dataset = read_dataset(tmp_path, coordinates=RAW)
    assert not dataset.findings
    ((class_name, corners),) = found(dataset)["a.png"]
    assert class_name == "cat" and np.allclose(corners, expected, atol=1e-4)
    assert bool(dataset.notes) == (orientation > 1)


@pytest.mark.parametrize("name", ["voc", "coco", "cvat"])
def test_without_the_word_a_stated_size_that_is_turned_takes_the_image_out(tmp_path: Path, name: str) -> None:
    _photo(tmp_path / "images" / "a.png", 6)
    dataset = read_dataset(make(tmp_path, _labels(name)))
    assert kinds(dataset)[0] == (FindingKind.SIZE_MISMATCH, "a.png", True)
    assert "--labels-in raw" in dataset.findings[0].message


def test_photos_that_are_upright_stay_as_they_are(tmp_path: Path) -> None:
    make(tmp_path, {"images/a.png": 1, **_labels("voc")})
    assert found(read_dataset(tmp_path, coordinates=RAW)) == found(read_dataset(tmp_path))


def test_vocs_first_pixel_may_be_called_1(tmp_path: Path) -> None:
    make(tmp_path, {"JPEGImages/a.png": 1, "Annotations/a.xml": voc(voc_object(corners=(1, 1, 100, 80)))})
    assert found(read_dataset(tmp_path))["a.png"] == [("cat", [1, 1, 100, 80])]
    assert found(read_dataset(tmp_path, coordinates=Coordinates(voc_origin=1)))["a.png"] == [("cat", [0, 0, 100, 80])]


SHARES = (0.1, 0.1, 0.3, 0.4)  # of the image's width and height


def _in(name: str, corners: Corners, count: int) -> dict[str, str | int]:
    """As many images of 100 x 80 pixels with one box each, and their labels."""
    x1, y1, x2, y2 = corners
    files: dict[str, str | int] = {f"images/{n}.png": n for n in range(count)}
    if name == "voc":
        return files | {f"Annotations/{n}.xml": voc(voc_object(corners=corners), name=f"{n}.png") for n in range(count)}
    if name == "cvat":
        box = f'<box label="cat" xtl="{x1}" ytl="{y1}" xbr="{x2}" ybr="{y2}"/>'
        entries = "".join(f'<image name="{n}.png" width="100" height="80">{box}</image>' for n in range(count))
        return {**files, "annotations.xml": f"<annotations>{entries}</annotations>"}
    if name == "kitti":
        line = f"cat 0 0 0 {x1} {y1} {x2} {y2} 0 0 0 0 0 0 0\n"
        return {f"image_2/{n}.png": n for n in range(count)} | {f"label_2/{n}.txt": line for n in range(count)}
    images = [{"id": n, "file_name": f"{n}.png", "width": 100, "height": 80} for n in range(count)]
    boxes = [{"id": n, "image_id": n, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1]} for n in range(count)]
    return {**files, "instances.json": json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cat"}]})}


@pytest.mark.parametrize("name", ["voc", "coco", "cvat", "kitti"])
class TestShares:
    def test_boxes_none_of_which_leaves_the_first_pixel_are_no_labels(self, tmp_path: Path, name: str) -> None:
        dataset = read_dataset(make(tmp_path, _in(name, SHARES, 3)), format_name=name, missing_is_empty=False)
        assert len(dataset.images) == 3 and not dataset.labels
        finding = next(finding for finding in dataset.findings if finding.kind == FindingKind.BAD_LABEL_FILE)
        assert "expected boxes in pixels, found all 3 within 1.5 pixels (first: 0.1, 0.1, 0.3, 0.4)" in finding.message

    @pytest.mark.parametrize(("corners", "count"), [(SHARES, 2), ((0, 0, 1, 1), 3), ((0.5, 0.5, 2, 1), 3)])
    def test_few_boxes_whole_pixels_and_larger_ones_are_labels(self, tmp_path: Path, name: str, corners: Corners, count: int) -> None:
        dataset = read_dataset(make(tmp_path, _in(name, corners, count)), format_name=name)
        assert len(dataset.labels) == count and all(len(boxes) == 1 for boxes in dataset.labels.values())

    def test_centre_width_and_height_in_the_place_of_corner_and_size_are_no_labels(self, tmp_path: Path, name: str) -> None:
        dataset = read_dataset(make(tmp_path, _in(name, (0.7, 0.4, 1.3, 0.9), 3)), format_name=name, missing_is_empty=False)
        assert len(dataset.images) == 3 and not dataset.labels
        assert [finding.kind for finding in dataset.findings if finding.kind != FindingKind.MISSING_LABEL_FILE] == [
            FindingKind.BAD_LABEL_FILE
        ]
