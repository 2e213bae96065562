from pathlib import Path

import pytest

from boxwise.errors import BoxwiseError
from boxwise.files import replacing, write_csv


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


def test_a_table_leaves_what_is_unknown_empty_and_quotes_what_needs_it(tmp_path):
    write_csv(tmp_path / "table.csv", ("a", "b"), [{"a": 0.1 + 0.2, "b": None}, {"a": float("nan")}, {"a": "x, y", "b": 0}])
    assert (tmp_path / "table.csv").read_bytes() == b'a,b\r\n0.30000000000000004,\r\n,\r\n"x, y",0\r\n'


def test_a_column_that_was_not_announced_is_an_error_and_leaves_the_file_as_it_was(tmp_path):
    write_csv(tmp_path / "table.csv", ("a",), [{"a": 1}])
    with pytest.raises(ValueError, match="c"):
        write_csv(tmp_path / "table.csv", ("a",), [{"a": 1, "c": 2}])
    assert (tmp_path / "table.csv").read_text().split() == ["a", "1"]
