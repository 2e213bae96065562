"""Proposals: each rule of what is certain, asked about, dropped or left alone."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest

from boxwise.annotation.proposals import Thresholds, as_found_now, fixed_thresholds, propose
from boxwise.boxes import Boxes
from boxwise.config import AskConfig
from boxwise.errors import ConfigError
from boxwise.records import Annotation, Source

CLASSES = ("car", "bike", "dog")
SPOT, NEAR, FAR, FARTHER = [0, 0, 100, 100], [0, 0, 100, 90], [200, 0, 300, 100], [400, 0, 500, 100]  # NEAR on SPOT: IoU .9
THRESHOLDS = Thresholds(np.array([0.8, 0.8, 0.8]), 0.3)


def found(xyxy, labels, scores):
    """Detections with probabilities that agree with their scores."""
    scores = np.float32(scores)
    probabilities = np.repeat((1 - scores)[:, None] / len(CLASSES), len(CLASSES) + 1, axis=1)
    probabilities[np.arange(len(scores)), labels] = scores
    return Boxes(xyxy, labels, scores, probabilities)


def proposed(detections, *, thresholds=THRESHOLDS, overlap=0.5, settled=None):
    return propose("a.png", detections, thresholds, overlap=overlap, prefix="3/a.png", settled=settled)


def lots(detections, **options):
    """{row in the detections: whether certain} of what was not dropped."""
    proposals = proposed(detections, **options)
    return {int(box_id.rsplit("-", 1)[1]): bool(sure) for box_id, sure in zip(proposals.boxes.ids, proposals.certain, strict=True)}


class TestScores:
    def test_a_box_is_certain_uncertain_or_dropped_by_its_score(self):
        assert lots(found([SPOT, FAR, FARTHER], [0, 1, 2], [0.9, 0.5, 0.2])) == {0: True, 1: False}

    def test_a_threshold_belongs_to_the_lot_above_it(self):
        assert lots(found([SPOT, FAR, FARTHER], [0, 1, 2], [0.8, 0.3, np.nextafter(np.float32(0.3), 0)])) == {0: True, 1: False}

    @pytest.mark.parametrize("threshold", [0.7, 0.85, 0.99])  # float32 of these lies below the float64
    def test_a_threshold_is_met_in_the_precision_of_the_scores(self, threshold):
        certain = Thresholds(np.full(3, threshold), threshold)
        assert lots(found([SPOT], [0], [threshold]), thresholds=certain) == {0: True}

    def test_every_class_has_its_own_threshold(self):
        thresholds = Thresholds(np.array([0.95, 0.6, 0.8]), 0.3)
        assert lots(found([SPOT, FAR, FARTHER], [0, 1, 2], [0.9, 0.7, 0.8]), thresholds=thresholds) == {0: False, 1: True, 2: True}

    def test_nothing_of_a_class_with_an_infinite_threshold_is_certain(self):
        assert lots(found([SPOT, FAR], [0, 1], [1.0, 1.0]), thresholds=Thresholds(np.array([np.inf, 0.8, 0.8]), 0.3)) == {0: False, 1: True}

    def test_detections_without_scores_are_an_error(self):
        with pytest.raises(ValueError, match="1 detections without scores"):
            proposed(Boxes([SPOT], [0]))


class TestJudgedTogether:
    def test_a_rival_of_another_class_makes_a_certain_box_uncertain(self):
        assert lots(found([SPOT, NEAR], [0, 1], [0.9, 0.5])) == {0: False, 1: False}

    def test_one_uncertain_box_of_the_same_class_backs_it_against_any_rival(self):
        assert lots(found([SPOT, NEAR, NEAR, NEAR], [0, 1, 0, 2], [0.9, 0.6, 0.5, 0.4])) == {0: True, 1: False, 2: False, 3: False}

    def test_a_box_of_the_same_class_that_is_elsewhere_does_not_back_it(self):
        assert lots(found([SPOT, NEAR, FAR], [0, 1, 0], [0.9, 0.6, 0.5])) == {0: False, 1: False, 2: False}

    def test_a_dropped_rival_casts_no_doubt(self):
        assert lots(found([SPOT, NEAR], [0, 1], [0.9, 0.2])) == {0: True}

    def test_certain_boxes_cast_no_doubt_on_each_other(self):
        assert lots(found([SPOT, NEAR], [0, 1], [0.9, 0.85])) == {0: True, 1: True}

    def test_a_box_that_was_doubted_casts_no_doubt_in_turn(self):
        chain = [[0, 0, 100, 100], [30, 0, 130, 100], [60, 0, 160, 100]]  # each overlaps the next by .54, the one after by .25
        assert lots(found(chain, [0, 1, 2], [0.9, 0.85, 0.5])) == {0: True, 1: False, 2: False}

    @pytest.mark.parametrize(("overlap", "certain"), [(0.89, False), (0.9, False), (0.91, True)])
    def test_boxes_are_judged_together_from_the_given_overlap(self, overlap, certain):
        assert lots(found([SPOT, NEAR], [0, 1], [0.9, 0.5]), overlap=overlap)[0] is certain


class TestSettled:
    @staticmethod
    def settled(xyxy, labels, sources, rejected=(), scores=None):
        return Annotation("a.png", Boxes(np.reshape(xyxy, (-1, 4)), labels, scores), sources, False, np.reshape(rejected, (-1, 4)), 2)

    @pytest.mark.parametrize("label", [0, 1])
    def test_what_a_person_labelled_is_not_proposed_again_in_any_class(self, label):
        settled = self.settled([SPOT], [0], (Source.HUMAN,))
        assert lots(found([NEAR, FAR], [label, 0], [0.95, 0.9]), settled=settled) == {1: True}

    def test_what_a_person_rejected_is_not_proposed_again(self):
        settled = self.settled([], [], (), rejected=[SPOT])
        assert lots(found([NEAR, FAR], [2, 0], [0.95, 0.5]), settled=settled) == {1: False}

    def test_a_box_that_overlaps_too_little_is_another_object(self):
        settled = self.settled([SPOT], [0], (Source.HUMAN,))
        assert lots(found([[60, 0, 160, 100]], [0], [0.9]), settled=settled) == {0: True}

    def test_a_rival_that_a_person_has_answered_casts_no_doubt(self):
        chain = [[0, 0, 100, 100], [30, 0, 130, 100], [60, 0, 160, 100]]
        settled = self.settled([], [], (), rejected=[chain[2]])
        assert lots(found(chain[:2], [0, 1], [0.9, 0.5]), settled=settled) == {0: True}

    def test_what_the_model_labelled_is_forgotten_and_detected_anew(self):
        settled = self.settled([SPOT, FAR], [0, 1], (Source.MODEL, Source.HUMAN), scores=[0.9, np.nan])
        proposals = proposed(found([NEAR, FARTHER], [0, 0], [0.5, 0.9]), settled=settled)
        assert proposals.boxes.xyxy.tolist() == [FARTHER, NEAR]
        assert proposals.settled.boxes.xyxy.tolist() == [FAR] and proposals.settled.sources == (Source.HUMAN,)
        assert (proposals.settled.round, proposals.settled.complete) == (2, False)

    def test_the_rejected_stay_settled(self):
        settled = self.settled([], [], (), rejected=[SPOT])
        assert proposed(found([FAR], [0], [0.9]), settled=settled).settled.rejected.tolist() == [SPOT]

    @pytest.mark.parametrize(
        ("detections", "whole"),
        [
            (found([NEAR], [1], [0.5]), True),  # asked about again, in whatever class
            (found([FAR], [0], [0.9]), False),
            (found([SPOT], [0], [0.2]), False),  # dropped: nobody is asked about it
        ],
    )
    def test_an_image_stays_complete_while_all_that_the_model_labelled_is_found_again(self, detections, whole):
        complete = replace(self.settled([SPOT], [0], (Source.MODEL,), scores=[0.9]), complete=True)
        assert proposed(detections, settled=complete).settled.complete is whole

    def test_what_a_person_answered_for_since_is_not_missing(self):
        complete = replace(self.settled([SPOT, FAR], [0, 0], (Source.MODEL,) * 2, [NEAR], [0.9, 0.9]), complete=True)
        assert proposed(found([FAR], [0], [0.9]), settled=complete).settled.complete


class TestAsFoundNow:
    BEFORE = Annotation("a.png", Boxes([SPOT, FAR], [0, 1]), (Source.HUMAN,) * 2, True)
    AFTER = Annotation("a.png", Boxes([SPOT, FAR, FARTHER], [0, 1, 2]), (Source.HUMAN,) * 3, True, round=1)

    def test_what_people_labelled_before_counts_as_the_models_once_it_is_certain(self):
        now = as_found_now(self.AFTER, self.BEFORE, found([NEAR], [0], [0.95]), overlap=0.5)
        assert now.by_model.tolist() == [True, False, False]
        assert now.boxes.scores[0] == np.float32(0.95) and np.isnan(now.boxes.scores[1:]).all()
        assert now.boxes.xyxy.tolist() == self.AFTER.boxes.xyxy.tolist() and not self.AFTER.by_model.any()

    @pytest.mark.parametrize("certain", [found([FAR], [0], [0.9]), found([FARTHER], [2], [0.9]), found([], [], [])])
    def test_another_class_or_an_answer_of_this_round_stays_a_persons(self, certain):
        assert not as_found_now(self.AFTER, self.BEFORE, certain, overlap=0.5).by_model.any()

    def test_one_box_speaks_for_one_object(self):
        twice = Annotation("a.png", Boxes([SPOT, NEAR], [0, 0]), (Source.HUMAN,) * 2, True)
        assert as_found_now(twice, twice, found([NEAR], [0], [0.9]), overlap=0.5).by_model.tolist() == [False, True]


class TestResult:
    def test_columns_stay_with_their_boxes_by_falling_score(self):
        detections = found([SPOT, FAR, FARTHER], [0, 1, 2], [0.5, 0.2, 0.9])
        boxes = proposed(detections).boxes
        rows = [2, 0]
        assert boxes.ids.tolist() == ["3/a.png-2", "3/a.png-0"]
        for column in ("xyxy", "labels", "scores", "probabilities"):
            assert np.array_equal(getattr(boxes, column), getattr(detections, column)[rows]), column

    def test_an_id_names_the_row_whatever_the_thresholds(self):
        detections = found([SPOT, FAR, FARTHER], [0, 1, 2], [0.5, 0.4, 0.9])
        strict = proposed(detections, thresholds=Thresholds(np.full(3, 0.8), 0.45)).boxes
        loose = proposed(detections, thresholds=Thresholds(np.full(3, 0.6), 0.1)).boxes
        xyxy = dict(zip(loose.ids, loose.xyxy.tolist(), strict=True))
        assert [xyxy[box_id] for box_id in strict.ids] == strict.xyxy.tolist()

    def test_equal_scores_keep_their_order(self):
        assert list(lots(found([SPOT, FAR, FARTHER], [0, 1, 2], [0.5, 0.5, 0.5]))) == [0, 1, 2]

    def test_uncertain_ids_are_those_a_person_is_asked_about(self):
        proposals = proposed(found([SPOT, FAR, FARTHER], [0, 1, 2], [0.4, 0.9, 0.5]))
        assert proposals.uncertain_ids == ("3/a.png-2", "3/a.png-0")

    @pytest.mark.parametrize("none", [Boxes.empty(3), Boxes.empty()])
    @pytest.mark.parametrize("settled", [None, Annotation("a.png", Boxes([SPOT], [0]), (Source.HUMAN,), False)])
    def test_nothing_detected(self, none, settled):
        proposals = proposed(none, settled=settled)
        assert len(proposals.boxes) == len(proposals.certain) == 0
        assert proposals.boxes.scores is not None and proposals.boxes.ids is not None and proposals.uncertain_ids == ()

    def test_inputs_are_unchanged(self):
        detections = found([SPOT, NEAR, FAR], [0, 1, 2], [0.9, 0.5, 0.7])
        before = detections[:]
        proposed(detections, settled=Annotation("a.png", Boxes([FAR], [0]), (Source.HUMAN,), False))
        assert detections.equals(before)

    def test_a_crowded_image_takes_well_under_a_millisecond(self):
        rng = np.random.default_rng(0)
        corner = rng.uniform(0, 500, (100, 2))
        crowded = found(np.hstack([corner, corner + 80]), rng.integers(0, 3, 100), rng.uniform(0.2, 1, 100))
        seconds = []
        for _ in range(50):
            start = time.perf_counter()
            proposed(crowded)
            seconds.append(time.perf_counter() - start)
        assert min(seconds) < 1e-3


class TestThresholds:
    def test_come_from_the_config_with_each_class_its_own(self):
        thresholds = fixed_thresholds(AskConfig(certain=0.9, uncertain=0.2, certain_of={"dog": 0.5}), CLASSES)
        assert thresholds.certain.tolist() == [0.9, 0.9, 0.5] and thresholds.certain.dtype == np.float64
        assert thresholds.uncertain == 0.2

    def test_an_unknown_class_is_named_with_the_known_ones(self):
        with pytest.raises(ConfigError, match=r"ask\.certain_of: Unknown class 'dogs'\. Did you mean 'dog'\? Known: bike, car, dog\."):
            fixed_thresholds(AskConfig(certain_of={"dogs": 0.5}), CLASSES)

    def test_travel_as_json(self):
        thresholds = Thresholds(np.array([0.1 + 0.2, np.inf]), 0.3)
        text = json.dumps(thresholds.to_json(), allow_nan=False)
        back = Thresholds.from_json(json.loads(text))
        assert text == '{"certain": [0.30000000000000004, null], "uncertain": 0.3}'
        assert back.certain.tolist() == thresholds.certain.tolist() and back.uncertain == 0.3

    @pytest.mark.parametrize(("certain", "uncertain"), [([0.8, 0.4], 0.5), ([np.nan], 0.3), ([0.8], np.nan)])
    def test_that_contradict_themselves_are_an_error(self, certain, uncertain):
        with pytest.raises(ValueError, match="uncertain is"):
            Thresholds(np.array(certain), uncertain)
