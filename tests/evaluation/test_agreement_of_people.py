"""Agreement of two people's boxes, against figures worked out by hand."""

import numpy as np
import pytest

from boxwise.boxes import Boxes
from boxwise.evaluation.agreement import agreement, compare, kappa


def boxes(*rows):
    return Boxes(np.array([row[:4] for row in rows], np.float32).reshape(-1, 4), np.array([row[4] for row in rows], np.int64))


def test_boxes_are_matched_one_to_one_by_overlap_whatever_their_classes():
    a = boxes((0, 0, 10, 10, 0), (20, 20, 30, 30, 1))
    b = boxes((0, 0, 10, 9, 1), (0, 0, 10, 8, 0), (20, 20, 30, 24, 1))
    found = compare(a, b)
    assert found.partners.tolist() == [1, -1, 0, -1, -1]  # IoU .9 before .8; .4 is no partner
    assert found.overlaps.tolist() == pytest.approx([0.9, 0, 0.9, 0, 0])


def test_over_all_boxes_and_by_class():
    one = compare(boxes((0, 0, 10, 10, 0), (20, 20, 30, 30, 1)), boxes((0, 0, 10, 10, 0), (20, 20, 30, 25, 0)))
    two = compare(boxes((0, 0, 4, 4, 1)), boxes())
    every = agreement([one, two])
    assert (every.images, every.boxes, every.matched, every.iou, every.same_class) == (2, 5, 0.8, 0.75, 0.5)
    assert every.kappa == pytest.approx(0.0)  # one of two alike; chance: 1/2 · 1 + 1/2 · 0
    of_class = agreement([one, two], label=1)
    assert (of_class.images, of_class.boxes, of_class.matched, of_class.iou, of_class.same_class) == (2, 2, 0.5, 0.5, 0.0)
    assert of_class.kappa is None


def test_nothing_to_compare_is_not_known():
    for nothing in (agreement([]), agreement([compare(boxes(), boxes())])):
        assert (nothing.boxes, nothing.matched, nothing.iou, nothing.same_class, nothing.kappa) == (0, None, None, None, None)


@pytest.mark.parametrize(
    ("table", "value"),
    [
        ([(0, 0)] * 20 + [(0, 1)] * 5 + [(1, 0)] * 10 + [(1, 1)] * 15, 0.4),  # agreement .7, chance .5
        ([(0, 0)] * 4 + [(1, 1)] * 4, 1.0),
        ([(0, 1)] * 4 + [(1, 0)] * 4, -1.0),
        ([(0, 0)] * 4, None),
        ([], None),
    ],
)
def test_kappa(table, value):
    a, b = (np.array([pair[at] for pair in table], np.int64) for at in (0, 1))
    assert kappa(a, b) == (None if value is None else pytest.approx(value))
