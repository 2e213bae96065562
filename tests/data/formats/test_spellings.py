"""A data set is the same by whatever path it is given: relative, `.`, `..`, with a slash at its end, through a link."""

from pathlib import Path

import pytest
from formats_scenario import LINE, found, kinds, make, voc, voc_object
from test_layouts import LAYOUTS, coco

from boxwise.data.datasets import read_dataset, read_pool
from boxwise.data.formats.base import Dataset, FindingKind


def said(dataset: Dataset) -> tuple:
    """What is read, apart from paths."""
    splits = {image.image_id: image.split for image in dataset.images}
    return found(dataset), splits, kinds(dataset), len(dataset.notes)


@pytest.mark.parametrize(("here", "path"), [("", "set"), ("", "./set/"), ("", "link"), ("set", "."), ("link", "."), ("other", "../set")])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_by_other_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, here: str, path: str) -> None:
    make(tmp_path / "set", LAYOUTS[layout][1])
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to("set")
    monkeypatch.chdir(tmp_path / here)
    assert said(read_dataset(path)) == said(read_dataset(tmp_path / "set"))
    if LAYOUTS[layout][0] == "yolo":
        assert said(read_pool(None, Path(path))) == said(read_pool(None, tmp_path / "set"))


IMAGES = {"Annotations": "JPEGImages", "annotations": "images", "train": "train", "labels": "images", "labels/train": "images/train"}


@pytest.mark.parametrize(("labels", "name", "content"), [
    ("Annotations", "a.xml", voc(voc_object("bee"), name="a.jpg")),
    ("annotations", "instances_val.json", coco("a.jpg")),
    ("train", "_annotations.coco.json", coco("a.jpg")),
    ("labels", "a.txt", LINE),
    ("labels/train", "a.txt", LINE),
])  # fmt: skip
def test_a_part_of_a_data_set_from_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: str, name: str, content: str) -> None:
    make(tmp_path, {f"{IMAGES[labels]}/a.jpg": 1, f"{labels}/{name}": content})
    whole = said(read_dataset(tmp_path / labels))
    assert list(map(len, whole[0].values())) == [1]
    monkeypatch.chdir(tmp_path / labels)
    assert said(read_dataset(".")) == whole
    if name.endswith(".json"):
        assert said(read_dataset(name)) == whole
    monkeypatch.chdir(tmp_path / IMAGES[labels])
    assert said(read_dataset("/".join([".."] * len(Path(labels).parts)) + f"/{labels}")) == whole


@pytest.mark.parametrize("labels", ["set", "link", "{}/set", "{}/link"])
@pytest.mark.parametrize("images", ["set", "link", "{}/set", "{}/link"])
def test_texts_beside_their_images_are_found_once_where_two_paths_lead_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: str, images: str
) -> None:
    make(tmp_path / "set", {"a.jpg": 1, "a.txt": LINE, "fold.txt": "a.jpg\n", "data.yaml": "names: [ant, bee]\ntrain: fold.txt\n"})
    (tmp_path / "link").symlink_to("set")
    monkeypatch.chdir(tmp_path)
    dataset = read_dataset(labels.format(tmp_path), images=images.format(tmp_path), format_name="yolo")
    assert list(found(dataset)) == ["a.jpg"] and not kinds(dataset)


@pytest.mark.parametrize("root", ["", "{}/"])
def test_texts_among_images_that_are_no_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str) -> None:
    prose = {"photos/a.jpg": 1, "photos/readme.txt": "mine\n", "texts/a.txt": LINE}
    make(tmp_path, {**prose, "images/a.jpg": 1, "images/about.txt": "mine\n", "labels/a.txt": LINE})
    monkeypatch.chdir(tmp_path)
    root = root.format(tmp_path)
    apart = read_pool(f"{root}photos", Path(f"{root}texts"))
    assert list(found(apart)) == ["a.jpg"] and not kinds(apart)
    twins = read_dataset(f"{root}labels")
    assert list(found(twins)) == ["a.jpg"] and kinds(twins) == [(FindingKind.MISSING_IMAGE, "about", True)]
