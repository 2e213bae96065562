"""Worked by hand: boxes of one size in a row, of which the truth has some."""

import numpy as np
import pytest

from boxwise.boxes import Boxes
from boxwise.evaluation.operating_point import OperatingPoint, best_f1


def row(places, labels=None, scores=None, **columns) -> Boxes:
    """Boxes of 10 × 10 at x = 20 · place."""
    xyxy = np.array([[20 * x, 0, 20 * x + 10, 10] for x in places], np.float32).reshape(-1, 4)
    return Boxes(
        xyxy, np.zeros(len(places), int) if labels is None else np.array(labels), scores and np.array(scores, np.float32), **columns
    )


def test_the_threshold_of_best_f1_by_hand():
    # By falling score: right, right, wrong, right, wrong. F1 with 4 objects: 2/5, 4/6, 4/7, 6/8, 6/9.
    found = row([0, 1, 8, 2, 9], scores=[0.9, 0.8, 0.7, 0.6, 0.5])
    assert best_f1({"a": found}, {"a": row([0, 1, 2, 3])}) == OperatingPoint(pytest.approx(0.6), 3 / 4, 3 / 4, 3 / 4)


def test_images_and_classes_are_judged_together_and_a_wrong_class_is_wrong():
    found = {"a": row([0], [1], [0.9]), "b": row([0, 1], [0, 1], [0.8, 0.3])}
    truths = {"a": row([0], [0]), "b": row([0, 1], [0, 1]), "c": row([])}
    assert best_f1(found, truths) == OperatingPoint(pytest.approx(0.3), 2 / 3, 2 / 3, 2 / 3)


def test_equal_scores_are_kept_or_dropped_together():
    found = row([0, 8, 9], scores=[0.5, 0.5, 0.5])
    assert best_f1({"a": found}, {"a": row([0])}) == OperatingPoint(0.5, 1 / 3, 1.0, 1 / 2)


def test_difficult_and_crowd_objects_count_neither_way():
    found = row([0, 1, 2], scores=[0.9, 0.8, 0.7])
    truth = row([0, 1, 2], difficult=np.array([False, True, False]), crowd=np.array([False, False, True]))
    assert best_f1({"a": found}, {"a": truth}) == OperatingPoint(pytest.approx(0.9), 1.0, 1.0, 1.0)


@pytest.mark.parametrize("found", [{}, {"a": row([])}, {"a": row([5], scores=[0.9])}], ids=["no image", "no box", "none right"])
def test_there_is_none_where_no_box_is_right(found):
    assert best_f1(found, {"a": row([0])}) is None
    assert best_f1(found, {"a": row([])}) is None


def test_travels_as_json():
    point = OperatingPoint(0.25, 0.5, 1.0, 2 / 3)
    assert OperatingPoint.from_json(point.to_json()) == point
