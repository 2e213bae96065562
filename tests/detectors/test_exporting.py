"""Exported files are run by what users would run them with, and give the detector's own detections."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from boxwise.config import DetectorConfig
from boxwise.data.images import read_image
from boxwise.detectors import exporting
from boxwise.detectors.detector import TorchDetector, build_detector
from boxwise.detectors.exporting import detections_of, export, noise
from boxwise.detectors.loading import image_batches
from boxwise.detectors.names import DETECTORS, EXPORT, TRANSFORMERS
from boxwise.errors import BoxwiseError, ConfigError
from boxwise.records import ImageRecord

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
        mine = detections_of(boxes[image], probabilities[image], metadata, view.batch.valid[image].tolist())
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


@pytest.mark.slow
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


def test_a_file_whose_instructions_give_other_detections_is_not_left_behind(detector, tmp_path, monkeypatch):
    """Its boxes are right, but what is written of how to read them is not."""
    described = exporting.description

    def at_most_one(*arguments):
        found = described(*arguments)
        return {**found, "postprocessing": {**found["postprocessing"], "max_detections": 1}}

    monkeypatch.setattr(exporting, "description", at_most_one)
    with pytest.raises(BoxwiseError, match=r"not written\. Detections made of .* are not those of `boxwise predict` on noise 0"):
        export(detector, tmp_path / "model.torchscript", batch=noise(detector.input, 2), threshold=0.1, about={})
    assert not list(tmp_path.iterdir())


def test_a_box_in_the_padding_is_no_detection():
    boxes = np.array([[2, 2, 20, 20], [30, 2, 60, 20], [2, 50, 20, 60]], np.float32)  # of an input of which 24 x 40 pixels are image
    post = {"score_threshold": 0.1, "nms_iou": 0.5, "max_detections": 10}
    found = detections_of(boxes, np.array([[0.9], [0.8], [0.7]], np.float32), {"postprocessing": post}, (40, 24))
    assert found.xyxy.tolist() == [[2, 2, 20, 20]]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".torchscript", ".onnx"])
def test_yolox_as_a_file_finds_on_photographs_what_predict_finds(suffix, tmp_path, shared_weights, shared_data):
    """With COCO's own weights: pixels made without boxwise as the file says, boxes read as it says, against `Model.predict`."""
    from boxwise.data.coco_classes import COCO_CLASSES
    from boxwise.inference import Model

    config = DetectorConfig(name="yolox_nano", imgsz=320, weights=shared_weights / "yolox_nano_coco.pth")
    detector = build_detector("yolox_nano", COCO_CLASSES, config, seed=0, device=torch.device("cpu"))
    path = tmp_path / f"model{suffix}"
    paths = sorted((shared_data / "coco256" / "images" / "val").rglob("*.jpg"))[:6]
    records = [ImageRecord(each.name, each, *Image.open(each).size) for each in paths]
    apart = export(detector, path, batch=next(image_batches(records[:2], detector.input, batch=2)), threshold=0.3, about={})
    assert apart["pixels"] < 0.05 and apart["probability"] < 1e-3
    run, metadata = loaded(path)
    expected = Model(detector, "yolox_nano", None, "a test").predict(paths, threshold=0.3)
    assert sum(map(len, expected)) >= 10
    for photograph, theirs in zip(paths, expected, strict=True):
        pixels, (height, width) = letterboxed(Image.open(photograph), metadata["input"])
        mine = detections_of(*(values[0] for values in run(pixels[None])), metadata, (height, width))
        xyxy = np.clip(mine.xyxy, 0, [width, height] * 2) * ([theirs.width / width, theirs.height / height] * 2)
        sure = theirs.scores > 0.35  # decoders and resizes round differently, so scores at the threshold may fall below it
        assert len(mine) >= sure.sum()
        for box, label, score in zip(theirs.xyxy[sure], theirs.labels[sure], theirs.scores[sure], strict=True):
            near = np.abs(xyxy - box).max(axis=1)
            best = int(np.argmin(np.where(mine.labels == label, near, np.inf)))
            assert near[best] < 2 and abs(mine.scores[best] - score) < 0.03


def letterboxed(image: Image.Image, about: dict) -> tuple[np.ndarray, tuple[int, int]]:
    """uint8 [3, H, W] and the (height, width) that the image fills, as the file's `steps` say."""
    side = about["imgsz"]
    scale = side / max(image.size)
    width, height = (round(length * scale) for length in image.size)
    pixels = torch.from_numpy(np.asarray(image.convert("RGB"), np.float32).transpose(2, 0, 1).copy())[None]
    resized = torch.nn.functional.interpolate(pixels, (height, width), mode="bilinear", antialias=about["antialias"])[0]
    canvas = np.full((3, side, side), about["fill"], np.uint8)
    canvas[:, :height, :width] = resized.round().clamp(0, 255).numpy()
    return canvas, (height, width)


def loaded(path):
    """A function from uint8 [B, 3, H, W] to the file's outputs, and its metadata; needs nothing of boxwise."""
    if path.suffix == ".onnx":
        onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra [onnx]")
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        metadata = json.loads(session.get_modelmeta().custom_metadata_map["boxwise"])
        return lambda pixels: session.run(None, {"pixels": pixels}), metadata
    extra = {"boxwise.json": ""}
    module = torch.jit.load(str(path), _extra_files=extra)

    def run(pixels):
        with torch.inference_mode():
            return [values.numpy() for values in module(torch.from_numpy(pixels))]

    return run, json.loads(extra["boxwise.json"])


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


def as_the_words_say(image: Image.Image) -> np.ndarray:
    """uint8 RGB [H, W, 3] by what the file's `steps` say, with nothing of boxwise."""
    values = np.asarray(image)
    if image.mode.startswith("I") or image.mode == "F":
        finite = values[np.isfinite(values)].astype(np.float64)
        ranges = [*([1.0] if image.mode == "F" else []), 255.0, 4095.0, 16383.0, 65535.0, *(2.0**power - 1 for power in range(17, 65))]
        white = next(white for white in ranges if white >= finite.max())
        grey = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=finite.max(), neginf=0.0) * 255 / white
        return np.repeat(np.round(grey).clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
    if image.mode == "RGBA":
        opaque = values[:, :, 3:] / 255
        return np.round(values[:, :, :3] * opaque + 255 * (1 - opaque)).astype(np.uint8)
    return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("kind", ["12bit.png", "16bit.png", "32bit.tif", "unit.tif", "float.tif", "holes.tif", "alpha.png", "grey.png"])
def test_the_words_on_colours_make_the_pixels_that_the_study_reads(detector, tmp_path, kind):
    rng = np.random.default_rng(0)
    unit, path = rng.random((40, 50)), tmp_path / kind
    made = {
        "12bit.png": (unit * 3000).astype(np.uint16),
        "16bit.png": (unit * 50_000).astype(np.uint16),
        "32bit.tif": (unit * 100_000).astype(np.int32),
        "unit.tif": unit.astype(np.float32),
        "float.tif": (unit * 900 - 50).astype(np.float32),
        "holes.tif": np.where(unit > 0.9, np.inf, np.where(unit < 0.1, np.nan, unit * 200)).astype(np.float32),
        "alpha.png": rng.integers(0, 256, (40, 50, 4), dtype=np.uint8),
        "grey.png": (unit * 255).astype(np.uint8),
    }
    Image.fromarray(made[kind]).save(path)
    with Image.open(path) as image:
        mine = as_the_words_say(image)
    assert np.abs(mine.astype(int) - read_image(path)).max() <= 1  # of transparency, of which Pillow rounds in between
    steps = exporting.description(detector, THRESHOLD)["input"]["steps"]
    for words in (
        "transparency over white",
        "255, 4095, 16383, 65535",
        "floats also of 1",
        "further powers of two",
        "first frame",
        "upper 8",
    ):
        assert words in steps
