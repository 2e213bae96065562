"""A split that only folders say holds for every image in them, labelled or not, in every format: none of val or test joins training."""

import json
from pathlib import Path

import pytest
from formats_scenario import found, kinds, make, read, voc, voc_object

from boxwise.data.datasets import detect_format, read_dataset
from boxwise.data.formats.base import Dataset, FindingKind
from boxwise.records import Split

HEAD = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
SPLITS = {"train": Split.TRAIN, "validation": Split.VAL, "test": Split.TEST}


def splits(dataset: Dataset) -> dict[str, Split | None]:
    return {image.image_id: image.split for image in dataset.images}


def row(stem: str) -> str:
    return f"{stem},x,/m/01,1,0.4,0.6,0.375,0.625,0,0,0,0,0\n"


def fiftyones(**more: str) -> dict[str, str | int]:
    """Open Images as FiftyOne exports it: a folder a split, each with images, boxes and the names of classes."""
    files: dict[str, str | int] = {}
    for number, split in enumerate(SPLITS):
        own = {"labels/detections.csv": HEAD + row(split), "metadata/classes.csv": "/m/01,Cat\n/m/02,Dog\n", **more}
        files |= {f"{split}/data/{split}.jpg": number, f"{split}/data/{split}_bare.jpg": 10 + number}
        files |= {f"{split}/{name}": text for name, text in own.items()}
    return files


class TestOpenImages:
    def test_a_folder_of_boxes_and_images_a_split(self, tmp_path: Path) -> None:
        dataset = read(tmp_path, fiftyones())
        assert detect_format(tmp_path) == "openimages"
        assert splits(dataset) == {f"{name}/data/{name}{end}.jpg": split for name, split in SPLITS.items() for end in ("", "_bare")}
        assert {name for rows in found(dataset).values() for name, _ in rows} == {"Cat"}
        assert kinds(dataset) == [(FindingKind.MISSING_LABEL_FILE, None, False)]  # the bare ones

    def test_the_folder_of_the_boxes_alone_says_it(self, tmp_path: Path) -> None:
        files = {"images/a.jpg": 1, "images/b.jpg": 2, "train/a.csv": HEAD + row("a"), "validation/b.csv": HEAD + row("b")}
        assert splits(read(tmp_path, files)) == {"a.jpg": Split.TRAIN, "b.jpg": Split.VAL}

    @pytest.mark.parametrize(("table", "image", "split"), [
        ("train-boxes.csv", "test/a.jpg", Split.TEST),
        ("validation/train-boxes.csv", "train/a.jpg", Split.VAL),
        ("train/validation-boxes.csv", "train/a.jpg", Split.VAL),
    ])  # fmt: skip
    def test_the_strictest_counts(self, tmp_path: Path, table: str, image: str, split: Split) -> None:
        assert splits(read(tmp_path, {image: 1, table: HEAD + row("a")})) == {image: split}

    def test_tables_without_boxes_are_said_and_no_fault(self, tmp_path: Path) -> None:
        more = {
            "labels/classifications.csv": "ImageID,Source,LabelName,Confidence\nx,verification,/m/01,1\n",
            "metadata/image_ids.csv": "ImageID,Subset,OriginalURL\nx,train,https://example.org/x.jpg\n",
            "metadata/attributes.csv": "/m/05z87,Plastic\n",
        }
        dataset = read(tmp_path, fiftyones(**more))
        assert kinds(dataset) == [(FindingKind.MISSING_LABEL_FILE, None, False)]
        assert any("6 more files beside" in note and "not read" in note for note in dataset.notes)

    def test_a_table_that_lacks_a_side_of_its_boxes_is_a_fault(self, tmp_path: Path) -> None:
        files = {"a.jpg": 1, "train.csv": HEAD + row("a"), "test.csv": HEAD.replace("YMax", "Y2") + row("b")}
        assert (FindingKind.BAD_LABEL_FILE, None, False) in kinds(read(tmp_path, files))


def labelme(name: str) -> str:
    shapes = [{"label": "cat", "points": [[40, 30], [60, 50]], "shape_type": "rectangle"}]
    return json.dumps({"shapes": shapes, "imagePath": name, "imageWidth": 100, "imageHeight": 80})


IMAGES = ("train/a.jpg", "val/b.jpg", "test/c.jpg")
COCO = json.dumps({
    "images": [{"id": n, "file_name": name} for n, name in enumerate(IMAGES)], "categories": [{"id": 1, "name": "cat"}],
    "annotations": [{"id": n, "image_id": n, "category_id": 1, "bbox": [40, 30, 20, 20]} for n in range(len(IMAGES))],
})  # fmt: skip
CVAT_BOX = '<box label="cat" xtl="40" ytl="30" xbr="60" ybr="50"/>'
REGION = {"type": "rectanglelabels", "value": {"x": 40, "y": 37.5, "width": 20, "height": 25, "rectanglelabels": ["cat"]}}
LABELS = {
    "coco": {"all.json": COCO},
    "cvat": {"annotations.xml": "".join((
        "<annotations>", *(f'<image name="{name}" width="100" height="80">{CVAT_BOX}</image>' for name in IMAGES), "</annotations>"))},
    "labelme": {f"images/{name[:-4]}.json": labelme(name[-5:]) for name in IMAGES},
    "labelstudio": {"tasks.json": json.dumps([
        {"data": {"image": f"/data/{name}"}, "annotations": [{"result": [REGION]}]} for name in IMAGES])},
    "openimages": {"all.csv": HEAD + "".join(row(name[-5:-4]) for name in IMAGES)},
    "voc": {
        **{f"Annotations/{name[:-4]}.xml": voc(voc_object(), name=name[-5:]) for name in IMAGES}, "ImageSets/Main/train.txt": "train/a\n",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", LABELS)
def test_labels_that_say_no_split_leave_it_to_the_folders(tmp_path: Path, name: str) -> None:
    images = {f"images/{image}": number for number, image in enumerate(IMAGES)}
    dataset = read_dataset(make(tmp_path / "set", {**images, **LABELS[name]}), format_name=name)
    assert splits(dataset) == dict(zip(IMAGES, Split, strict=True)) and len(dataset.labels) == len(IMAGES)


def test_a_split_that_labels_say_is_kept(tmp_path: Path) -> None:
    text = f'<annotations><image name="val/b.jpg" subset="train" width="100" height="80">{CVAT_BOX}</image></annotations>'
    assert splits(read(tmp_path / "set", {"images/val/b.jpg": 1, "annotations.xml": text})) == {"val/b.jpg": Split.TRAIN}
