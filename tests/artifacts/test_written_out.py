"""What was written to be corrected: read as it was written, added to, and never taken for empty where it is damaged."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from boxwise.artifacts.written_out import WrittenOut, add_written_out, boxes_of, read_written_out, rows_of
from boxwise.boxes import Boxes
from boxwise.errors import BoxwiseError


def test_what_was_written_last_counts_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "round_01" / "written_out.json"
    assert read_written_out(path) == WrittenOut()
    boxes = Boxes([[1, 2, 3.25, 4]], [1], difficult=[True], crowd=[False])
    add_written_out(path, boxes={"a.jpg": [], "b.jpg": []}, taken=["x"])
    add_written_out(path, boxes={"a.jpg": rows_of(boxes, ("cat", "dog"))}, taken=["y"])
    kept = read_written_out(path)
    assert kept.taken == {"x", "y"} and kept.boxes["b.jpg"] == []
    assert boxes_of(kept.boxes["a.jpg"], ("cat", "dog")).equals(boxes)
    assert boxes_of(kept.boxes["a.jpg"], ("cat",)).labels == [1]  # the class is gone
    assert len(boxes_of([], ("cat",))) == 0 and rows_of(Boxes(np.zeros((0, 4)), []), ("cat",)) == []


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "written_out.json"
    path.write_text('{"boxes": ')
    with pytest.raises(BoxwiseError, match=r"written_out\.json: expected what was written to be corrected"):
        read_written_out(path)


def test_of_several_at_once_none_is_lost(tmp_path: Path) -> None:
    path, names = tmp_path / "written_out.json", [f"{number}.jpg" for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: add_written_out(path, boxes={name: []}), names))
    assert read_written_out(path).boxes.keys() == set(names)
