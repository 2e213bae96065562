from pathlib import Path

import numpy as np
import pytest

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
