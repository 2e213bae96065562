from pathlib import Path

import numpy as np
import pytest
from formats_scenario import LINE, kinds, make
from PIL import Image

from boxwise.data.datasets import read_dataset, read_pool
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
