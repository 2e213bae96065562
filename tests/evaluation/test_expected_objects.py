"""Expected objects: what val teaches of scores holds on other images, and an object counts once whatever it is taken for."""

import numpy as np
import pytest

from boxwise.boxes import Boxes
from boxwise.config import CostConfig
from boxwise.evaluation.expected_objects import ObjectCounts, distinct, uncalibrated
from boxwise.records import Scores
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.gain_per_second import GainPerSecond

CAT, DOG = 0, 1
SPOT, NEAR = [0, 0, 100, 100], [0, 0, 100, 90]


def found(*rows):
    """(xyxy, class, score) of each detection; the rest of a score's probability is background."""
    if not rows:
        return Boxes.empty(2)
    xyxy, labels, scores = zip(*rows, strict=True)
    probabilities = np.zeros((len(rows), 3), np.float32)
    probabilities[np.arange(len(rows)), labels] = scores
    probabilities[:, -1] = 1 - np.float32(scores)
    return Boxes(list(xyxy), labels, scores, probabilities)


def world(images, seed):
    """Images of 0 to 8 objects. Of ten objects seven are detected; each image has clutter as well. P(object) is the score squared."""
    rng = np.random.default_rng(seed)
    detections, truths = {}, {}
    for image in range(images):
        places = [[40 * slot, 0, 40 * slot + 30, 30] for slot in rng.permutation(40)]
        scores = rng.uniform(0.05, 1, rng.poisson(8))
        real = rng.random(len(scores)) < scores**2
        objects = [places[row] for row in np.flatnonzero(real)]
        missed = places[20 : 20 + rng.poisson(1.2)]
        detections[str(image)] = found(*zip(places, rng.integers(0, 2, len(scores)), scores, strict=False))
        truths[str(image)] = Boxes(np.reshape([*objects, *missed], (-1, 4)), rng.integers(0, 2, len(objects) + len(missed)))
    return detections, truths


class TestDistinct:
    def test_an_object_taken_for_two_classes_is_one(self):
        both = found((SPOT, CAT, 0.4), (NEAR, DOG, 0.6), ([500, 0, 600, 100], CAT, 0.3))
        assert distinct(both).labels.tolist() == [DOG, CAT]
        assert uncalibrated(2).by_class(both).sum() == pytest.approx(0.5 + 0.6 + 0.3)

    def test_what_is_hardly_believed_does_not_count(self):
        assert len(distinct(found((SPOT, CAT, 0.04)))) == 0

    def test_the_surer_one_is_kept_and_only_what_it_covers_falls(self):
        """Of three boxes in a row the middle one covers both others, which do not cover one another."""
        row = [([10 * step, 0, 30 + 10 * step, 10], CAT, score) for step, score in ((0, 0.5), (1, 0.4), (2, 0.3))]
        assert distinct(found(*row)).scores == pytest.approx([0.5, 0.3])


class TestCalibration:
    @pytest.mark.parametrize("images", [20, 200])
    def test_on_other_images_the_expected_number_is_the_true_one(self, images):
        counts = [ObjectCounts.fit(*world(images, seed), 2) for seed in range(5)]
        detections, truths = world(400, seed=99)
        true = sum(map(len, truths.values()))
        expected = [sum(each.by_class(boxes).sum() for boxes in detections.values()) for each in counts]
        assert np.mean(expected) == pytest.approx(true, rel=0.08)

    def test_scores_alone_would_be_far_off(self):
        """So the test above could fail."""
        detections, truths = world(400, seed=99)
        believed = sum(uncalibrated(2).by_class(boxes).sum() for boxes in detections.values())
        assert believed > 1.15 * sum(map(len, truths.values()))

    def test_clutter_weighs_little_once_val_has_shown_it(self):
        clutter = found(*(([40 * slot, 0, 40 * slot + 30, 30], CAT, 0.2) for slot in range(20)))
        real = found((SPOT, CAT, 0.9), ([200, 0, 300, 100], CAT, 0.9))
        counts = ObjectCounts.fit(*world(200, seed=1), 2)
        assert uncalibrated(2).by_class(clutter).sum() > uncalibrated(2).by_class(real).sum()
        assert counts.by_class(clutter).sum() < counts.by_class(real).sum()

    def test_without_val_the_scores_are_believed_and_half_an_object_is_unseen(self):
        assert uncalibrated(2).by_class(found((SPOT, DOG, 0.7))) == pytest.approx([0.25, 0.95])
        assert uncalibrated(4).by_class(Boxes.empty(4)) == pytest.approx([0.125] * 4)

    def test_what_val_misses_is_spread_as_its_classes_are(self):
        truths = {str(row): Boxes([SPOT, [200, 0, 300, 100]], [CAT, DOG]) for row in range(30)}
        counts = ObjectCounts.fit({str(row): found((SPOT, CAT, 0.9)) for row in range(30)}, truths, 2)
        assert counts.unseen == pytest.approx([0.25 / 31, 30.25 / 31])

    def test_a_val_image_without_detections_counts(self):
        counts = ObjectCounts.fit({}, {"a": Boxes([SPOT], [CAT])}, 2)
        assert counts.unseen == pytest.approx([1.25 / 2, 0.25 / 2]) and counts.images == 1 and counts.detections == 0

    def test_a_region_that_is_ignored_is_drawn_once(self):
        counts = ObjectCounts.fit({}, {"a": Boxes([SPOT, SPOT], [CAT, DOG], crowd=[True, True])}, 2)
        assert counts.unseen.sum() == pytest.approx(1.5 / 2)

    def test_facts_are_plain(self):
        assert uncalibrated(2).to_json() == {"unseen": 0.5, "images": 0, "detections": 0}


class TestGainAndSeconds:
    """Gain and seconds come from one count: what an image shows is paid for by the same measure."""

    @staticmethod
    def order(counts, images):
        ids = tuple("abcdef"[: len(images)])
        of_class = np.array([counts.by_class(boxes) for boxes in images])
        boxes, cost = of_class.sum(axis=1), CostConfig()
        nothing = np.zeros(len(images))
        candidates = Candidates(
            *(1, ids, Scores(ids, nothing), np.zeros((len(ids), 2), np.float32), np.zeros((0, 2), np.float32), boxes),
            seconds=cost.look + cost.draw * boxes,
            class_counts=of_class,
            labeled_class_counts=np.ones(2),
        )
        return GainPerSecond(rarity=0, novelty=0, weight=1).select(candidates, Budget(len(ids)), rng=np.random.default_rng(0))

    def test_weak_clutter_is_not_worth_more_than_real_objects(self):
        clutter = found(*(([40 * slot, 0, 40 * slot + 30, 30], CAT, 0.2) for slot in range(20)))
        real = found(*(([40 * slot, 0, 40 * slot + 30, 30], CAT, 0.95) for slot in range(3)))
        assert self.order(ObjectCounts.fit(*world(200, seed=1), 2), [clutter, real, Boxes.empty(2)]).image_ids == ("b", "a", "c")

    def test_an_image_that_shows_nothing_is_worth_what_val_says_it_hides(self):
        full = {str(row): found((SPOT, CAT, 0.9)) for row in range(50)}
        counts = ObjectCounts.fit(full, {image_id: Boxes([SPOT], [CAT]) for image_id in full}, 2)  # nothing is ever missed
        shown, hidden = self.order(counts, [Boxes.empty(2), found((SPOT, CAT, 0.9))]).items
        assert shown.image_id == "b" and hidden.utility < 0.05 * shown.utility
