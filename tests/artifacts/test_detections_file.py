import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from boxwise.artifacts.detections_file import ROWS, read_detections, writing_detections
from boxwise.boxes import Boxes
from boxwise.errors import BoxwiseError


def some_boxes(count: int, seed: int = 0) -> Boxes:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 500, (count, 4)).astype(np.float32)
    probabilities = rng.dirichlet(np.ones(4), count).astype(np.float32)
    return Boxes(corners, rng.integers(0, 3, count), probabilities[:, :3].max(axis=1), probabilities)


def test_boxes_come_back_bit_for_bit_in_order(tmp_path):
    given = {f"folder/ünïcode {index}.jpg": some_boxes(index % 5, seed=index) for index in range(2 * ROWS + 3)}
    with writing_detections(tmp_path / "detections.parquet") as file:
        for image_id, boxes in given.items():
            file.add(image_id, boxes)
    found = list(read_detections(tmp_path / "detections.parquet"))
    assert [image_id for image_id, _ in found] == list(given)
    assert all(boxes.equals(given[image_id]) for image_id, boxes in found)
    assert pq.ParquetFile(tmp_path / "detections.parquet").num_row_groups == 3


@pytest.mark.parametrize("boxes", [Boxes.empty(3), Boxes.empty(), Boxes([[1, 2, 3, 4]], [2])])
def test_missing_columns_and_no_boxes_stay_so(boxes, tmp_path):
    with writing_detections(tmp_path / "detections.parquet") as file:
        file.add("a", boxes)
    ((_, found),) = read_detections(tmp_path / "detections.parquet")
    assert found.equals(boxes)


def test_boxes_read_can_be_changed(tmp_path):
    with writing_detections(tmp_path / "detections.parquet") as file:
        file.add("a", some_boxes(2))
    ((_, found),) = read_detections(tmp_path / "detections.parquet")
    found.xyxy[0] = found.labels[0] = found.scores[0] = found.probabilities[0] = 0


def test_nothing_inspected_gives_an_empty_file(tmp_path):
    with writing_detections(tmp_path / "detections.parquet"):
        pass
    assert list(read_detections(tmp_path / "detections.parquet")) == []


def test_an_interrupted_pass_leaves_what_was_there(tmp_path):
    path = tmp_path / "detections.parquet"
    with writing_detections(path) as file:
        file.add("old", some_boxes(1))
    with pytest.raises(KeyboardInterrupt), writing_detections(path) as file:
        file.add("new", some_boxes(1))
        raise KeyboardInterrupt
    assert [image_id for image_id, _ in read_detections(path)] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_foreign_file_is_named(tmp_path):
    (tmp_path / "text.parquet").write_text("no parquet")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    with pytest.raises(BoxwiseError, match=r"text\.parquet: expected a Parquet file"):
        list(read_detections(tmp_path / "text.parquet"))
    with pytest.raises(BoxwiseError, match=r"other\.parquet: expected columns image_id.*found x"):
        list(read_detections(tmp_path / "other.parquet"))
    with pytest.raises(BoxwiseError, match="absent"):
        list(read_detections(tmp_path / "absent.parquet"))
