"""Exported files are run by what users would run them with, and give the detector's own detections."""

import json

import numpy as np
import pytest
import torch

from boxwise.config import DetectorConfig
from boxwise.detectors import exporting
from boxwise.detectors.detector import TorchDetector, build_detector
from boxwise.detectors.exporting import detections_of, export, noise
from boxwise.detectors.names import DETECTORS, EXPORT, TRANSFORMERS
from boxwise.errors import BoxwiseError, ConfigError

THRESHOLD = 0.36


@pytest.fixture(scope="module")
def detector() -> TorchDetector:
    config = DetectorConfig(name="tiny_ssd", imgsz=64, pretrained=False, score_threshold=THRESHOLD, max_detections=20)
    return build_detector("tiny_ssd", ("a", "b"), config, seed=0, device=torch.device("cpu"))


def same_detections(detector: TorchDetector, boxes: np.ndarray, probabilities: np.ndarray, metadata: dict) -> None:
    """What the file's own instructions make of its outputs is what the detector finds."""
    view = detector.view(noise(detector.input, len(boxes)))
    found = detector.detections(view)
    assert any(len(each) > 1 for each in found)
    for image, expected in enumerate(found):
        mine = detections_of(boxes[image], probabilities[image], metadata)
        assert mine.labels.tolist() == expected.labels.tolist()
        np.testing.assert_allclose(np.clip(mine.xyxy, 0, detector.input.imgsz), expected.xyxy, atol=0.05)
        np.testing.assert_allclose(mine.scores, expected.scores, atol=1e-3)


@pytest.mark.slow
def test_an_onnx_file_gives_the_detectors_boxes_for_any_batch(detector, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra [onnx]")
    pytest.importorskip("onnxscript", reason="needs the extra [onnx]")
    path = tmp_path / "model.onnx"
    apart = export(detector, path, batch=noise(detector.input, 2), threshold=THRESHOLD, about={"origin": "a test"})
    assert apart["pixels"] < 1e-2 and apart["probability"] < 1e-4
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    metadata = json.loads(session.get_modelmeta().custom_metadata_map["boxwise"])
    assert metadata["classes"] == ["a", "b"] and metadata["origin"] == "a test" and metadata["input"]["imgsz"] == 64
    for images in (1, 3):
        boxes, probabilities = session.run(None, {"pixels": noise(detector.input, images).pixels.numpy()})
        same_detections(detector, boxes, probabilities, metadata)


def test_a_torchscript_file_gives_the_detectors_boxes_for_any_batch(detector, tmp_path):
    path = tmp_path / "model.torchscript"
    export(detector, path, batch=noise(detector.input, 2), threshold=THRESHOLD, about={})
    extra = {"boxwise.json": ""}
    loaded = torch.jit.load(str(path), _extra_files=extra)
    for images in (1, 3):
        with torch.inference_mode():
            boxes, probabilities = loaded(noise(detector.input, images).pixels)
        same_detections(detector, boxes.numpy(), probabilities.numpy(), json.loads(extra["boxwise.json"]))


def test_a_file_that_gives_something_else_is_not_left_behind(detector, tmp_path, monkeypatch):
    write = exporting._write_torchscript

    def shifted(*arguments):
        run = write(*arguments)
        return lambda images: (run(images)[0] + 1, run(images)[1])

    monkeypatch.setattr(exporting, "_write_torchscript", shifted)
    with pytest.raises(BoxwiseError, match=r"model\.torchscript: not written.*by 1 pixels"):
        export(detector, tmp_path / "model.torchscript", batch=noise(detector.input, 2), threshold=0.1, about={})
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_is_refused_by_name(detector, tmp_path):
    name = "fasterrcnn_mobilenet_v3_large_fpn"
    with pytest.raises(ConfigError, match=f"detector {name} cannot be exported as one graph: expected one of yolox_nano"):
        exporting.check_exportable(name, tmp_path / "model.onnx")
    with pytest.raises(ConfigError, match=r"model\.pb: expected a file that ends in \.onnx, \.torchscript"):
        export(detector, tmp_path / "model.pb", batch=noise(detector.input, 1), threshold=0.1, about={})


def test_every_other_family_can():
    assert {name for name, entry in DETECTORS.items() if EXPORT not in entry.capabilities} == {
        "fasterrcnn_resnet50_fpn",
        "fasterrcnn_mobilenet_v3_large_fpn",
        *TRANSFORMERS,
    }
