from math import log

import numpy as np
import pytest
from scripted import ScriptedDetector, batch_of, boxes

from boxwise.scorers.box_disagreement import BoxDisagreement, disagreements

A, B = [0.8, 0.1, 0.1], [0.2, 0.6, 0.2]


def js(p, q):
    m = [(x + y) / 2 for x, y in zip(p, q, strict=True)]
    return sum(x * log(x / z) for each in (p, q) for x, z in zip(each, m, strict=True) if x > 0) / 2


def test_class_times_place_and_what_only_one_look_has_against_background():
    """The pair overlaps by 2/3; B is found in the second look alone, A in the first alone."""
    first, second = boxes(([0, 0, 10, 10], A), ([50, 0, 60, 10], A)), boxes(([2, 0, 12, 10], B), ([80, 0, 90, 10], B))
    expected = [js(A, B) * (1 - 80 / 120), js(A, [0, 0, 1]), js(B, [0, 0, 1])]
    assert disagreements(first, first.xyxy, second, 2) == pytest.approx(expected, rel=1e-5)


def test_matches_are_one_to_one():
    first, second = boxes(([0, 0, 10, 10], A), ([0, 0, 10, 9], A)), boxes(([0, 0, 10, 10], A))
    assert disagreements(first, first.xyxy, second, 2) == pytest.approx([0, js(A, [0, 0, 1])], abs=1e-6)


@pytest.mark.parametrize(("first", "second", "count"), [((), (), 0), ((), (A,), 1), ((A,), (), 1)])
def test_either_look_may_be_empty(first, second, count):
    one, two = (boxes(*(([0, 0, 10, 10], p) for p in look)) for look in (first, second))
    assert disagreements(one, one.xyxy, two, 2).shape == (count,)


def test_a_faint_box_that_comes_and_goes_counts_little():
    faint, clear = (disagreements(boxes(([0, 0, 9, 9], [s, 0, 1 - s])), np.zeros((1, 4), np.float32), boxes(), 2) for s in (0.06, 0.6))
    assert 0 < faint[0] < clear[0] / 10


@pytest.mark.parametrize(("aggregate", "pick"), [("sum", sum), ("max", max)])
def test_the_image_sums_over_both_looks_on_the_mirrored_image(aggregate, pick):
    look, mirrored = [boxes(([10, 10, 30, 30], A))], [boxes(([70, 10, 90, 25], B), ([0, 0, 9, 9], A))]
    detector = ScriptedDetector(look, mirrored)
    found = BoxDisagreement(aggregate).measure(detector, detector.view(batch_of(1)))
    assert found["disagreement"] == pytest.approx([pick([js(A, B) / 4, js(A, [0, 0, 1])])], rel=1e-5)
    assert found["measured"].tolist() == [2]
