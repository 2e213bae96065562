from dataclasses import replace

import numpy as np
import pytest

from boxwise.boxes import Boxes, area, flip_horizontal, iou

TWO = Boxes([[0, 0, 10, 10], [5, 5, 15, 15]], [0, 1], scores=[0.9, 0.2], ids=["a", "b"])


def test_columns_are_cast_and_shaped():
    assert TWO.xyxy.dtype == np.float32 and TWO.labels.dtype == np.int64 and len(TWO) == 2


@pytest.mark.parametrize("column", [{"scores": [0.5]}, {"labels": [0]}, {"difficult": [True] * 3}, {"probabilities": np.zeros((1, 3))}])
def test_a_column_of_another_length_is_refused(column):
    columns = {"xyxy": TWO.xyxy, "labels": TWO.labels} | column
    with pytest.raises(ValueError, match="expected 2"):
        Boxes(**columns)


@pytest.mark.parametrize("rows", [[True, False], [0], slice(0, 1), np.array([0])])
def test_rows_keep_every_column(rows):
    one = TWO[rows]
    assert len(one) == 1 and one.ids is not None and one.ids[0] == "a" and one.scores is not None and one.probabilities is None


def test_no_rows_and_no_boxes():
    assert len(TWO[[]]) == 0 and len(Boxes.empty()) == 0
    assert Boxes.empty(3).probabilities.shape == (0, 4)


def test_rows_are_copies():
    one = TWO[[0]]
    one.xyxy[0, 0] = 99
    assert TWO.xyxy[0, 0] == 0


def test_concatenate_keeps_columns_that_all_parts_have():
    both = Boxes.concatenate([TWO, Boxes([[1, 1, 2, 2]], [2], scores=[0.1])])
    assert len(both) == 3 and both.scores is not None and both.ids is None
    assert len(Boxes.concatenate([])) == 0


def test_equals_is_exact():
    assert TWO.equals(TWO[:]) and not TWO.equals(TWO[[1, 0]]) and not TWO.equals(Boxes(TWO.xyxy, TWO.labels))


def test_geometry():
    assert area(TWO.xyxy).tolist() == [100, 100]
    assert iou(TWO.xyxy, TWO.xyxy) == pytest.approx(np.array([[1, 25 / 175], [25 / 175, 1]]))
    assert iou(TWO.xyxy, np.array([[3, 3, 3, 3]], np.float32)).tolist() == [[0], [0]]
    assert iou(TWO.xyxy, np.zeros((0, 4), np.float32)).shape == (2, 0)
    assert flip_horizontal(TWO.xyxy, 20).tolist() == [[10, 0, 20, 10], [5, 5, 15, 15]]
    assert flip_horizontal(flip_horizontal(TWO.xyxy, 20), 20).tolist() == TWO.xyxy.tolist()


def test_difficult_objects_and_crowds_are_skipped():
    three = Boxes([[0, 0, 1, 1]] * 3, [0, 0, 0])
    assert three.skipped.tolist() == [False] * 3
    assert replace(three, difficult=[True, False, False], crowd=[False, True, False]).skipped.tolist() == [True, True, False]
    assert Boxes.empty().skipped.shape == (0,)
