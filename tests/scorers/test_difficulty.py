import math

import numpy as np
import pytest
from dark_scenes import write_image
from found_boxes import FoundBoxes, detections

from boxwise.boxes import Boxes
from boxwise.detectors.input import InputSpec
from boxwise.detectors.loading import image_batches
from boxwise.records import Sample
from boxwise.scorers.difficulty import Difficulty, difficulty_weights

RING, DISC = 0, 1


def entropy_of(p: float) -> float:
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


def test_weights_by_hand():
    # e^(1/.3) = 28.0316; at quality .5: 1 + .06 ln(27.0316 / 2 + 1) = 1 + .06 * 2.67524
    assert difficulty_weights(np.array([1.0, 0.5, 0.0])) == pytest.approx([1, 1.160514, 1.2], abs=1e-6)


@pytest.fixture
def fitted(tmp_path):
    """Of two rings one is found at .8 with IoU .75; of the one disc nothing. "b.png" has a ring, two discs, and a box of score .04."""
    labeled, pool = write_image(tmp_path, "a.png"), [write_image(tmp_path, "b.png"), write_image(tmp_path, "c.png")]
    there = detections(([0, 0, 50, 40], RING, 0.6), ([60, 0, 90, 40], DISC, 0.5), ([0, 50, 30, 90], DISC, 0.1), ([5, 5, 9, 9], RING, 0.04))
    found = {"a.png": (detections(([0, 0, 40, 30], RING, 0.8)), [1]), "b.png": (there, [1] * 4)}
    detector = FoundBoxes(("ring", "disc"), found)
    truth = Boxes([[0, 0, 40, 40], [60, 60, 90, 90], [80, 0, 90, 10]], [RING, RING, DISC])
    scorer = Difficulty()
    figures = scorer.fit([Sample(labeled, truth)], pool, detector=detector, rng=np.random.default_rng(0))
    (batch,) = image_batches(pool, InputSpec(32), batch=2)
    return scorer, figures, scorer.measure(detector, detector.view(batch))


def test_quality_is_measured_on_the_labelled_images_missed_objects_included(fitted):
    ring = 0.8**0.6 * 0.75**0.4 / 2
    assert fitted[1] == pytest.approx({"quality_mean": ring / 2, "quality_min": 0})


def test_sums_the_weighted_entropies_of_detections_from_a_score_of_05(fitted):
    scorer, _, terms = fitted
    ring = 1 + 0.06 * math.log((math.exp(1 / 0.3) - 1) * (1 - 0.8**0.6 * 0.75**0.4 / 2) + 1)
    expected = ring * entropy_of(0.6) + 1.2 * (entropy_of(0.5) + entropy_of(0.1))
    assert terms["difficulty"] == pytest.approx([expected, 0])
    assert scorer.score(("b.png", "c.png"), terms).values == pytest.approx([expected, 0])


def test_classes_without_labelled_objects_are_the_hardest(tmp_path):
    scorer = Difficulty()
    scorer.fit([], [], detector=FoundBoxes(("ring", "disc"), {}), rng=np.random.default_rng(0))
    assert scorer.weights == pytest.approx([1.2, 1.2])


def test_a_detector_that_knows_its_labels_weighs_classes_alike(tmp_path):
    box = [0, 0, 40, 40]
    detector = FoundBoxes(("ring",), {"a.png": (detections((box, RING, 1.0), classes=1), [1])})
    scorer = Difficulty()
    scorer.fit([Sample(write_image(tmp_path, "a.png"), Boxes([box], [RING]))], [], detector=detector, rng=np.random.default_rng(0))
    assert scorer.weights == pytest.approx([1.0])
