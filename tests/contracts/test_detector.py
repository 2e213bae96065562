"""What every detector promises, for every one that has a name, and what the networks among them promise beyond the protocol."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import small_transformers
import torch
from torchvision.ops import clip_boxes_to_image

from boxwise.boxes import Boxes, iou
from boxwise.config import DetectorConfig
from boxwise.detectors import transformer
from boxwise.detectors.base import FitReport, ImageBatch, View
from boxwise.detectors.detector import BOX_DIMENSIONS, TorchDetector, build_detector, load_detector
from boxwise.detectors.loading import image_batches
from boxwise.detectors.names import DETECTORS, DROPOUT, EXPORT, SUPPORTS, TRANSFORMERS
from boxwise.detectors.network import Postprocessing
from boxwise.records import Sample
from boxwise.testing import DetectorContract
from boxwise.testing.detectors import CLASSES

# All others take 96; of the larger YOLOX the least does, since the smallest is tested at 96.
IMGSZ = {"tiny_ssd": 64, "ssd300_vgg16": 300, "ssd300_vgg16_mixture": 300, "yolox_tiny": 64, "yolox_s": 64, "yolox_m": 64}
# Of each family the lightest is in the fast tier; these are larger ones.
SIBLINGS = {"yolox_tiny", "yolox_s", "yolox_m", "ssd300_vgg16", "ssdlite320_mobilenet_v2", "fasterrcnn_resnet50_fpn"}
SIBLINGS |= {"ssdlite320_mobilenet_v2_mixture", "ssd300_vgg16_mixture", "dfine_s", "rtdetr_v2_r18"}
CPU = torch.device("cpu")

HF = pytest.mark.skipif(find_spec("transformers") is None, reason="needs the extra [hf]")
NAMES = [pytest.param(n, marks=[pytest.mark.slow] * (n in SIBLINGS) + [HF] * (n in TRANSFORMERS)) for n in DETECTORS]


def config_of(name: str) -> DetectorConfig:
    # An untrained YOLOX believes in no object, and its boxes are its cells, which overlap by 1/16 or not at all.
    unsure = {"score_threshold": 1e-6, "nms_iou": 0.03} if name.startswith("yolox") else {}
    if name in TRANSFORMERS:
        small, imgsz = small_transformers.small_transformer(name), small_transformers.IMGSZ[name]
        return DetectorConfig(name=name, imgsz=imgsz, weights=small, score_threshold=1e-6)
    return DetectorConfig(name=name, imgsz=IMGSZ.get(name, 96), pretrained=False, **unsure)


def build(name: str, *, seed: int = 0, classes: tuple[str, ...] = CLASSES) -> TorchDetector:
    return build_detector(name, classes, config_of(name), seed=seed, device=CPU)


def evidence(detector: TorchDetector, view: View, boxes: list[Boxes]) -> dict[str, np.ndarray]:
    return {
        "losses": detector.losses(view, boxes),
        "expected": detector.expected_losses(view),
        "learned": detector.learned_losses(view),
        "embeddings": detector.embeddings(view),
    }


def state(detector: TorchDetector) -> list[torch.Tensor]:
    modules = (detector.network, detector.loss_head)
    tensors = [t for module in modules for t in (*module.state_dict().values(), *module.buffers())]
    return [torch.get_rng_state(), *(tensor.clone() for tensor in tensors)]


def labels(samples: list[Sample]) -> list[Boxes]:
    return [sample.boxes for sample in samples]


class TestDetectors(DetectorContract):
    names = NAMES

    def config(self, name: str) -> DetectorConfig:
        return config_of(name)

    @pytest.fixture(autouse=True)
    def _releases_are_read_once(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not where the claim is what building leaves alone."""
        if not {"generators", "rng"} & set(request.node.originalname.split("_")):
            monkeypatch.setattr(transformer, "released", small_transformers.released_once)

    @pytest.fixture(scope="class")
    @staticmethod
    def untrained(name: str) -> TorchDetector:
        """One of seed 1, which no test changes."""
        return build(name, seed=1)

    def test_reading_changes_no_parameter_buffer_mode_or_rng(
        self, detector: TorchDetector, batch: ImageBatch, samples: list[Sample]
    ) -> None:
        detector.network.train()  # as in the middle of a training
        before = state(detector)
        view = detector.view(batch)
        detector.detections(view)
        evidence(detector, view, labels(samples))
        assert all(torch.equal(a, b) for a, b in zip(before, state(detector), strict=True))
        assert detector.network.training
        detector.network.eval()

    def test_box_embeddings_stand_beside_the_detections(self, detector: TorchDetector, view: View, alone: list[View]) -> None:
        boxes, embeddings = detector.detections(view), detector.box_embeddings(view)
        assert [each.shape for each in embeddings] == [(len(b), BOX_DIMENSIONS) for b in boxes]
        assert any(len(b) for b in boxes)
        for mine, given in zip(embeddings, detector.box_embeddings(view, boxes), strict=True):
            np.testing.assert_array_equal(mine, given)
        firsts = [each[:1] for each in boxes]
        assert [len(each) for each in detector.box_embeddings(view, firsts)] == [len(each) for each in firsts]
        for index, single in enumerate(alone):
            assert embeddings[index].dtype == np.float32
            np.testing.assert_allclose(np.linalg.norm(embeddings[index], axis=1), 1, rtol=1e-4)
            if np.allclose(detector.detections(single)[0].xyxy[:3], boxes[index].xyxy[:3], atol=1e-2):  # rounding may swap near-equals
                np.testing.assert_allclose(embeddings[index][:3], detector.box_embeddings(single)[0][:3], rtol=2e-2, atol=2e-3)

    def test_each_detection_is_supported_by_itself_and_by_what_nms_took_away(self, detector: TorchDetector, view: View) -> None:
        if SUPPORTS not in DETECTORS[detector.config.name].capabilities:
            pytest.skip("nothing is suppressed")
        before = state(detector)
        boxes, supports = detector.detections(view), detector.supports(view)
        assert all(torch.equal(a, b) for a, b in zip(before, state(detector), strict=True))
        assert [len(counts) for counts in supports] == [len(b) for b in boxes]
        assert all(counts.dtype == np.int64 and (counts >= 1).all() for counts in supports)
        assert any((counts > 1).any() for counts in supports)  # an untrained network sees the same thing in many places
        config = detector.config.model_copy(update={"nms_iou": 1.0, "max_detections": 10_000})
        lenient = TorchDetector(detector.network, detector.loss_head, CLASSES, config, device=CPU)
        raw = lenient.detections(view)  # everything that goes into NMS, but for exact copies
        for counts, final, each in zip(supports, boxes, raw, strict=True):
            same = final.labels[:, None] == each.labels[None, :]
            near = same & (iou(final.xyxy, each.xyxy) >= detector.config.nms_iou)
            assert np.mean(counts == near.sum(axis=1)) > 0.95  # rounding at the threshold

    def test_losses_are_defined_where_no_image_has_an_object(self, detector: TorchDetector, view: View) -> None:
        losses = detector.losses(view, [Boxes.empty()] * 2)
        assert np.isfinite(losses).all()
        assert (losses > 0).all()

    def test_detections_are_sorted_inside_the_image_and_carry_probabilities(
        self, detector: TorchDetector, view: View, samples: list[Sample]
    ) -> None:
        found = detector.detections(view)
        assert len(found) == len(samples)
        assert sum(map(len, found)) > 0  # an untrained network is unsure, so much is above the default threshold
        for boxes, sample in zip(found, samples, strict=True):
            assert boxes.scores is not None
            assert boxes.probabilities is not None
            assert len(boxes) <= detector.config.max_detections
            assert (np.diff(boxes.scores) <= 0).all()
            assert (boxes.xyxy >= 0).all()
            assert (boxes.xyxy[:, [0, 2]] <= sample.image.width).all()
            assert (boxes.xyxy[:, [1, 3]] <= sample.image.height).all()
            assert (boxes.xyxy[:, 2:] > boxes.xyxy[:, :2]).all()
            assert boxes.probabilities.shape == (len(boxes), len(CLASSES) + detector.network.background_rows)
            if detector.network.background_rows:
                np.testing.assert_allclose(boxes.probabilities.sum(1), 1, rtol=1e-5)
            else:
                assert ((boxes.probabilities >= 0) & (boxes.probabilities <= 1)).all()
            np.testing.assert_array_equal(boxes.probabilities[:, : len(CLASSES)].argmax(1), boxes.labels)
            np.testing.assert_array_equal(boxes.probabilities[:, : len(CLASSES)].max(1), boxes.scores)

    def test_dropout_views_differ_come_from_the_seed_and_not_from_the_batch(
        self, detector: TorchDetector, batch: ImageBatch, samples: list[Sample]
    ) -> None:
        if DROPOUT not in DETECTORS[detector.config.name].capabilities:
            pytest.skip("no channel dropout")
        before = state(detector)
        one, two = detector.dropout_views(batch, passes=2, rate=0.5, seed=1)
        (again, _), (other, _) = (detector.dropout_views(batch, passes=2, rate=0.5, seed=seed) for seed in (1, 2))
        assert all(torch.equal(a, b) for a, b in zip(before, state(detector), strict=True))
        first, second, same, apart = (detector.learned_losses(view) for view in (one, two, again, other))
        np.testing.assert_array_equal(first, same)
        assert not np.array_equal(first, second) and not np.array_equal(first, apart)
        for index, sample in enumerate(samples):
            (single,) = image_batches([sample.image], detector.input, batch=1)
            alone = detector.dropout_views(single, passes=1, rate=0.5, seed=1)[0]
            np.testing.assert_allclose(first[index], detector.learned_losses(alone)[0], rtol=2e-3, atol=2e-4)
            (boxes,) = detector.detections(alone)
            assert np.isfinite(boxes.xyxy).all() and np.isfinite(boxes.probabilities).all()

    def test_dropping_next_to_nothing_is_the_plain_view(self, detector: TorchDetector, batch: ImageBatch, view: View) -> None:
        if DROPOUT not in DETECTORS[detector.config.name].capabilities:
            pytest.skip("no channel dropout")
        (nearly,) = detector.dropout_views(batch, passes=1, rate=1e-9, seed=0)
        np.testing.assert_allclose(detector.expected_losses(nearly), detector.expected_losses(view), rtol=1e-4)

    def test_images_without_detections_have_empty_boxes_and_a_loss(self, detector: TorchDetector, view: View) -> None:
        config = detector.config.model_copy(update={"score_threshold": 1 - 1e-9})
        strict = TorchDetector(detector.network, detector.loss_head, CLASSES, config, device=CPU)
        found = strict.detections(view)
        assert len(found) == len(detector.detections(view)) > 0
        for boxes in found:
            assert len(boxes) == 0 and boxes.scores is not None and boxes.probabilities is not None
            assert boxes.probabilities.shape == (0, len(CLASSES) + detector.network.background_rows)
        values = evidence(strict, view, found)
        assert values and all(len(each) == len(found) and np.isfinite(each).all() for each in values.values())

    def test_what_it_can_be_asked_is_what_its_name_declares(self, name: str, detector: TorchDetector) -> None:
        assert detector.network.capabilities() == DETECTORS[name].capabilities

    def test_its_usual_size_is_what_its_name_declares(self, name: str) -> None:
        usual = build_detector(name, CLASSES, DetectorConfig(name=name, pretrained=False), seed=0, device=CPU)
        assert usual.input.imgsz == DETECTORS[name].imgsz

    def test_what_is_exported_are_the_boxes_that_detections_are_chosen_from(self, detector: TorchDetector, view: View) -> None:
        if EXPORT not in DETECTORS[detector.config.name].capabilities:
            pytest.skip("no graph of all boxes")
        with torch.inference_mode():
            boxes, probabilities = detector.network.every_box(view.outputs)
            raw = detector.network.raw_boxes(view.outputs, view.batch.valid, Postprocessing(score_threshold=0.0))
        assert boxes.shape == (*probabilities.shape[:2], 4) and probabilities.shape[2] == len(CLASSES)
        for image, chosen in enumerate(raw):
            best = chosen.scores.topk(20).indices
            top = probabilities[image].amax(1).topk(20)
            torch.testing.assert_close(chosen.scores[best], top.values)
            torch.testing.assert_close(probabilities[image, top.indices].sum(0), chosen.probabilities[best, : len(CLASSES)].sum(0))
            height, width = view.batch.valid[image].tolist()
            clipped = clip_boxes_to_image(boxes[image, top.indices], (height, width))
            torch.testing.assert_close(clipped.sum(0), chosen.xyxy[best].sum(0), rtol=1e-4, atol=1e-2)

    def test_same_seed_same_weights_and_the_global_rng_stays(self, name: str, detector: TorchDetector, untrained: TorchDetector) -> None:
        before = torch.get_rng_state()
        same = build(name, seed=0)
        assert torch.equal(before, torch.get_rng_state())
        parts = [torch.cat([p.flatten() for p in d.network.parameters()]) for d in (detector, same, untrained)]
        assert torch.equal(parts[0], parts[1])
        assert not torch.equal(parts[0], parts[2])

    def test_training_changes_the_weights_and_a_file_says_what_it_is_of(
        self, untrained: TorchDetector, trained: tuple[TorchDetector, FitReport], samples: list[Sample], tmp_path: Path
    ) -> None:
        detector, report = trained
        assert report.steps == 1 and not detector.network.training
        pairs = zip(untrained.network.parameters(), detector.network.parameters(), strict=True)
        assert any(not torch.equal(a, b) for a, b in pairs)
        detector.save(tmp_path / "weights.pt")
        loaded = load_detector(tmp_path / "weights.pt", device=CPU)
        (batch,) = image_batches([samples[0].image], detector.input, batch=1)
        expected = evidence(detector, detector.view(batch), labels(samples)[:1])
        assert (loaded.classes, loaded.input) == (CLASSES, detector.input)
        for key, values in evidence(loaded, loaded.view(batch), labels(samples)[:1]).items():
            np.testing.assert_array_equal(values, expected[key])
