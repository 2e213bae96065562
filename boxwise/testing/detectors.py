"""What every detector promises, as a suite that is run on each name; see detectors/base.py.

Returns verdicts of pytest. Knows nothing of networks: it asks through the protocol alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.random import default_rng
from PIL import Image

from boxwise.boxes import Boxes
from boxwise.config import DetectorConfig, TrainConfig
from boxwise.detectors.base import ImageBatch, View
from boxwise.detectors.loading import image_batches
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord, Sample
from boxwise.registry import DETECTORS, build_detector
from boxwise.testing.base import Contract, global_generators_left_alone

CLASSES = ("ring", "disc", "cross")
SIZES = ((120, 90), (64, 100))
ONE_STEP = TrainConfig(epochs=1, min_steps=1, max_steps=1, batch=2, warmup_steps=0, lr=1e-3)
METHODS = {  # capability → the method of a detector that offers it
    "expected_loss": "expected_losses",
    "supports": "supports",
    "dropout": "dropout_views",
    "mixture": "mixture_uncertainties",
    "box_features": "box_embeddings",
}


class DetectorContract(Contract):
    """Promises of a detector: what it says of an image is finite, its own, and depends on seed and labels alone."""

    def config(self, name: str) -> DetectorConfig:
        """How the detector is configured under test; one that finds something while it is untrained."""
        return DetectorConfig(name=name, imgsz=96, pretrained=False)

    def build(self, name: str, *, seed: int = 0, classes: tuple[str, ...] = CLASSES) -> Any:
        return build_detector(classes, self.config(name), seed=seed, device=torch.device("cpu"))

    @pytest.fixture(scope="class")
    @staticmethod
    def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
        return made_samples(tmp_path_factory.mktemp("images"))

    @pytest.fixture(scope="class")
    @staticmethod
    def detector(request: pytest.FixtureRequest, name: str) -> Any:
        """No test changes it."""
        return request.cls().build(name)

    @pytest.fixture(scope="class")
    @staticmethod
    def batch(detector: Any, samples: list[Sample]) -> ImageBatch:
        return _batch_of(detector, samples)

    @pytest.fixture(scope="class")
    @staticmethod
    def view(detector: Any, batch: ImageBatch) -> View:
        view: View = detector.view(batch)
        return view

    @pytest.fixture(scope="class")
    @staticmethod
    def alone(detector: Any, samples: list[Sample]) -> list[View]:
        """A view of each image by itself."""
        return [detector.view(_batch_of(detector, [sample])) for sample in samples]

    @pytest.fixture(scope="class")
    @staticmethod
    def trained(request: pytest.FixtureRequest, name: str, samples: list[Sample]) -> tuple[Any, Any]:
        """One of seed 1 after a step, which no test changes, and the report of its training."""
        detector = request.cls().build(name, seed=1)
        return detector, detector.fit(samples, [], ONE_STEP, seed=3)

    def test_evidence_is_deterministic_finite_and_of_one_row_an_image(
        self, detector: Any, view: View, batch: ImageBatch, samples: list[Sample]
    ) -> None:
        first, second = evidence(detector, view, samples), evidence(detector, detector.view(batch), samples)
        for name, values in first.items():
            assert values.dtype == np.float32
            assert len(values) == len(samples)
            assert np.isfinite(values).all()
            np.testing.assert_array_equal(values, second[name])
        np.testing.assert_allclose(np.linalg.norm(first["embeddings"], axis=1), 1, rtol=1e-5)

    def test_losses_are_finite_where_no_image_has_an_object(self, detector: Any, view: View) -> None:
        assert np.isfinite(detector.losses(view, [Boxes.empty()] * 2)).all()

    def test_crowd_regions_are_no_targets(self, detector: Any, view: View) -> None:
        crowd = Boxes(np.array([[5, 5, 50, 50]], np.float32), np.array([0]), crowd=np.array([True]))
        np.testing.assert_array_equal(detector.losses(view, [crowd] * 2), detector.losses(view, [Boxes.empty()] * 2))

    def test_an_image_does_not_depend_on_its_batch(self, detector: Any, view: View, alone: list[View], samples: list[Sample]) -> None:
        together = evidence(detector, view, samples)
        for index, (single, sample) in enumerate(zip(alone, samples, strict=True)):
            by_itself = evidence(detector, single, [sample])
            for name, values in together.items():
                np.testing.assert_allclose(values[index], by_itself[name][0], rtol=2e-3, atol=2e-4, err_msg=name)

    def test_detections_are_sorted_lie_in_the_image_and_carry_probabilities(self, detector: Any, view: View, samples: list[Sample]) -> None:
        found = detector.detections(view)
        assert len(found) == len(samples) and sum(map(len, found)) > 0
        for boxes, sample in zip(found, samples, strict=True):
            size = (sample.image.width, sample.image.height)
            assert (np.diff(boxes.scores) <= 0).all()
            assert (boxes.xyxy >= 0).all() and (boxes.xyxy <= size * 2).all() and (boxes.xyxy[:, 2:] > boxes.xyxy[:, :2]).all()
            assert boxes.probabilities.shape in [(len(boxes), len(CLASSES) + background) for background in (0, 1)]
            assert ((boxes.probabilities >= 0) & (boxes.probabilities <= 1)).all()
            np.testing.assert_array_equal(boxes.probabilities[:, : len(CLASSES)].argmax(1), boxes.labels)
            np.testing.assert_array_equal(boxes.probabilities[:, : len(CLASSES)].max(1), boxes.scores)

    def test_it_has_what_its_name_declares(self, name: str, detector: Any) -> None:
        asked = DETECTORS[name].offers & METHODS.keys()
        assert all(callable(getattr(detector, METHODS[capability], None)) for capability in asked)

    def test_looking_and_building_leave_the_global_generators(self, name: str, samples: list[Sample]) -> None:
        with global_generators_left_alone():
            detector = self.build(name)
            view = detector.view(_batch_of(detector, samples))
            detector.detections(view)
            evidence(detector, view, samples)

    def test_equal_seeds_and_samples_give_equal_detectors_and_save_and_load_keep_them(
        self, name: str, trained: tuple[Any, Any], samples: list[Sample], tmp_path: Path
    ) -> None:
        (first, report), second, empty = trained, self.build(name, seed=1), self.build(name, seed=5)
        assert report.steps >= 1 and second.fit(samples, [], ONE_STEP, seed=3).steps >= 1
        first.save(tmp_path / "weights.pt")
        empty.load(tmp_path / "weights.pt")
        expected = evidence(first, first.view(_batch_of(first, samples)), samples)
        for detector in (second, empty):
            assert (detector.classes, detector.input) == (CLASSES, first.input)
            for key, values in evidence(detector, detector.view(_batch_of(detector, samples)), samples).items():
                np.testing.assert_array_equal(values, expected[key], err_msg=key)

    def test_weights_of_another_class_list_are_refused(self, name: str, detector: Any, tmp_path: Path) -> None:
        detector.save(tmp_path / "weights.pt")
        with pytest.raises(BoxwiseError, match=r"weights\.pt.*expected classes \['cat'\], found \['ring', 'disc', 'cross'\]"):
            self.build(name, classes=("cat",)).load(tmp_path / "weights.pt")


def evidence(detector: Any, view: View, samples: list[Sample]) -> dict[str, np.ndarray]:
    """What a detector says of each image of a view, [B] or [B, D]."""
    values = {
        "losses": detector.losses(view, [sample.boxes for sample in samples]),
        "learned": detector.learned_losses(view),
        "embeddings": detector.embeddings(view),
    }
    return values | ({"expected": detector.expected_losses(view)} if hasattr(detector, "expected_losses") else {})


def _batch_of(detector: Any, samples: list[Sample]) -> ImageBatch:
    (batch,) = image_batches([sample.image for sample in samples], detector.input, batch=len(samples))
    return batch


def made_samples(folder: Path) -> list[Sample]:
    """Two images of different shapes; the second has no object."""
    rng = default_rng(0)
    return [_sample(folder, rng, index, width, height) for index, (width, height) in enumerate(SIZES)]


def _sample(folder: Path, rng: np.random.Generator, index: int, width: int, height: int) -> Sample:
    pixels = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
    boxes = Boxes.empty()
    if index != 1:
        pixels[10:50, 15:45] = 255
        boxes = Boxes(np.array([[15, 10, 45, 50], [40, 30, 60, 62]], np.float32), np.array([index, 1]))
    path = folder / f"{index}.png"
    Image.fromarray(pixels).save(path)
    return Sample(ImageRecord(path.name, str(path), width, height), boxes)
