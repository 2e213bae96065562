import numpy as np
import pytest
import torch
from blob_detector import BlobDetector, samples

from boxwise.boxes import Boxes
from boxwise.config import ScorerConfig, VaeConfig
from boxwise.detectors.input import InputSpec
from boxwise.detectors.loading import image_batches
from boxwise.errors import ConfigError
from boxwise.registry import scorer_of, scorer_options

Z = np.sqrt(1.5)  # of 0, 1, 2 standardised: -Z, 0, Z


def built(**changes):
    return scorer_of(
        ScorerConfig(name="dual", vae=VaeConfig(size=32, width=8, steps=2, batch=4), **changes), device="cpu", spec=InputSpec(64)
    )


def test_alpha_0_neither_fits_nor_measures_the_vae(scenes, tmp_path):
    scorer, detector = built(alpha=0, beta=1), BlobDetector()
    assert scorer.fit(samples(scenes), [], detector=detector, rng=np.random.default_rng(0), folder=tmp_path / "round") == {
        "alpha": 0,
        "beta": 1,
    }
    assert not (tmp_path / "round").exists()
    assert list(scorer.measure(detector, detector.view(next(iter(image_batches(scenes, InputSpec(64), batch=4)))))) == ["expected"]


def test_beta_0_asks_the_detector_for_nothing(scenes):
    scorer = built(alpha=1, beta=0)
    scorer.fit(samples(scenes), [], detector=BlobDetector(), rng=np.random.default_rng(0))
    view = BlobDetector().view(next(iter(image_batches(scenes, InputSpec(64), batch=4))))
    assert set(scorer.measure(object(), view)) == {"reconstruction", "complexity"}


def test_auto_weights_keep_both_terms_even_when_one_weight_has_become_0():
    config = ScorerConfig(name="dual", dual={"alpha": "auto", "beta": "auto", "reconstruction": "raw"})
    scorer = scorer_of(config, device="cpu", weights={"alpha": 0.0, "beta": 1.0})
    scores = scorer.score(["a", "b", "c"], {"reconstruction": np.array([3.0, 2.0, 1.0]), "expected": np.array([0.0, 1.0, 2.0])})
    assert scores.terms["L_rec"] == pytest.approx([Z, 0, -Z])
    assert scores.values == pytest.approx([-Z, 0, Z])


def test_the_oracle_needs_truths_which_only_a_simulation_has():
    config = ScorerConfig(name="dual", detection="oracle_loss", alpha=0, beta=1)
    with pytest.raises(ConfigError, match="simulation"):
        scorer_of(config, device="cpu")
    scorer_of(config, device="cpu", truths=lambda image_id: Boxes.empty())


def test_an_unknown_name_prints_the_known_ones():
    with pytest.raises(ConfigError, match=r"Did you mean 'dual'.*reconstruction"):
        scorer_of(ScorerConfig(name="duel"), device="cpu")


def test_fit_leaves_the_global_generator_alone(scenes):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    built().fit(samples(scenes), [], detector=BlobDetector(), rng=np.random.default_rng(0))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("dual", "learned", "shown"),
    [
        ({"alpha": 0.2, "beta": 0.7}, {}, {"alpha": 0.2, "beta": 0.7}),
        ({"alpha": "auto", "beta": "auto"}, {}, {"alpha": 0.5, "beta": 0.5}),
        ({"alpha": "auto", "beta": "auto"}, {"alpha": 0.9, "beta": 0.1}, {"alpha": 0.9, "beta": 0.1}),
    ],
)
def test_the_weights_in_force_are_those_learned_else_as_given(scenes, dual, learned, shown):
    config = ScorerConfig(name="dual", vae=VaeConfig(size=32, width=4, steps=1, batch=4), dual=dual)
    scorer = scorer_of(config, device="cpu", spec=InputSpec(64), weights=learned)
    figures = scorer.fit(samples(scenes), [], detector=BlobDetector(), rng=np.random.default_rng(0))
    assert {name: figures[name] for name in shown} == shown


def learned_weights(**section):
    return scorer_options(ScorerConfig(**section)).learned_weights()


def test_only_what_is_learned_is_fitted():
    assert learned_weights(name="forecast", forecast={"parts": ("expected", "learned")}) == {
        "expected": "forecast:expected",
        "learned": "forecast:learned",
    }
    assert learned_weights(name="forecast", forecast={"learn": False}) == {}
    assert learned_weights(name="dual", dual={"alpha": "auto", "beta": "auto"}) == {"alpha": "L_rec", "beta": "L_det"}
    assert learned_weights(name="dual") == {}
