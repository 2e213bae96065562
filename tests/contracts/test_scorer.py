"""What every scorer promises, for each one named in registry.py, on a real small detector."""

from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image

from boxwise.boxes import Boxes
from boxwise.config import DetectorConfig, ScorerConfig, VaeConfig
from boxwise.config.methods import DetectionLossOptions
from boxwise.detectors.base import View
from boxwise.detectors.detector import TorchDetector, build_detector
from boxwise.detectors.input import InputSpec
from boxwise.detectors.loading import image_batches
from boxwise.records import ImageRecord, Sample
from boxwise.registry import SCORERS, scorer_of
from boxwise.scorers.base import Scorer
from boxwise.scorers.pool_pass import inspect_pool
from boxwise.scorers.uncertainty import MEASURES

VAE = VaeConfig(size=32, latent=4, width=4, steps=3, batch=4)
SURROGATES = get_args(DetectionLossOptions.model_fields["detection"].annotation)
CONFIGS = {
    **{name: ScorerConfig(name=name, vae=VAE) for name in SCORERS},
    **{f"dual-{kind}": ScorerConfig(dual={"detection": kind, "reconstruction": "raw"}, vae=VAE) for kind in SURROGATES},
    **{f"{kind} alone": ScorerConfig(name="detection_loss", detection_loss={"detection": kind}) for kind in SURROGATES},
    **{f"uncertainty, {kind}": ScorerConfig(name="uncertainty", uncertainty={"measure": kind, "aggregate": "mean"}) for kind in MEASURES},
    "uncertainty, summed": ScorerConfig(name="uncertainty", uncertainty={"aggregate": "sum"}),
    "dual by rank": ScorerConfig(dual={"normalize": "rank"}, vae=VAE),
    "dual, alpha 0": ScorerConfig(dual={"alpha": 0, "beta": 1}, vae=VAE),
    "dual, beta 0": ScorerConfig(dual={"alpha": 1, "beta": 0}, vae=VAE),
}
NETWORKS = {"mixture": "tiny_ssd_mixture"}  # all others are measured with tiny_ssd
DETECTIONS = {"none": {"score_threshold": 0.999}, "one": {"score_threshold": 0, "max_detections": 1}, "many": {"score_threshold": 0}}


@pytest.fixture(scope="module")
def records(tmp_path_factory) -> tuple[ImageRecord, ...]:
    """Ten images of several sizes: noise, black, white, and one of a single colour."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    return tuple(_image(folder, index, rng) for index in range(10))


def _image(folder: Path, index: int, rng: np.random.Generator) -> ImageRecord:
    width, height = 80 + 8 * index, 64 + 4 * index
    pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
    if index < 3:
        pixels[:] = [(0, 0, 0), (255, 255, 255), (200, 30, 60)][index]
    path = folder / f"{index}.png"
    Image.fromarray(pixels).save(path)
    return ImageRecord(path.name, path, width, height)


def detector_of(name: str, detections: str = "many") -> TorchDetector:
    """What the scorer `name` is measured with."""
    return _detector(NETWORKS.get(name, "tiny_ssd"), detections)


@cache
def _detector(network: str, detections: str) -> TorchDetector:
    config = DetectorConfig(name=network, imgsz=96, pretrained=False, **DETECTIONS[detections])
    return build_detector(network, ("cat", "dog"), config, seed=0, device=torch.device("cpu"))


@cache
def member() -> TorchDetector:
    """A further detector, for ensembles."""
    config = DetectorConfig(name="tiny_ssd", imgsz=96, pretrained=False, score_threshold=0)
    return build_detector("tiny_ssd", ("cat", "dog"), config, seed=1, device=torch.device("cpu"))


def truth(image_id: str) -> Boxes:
    return Boxes([[5, 5, 50, 40]], [1]) if int(image_id[0]) % 2 else Boxes.empty()


def build(name: str) -> Scorer:
    return scorer_of(CONFIGS[name], device="cpu", spec=InputSpec(96), truths=truth, members=[member()])


@cache
def fitted(name: str, records, seed: int = 0) -> Scorer:
    scorer = build(name)
    labeled = [Sample(record, truth(record.image_id)) for record in records[:5]]
    scorer.fit(labeled, records[5:], detector=detector_of(name), rng=np.random.default_rng(seed))
    return scorer


def view_of(detector, records) -> View:
    return detector.view(next(iter(image_batches(records, InputSpec(96), batch=len(records)))))


def score(scorer: Scorer, detector, records):
    found = inspect_pool(detector, scorer, records, batch=4)
    return scorer.score(found.image_ids, found.terms)


@pytest.mark.parametrize("name", CONFIGS)
class TestScorerContract:
    @pytest.mark.parametrize("detections", DETECTIONS)
    def test_is_finite_with_no_detections_one_and_many(self, name, detections, records):
        detector = detector_of(name, detections)
        counts = {len(boxes) for boxes in detector.detections(view_of(detector, records))}
        assert {"none": counts == {0}, "one": counts == {1}, "many": min(counts) > 1}[detections]
        scores = score(fitted(name, records), detector, records)
        assert scores.image_ids == tuple(record.image_id for record in records)
        assert scores.values.shape == (10,) and np.isfinite(scores.values).all()
        assert all(term.shape == (10,) and np.isfinite(term).all() for term in scores.terms.values())

    def test_leaves_its_inputs_the_detector_and_the_global_generator_unchanged(self, name, records):
        detector, given = detector_of(name), tuple(records)
        view = view_of(detector, records)
        pixels, generator = view.batch.pixels.clone(), torch.get_rng_state()
        weights = {key: value.clone() for key, value in detector.network.state_dict().items()}
        scorer = fitted.__wrapped__(name, records)
        terms = scorer.measure(detector, view)
        before = {key: values.copy() for key, values in terms.items()}
        scorer.score([record.image_id for record in records], terms)
        assert records == given
        assert torch.equal(view.batch.pixels, pixels) and torch.equal(torch.get_rng_state(), generator)
        assert all(torch.equal(value, weights[key]) for key, value in detector.network.state_dict().items())
        assert terms.keys() == before.keys() and all(np.array_equal(terms[key], before[key]) for key in terms)

    def test_same_seed_same_answer(self, name, records):
        first, second = (score(fitted.__wrapped__(name, records, seed=3), detector_of(name), records) for _ in range(2))
        assert np.array_equal(first.values, second.values)
        assert first.terms.keys() == second.terms.keys()

    def test_an_images_terms_do_not_depend_on_its_batch_companions(self, name, records):
        detector, scorer = detector_of(name), fitted(name, records)
        together = scorer.measure(detector, view_of(detector, records))
        alone = scorer.measure(detector, view_of(detector, records[4:5]))
        assert all(alone[term] == pytest.approx(together[term][4:5], rel=1e-3) for term in together)

    def test_an_empty_pool_gives_empty_scores(self, name, records):
        scores = score(fitted(name, records), detector_of(name), [])
        assert scores.image_ids == () and scores.values.shape == (0,)
        assert all(term.shape == (0,) for term in scores.terms.values())

    def test_one_image_can_be_scored(self, name, records):
        scores = score(fitted(name, records), detector_of(name), records[:1])
        assert scores.values.shape == (1,) and np.isfinite(scores.values).all()

    def test_scoring_keeps_its_own_copy_of_the_terms(self, name, records):
        detector, scorer = detector_of(name), fitted(name, records)
        terms = scorer.measure(detector, view_of(detector, records))
        scores = scorer.score([record.image_id for record in records], terms)
        assert not any(np.shares_memory(kept, given) for kept in [scores.values, *scores.terms.values()] for given in terms.values())
