"""Which box is which detection on the next image of a burst: by what is inside, where overlap would be wrong or is none."""

import numpy as np

from boxwise.boxes import Boxes
from boxwise.web.following import REACH, followed

RED, BLUE = np.array([[1.0, 0.0]], np.float32), np.array([[0.0, 1.0]], np.float32)


def detections(xyxy, labels, scores):
    return Boxes(xyxy, labels, np.array(scores, np.float32))


def test_objects_that_have_moved_beyond_their_own_size_are_found_by_how_they_look():
    before = Boxes([[10, 10, 30, 30], [60, 10, 80, 30]], [0, 0])
    found = detections([[62, 12, 82, 32], [15, 40, 35, 60]], [0, 0], [0.9, 0.9])
    # The first has gone to (15, 40), where it overlaps nothing; the second has stayed.
    assert followed(before, np.concatenate([RED, BLUE]), found, np.concatenate([BLUE, RED])) == [(0, 1), (1, 0)]


def test_objects_that_have_changed_places_keep_their_looks():
    before = Boxes([[10, 10, 30, 30], [25, 10, 45, 30]], [0, 0])
    found = detections([[10, 10, 30, 30], [25, 10, 45, 30]], [0, 0], [0.9, 0.9])
    assert followed(before, np.concatenate([RED, BLUE]), found, np.concatenate([BLUE, RED])) == [(0, 1), (1, 0)]


def test_the_surest_of_several_detections_of_an_object_is_taken():
    before = Boxes([[10, 10, 30, 30]], [0])
    found = detections([[12, 12, 30, 30], [11, 11, 31, 31]], [0, 0], [0.2, 0.9])
    assert followed(before, RED, found, np.concatenate([RED, RED])) == [(0, 1)]


def test_another_class_what_is_out_of_reach_and_what_looks_otherwise_is_no_match():
    before = Boxes([[10, 10, 30, 30]], [0])
    far = 20 * REACH + 1
    found = detections([[10, 10, 30, 30], [10 + far, 10, 30 + far, 30], [12, 10, 32, 30]], [1, 0, 0], [0.9, 0.9, 0.9])
    assert followed(before, RED, found, np.concatenate([RED, RED, BLUE])) == []
    assert followed(before, RED, found[:0], RED[:0]) == followed(before[:0], RED[:0], found, np.concatenate([RED, RED, BLUE])) == []
