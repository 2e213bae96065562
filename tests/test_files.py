from pathlib import Path

import pytest

from boxwise.errors import BoxwiseError
from boxwise.files import replacing


def test_the_target_is_replaced_whole(tmp_path):
    target = tmp_path / "deep" / "file.txt"
    for text in ("old", "new"):
        with replacing(target) as aside:
            aside.write_text(text)
    assert target.read_text() == "new" and [path.name for path in target.parent.iterdir()] == ["file.txt"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), replacing(target) as aside:
        aside.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_a_full_disk_is_a_message(tmp_path):
    with pytest.raises(BoxwiseError, match="No space left"), replacing(tmp_path / "file.txt") as aside:
        aside.touch()
        with Path("/dev/full").open("w") as full:
            full.write("x" * 10)
            full.flush()


def test_a_folder_that_cannot_be_made_is_a_message(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BoxwiseError, match="cannot be written"), replacing(tmp_path / "file" / "x") as aside:
        aside.touch()
