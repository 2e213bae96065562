import numpy as np
import pytest
from blob_detector import BlobDetector

from boxwise.boxes import Boxes
from boxwise.detectors.input import InputSpec
from boxwise.detectors.loading import image_batches
from boxwise.scorers.per_box import AGGREGATES, placed
from boxwise.scorers.pool_pass import inspect_pool
from boxwise.scorers.uncertainty import MEASURES, Uncertainty

SURE, UNSURE, TORN = [0.98, 0.01, 0.01], [0.6, 0.1, 0.3], [0.5, 0.5, 0.0]


class UnsureDetector(BlobDetector):
    """Says of every bright rectangle what it is told to: one detection a row of `probabilities`, two classes and background."""

    classes = ("cat", "dog")

    def __init__(self, *probabilities) -> None:
        self.probabilities = np.array(probabilities, np.float32).reshape(-1, 3)

    def _boxes(self, box, x_scale, y_scale) -> Boxes:
        if box is None or len(self.probabilities) == 0:
            return Boxes.empty(2)
        foreground = self.probabilities[:, :-1]
        xyxy = np.tile(np.array([box], np.float32), (len(foreground), 1))
        return Boxes(xyxy, foreground.argmax(axis=1), foreground.max(axis=1), self.probabilities)


@pytest.fixture
def batch(scenes):
    """The 12 scenes: 8 with a rectangle, 4 (rows 2, 5, 8, 11) without."""
    return next(iter(image_batches(scenes, InputSpec(64), batch=12)))


def measured(batch, *probabilities, measure="entropy", aggregate="max"):
    detector = UnsureDetector(*probabilities)
    return Uncertainty(measure, aggregate).measure(detector, detector.view(batch))["uncertainty"][0]


def scores(scenes, detector, **options):
    scorer = Uncertainty(**options)
    found = inspect_pool(detector, scorer, scenes, batch=5)
    return scorer.score(found.image_ids, found.terms)


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        ("least_confidence", [0.02, 0.4, 0.5]),
        ("margin", [1 - 0.97, 1 - 0.3, 1.0]),
        ("entropy", [-0.98 * np.log(0.98) - 0.02 * np.log(0.01), -0.6 * np.log(0.6) - 0.1 * np.log(0.1) - 0.3 * np.log(0.3), np.log(2)]),
        ("gate", [-np.log(0.98) - np.log(0.99), -np.log(0.6) - np.log(0.9), 2 * np.log(2)]),
    ],
)
def test_measures_the_whole_distribution_background_included(measure, expected):
    assert MEASURES[measure](np.array([SURE, UNSURE, TORN]), 2) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        ("least_confidence", 1 - 0.8 / 1.1),  # (.8, .1, .2) scaled to sum to 1
        ("margin", 1 - 0.6 / 1.1),
        ("entropy", -0.8 * np.log(0.8) - 0.2 * np.log(0.2) - 0.1 * np.log(0.1) - 0.9 * np.log(0.9)),
        ("gate", -np.log(0.8) - np.log(0.9)),
    ],
)
def test_measures_the_independent_chances_of_a_sigmoid_family(measure, expected):
    assert MEASURES[measure](np.array([[0.8, 0.1]]), 2) == pytest.approx([expected])


@pytest.mark.parametrize("measure", MEASURES)
def test_certainty_is_0_and_no_box_is_below(measure):
    certain = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    assert MEASURES[measure](certain, 2) == pytest.approx(np.zeros(2), abs=1e-6)
    assert (MEASURES[measure](np.random.default_rng(0).dirichlet(np.ones(4), 100), 3) >= 0).all()


@pytest.mark.parametrize(("aggregate", "expected"), [("max", 0.5), ("mean", 0.92 / 3), ("sum", 0.92)])
def test_goes_from_boxes_to_the_image_by_the_aggregate(batch, aggregate, expected):
    assert measured(batch, SURE, UNSURE, TORN, measure="least_confidence", aggregate=aggregate) == pytest.approx(expected)


def test_a_detection_counts_from_the_threshold_on(batch):
    at, below = [0.05, 0.04, 0.91], [0.049, 0.001, 0.95]
    assert measured(batch, SURE, at, measure="least_confidence", aggregate="sum") == pytest.approx(0.02 + 0.09, abs=1e-6)
    assert measured(batch, SURE, below, measure="least_confidence", aggregate="sum") == pytest.approx(0.02, abs=1e-6)


def test_an_image_without_detections_is_placed_by_its_expected_loss(scenes):
    found = scores(scenes, UnsureDetector(UNSURE), measure="least_confidence")
    assert found.values[[0, 1, 3]] == pytest.approx([0.4] * 3)
    assert ((found.values[[2, 5, 8, 11]] > 0) & (found.values[[2, 5, 8, 11]] < 0.4)).all()  # dark images: a low expected loss
    assert list(found.terms) == ["uncertainty"] and np.array_equal(found.terms["uncertainty"], found.values)


def test_is_placed_at_the_quantile_of_its_evidence():
    values, evidence = np.array([0.1, 0.2, 0.9, 0, 0, 0, 0, 0]), np.array([10.0, 30.0, 20.0, 20.0, 25.0, 5.0, 99.0, 0.0])
    known = np.arange(8) < 3
    assert placed(values, evidence, known) == pytest.approx([0.1, 0.2, 0.9, 0.2, 0.55, 0.05, 0.9, 0])


def test_is_neither_first_nor_last_as_a_rule():
    rng = np.random.default_rng(0)
    evidence = rng.gamma(2.0, size=4000)
    known = rng.random(4000) < 0.5  # whether something is detected says nothing of the evidence here
    filled = placed(np.where(known, rng.random(4000), 0.0), evidence, known)
    assert np.quantile(filled[~known], [0.25, 0.5, 0.75]) == pytest.approx(np.quantile(filled[known], [0.25, 0.5, 0.75]), abs=0.05)


def test_a_pool_where_nothing_is_detected_is_ranked_by_expected_loss(scenes):
    detector = UnsureDetector()
    found = inspect_pool(detector, Uncertainty(), scenes, batch=12)
    assert np.array_equal(Uncertainty().score(found.image_ids, found.terms).values, found.terms["expected"])


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_sum_alone_favours_crowded_images(batch, aggregate):
    one, many = (measured(batch, *[UNSURE] * count, aggregate=aggregate) for count in (1, 5))
    assert (many > one) == (aggregate == "sum")


def test_refuses_boxes_without_probabilities(batch):
    class Scoreless(BlobDetector):
        def detections(self, view):
            return [Boxes.empty() for _ in view.batch.records]

    with pytest.raises(ValueError, match="probabilities"):
        Uncertainty().measure(Scoreless(), Scoreless().view(batch))
