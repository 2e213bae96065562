"""A split that only folders say holds for every image in them, labelled or not, in every format: none of val or test joins training."""

import json
from pathlib import Path

import pytest
from formats_scenario import found, kinds, make, read, voc, voc_object

from boxwise.data.datasets import detect_format, read_dataset, read_labels_for, read_pool
from boxwise.data.formats.base import Dataset, FindingKind
from boxwise.data.formats.layout import split_named
from boxwise.data.formats.listing import split_by_folder
from boxwise.records import ImageRecord, Split

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

    @pytest.mark.parametrize("suffix", ["jpg", "png"])
    def test_of_images_of_one_name_the_one_in_the_tables_split(self, tmp_path: Path, suffix: str) -> None:
        names = {split: f"{split}/data/a.{suffix}" for split in SPLITS}
        tables = {f"{split}/labels/detections.csv": HEAD + row("a") for split in SPLITS}
        dataset = read(tmp_path, {**{name: number for number, name in enumerate(names.values())}, **tables})
        assert splits(dataset) == {names[split]: said for split, said in SPLITS.items()}
        assert {name: len(boxes) for name, boxes in dataset.labels.items()} == dict.fromkeys(names.values(), 1)

    @pytest.mark.parametrize("head", ["", "LabelName,DisplayName\n", "LabelName,DisplayName,Parent,Count\n"])
    def test_names_of_classes_with_and_without_a_head(self, tmp_path: Path, head: str) -> None:
        own = head + "/m/01,Cat" + ",x" * max(0, head.count(",") - 1) + "\n"
        dataset = read(tmp_path, {"images/a.jpg": 1, "classes.csv": own, "train.csv": HEAD + row("a")})
        assert dataset.classes == ("Cat",) and not dataset.findings

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


@pytest.mark.parametrize("name", LABELS)
def test_folders_whose_names_have_the_word_in_a_phrase_say_no_split(tmp_path: Path, name: str) -> None:
    phrases = {"train/": "train_yard/", "val/": "val_thorens/", "test/": "test_drive_1/"}
    texts = {**dict.fromkeys((f"images/{image}" for image in IMAGES), 0), **LABELS[name]}
    files: dict[str, str | int] = {}
    for number, (place, text) in enumerate(texts.items()):
        if place.startswith("ImageSets"):
            continue
        for old, new in phrases.items():
            place, text = place.replace(old, new), text if isinstance(text, int) else text.replace(old, new)
        files[place] = number if isinstance(text, int) else text
    dataset = read_dataset(make(tmp_path / "set", files), format_name=name)
    assert set(splits(dataset).values()) == {None} and len(dataset.labels) == len(IMAGES)
    assert not any("labels say no split" in note for note in dataset.notes)


@pytest.mark.parametrize("name", LABELS)
def test_what_the_folders_alone_say_is_a_note_with_counts(tmp_path: Path, name: str) -> None:
    images = {f"images/{image}": number for number, image in enumerate(IMAGES)}
    dataset = read_dataset(make(tmp_path / "set", {**images, **LABELS[name]}), format_name=name)
    (note,) = [note for note in dataset.notes if "labels say no split" in note]
    assert ("of 3 images" in note and "1 in train/ serves train" in note) is (name != "voc")  # whose list says that of one
    assert "1 in val/ serves val" in note and "1 in test/ serves test" in note


def test_labels_for_a_study_have_no_split_to_speak_of(tmp_path: Path) -> None:
    images = make(tmp_path / "images", {"train/a.jpg": 1, "val/b.jpg": 2, "test/c.jpg": 3})
    pool = read_pool(images, None, classes=("cat",))
    back = read_labels_for(pool.images, make(tmp_path, {"all.json": COCO}) / "all.json", format_name=None, classes=("cat",))
    assert len(back.labels) == 3 and not any("labels say no split" in note for note in back.notes)


def test_images_alone_are_of_no_split(tmp_path: Path) -> None:
    dataset = read(tmp_path, {"train/a.jpg": 1, "test/b.jpg": 2})
    assert set(splits(dataset).values()) == {None} and not dataset.notes


LISTS = {
    "coco": lambda name: json.dumps({
        "images": [{"id": 1, "file_name": name}], "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [40, 30, 20, 20]}]}),
    "createml": lambda name: json.dumps([
        {"image": name, "annotations": [{"label": "cat", "coordinates": {"x": 50, "y": 40, "width": 20, "height": 20}}]}]),
    "via": lambda name: json.dumps({"k": {"filename": name, "regions": [
        {"shape_attributes": {"name": "rect", "x": 40, "y": 30, "width": 20, "height": 20}, "region_attributes": {"class": "cat"}}]}}),
    "openimages": lambda name: HEAD + row(name[:-4]),
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(("folder", "split"), [("val", Split.VAL), ("test2019", Split.TEST), ("testing_ground", None)])
def test_a_file_says_the_split_of_its_own_folder_by_whatever_path_it_is_given(
    tmp_path: Path, name: str, folder: str, split: Split | None
) -> None:
    split = split_named(folder) if name == "coco" else split  # whose own folder says it by whatever word
    file = f"{folder}/boxes.{'csv' if name == 'openimages' else 'json'}"
    make(tmp_path / "set", {f"{folder}/b.jpg": 2, file: LISTS[name]("b.jpg")})
    for place in (tmp_path / "set" / file, tmp_path / "set" / folder, tmp_path / "set"):
        dataset = read_dataset(place, format_name=name)
        assert set(splits(dataset).values()) == {split} and len(dataset.labels) == 1


def test_a_split_that_labels_say_is_kept(tmp_path: Path) -> None:
    text = f'<annotations><image name="val/b.jpg" subset="train" width="100" height="80">{CVAT_BOX}</image></annotations>'
    assert splits(read(tmp_path / "set", {"images/val/b.jpg": 1, "annotations.xml": text})) == {"val/b.jpg": Split.TRAIN}


def test_of_many_folders_eight_are_named_and_how_many_more_there_are():
    records = [ImageRecord(f"{number:02}/{image}.jpg", "", 1, 1, Split.VAL) for number in range(10) for image in range(2)]
    (note,) = split_by_folder(records)
    assert "20 images; their folders do: 2 in 00/ serve val, " in note and note.endswith("2 in 07/ serve val and 2 more.")
