from math import log

import pytest
from scripted import ScriptedDetector, batch_of, boxes

from boxwise.scorers.consistency import FlipConsistency

A, B = [0.8, 0.1, 0.1], [0.2, 0.6, 0.2]


def kl(p, q):
    p, q = ([0.99 * x + 0.01 / 3 for x in each] for each in (p, q))
    return sum((x - y) * (log(x) - log(y)) for x, y in zip(p, q, strict=True)) / 2


def measured(aggregate, *looks):
    detector = ScriptedDetector(*looks)
    return FlipConsistency(aggregate).measure(detector, detector.view(batch_of(len(looks[0]))))


@pytest.mark.parametrize(("aggregate", "expected"), [("max", kl(A, [0, 0, 1])), ("mean", (kl(A, B) + kl(A, [0, 0, 1])) / 2)])
def test_compares_a_box_with_its_mirrored_match_and_else_with_background(aggregate, expected):
    """Image 100 wide: 10 to 30 is mirrored to 70 to 90. The second box has no match there; a third one there has none here."""
    look = [boxes(([10, 10, 30, 30], A), ([40, 0, 50, 10], A))]
    mirrored = [boxes(([70, 12, 90, 30], B), ([0, 40, 10, 50], A))]
    assert measured(aggregate, look, mirrored)["inconsistency"] == pytest.approx([expected], rel=1e-5)


def test_no_box_and_the_same_boxes_are_0():
    found = measured("max", [boxes(), boxes(([10, 10, 30, 30], A))], [boxes(([0, 0, 9, 9], A)), boxes(([70, 10, 90, 30], A))])
    assert found["inconsistency"] == pytest.approx([0, 0], abs=1e-9) and found["measured"].tolist() == [0, 1]


def test_an_image_without_boxes_is_placed_by_its_expected_loss():
    terms = measured("max", [boxes(([10, 10, 30, 30], A))] * 2 + [boxes()], [boxes(), boxes(([70, 10, 90, 30], B)), boxes()])
    values = FlipConsistency().score(("a", "b", "c"), terms).values
    assert values[2] == pytest.approx(max(values[:2]))  # expected losses are 0, 1, 2: beyond all others
