from math import cos, log, radians, sin

import numpy as np
import pytest
from scripted import ScriptedDetector, batch_of, boxes

from boxwise.scorers.cald import Cald

SURE, HALF = [0.9, 0.0, 0.1], [0.5, 0.1, 0.4]
BOX = [10, 10, 30, 30]


def turned(xyxy, width=100, height=50):
    """The upright box round a box turned by 5 degrees about the centre and squeezed with the image."""
    c, s = cos(radians(5)), sin(radians(5))
    across, down = width / (width * c + height * s), height / (width * s + height * c)
    points = [((x - width / 2, y - height / 2)) for x in xyxy[::2] for y in xyxy[1::2]]
    xs = [width / 2 + across * (c * x - s * y) for x, y in points]
    ys = [height / 2 + down * (s * x + c * y) for x, y in points]
    return [min(xs), min(ys), max(xs), max(ys)]


def measured(*looks):
    detector = ScriptedDetector(*looks)
    return Cald().measure(detector, detector.view(batch_of(len(looks[0]))))


def test_a_detector_that_never_wavers_is_06_from_13():
    """IoU 1, JS 0, scores 0.9: M = 1.9 in every view."""
    same, mirrored, rotated = ([boxes((xyxy, SURE))] for xyxy in (BOX, [70, 10, 90, 30], turned(BOX)))
    assert measured(same, mirrored, same, same, rotated)["distance"] == pytest.approx([0.6], abs=1e-5)


def test_the_box_nearest_to_13_speaks_for_a_view_and_the_mean_of_views_for_the_image():
    """Mirrored: one box at M = 1.9, the other at 1 + 0.5. Cut: nothing found. x 0.8: the first alone, at IoU 1/2. Turned: as they were."""
    other = [60, 10, 80, 40]
    look = [boxes((BOX, SURE), (other, HALF))]
    mirrored = [boxes(([70, 10, 90, 30], SURE), ([20, 10, 40, 40], HALF))]
    shrunk, rotated = [boxes(([10, 10, 30, 20], SURE))], [boxes((turned(BOX), SURE), (turned(other), HALF))]
    gone = {}
    for name, p in (("sure", SURE), ("half", HALF)):
        m = [p[0] / 2, p[1] / 2, (p[2] + 1) / 2]
        js = sum(x / 2 * log(x / y) for x, y in zip(p, m, strict=True) if x) - log(m[2]) / 2
        gone[name] = (1 - js) * max(p[:2]) / 2
    per_view = [0.2, 1.3 - max(gone.values()), min(0.5 + 0.9 - 1.3, 1.3 - gone["half"]), 0.2]
    assert measured(look, mirrored, [boxes()], shrunk, rotated)["distance"] == pytest.approx([np.mean(per_view)], abs=1e-5)


def test_only_boxes_of_5_percent_and_more_are_compared():
    faint = ([60, 10, 80, 40], [0.04, 0.0, 0.96])
    same, rotated = [boxes((BOX, SURE), faint)], [boxes((turned(BOX), SURE))]
    found = measured(same, [boxes(([70, 10, 90, 30], SURE))], same, same, rotated)
    assert found["distance"] == pytest.approx([0.6], abs=1e-5) and found["references"].tolist() == [1]


def test_nearer_to_13_is_worth_more():
    terms = {"distance": np.array([0.6, 0.1]), "references": np.array([1.0, 1.0]), "expected": np.array([5.0, 1.0])}
    assert Cald().score(("a", "b"), terms).values == pytest.approx([-0.6, -0.1])


def test_an_image_without_boxes_is_neither_first_nor_last_by_accident():
    """Its expected loss lies half way between those of the two others, and so does its value."""
    terms = {"distance": np.array([0.6, 0.1, 0.0]), "references": np.array([1.0, 2.0, 0.0]), "expected": np.array([1.0, 3.0, 2.0])}
    assert Cald().score(("a", "b", "c"), terms).values == pytest.approx([-0.6, -0.1, -0.35])


def test_where_nothing_is_detected_anywhere_the_expected_loss_ranks():
    found = measured(*[[boxes(), boxes()]] * 5)
    assert found["distance"].tolist() == [0, 0]
    values = Cald().score(("a", "b"), found).values
    assert np.isfinite(values).all() and values[1] > values[0]
