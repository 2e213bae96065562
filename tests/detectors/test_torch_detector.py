"""TorchDetector beyond the contract: scaling back, targets, files, names."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from boxwise.boxes import Boxes
from boxwise.config import DetectorConfig, TrainConfig
from boxwise.detectors.base import ImageBatch
from boxwise.detectors.detector import TorchDetector, build_detector, load_detector
from boxwise.detectors.prediction import predict
from boxwise.detectors.targets import target_of
from boxwise.errors import BoxwiseError, ConfigError
from boxwise.records import ImageRecord, Sample

CPU = torch.device("cpu")


def tiny(*, seed: int = 0, score_threshold: float = 0.01) -> TorchDetector:
    config = DetectorConfig(name="tiny_ssd", imgsz=64, score_threshold=score_threshold)
    return build_detector("tiny_ssd", ("square", "bar"), config, seed=seed, device=CPU)


def painted(folder: Path, count: int, seed: int) -> list[Sample]:
    """Grey images, 96 × 64 pixels, with one white square each."""
    rng = np.random.default_rng(seed)
    samples = []
    for index in range(count):
        x, y, side = int(rng.integers(0, 60)), int(rng.integers(0, 30)), int(rng.integers(20, 34))
        pixels = rng.integers(60, 120, (64, 96, 3), dtype=np.uint8)
        pixels[y : y + side, x : x + side] = 250
        path = folder / f"{seed}_{index}.png"
        Image.fromarray(pixels).save(path)
        samples.append(Sample(ImageRecord(path.name, path, 96, 64), Boxes(np.array([[x, y, x + side, y + side]], np.float32), [0])))
    return samples


@pytest.mark.slow
def test_learns_to_find_squares_in_original_pixels(tmp_path: Path) -> None:
    """The images are not square, so boxes are only right if they are scaled back by each side's own factor."""
    detector = tiny()
    config = TrainConfig(min_steps=120, max_steps=120, batch=8, lr=0.02, augment="none", warmup_steps=10)
    train, val = painted(tmp_path, 24, 0), painted(tmp_path, 8, 1)
    report = detector.fit(train, val, config, seed=0)
    assert report.best_ap is not None
    assert report.best_ap > 0.3
    found, _ = predict(detector, [sample.image for sample in val])
    for sample in val:
        boxes = found[sample.image.image_id]
        assert np.abs(boxes.xyxy[0] - sample.boxes.xyxy[0]).max() < 12


def test_unreadable_images_are_left_out_of_predictions(tmp_path: Path) -> None:
    (sample,) = painted(tmp_path, 1, 0)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG nothing")
    images = [ImageRecord("broken.png", broken, 10, 10), sample.image]
    found, faults = predict(tiny(), images)
    assert list(found) == [sample.image.image_id]
    assert list(faults) == ["broken.png"]


def test_targets_are_in_input_pixels_and_from_one() -> None:
    boxes = Boxes(np.array([[10, 20, 30, 40], [5, 5, 5, 9], [0, 0, 9, 9]], np.float32), [1, 0, 0], crowd=[False, False, True])
    target = target_of(Sample(ImageRecord("a", Path("a"), 100, 50), boxes), 64, 64)
    torch.testing.assert_close(target.xyxy, torch.tensor([[6.4, 25.6, 19.2, 51.2]]))
    assert target.classes.tolist() == [2]


def test_a_training_that_may_teach_nothing_ends_with_finite_weights(tmp_path: Path) -> None:
    """Incomplete images without a box and boxes that weigh nothing: every gradient is zero, and no step counts as a bad one."""
    (sample,) = painted(tmp_path, 1, 0)
    weightless = replace(sample, weights=np.zeros(len(sample.boxes), np.float32), complete=False)
    detector = tiny()
    before = {name: value.clone() for name, value in detector.network.state_dict().items()}
    config = TrainConfig(max_steps=3, min_steps=3, batch=2, weight_decay=0)
    report = detector.fit([replace(sample, boxes=Boxes.empty(), complete=False), weightless], [], config, seed=0)
    assert [entry["loss"] for entry in report.history] == [0, 0]
    assert "skipped_steps" not in report.history[-1]
    assert all(torch.equal(value, before[name]) for name, value in detector.network.state_dict().items())


def test_flipping_mirrors_the_valid_area_alone() -> None:
    pixels = torch.randint(1, 256, (1, 3, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels[..., 5:] = 0  # padding
    batch = ImageBatch((ImageRecord("a", Path("a"), 5, 4),), pixels, torch.tensor([[4, 5]]))
    assert torch.equal(batch.flipped().pixels[..., :5], pixels[..., :5].flip(-1))
    assert not batch.flipped().pixels[..., 5:].any()


def test_an_unknown_name_gets_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match=r"Unknown detector 'tinyssd'\. Did you mean 'tiny_ssd'\?"):
        build_detector("tinyssd", ("a",), DetectorConfig(), seed=0, device=CPU)


def test_no_classes_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one class"):
        build_detector("tiny_ssd", (), DetectorConfig(), seed=0, device=CPU)


def test_saving_leaves_no_half_written_file(tmp_path: Path) -> None:
    detector = tiny()
    detector.save(tmp_path / "new" / "weights.pt")
    detector.save(tmp_path / "new" / "weights.pt")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["weights.pt"]


def test_a_loaded_detector_keeps_its_thresholds(tmp_path: Path) -> None:
    tiny(score_threshold=0.4).save(tmp_path / "weights.pt")
    loaded = load_detector(tmp_path / "weights.pt", device=CPU)
    assert loaded.config.score_threshold == 0.4
    assert (loaded.config.name, loaded.config.imgsz) == ("tiny_ssd", 64)


@pytest.mark.parametrize("content", [b"not weights", None])
def test_files_that_hold_no_detector_are_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    if content is None:
        torch.save({"a": 1}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(BoxwiseError, match=r"weights\.pt: expected"):
        load_detector(path, device=CPU)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BoxwiseError, match=r"none\.pt: no such file"):
        tiny().load(tmp_path / "none.pt")


def test_detections_are_worked_out_once_a_view_and_for_each_detector_apart(tmp_path: Path) -> None:
    detector, stricter = tiny(), tiny(score_threshold=0.999)
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64), np.uint8))
    records = tuple(ImageRecord(str(i), tmp_path / str(i), 96, 64) for i in range(2))
    view = detector.view(ImageBatch(records, pixels, torch.tensor([[64, 64]] * 2)))
    first = detector.detections(view)
    assert all(again is found for again, found in zip(detector.detections(view), first, strict=True))
    first.clear()  # the caller's list is the caller's own
    assert [len(found) > 0 for found in detector.detections(view)] == [True, True]
    assert [len(found) for found in stricter.detections(view)] == [0, 0]
