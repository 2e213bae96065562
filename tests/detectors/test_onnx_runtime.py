"""A detector whose views ONNX Runtime makes: all that is read off a view is torch's to within 1e-4, whatever the batch."""

import importlib.util

import numpy as np
import pytest
import torch

from boxwise.boxes import Boxes
from boxwise.config import DetectorConfig, StudyConfig, load_config
from boxwise.detectors import onnx_provider
from boxwise.detectors.base import ImageBatch
from boxwise.detectors.detector import build_detector
from boxwise.detectors.exporting import noise
from boxwise.detectors.onnx_provider import check_onnx, provider_of
from boxwise.errors import BoxwiseError, ConfigError
from boxwise.registry import check
from boxwise.runtime import choose_device

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnxruntime", "onnxscript")), reason="needs the extra [onnx]"
)
SIZES = {"tiny_ssd": 96, "yolox_nano": 64}


def detector_called(name):
    config = DetectorConfig(name=name, imgsz=SIZES[name], pretrained="none", score_threshold=0, max_detections=20)
    return build_detector(name, ("a", "b"), config, seed=0, device=torch.device("cpu"))


@pytest.fixture(scope="module", params=list(SIZES))
def pair(request, tmp_path_factory):
    """The same detector by torch and by ONNX Runtime."""
    from boxwise.detectors.onnx_runtime import run_by_onnx

    by_torch, by_onnx = detector_called(request.param), detector_called(request.param)
    run_by_onnx(by_onnx, tmp_path_factory.mktemp("graph") / "forward.onnx", device="onnx:cpu")
    assert by_onnx.runs_on == "CPUExecutionProvider" and by_torch.runs_on == "cpu"
    return by_torch, by_onnx


def partly_valid(detector, images):
    """Random images of which each is padded by another amount where the family pads."""
    batch = noise(detector.input, images)
    if detector.input.resize == "stretch":
        return batch
    height, width = batch.pixels.shape[2:]
    return ImageBatch(batch.records, batch.pixels, torch.tensor([[height - 8 * (i % 3), width - 5 * (i % 2)] for i in range(images)]))


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("images", [1, 2, 5])
def test_everything_read_off_a_view_is_torchs(pair, images):
    by_torch, by_onnx = pair
    batch = partly_valid(by_torch, images)
    mine, theirs = by_onnx.view(batch), by_torch.view(batch)
    truth = [Boxes([[4, 4, 30, 40]], [1])] * images
    for read in ("embeddings", "expected_losses", "learned_losses"):
        np.testing.assert_allclose(getattr(by_onnx, read)(mine), getattr(by_torch, read)(theirs), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(by_onnx.losses(mine, truth), by_torch.losses(theirs, truth), rtol=1e-4, atol=1e-4)
    for ours, expected in zip(by_onnx.detections(mine), by_torch.detections(theirs), strict=True):
        assert len(ours) == len(expected) > 0
        np.testing.assert_allclose(ours.scores, expected.scores, atol=1e-4)
        if by_torch.config.name.startswith("yolox"):  # untrained, its scores are so alike that rounding may change their order
            continue
        assert ours.labels.tolist() == expected.labels.tolist()
        np.testing.assert_allclose(ours.xyxy, expected.xyxy, atol=0.02)
        np.testing.assert_allclose(ours.probabilities, expected.probabilities, atol=1e-4)
    both = zip(by_onnx.box_embeddings(mine), by_torch.box_embeddings(theirs), strict=True)
    for ours, expected in both if not by_torch.config.name.startswith("yolox") else ():
        np.testing.assert_allclose(ours, expected, atol=1e-4)


@needs_onnx
@pytest.mark.slow
def test_dropout_is_torchs_and_new_weights_are_not_run_by_the_old_graph(pair, tmp_path):
    by_torch, by_onnx = pair
    batch = noise(by_torch.input, 2)
    mine, theirs = (d.dropout_views(batch, passes=2, rate=0.3, seed=1) for d in (by_onnx, by_torch))
    for ours, expected in zip(mine, theirs, strict=True):
        assert np.array_equal(by_onnx.expected_losses(ours), by_torch.expected_losses(expected))
    other = detector_called(by_torch.config.name)
    other.infer_with(by_onnx._inference)
    by_torch.save(tmp_path / "weights.pt")
    other.load(tmp_path / "weights.pt")
    assert other.runs_on == "cpu"


@needs_onnx
def test_a_file_that_is_no_graph_is_named(tmp_path):
    from boxwise.detectors.onnx_runtime import run_by_onnx

    (tmp_path / "forward.onnx").write_bytes(b"no graph")
    with pytest.raises(BoxwiseError, match=r"forward\.onnx: ONNX Runtime cannot run it"):
        run_by_onnx(detector_called("tiny_ssd"), tmp_path / "forward.onnx", device="onnx")


@pytest.mark.parametrize("name", ["fasterrcnn_mobilenet_v3_large_fpn", "dfine_s"])
def test_a_family_that_is_no_graph_is_refused_before_any_work(name):
    with pytest.raises(ConfigError, match=rf"device=onnx: {name} cannot be written as one graph; expected one of yolox_nano"):
        check(load_config(None, (f"detector.name={name}", "device=onnx", "scorer.name=none")))


def test_a_missing_package_and_an_unknown_provider_are_named(monkeypatch):
    with pytest.raises(ConfigError, match=r"Unknown ONNX Runtime provider 'tensort'\. Did you mean 'tensorrt'"):
        provider_of("onnx:tensort")
    monkeypatch.setattr(onnx_provider, "_available", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ConfigError, match=r"has no OpenVINOExecutionProvider. Expected one of: onnx:cpu\."):
        check_onnx("yolox_nano", "onnx:openvino")
    monkeypatch.setattr(onnx_provider, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"device=onnx needs the package onnxruntime: pip install 'boxwise\[onnx\]'"):
        check_onnx("yolox_nano", "onnx")


def test_training_goes_by_torch():
    assert StudyConfig(device="onnx").device == "onnx" and choose_device("onnx") == choose_device("auto") == choose_device("onnx:cpu")
