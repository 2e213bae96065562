"""Calibration: what counts as correct, the map to P(correct), and thresholds that keep their promise on other images."""

import json

import numpy as np
import pytest

from boxwise.annotation.calibration import calibrate
from boxwise.annotation.proposals import propose
from boxwise.boxes import Boxes

CLASSES = ("car", "bike", "dog")
METHODS = ("temperature", "isotonic")
SPOT, NEAR, ELSEWHERE = [0, 0, 100, 100], [0, 0, 100, 90], [500, 500, 600, 600]


def found(xyxy, labels, scores):
    scores = np.float32(scores)
    probabilities = np.repeat((1 - scores)[:, None] / len(CLASSES), len(CLASSES) + 1, axis=1)
    probabilities[np.arange(len(scores)), labels] = scores
    return Boxes(np.reshape(xyxy, (-1, 4)), labels, scores, probabilities)


def calibrated(detections, truths, *, method="isotonic", target=0.9, lowest=0.1):
    return calibrate(detections, truths, CLASSES, target_precision=target, confidence=0.9, method=method, lowest=lowest)


def judged(detections, truth, *, method="isotonic", target=0.9, lowest=0.05):
    return calibrated({"a": detections}, {"a": truth}, method=method, target=target, lowest=lowest)


def in_rows(scores, correct, labels=None):
    """Detections far from each other, each on an object of its class where `correct`, on nothing elsewhere."""
    labels = np.zeros(len(scores), int) if labels is None else np.asarray(labels)
    corner = np.column_stack([np.arange(len(scores)) * 20.0, np.zeros(len(scores))])
    xyxy = np.hstack([corner, corner + 10])
    correct = np.asarray(correct, bool)
    return found(xyxy, labels, scores), Boxes(xyxy[correct], labels[correct])


def world(count, *, temperature, seed, spread=3.0, per_image=20):
    """`count` detections whose outcome is drawn from true probabilities q, and which report p ∝ q ** temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread, (count, len(CLASSES) + 1))
    q = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    p = q**temperature / (q**temperature).sum(1, keepdims=True)
    outcomes = (rng.random((count, 1)) > q.cumsum(1)).sum(1)
    labels = p[:, :-1].argmax(1)
    slot = np.arange(count) % per_image * 20.0
    xyxy = np.column_stack([slot, 0 * slot, slot + 10, 0 * slot + 10])
    detections, truths = {}, {}
    for first in range(0, count, per_image):
        rows = slice(first, first + per_image)
        scores = np.float32(p)[rows][np.arange(len(labels[rows])), labels[rows]]
        objects = np.flatnonzero(outcomes[rows] < len(CLASSES))
        detections[f"{first}"] = Boxes(xyxy[rows], labels[rows], scores, p[rows])
        truths[f"{first}"] = Boxes(xyxy[rows][objects], outcomes[rows][objects])
    return detections, truths


def certain_precision(calibration, detections, truths):
    """Of the boxes proposed as certain, per class: their number and the share that lie on an object of their class."""
    hits, tries = np.zeros(len(CLASSES)), np.zeros(len(CLASSES))
    for image_id, boxes in detections.items():
        proposals = propose(image_id, boxes, calibration.thresholds(0.05), overlap=0.5, prefix=image_id)
        sure, truth = proposals.boxes[proposals.certain], truths[image_id]
        objects = {(x, int(label)) for x, label in zip(truth.xyxy[:, 0].tolist(), truth.labels, strict=True)}
        for x, label in zip(sure.xyxy[:, 0].tolist(), sure.labels, strict=True):
            tries[label] += 1
            hits[label] += (x, int(label)) in objects
    return tries, hits / np.maximum(tries, 1)


class TestWhatCounts:
    @staticmethod
    def counts(detections, truth):
        """(judged, correct) detections of class car."""
        row = judged(detections, truth, target=0.01).classes["car"]
        bins = judged(detections, truth).bins
        return row.detections, round(sum(bin.precision * bin.count for bin in bins if bin.count))

    def test_a_detection_is_correct_on_an_object_of_its_class(self):
        assert self.counts(found([SPOT, ELSEWHERE], [0, 0], [0.9, 0.8]), Boxes([NEAR], [0])) == (2, 1)

    def test_the_wrong_class_is_wrong(self):
        assert self.counts(found([SPOT], [0], [0.9]), Boxes([SPOT], [1])) == (1, 0)

    def test_an_object_is_found_once(self):
        assert self.counts(found([SPOT, NEAR], [0, 0], [0.9, 0.8]), Boxes([SPOT], [0])) == (2, 1)

    def test_the_better_score_takes_the_object_and_the_next_the_free_one(self):
        lower = [0, 0, 100, 60]
        truth = Boxes([SPOT, [0, 0, 100, 52]], [0, 0])
        assert self.counts(found([lower, NEAR], [0, 0], [0.7, 0.8]), truth) == (2, 2)

    def test_an_object_goes_to_the_better_score_whatever_the_order(self):
        bins = judged(found([SPOT, NEAR], [0, 0], [0.75, 0.85]), Boxes([SPOT], [0])).bins
        assert (bins[7].precision, bins[8].precision) == (0.0, 1.0)

    def test_too_little_overlap_is_a_miss(self):
        assert self.counts(found([[51, 0, 151, 100]], [0], [0.9]), Boxes([SPOT], [0])) == (1, 0)

    def test_scores_below_the_lowest_are_not_judged(self):
        assert judged(found([SPOT, SPOT], [0, 0], [0.3, 0.29]), Boxes([SPOT], [0]), lowest=0.3).classes["car"].detections == 1

    @pytest.mark.parametrize("column", ["difficult", "crowd"])
    def test_a_detection_on_difficult_or_crowd_truth_counts_neither_way(self, column):
        truth = Boxes([SPOT, ELSEWHERE], [0, 0], **{column: [True, False]})
        assert self.counts(found([SPOT, SPOT, ELSEWHERE], [0, 0, 0], [0.9, 0.8, 0.7]), truth) == (1, 1)

    def test_a_crowd_absorbs_what_lies_half_inside(self):
        crowd = Boxes([[0, 0, 1000, 1000]], [0], crowd=[True])
        assert self.counts(found([SPOT, [950, 0, 1050, 100], [951, 0, 1051, 100]], [0, 0, 0], [0.9, 0.8, 0.7]), crowd) == (1, 0)

    def test_a_crowd_of_another_class_absorbs_nothing(self):
        assert self.counts(found([SPOT], [0], [0.9]), Boxes([SPOT], [1], crowd=[True])) == (1, 0)

    def test_an_object_in_a_crowd_is_still_found(self):
        truth = Boxes([SPOT, SPOT], [0, 0], crowd=[True, False])
        assert self.counts(found([SPOT, SPOT], [0, 0], [0.9, 0.8]), truth) == (1, 1)

    def test_only_images_with_truth_are_judged(self):
        detections = {"a": found([SPOT], [0], [0.9]), "elsewhere": found([SPOT], [0], [0.9])}
        calibration = calibrated(detections, {"a": Boxes.empty()}, target=0.9, method="isotonic")
        assert calibration.classes["car"].detections == 1


class TestTemperature:
    @pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
    def test_is_recovered(self, temperature):
        detections, truths = world(6000, temperature=temperature, seed=1)
        fitted = calibrated(detections, truths, target=0.9, method="temperature").temperature
        assert fitted == pytest.approx(temperature, rel=0.08)

    def test_stays_moderate_when_few_detections_are_all_correct(self):
        calibration = judged(*in_rows(np.full(12, 0.6), np.ones(12)), method="temperature")
        assert 0.3 < calibration.temperature < 1

    def test_confusing_two_classes_says_more_than_missing_both(self):
        """The second most probable class happened: a flatter answer than if background, thought impossible, had."""
        xyxy = in_rows(np.full(40, 0.7), np.ones(40))[0].xyxy
        boxes = Boxes(xyxy, np.zeros(40), np.full(40, 0.7), np.tile([0.7, 0.28, 0.01, 0.01], (40, 1)))
        labels = np.repeat([0, 1], [28, 12])
        confused = judged(boxes, Boxes(xyxy, labels), method="temperature").temperature
        imagined = judged(boxes, Boxes(xyxy[:28], labels[:28]), method="temperature").temperature
        assert imagined > confused * 1.5

    def test_survives_probabilities_of_zero(self):
        boxes, truth = in_rows(np.full(30, 1.0), np.repeat([1, 0], [20, 10]))
        calibration = judged(boxes, truth, method="temperature")
        assert calibration.temperature > 1
        assert calibration.bins[9].calibrated == pytest.approx(2 / 3, abs=0.1)

    def test_needs_probabilities(self):
        boxes, truth = in_rows([0.9], [True])
        with pytest.raises(ValueError, match="isotonic calibration does not"):
            judged(Boxes(boxes.xyxy, boxes.labels, boxes.scores), truth, method="temperature")


@pytest.mark.parametrize("method", METHODS)
class TestPromise:
    @pytest.mark.parametrize("temperature", [0.5, 2.5])
    @pytest.mark.parametrize("target", [0.8, 0.95])
    @pytest.mark.slow
    def test_other_images_reach_the_target_and_not_much_more(self, method, temperature, target):
        detections, truths = world(6000, temperature=temperature, seed=2)
        calibration = calibrated(detections, truths, target=target, method=method)
        tries, precision = certain_precision(calibration, *world(6000, temperature=temperature, seed=3))
        error = np.sqrt(target * (1 - target) / tries)
        assert (tries > 100).all()
        assert (precision > target - 2 * error).all()
        assert (precision < target + (1 - target) / 2 + 2 * error).all()

    def test_calibration_error_falls(self, method):
        detections, truths = world(6000, temperature=2.5, seed=4)
        calibration = calibrated(detections, truths, target=0.9, method=method)
        assert calibration.ece_before > 0.1
        assert calibration.ece_after < 0.03

    def test_a_target_out_of_reach_leaves_nothing_certain(self, method):
        rng = np.random.default_rng(0)
        calibration = judged(*in_rows(rng.uniform(0.3, 0.99, 400), rng.random(400) < 0.6), method=method)
        assert np.isinf(calibration.certain).all()
        row = calibration.classes["car"]
        assert (row.precision, row.recall, row.detections) == (None, 0.0, 400)

    def test_luck_seldom_makes_a_threshold(self, method):
        """Small val sets whose scores say nothing and whose detections are right 3 times in 4, where 95 in 100 are wanted."""
        rng = np.random.default_rng(0)
        lucky = 0
        for _ in range(100):
            detections, truth = in_rows(rng.uniform(0.3, 1, 60), rng.random(60) < 0.75)
            lucky += np.isfinite(judged(detections, truth, method=method, target=0.95).certain).any()
        assert lucky <= 10

    def test_one_lucky_top_detection_sets_no_threshold(self, method):
        scores = [0.999, *np.linspace(0.3, 0.9, 40)]
        calibration = judged(*in_rows(scores, [True] + [False] * 40), method=method, target=0.5)
        assert np.isinf(calibration.certain).all()

    @pytest.mark.parametrize(
        ("images", "truths"), [({}, {}), ({}, {"a": Boxes([SPOT], [0])}), ({"a": Boxes.empty(3)}, {"a": Boxes.empty()})]
    )
    def test_is_defined_without_images_or_detections(self, method, images, truths):
        calibration = calibrated(images, truths, target=0.95, method=method)
        assert np.isinf(calibration.certain).all() and calibration.certain.shape == (3,) and calibration.temperature is None
        assert [bin.count for bin in calibration.bins] == [0] * 10
        assert calibration.thresholds(0.3).uncertain == 0.3
        assert json.loads(json.dumps(calibration.to_json(), allow_nan=False))["ece_after"] is None

    def test_inputs_are_unchanged(self, method):
        detections, truth = in_rows([0.5, 0.9, 0.7], [True, False, True])
        before = detections[:], truth[:]
        judged(detections, truth, method=method)
        assert detections.equals(before[0]) and truth.equals(before[1])


class TestThresholds:
    def test_by_hand(self):
        """113 right at .9 and more, then only wrong ones: looked at are 90 and 113 (a quarter more), and 113 of 142 would be too few."""
        scores = [*np.linspace(0.99, 0.9, 113), *np.linspace(0.6, 0.4, 30)]
        calibration = judged(*in_rows(scores, [True] * 113 + [False] * 30), target=0.95)
        assert calibration.certain[0] == np.sort(np.float32(scores))[::-1][111]
        row = calibration.classes["car"]
        assert (row.precision, row.detections) == (1.0, 143) and row.recall == pytest.approx(112 / 113)

    def test_recall_is_of_all_objects_and_precision_of_what_is_above(self):
        scores = np.concatenate([np.full(40, 0.9), np.full(20, 0.4)])
        correct = np.concatenate([np.ones(36), np.zeros(4), np.ones(4), np.zeros(16)])
        detections, truth = in_rows(scores, correct)
        unseen = Boxes(np.tile(ELSEWHERE, (10, 1)), np.zeros(10))
        unseen_and_hard = Boxes(np.concatenate([truth.xyxy, unseen.xyxy, unseen.xyxy]), np.zeros(60), difficult=[False] * 50 + [True] * 10)
        row = judged(detections, unseen_and_hard, target=0.8).classes["car"]
        assert (row.threshold, row.precision, row.recall) == (np.float32(0.9), 0.9, pytest.approx(36 / 50))

    def test_detections_of_one_score_stand_or_fall_together(self):
        scores = [*np.linspace(0.99, 0.9, 29), *np.full(20, 0.8)]
        calibration = judged(*in_rows(scores, [True] * 29 + [True] * 7 + [False] * 13), target=0.85)
        assert calibration.certain[0] == np.float32(0.9)

    def test_classes_with_few_detections_have_one_threshold_together(self):
        """A precision of .9 is asked for from 44 detections on: 43 and 20 of two classes are enough together, not alone."""
        scores = np.concatenate([np.linspace(0.5, 0.99, 100), np.full(43, 0.95), np.full(20, 0.9)])
        labels, right = np.repeat([0, 1, 2], [100, 43, 20]), np.repeat([0, 1, 1], [100, 43, 20])
        together = judged(*in_rows(scores, right, labels)).certain
        assert np.isinf(together[0]) and together[1:].tolist() == [np.float32(0.9)] * 2
        alone = judged(*in_rows(scores[:143], right[:143], labels[:143])).certain
        assert np.isinf(alone).all()

    def test_a_class_with_few_detections_is_not_carried_by_one_with_many(self):
        scores, labels = np.full(340, 0.95), np.repeat([0, 1], [300, 40])
        certain = judged(*in_rows(scores, labels == 0, labels)).certain
        assert certain[0] == np.float32(0.95) and np.isinf(certain[1:]).all()

    def test_a_class_that_is_worse_than_the_rest_is_not_carried_by_them(self):
        scores, labels = np.full(400, 0.9), np.repeat([0, 1], [300, 100])
        calibration = judged(*in_rows(scores, np.concatenate([np.ones(300), np.arange(100) % 2]), labels), target=0.8)
        assert calibration.certain[0] == np.float32(0.9) and np.isinf(calibration.certain[1])

    @pytest.mark.parametrize(("run", "certain"), [(60, False), (90, True)])
    def test_a_run_at_the_top_must_be_long_enough_for_the_target(self, run, certain):
        """60 right in a row would show .95 by themselves, but a run that happens to be long is not to be picked: 90 are looked at."""
        scores = [*np.linspace(0.99, 0.9, run), *np.linspace(0.6, 0.4, 30)]
        calibration = judged(*in_rows(scores, [True] * run + [False] * 30), target=0.95)
        assert np.isfinite(calibration.certain[0]) == certain

    def test_fewer_than_ten_detections_set_no_threshold(self):
        def threshold(top):
            scores = [*np.full(top, 0.999), *np.full(60, 0.5)]
            return judged(*in_rows(scores, [True] * top + [False] * 60), method="temperature", target=0.6).certain[0]

        assert np.isinf(threshold(9)) and threshold(10) == np.float32(0.999)

    def test_uncertain_is_lowered_to_the_lowest_certain(self):
        calibration = judged(*in_rows(np.full(50, 0.25), np.ones(50)))
        assert calibration.certain[0] == 0.25
        assert calibration.thresholds(0.3).uncertain == 0.25
        assert calibration.thresholds(0.2).uncertain == np.float64(0.2)
        assert calibration.thresholds(0.2).certain.tolist() == calibration.certain.tolist()

    def test_detections_without_scores_are_an_error(self):
        with pytest.raises(ValueError, match="detections of 'a' have no scores"):
            judged(Boxes([SPOT], [0]), Boxes([SPOT], [0]))


class TestReliability:
    def test_bins_and_error_by_hand(self):
        detections, truth = in_rows([0.95, 0.93, 0.55, 0.5, 1.0], [True, False, True, True, True])
        calibration = judged(detections, truth)
        last, middle = calibration.bins[9], calibration.bins[5]
        assert (last.count, last.confidence, last.precision) == (3, pytest.approx(0.96), pytest.approx(2 / 3))
        assert (middle.count, middle.confidence, middle.precision) == (2, pytest.approx(0.525), 1.0)
        assert calibration.ece_before == pytest.approx((3 * (0.96 - 2 / 3) + 2 * (1 - 0.525)) / 5)
        assert sum(bin.count for bin in calibration.bins) == 5 and np.isnan(calibration.bins[0].precision)

    def test_calibrated_confidence_follows_precision(self):
        detections, truths = world(6000, temperature=2.5, seed=5)
        bins = calibrated(detections, truths, target=0.9, method="temperature").bins
        full = [bin for bin in bins if bin.count > 200]
        assert len(full) >= 5
        for bin in full:
            assert abs(bin.calibrated - bin.precision) < 4 * np.sqrt(0.25 / bin.count)

    def test_json_has_the_shape_that_the_report_reads(self):
        calibration = judged(*in_rows(np.full(50, 0.75), np.ones(50)), method="temperature")
        values = json.loads(json.dumps(calibration.to_json(), allow_nan=False))
        assert list(values) == ["method", "target", "confidence", "temperature", "ece_before", "ece_after", "bins", "classes"]
        assert (values["method"], values["target"]) == ("temperature", 0.9)
        assert values["bins"][7]["count"] == 50
        assert values["bins"][0] == {"confidence": None, "calibrated": None, "precision": None, "count": 0}
        assert values["classes"]["car"] == {"threshold": 0.75, "detections": 50, "precision": 1.0, "recall": 1.0}
        assert values["classes"]["bike"]["recall"] is None
