"""VOC AP: hand-computed cases, and agreement with a slow reference written the devkit's way."""

import math

import numpy as np
import pytest

from boxwise.boxes import Boxes
from boxwise.evaluation.voc_average_precision import voc_average_precision

FAR = [500, 500, 510, 510]


def boxes(xyxy, labels=None, scores=None, **columns):
    xyxy = np.asarray(xyxy, float).reshape(-1, 4)
    return Boxes(xyxy, np.zeros(len(xyxy)) if labels is None else labels, scores, **columns)


def in_a_row(count):
    """`count` separate boxes of 10 by 10."""
    return [[20 * index, 0, 20 * index + 10, 10] for index in range(count)]


def ap(predictions, truths):
    """(VOC07, VOC10) of one class."""
    result = voc_average_precision(predictions, truths, ("thing",))
    return result.ap07["thing"], result.ap10["thing"]


def reference(predictions, truths, label):
    """One class, one detection at a time, scalar arithmetic; (VOC07, VOC10) or None."""
    remaining, total = {}, 0
    for image_id, truth in truths.items():
        rows = [row for row in range(len(truth)) if truth.labels[row] == label]
        hard = [bool(truth.difficult is not None and truth.difficult[row]) for row in rows]
        remaining[image_id] = [[truth.xyxy[row].tolist(), skip, False] for row, skip in zip(rows, hard, strict=True)]
        total += hard.count(False)
    if not total:
        return None
    queue = []
    for image_id, found in predictions.items():
        queue += [(float(found.scores[row]), image_id, found.xyxy[row].tolist()) for row in range(len(found)) if found.labels[row] == label]
    right, wrong, points = 0, 0, []
    for _, image_id, (ax1, ay1, ax2, ay2) in sorted(queue, key=lambda entry: -entry[0]):
        best, match = -1.0, None
        for candidate in remaining[image_id]:
            bx1, by1, bx2, by2 = candidate[0]
            shared = max(0.0, min(ax2, bx2) - max(ax1, bx1)) * max(0.0, min(ay2, by2) - max(ay1, by1))
            overlap = shared / ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - shared)
            if overlap > best:
                best, match = overlap, candidate
        if best >= 0.5 and match[1]:
            continue
        if best >= 0.5 and not match[2]:
            match[2], right = True, right + 1
        else:
            wrong += 1
        points.append((right / total, right / (right + wrong)))
    eleven = sum(max([p for r, p in points if r >= level / 10], default=0.0) for level in range(11)) / 11
    area, reached = 0.0, 0.0
    for index, (r, _) in enumerate(points):
        area += (r - reached) * max(p for _, p in points[index:])
        reached = r
    return eleven, area


class TestByHand:
    def test_two_of_three_found_with_one_wrong_between(self):
        truths = {"a": boxes(in_a_row(3))}
        found = boxes([in_a_row(3)[0], FAR, in_a_row(3)[1]], scores=[0.9, 0.8, 0.7])
        # precision 1 up to recall 1/3 (4 of the 11 points), 2/3 up to recall 2/3 (3 points), then 0
        assert ap({"a": found}, truths) == pytest.approx(((4 * 1 + 3 * 2 / 3) / 11, 1 / 3 + 1 / 3 * 2 / 3))

    def test_a_repeated_detection_is_false(self):
        found = boxes([[0, 0, 10, 10], [0, 0, 10, 10], [20, 0, 30, 10]], scores=[0.9, 0.8, 0.7])
        assert ap({"a": found}, {"a": boxes(in_a_row(2))}) == pytest.approx(((6 * 1 + 5 * 2 / 3) / 11, 1 / 2 + 1 / 2 * 2 / 3))

    def test_a_detection_never_falls_back_to_its_second_best(self):
        truths = {"a": boxes([[0, 0, 10, 10], [0, 3, 10, 13]])}
        found = boxes([[0, 0, 10, 10], [0, 1, 10, 11]], scores=[0.9, 0.8])  # the second overlaps the first truth more
        assert ap({"a": found}, truths)[1] == pytest.approx(0.5)

    def test_difficult_is_neither_found_nor_missed(self):
        truths = {"a": boxes(in_a_row(2), difficult=[False, True])}
        found = boxes([[20, 0, 30, 10], [20, 0, 30, 10], [0, 0, 10, 10]], scores=[0.9, 0.8, 0.7])
        assert ap({"a": found}, truths) == (1, 1)

    def test_crowd_is_skipped_as_difficult_is(self):
        truths = {"a": boxes(in_a_row(2), crowd=[False, True])}
        assert ap({"a": boxes([[20, 0, 30, 10], [0, 0, 10, 10]], scores=[0.9, 0.7])}, truths) == (1, 1)

    def test_iou_of_exactly_half_matches(self):
        assert ap({"a": boxes([[0, 0, 10, 5]], scores=[0.5])}, {"a": boxes([[0, 0, 10, 10]])}) == (1, 1)

    def test_three_of_ten_reach_the_point_at_recall_three_tenths(self):
        found = boxes(in_a_row(3), scores=[0.9, 0.8, 0.7])
        assert ap({"a": found}, {"a": boxes(in_a_row(10))}) == pytest.approx((4 / 11, 0.3))

    def test_another_class_in_the_same_place_is_false(self):
        result = voc_average_precision({"a": boxes([[0, 0, 10, 10]], [1], [0.9])}, {"a": boxes([[0, 0, 10, 10]], [0])}, ("x", "y"))
        assert result.ap10["x"] == 0
        assert math.isnan(result.ap10["y"])
        assert result.mean10 == 0


class TestEdges:
    def test_nothing_to_find_is_nan(self):
        result = voc_average_precision({}, {"a": boxes([[0, 0, 10, 10]], difficult=[True])}, ("thing",))
        assert math.isnan(result.ap07["thing"])
        assert math.isnan(result.mean10)

    def test_no_images(self):
        assert math.isnan(voc_average_precision({}, {}, ("thing",)).mean07)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_the_slow_reference(seed):
    rng = np.random.default_rng(seed)
    truths, predictions = {}, {}
    for image in range(60):
        count = int(rng.integers(0, 8))
        corner = rng.uniform(0, 60, (count, 2))
        truth = boxes(
            np.hstack([corner, corner + rng.uniform(10, 50, (count, 2))]), rng.integers(0, 3, count), difficult=rng.random(count) < 0.2
        )
        moved = truth.xyxy[:, None] + rng.normal(0, 4, (count, 3, 4))
        moved[..., 2:] = np.maximum(moved[..., 2:], moved[..., :2] + 1)
        truths[f"{image}"] = truth
        predictions[f"{image}"] = boxes(moved, np.repeat(truth.labels, 3), rng.permutation(3 * count) / 30 + image * 1e-4)
    result = voc_average_precision(predictions, truths, ("a", "b", "c", "never"))
    for label, name in enumerate(("a", "b", "c")):
        assert 0.05 < result.ap10[name] < 0.95
        assert (result.ap07[name], result.ap10[name]) == pytest.approx(reference(predictions, truths, label), abs=1e-12)
    assert reference(predictions, truths, 3) is None
    assert math.isnan(result.ap07["never"])
    assert result.mean10 == pytest.approx(np.mean([result.ap10[name] for name in "abc"]))
