import numpy as np
import pytest

from boxwise.boxes import Boxes
from boxwise.evaluation.self_labels import precision_recall, self_label_quality

CLASSES = ("cat", "dog", "owl")


def test_right_labels_are_counted_by_class():
    truths = {
        "a": Boxes([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]], [0, 0, 1]),
        "b": Boxes([[0, 0, 10, 10]], [1]),
        "not labelled": Boxes([[0, 0, 10, 10]], [2]),
    }
    labels = [
        ("a", Boxes([[0, 0, 10, 9], [20, 0, 30, 10], [90, 90, 99, 99]], [0, 1, 0], scores=[0.9, np.nan, 0.8])),
        ("b", Boxes([[0, 0, 10, 5]], [1])),
    ]
    assert self_label_quality(labels, truths, CLASSES) == {
        "cat": {"self_labeled": 2, "correct": 1, "objects": 2},
        "dog": {"self_labeled": 2, "correct": 1, "objects": 2},
        "owl": {"self_labeled": 0, "correct": 0, "objects": 0},
    }


def test_half_an_overlap_is_right_and_less_is_not():
    truths = {"a": Boxes([[0, 0, 10, 10]], [0])}
    assert self_label_quality([("a", Boxes([[0, 0, 10, 5]], [0]))], truths, CLASSES)["cat"]["correct"] == 1
    assert self_label_quality([("a", Boxes([[0, 0, 10, 4.9]], [0]))], truths, CLASSES)["cat"]["correct"] == 0


def test_an_object_makes_one_label_right():
    labels = Boxes([[0, 0, 10, 10], [0, 0, 10, 9]], [0, 0])
    row = self_label_quality([("a", labels)], {"a": Boxes([[0, 0, 10, 10]], [0])}, CLASSES)["cat"]
    assert row == {"self_labeled": 2, "correct": 1, "objects": 1}


def test_the_largest_overlap_takes_the_object():
    labels = Boxes([[0, 0, 10, 9], [0, 0, 10, 10]], [0, 0])  # in order of rows, the first would take the object of the second
    truth = Boxes([[0, 0, 10, 10], [0, 0, 10, 6]], [0, 0])
    assert self_label_quality([("a", labels)], {"a": truth}, CLASSES)["cat"]["correct"] == 2


def test_crowds_are_no_objects_and_labels_in_them_are_not_judged():
    truth = Boxes([[0, 0, 100, 100], [200, 0, 210, 10]], [0, 0], crowd=[True, False])
    inside, outside, other_class = [10, 10, 20, 20], [96, 0, 106, 10], [10, 10, 20, 20]
    labels = Boxes([inside, outside, other_class, [200, 0, 210, 10]], [0, 0, 1, 0])
    assert self_label_quality([("a", labels)], {"a": truth}, CLASSES) == {
        "cat": {"self_labeled": 2, "correct": 1, "objects": 1},
        "dog": {"self_labeled": 1, "correct": 0, "objects": 0},
        "owl": {"self_labeled": 0, "correct": 0, "objects": 0},
    }


def test_no_images_no_labels_and_no_truths():
    nothing = {"self_labeled": 0, "correct": 0, "objects": 0}
    assert self_label_quality([], {}, CLASSES) == dict.fromkeys(CLASSES, nothing)
    assert self_label_quality([("a", Boxes.empty())], {"a": Boxes.empty()}, CLASSES) == dict.fromkeys(CLASSES, nothing)


@pytest.mark.parametrize(
    ("row", "expected"), [((4, 3, 6), (0.75, 0.5)), ((0, 0, 6), (None, 0.0)), ((4, 0, 0), (0.0, None)), ((0, 0, 0), (None, None))]
)
def test_precision_and_recall(row, expected):
    assert precision_recall(dict(zip(("self_labeled", "correct", "objects"), row, strict=True))) == expected
