import numpy as np
import pytest
from blob_detector import BlobDetector, samples

from boxwise.config import ScorerConfig
from boxwise.registry import scorer_of
from boxwise.scorers.detection_loss import ExpectedLoss, LearnedLoss
from boxwise.scorers.forecast import Forecast

IDS = ["a", "b", "c"]
TERMS = {"expected": np.array([0.0, 10.0, 2.0]), "learned": np.array([3.0, 1.0, 2.0])}
PARTS = {"expected": ExpectedLoss(), "learned": LearnedLoss()}


def test_means_ranks_by_weight():
    scores = Forecast(PARTS, {"expected": 0.75, "learned": 0.25}).score(IDS, TERMS)
    assert scores.values == pytest.approx([0.25, 0.75, 0.5])
    assert scores.terms["forecast:expected"] == pytest.approx([0, 1, 0.5])
    assert scores.terms["forecast:learned"] == pytest.approx([1, 0, 0.5])
    assert scores.terms["expected"] == pytest.approx(TERMS["expected"])


@pytest.mark.parametrize("weights", [{}, {"expected": 0.3, "learned": 0.3}, {"expected": 0.0, "learned": 0.0}, {"expected": 0.4}])
def test_all_parts_weigh_the_same_where_nothing_says_otherwise(weights):
    assert Forecast(PARTS, weights).score(IDS, TERMS).values == pytest.approx([0.5, 0.5, 0.5])


def test_says_its_weights(scenes):
    fitted = Forecast(PARTS, {"expected": 0.75, "learned": 0.25})
    figures = fitted.fit(samples(scenes), [], detector=BlobDetector(), rng=np.random.default_rng(0))
    assert figures == {"weight_expected": 0.75, "weight_learned": 0.25}


def test_is_built_of_the_parts_that_the_config_names():
    built = scorer_of(ScorerConfig(name="forecast", forecast={"parts": ("learned",)}), device="cpu")
    assert built.score(IDS, {"learned": TERMS["learned"]}).values == pytest.approx([1, 0, 0.5])
