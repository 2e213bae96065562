import json
from pathlib import Path

import numpy as np
import pytest
from formats_scenario import LINE, kinds, make, voc, voc_object
from PIL import Image

from boxwise.data.datasets import read_dataset, read_labels_for, read_pool
from boxwise.data.formats.base import FindingKind
from boxwise.data.formats.folder import read_folder
from boxwise.data.images import write_image
from boxwise.errors import BoxwiseError


def test_every_image_is_there_unlabelled_and_the_broken_ones_are_findings(tmp_path: Path) -> None:
    write_image(np.zeros((4, 6, 3), np.uint8), tmp_path / "a.png")
    write_image(np.ones((4, 6, 3), np.uint8), tmp_path / "sub" / "b.JPG")
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "copy.png").write_bytes((tmp_path / "a.png").read_bytes())
    progress: list[tuple[int, int]] = []

    read = read_folder(tmp_path, progress=lambda done, total: progress.append((done, total)))

    assert [(i.image_id, i.width, i.height, i.split) for i in read.images] == [("a.png", 6, 4, None), ("sub/b.JPG", 6, 4, None)]
    assert not read.labels
    assert {(f.kind, f.image_id, f.quarantined) for f in read.findings} == {
        (FindingKind.CORRUPT_IMAGE, "bad.jpg", True), (FindingKind.DUPLICATE_IMAGE, "copy.png", True)
    }  # fmt: skip
    assert progress == [(n, 4) for n in range(1, 5)]


def test_no_image_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(BoxwiseError, match="expected a folder with images, found none"):
        read_folder(tmp_path)


@pytest.mark.parametrize("files", [{"y/readme.md": b"x"}, {"y/other.jpg": 2}])
def test_what_is_no_labels_beside_a_folder_of_images_is_refused_and_not_taken_for_images(tmp_path: Path, files: dict[str, object]) -> None:
    make(tmp_path, {"photos/a.jpg": 1, **files})
    with pytest.raises(BoxwiseError, match=r"y: no labels of the study's images were found\. Known formats: voc"):
        read_pool(tmp_path / "photos", tmp_path / "y", classes=("cat",))


def test_pictures_of_other_suffixes_are_read_or_counted(tmp_path: Path) -> None:
    make(tmp_path, {"a.jpg": 1, "IMG_1.HEIC": b"x", "sub/b.heic": b"x", "c.NEF": b"x", "notes.docx": b"x", ".hidden/d.heic": b"x"})
    for number, suffix in enumerate((".jfif", ".avif")):
        Image.new("RGB", (20, 10), (number, 0, 0)).save(tmp_path / f"picture{suffix}", "JPEG" if suffix == ".jfif" else "AVIF")
    found = read_folder(tmp_path)
    assert [image.image_id for image in found.images] == ["a.jpg", "picture.avif", "picture.jfif"]
    assert kinds(found) == [(FindingKind.UNREAD_PICTURE, None, False)]
    assert "2 .heic, 1 .nef" in found.findings[0].message and "convert them" in found.findings[0].message


def test_pictures_that_are_not_read_are_said_once_wherever_a_study_comes_from(tmp_path: Path) -> None:
    make(tmp_path, {"images/a.jpg": 1, "images/b.heic": b"x", "labels/a.txt": LINE})
    for found in (
        read_pool(tmp_path / "images", None),
        read_pool(tmp_path / "images", tmp_path),
        read_pool(None, tmp_path),
        read_dataset(tmp_path),
    ):
        assert kinds(found) == [(FindingKind.UNREAD_PICTURE, None, False)]


def test_a_folder_of_nothing_else_says_which_kinds_it_has(tmp_path: Path) -> None:
    with pytest.raises(BoxwiseError, match=r"1 \.heic"):
        read_folder(make(tmp_path, {"b.heic": b"x"}))


@pytest.mark.parametrize("labelled", [False, True])
def test_a_link_that_leads_nowhere_is_an_image_that_is_missing(tmp_path: Path, labelled: bool) -> None:
    make(tmp_path, {"a.jpg": 1})
    (tmp_path / "lost.jpg").symlink_to(tmp_path / "away" / "lost.jpg")
    (tmp_path / "round.jpg").symlink_to(tmp_path / "round.jpg")
    (tmp_path / "notes.txt").symlink_to(tmp_path / "away" / "notes.txt")
    if labelled:
        make(tmp_path, {"a.txt": LINE, "classes.txt": "ant\nbee\n"})
    read = read_dataset(tmp_path) if labelled else read_pool(tmp_path, None)
    assert [image.image_id for image in read.images] == ["a.jpg"]
    found = [finding for finding in read.findings if finding.kind == FindingKind.MISSING_IMAGE]
    assert [(finding.image_id, finding.quarantined) for finding in found] == [("lost.jpg", True), ("round.jpg", True)]
    assert all("found a link that leads nowhere" in finding.message for finding in found)


@pytest.mark.parametrize("name", ["voc", "yolo", "coco"])
def test_a_link_that_leads_nowhere_is_no_image_of_a_name_that_labels_give(tmp_path: Path, name: str) -> None:
    photos = make(tmp_path / "photos", {"one/a.jpg": 1, "one/b.jpg": 2})
    (photos / "two").mkdir()
    (photos / "two" / "a.jpg").symlink_to(tmp_path / "away" / "a.jpg")
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20]}
    coco = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [box], "categories": [{"id": 1, "name": "cat"}]}
    files = {
        "voc": {"a.xml": voc(voc_object(), name="a.jpg")},
        "yolo": {"l/a.txt": "0 0.5 0.5 0.2 0.25\n", "classes.txt": "cat\n"},
        "coco": {"l.json": json.dumps(coco)},
    }[name]
    pool = read_pool(photos, make(tmp_path / "l", files), format_name=name)
    assert list(pool.labels) == ["one/a.jpg"] and [image.image_id for image in pool.images] == ["one/a.jpg", "one/b.jpg"]
    missing = [finding for finding in pool.findings if finding.kind == FindingKind.MISSING_IMAGE]
    assert [(finding.image_id, finding.quarantined) for finding in missing] == [("two/a.jpg", True)]
    found = read_labels_for(pool.images, tmp_path / "l", format_name=name, classes=("cat",))
    assert list(found.labels) == ["one/a.jpg"] and not found.findings


@pytest.mark.parametrize("name", ["voc", "yolo"])
def test_what_is_wrong_with_images_of_which_labels_do_not_speak_is_no_finding_of_theirs(tmp_path: Path, name: str) -> None:
    photos = make(tmp_path / "photos", {"a.jpg": 1, "empty.jpg": b"", "text.jpg": b"text", "new\nline.jpg": 2})
    (photos / "lost.jpg").symlink_to(photos / "away.jpg")
    images = read_pool(photos, None).images
    labels = {"voc": {"Annotations/{}.xml": voc(voc_object(), name="{}.jpg")}, "yolo": {"labels/{}.txt": "0 0.5 0.5 0.2 0.25\n"}}[name]
    files = {place.format("a"): text.replace("{}", "a") for place, text in labels.items()} | {"classes.txt": "cat\n"}
    assert [image.image_id for image in images] == ["a.jpg"]
    found = read_labels_for(images, make(tmp_path / "l", files), format_name=name, classes=("cat",))
    assert list(found.labels) == ["a.jpg"] and not found.findings
    also = {place.format("empty"): text.replace("{}", "empty") for place, text in labels.items()}
    found = read_labels_for(images, make(tmp_path / "l", also), format_name=name, classes=("cat",))
    assert list(found.labels) == ["a.jpg"] and [finding.image_id for finding in found.findings] == ["empty.jpg"]
