import numpy as np
import pytest
from blob_detector import BlobDetector

from boxwise.boxes import Boxes
from boxwise.detectors.input import InputSpec
from boxwise.detectors.loading import image_batches
from boxwise.scorers.detection_loss import ExpectedLoss, LearnedLoss, OracleLoss, PseudoLoss, surrogates


@pytest.fixture
def detector() -> BlobDetector:
    return BlobDetector()


@pytest.fixture(params=["stretch", "fit"])
def view(request, scenes, detector):
    """Of 12 images: 8 with a rectangle, 4 (rows 2, 5, 8, 11) without."""
    return detector.view(next(iter(image_batches(scenes, InputSpec(64, request.param), batch=12))))


def test_pseudo_mirrors_boxes_back_into_original_pixels(detector, view):
    # the mirrored image shows the same rectangle: boxes mirrored back exactly leave no loss, anything else leaves some
    assert PseudoLoss(threshold=0.5).measure(detector, view)["pseudo"] == pytest.approx(np.zeros(12), abs=1e-4)


def test_pseudo_without_confident_boxes_is_the_loss_against_no_objects(detector, view):
    measured = PseudoLoss(threshold=0.95).measure(detector, view)["pseudo"]
    assert np.array_equal(measured, detector.losses(view, [Boxes.empty()] * 12))
    assert np.array_equal(measured == 1000, np.arange(12) % 3 != 2)


def test_pseudo_counts_a_box_exactly_at_the_threshold(view):
    at_threshold = BlobDetector(score=0.5)
    assert PseudoLoss(threshold=0.5).measure(at_threshold, view)["pseudo"] == pytest.approx(np.zeros(12), abs=1e-4)


def test_oracle_asks_for_the_truth_of_each_image_by_its_id(detector, view):
    shifted = {record.image_id: boxes for record, boxes in zip(view.batch.records, detector.detections(view), strict=True)}
    shifted = {image_id: Boxes(boxes.xyxy + 3, boxes.labels) for image_id, boxes in shifted.items()}
    expected = np.where(np.arange(12) % 3 == 2, 0.0, 3.0)
    assert OracleLoss(shifted.__getitem__).measure(detector, view)["oracle_loss"] == pytest.approx(expected, abs=1e-4)


def test_expected_and_learned_are_what_the_detector_says(detector, view):
    assert ExpectedLoss().measure(detector, view)["expected"] == pytest.approx(detector.expected_losses(view))
    assert LearnedLoss().measure(detector, view)["learned"] == pytest.approx(detector.learned_losses(view))


def test_the_score_is_the_loss_and_its_only_term():
    scores = ExpectedLoss().score(["a", "b"], {"expected": np.array([2.0, 1.0]), "other": np.zeros(2)})
    assert scores.values.tolist() == [2, 1]
    assert list(scores.terms) == ["expected"]


def test_no_surrogate_looks_at_ground_truth():
    assert [scorer.name for scorer in surrogates(pseudo_threshold=0.5)] == ["expected", "pseudo", "learned"]
