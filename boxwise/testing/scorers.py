"""What every scorer promises, as a suite that is run on each name, on a real small detector.

Returns verdicts of pytest. Knows nothing of what a scorer goes by.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from boxwise.boxes import Boxes
from boxwise.config import DetectorConfig, ScorerConfig, StudyConfig, VaeConfig
from boxwise.detectors.base import View
from boxwise.detectors.detector import TorchDetector, build_detector
from boxwise.detectors.input import InputSpec
from boxwise.detectors.loading import image_batches
from boxwise.records import ImageRecord, Sample, Scores
from boxwise.registry import SCORERS, needs_oracle, scorer_of
from boxwise.scorers.base import Scorer
from boxwise.scorers.pool_pass import inspect_pool
from boxwise.testing.base import Contract, global_generators_left_alone

VAE = VaeConfig(size=32, latent=4, width=4, steps=3, batch=4)
DETECTIONS: dict[str, dict[str, Any]] = {
    "none": {"score_threshold": 0.999},
    "one": {"score_threshold": 0, "max_detections": 1},
    "many": {"score_threshold": 0},
}
Records = tuple[ImageRecord, ...]


def _image(folder: Path, index: int, rng: np.random.Generator) -> ImageRecord:
    width, height = 80 + 8 * index, 64 + 4 * index
    pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
    if index < 3:
        pixels[:] = [(0, 0, 0), (255, 255, 255), (200, 30, 60)][index]
    path = folder / f"{index}.png"
    Image.fromarray(pixels).save(path)
    return ImageRecord(path.name, str(path), width, height)


@cache
def _detector(network: str, detections: str) -> TorchDetector:
    config = DetectorConfig(name=network, imgsz=96, pretrained=False, **DETECTIONS[detections])
    return build_detector(network, ("cat", "dog"), config, seed=0, device=torch.device("cpu"))


@cache
def _member() -> TorchDetector:
    """A further detector, for ensembles."""
    config = DetectorConfig(name="tiny_ssd", imgsz=96, pretrained=False, score_threshold=0)
    return build_detector("tiny_ssd", ("cat", "dog"), config, seed=1, device=torch.device("cpu"))


def truth(image_id: str) -> Boxes:
    boxes = Boxes(np.array([[5, 5, 50, 40]], np.float32), np.array([1]))
    return boxes if int(image_id[0]) % 2 else Boxes.empty()


@cache
def view_of(detector: TorchDetector, records: Records) -> View:
    """What the detector sees of the images, as one batch; one of the promises is that no scorer changes it."""
    return detector.view(next(iter(image_batches(records, InputSpec(96), batch=len(records)))))


@cache
def _detections_an_image(detector: TorchDetector, records: Records) -> frozenset[int]:
    return frozenset(len(boxes) for boxes in detector.detections(view_of(detector, records)))


def score(scorer: Scorer, detector: TorchDetector, records: Sequence[ImageRecord]) -> Scores:
    found = inspect_pool(detector, scorer, records, batch=4)
    return scorer.score(found.image_ids, found.terms)


class ScorerContract(Contract):
    """Promises of a scorer: finite values for every image, its own, that depend on what it is given and the seed alone."""

    def config(self, name: str) -> ScorerConfig:
        """How the scorer is configured under test."""
        return ScorerConfig(name=name, vae=VAE)

    def detector(self, name: str, detections: str = "many") -> TorchDetector:
        """A small detector that has what the scorer needs."""
        mixture = "mixture" in SCORERS[self.config(name).name].needs
        return _detector("tiny_ssd_mixture" if mixture else "tiny_ssd", detections)

    def fitted(self, name: str, records: Records, seed: int = 0) -> Scorer:
        scorer = scorer_of(self.config(name), device="cpu", spec=InputSpec(96), truths=truth, members=[_member()])
        labeled = [Sample(record, truth(record.image_id)) for record in records[:5]]
        scorer.fit(labeled, records[5:], detector=self.detector(name), rng=np.random.default_rng(seed))
        return scorer

    @pytest.fixture(scope="class")
    @staticmethod
    def records(tmp_path_factory: pytest.TempPathFactory) -> Records:
        """Ten images of several sizes: noise, black, white, and one of a single colour."""
        folder = tmp_path_factory.mktemp("images")
        rng = np.random.default_rng(0)
        return tuple(_image(folder, index, rng) for index in range(10))

    @pytest.fixture(scope="class")
    @staticmethod
    def scorer(request: pytest.FixtureRequest, name: str, records: Records) -> Scorer:
        """Fitted; no test changes it."""
        return request.cls().fitted(name, records)

    @pytest.fixture(scope="class")
    @staticmethod
    def scores(request: pytest.FixtureRequest, name: str, records: Records, scorer: Scorer) -> Scores:
        return score(scorer, request.cls().detector(name), records)

    @pytest.mark.parametrize("detections", DETECTIONS)
    def test_is_finite_with_no_detections_one_and_many(self, name: str, detections: str, records: Records, scorer: Scorer) -> None:
        detector = self.detector(name, detections)
        counts = _detections_an_image(detector, records)
        assert {"none": counts == {0}, "one": counts == {1}, "many": min(counts) > 1}[detections]
        scores = score(scorer, detector, records)
        assert scores.image_ids == tuple(record.image_id for record in records)
        _check_finite(scores, 10)

    def test_leaves_its_inputs_the_detector_and_the_global_generators_unchanged(self, name: str, records: Records) -> None:
        detector, given = self.detector(name), tuple(records)
        view = view_of(detector, records)
        pixels, weights = view.batch.pixels.clone(), {key: value.clone() for key, value in detector.network.state_dict().items()}
        with global_generators_left_alone():
            scorer = self.fitted(name, records)
            terms = scorer.measure(detector, view)
            before = {key: values.copy() for key, values in terms.items()}
            scorer.score([record.image_id for record in records], terms)
        assert records == given
        assert torch.equal(view.batch.pixels, pixels), "expected the pixels of the batch as they were"
        changed = [key for key, value in detector.network.state_dict().items() if not torch.equal(value, weights[key])]
        assert not changed, "expected the detector's weights as they were"
        _check_equal_terms(terms, before)

    def test_same_seed_same_answer(self, name: str, records: Records) -> None:
        first, second = (score(self.fitted(name, records, seed=3), self.detector(name), records) for _ in range(2))
        np.testing.assert_array_equal(first.values, second.values)
        assert first.terms.keys() == second.terms.keys()

    def test_an_images_terms_do_not_depend_on_its_batch_companions(self, name: str, records: Records, scorer: Scorer) -> None:
        detector = self.detector(name)
        together = scorer.measure(detector, view_of(detector, records))
        alone = scorer.measure(detector, view_of(detector, records[4:5]))
        assert alone.keys() == together.keys()
        for term, values in together.items():
            np.testing.assert_allclose(alone[term], values[4:5], rtol=1e-3, atol=1e-12, err_msg=term)

    def test_once_fitted_it_can_be_pickled_unless_it_knows_the_truth(
        self, name: str, records: Records, scorer: Scorer, scores: Scores
    ) -> None:
        if needs_oracle(StudyConfig(scorer=self.config(name))):
            with pytest.raises(TypeError, match="ground truth"):
                pickle.dumps(scorer)
            return
        sent = pickle.loads(pickle.dumps(scorer))
        there = score(sent, self.detector(name), records)
        np.testing.assert_array_equal(there.values, scores.values)
        _check_equal_terms(there.terms, scores.terms)

    def test_an_empty_pool_gives_empty_scores(self, name: str, records: Records, scorer: Scorer) -> None:
        scores = score(scorer, self.detector(name), [])
        assert scores.image_ids == ()
        _check_finite(scores, 0)

    def test_one_image_can_be_scored(self, name: str, records: Records, scorer: Scorer) -> None:
        scores = score(scorer, self.detector(name), records[:1])
        _check_finite(scores, 1)

    def test_scoring_keeps_its_own_copy_of_the_terms(self, name: str, records: Records, scorer: Scorer) -> None:
        detector = self.detector(name)
        terms = scorer.measure(detector, view_of(detector, records))
        scores = scorer.score([record.image_id for record in records], terms)
        for term, given in terms.items():
            shared = [kept for kept, values in {"values": scores.values, **scores.terms}.items() if np.shares_memory(values, given)]
            assert not shared, f"expected copies, found the memory of the term {term} in the scores"


def _check_finite(scores: Scores, images: int) -> None:
    for name, values in {"values": scores.values, **scores.terms}.items():
        assert values.shape == (images,), name
        assert np.isfinite(values).all(), name


def _check_equal_terms(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for term, values in expected.items():
        np.testing.assert_array_equal(found[term], values, err_msg=term)
