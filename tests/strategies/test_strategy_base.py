from dataclasses import replace

import numpy as np

from boxwise.records import Scores
from boxwise.strategies.base import Candidates

IDS = ("a", "b")
NOTHING = np.zeros((2, 3), np.float32)
UNKNOWN = Candidates(1, IDS, Scores(IDS, np.zeros(2)), NOTHING, NOTHING[:0], np.ones(2))


def test_objects_by_class_are_as_given():
    known = replace(UNKNOWN, class_counts=np.array([[1.0, 0.5], [0.0, 2.0]]), labeled_class_counts=np.array([3.0, 0.0]))
    assert known.expected_objects.tolist() == [[1, 0.5], [0, 2]]
    assert known.labeled_objects.tolist() == [3, 0]


def test_where_nobody_knows_them_there_is_no_class_and_nothing_labelled():
    assert UNKNOWN.expected_objects.shape == (2, 0) and UNKNOWN.labeled_objects.shape == (0,)
    assert replace(UNKNOWN, class_counts=np.ones((2, 3))).labeled_objects.tolist() == [0, 0, 0]


def test_what_is_labelled_may_be_added_to():
    known = replace(UNKNOWN, class_counts=np.ones((2, 1)), labeled_class_counts=np.array([3.0]))
    have = known.labeled_objects
    have += 1
    assert known.labeled_class_counts.tolist() == [3]
