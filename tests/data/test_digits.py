from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from boxwise.data.digits import CLASSES, _samples, make_digits
from boxwise.data.formats.base import Dataset
from boxwise.data.formats.voc import Voc
from boxwise.data.images import read_image
from boxwise.records import Split


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("digits")


@pytest.fixture(scope="module")
def scenes(folder: Path) -> Dataset:
    return make_digits(folder, seed=3, images=200)


def _run(image_id: str) -> str:
    return image_id.split("_")[1]


def test_reads_back_as_the_voc_data_set_it_returned(folder: Path, scenes: Dataset) -> None:
    read = Voc().read(folder)
    assert not read.findings
    assert read.classes == scenes.classes == CLASSES
    assert {r.image_id: (r.split, r.width, r.height) for r in read.images} == {r.image_id: (r.split, 96, 96) for r in scenes.images}
    assert all(read.labels[image_id].equals(boxes) for image_id, boxes in scenes.labels.items())


def test_splits_have_their_shares_and_no_run_in_two(scenes: Dataset) -> None:
    assert Counter(record.split for record in scenes.images) == {Split.TRAIN: 120, Split.VAL: 30, Split.TEST: 50}
    runs = {(_run(record.image_id), record.split) for record in scenes.images}
    assert len(runs) == len({run for run, _ in runs})


def test_training_scenes_come_in_runs_of_nearly_equal_frames(folder: Path, scenes: Dataset) -> None:
    train = [record for record in scenes.images if record.split is Split.TRAIN]
    lengths = Counter(_run(record.image_id) for record in train)
    assert max(lengths.values()) <= 12
    assert sum(length for length in lengths.values() if length >= 3) > len(train) / 3
    pixels = {record.image_id: read_image(record.uri).astype(float) for record in train}
    pairs = list(pairwise(train))
    within = [np.abs(pixels[a.image_id] - pixels[b.image_id]).mean() for a, b in pairs if _run(a.image_id) == _run(b.image_id)]
    across = [np.abs(pixels[a.image_id] - pixels[b.image_id]).mean() for a, b in pairs if _run(a.image_id) != _run(b.image_id)]
    assert np.median(within) * 3 < np.median(across)


def test_classes_have_a_long_tail_and_some_scenes_nothing(scenes: Dataset) -> None:
    labels = np.concatenate([boxes.labels for boxes in scenes.labels.values()])
    counts = np.bincount(labels, minlength=10)
    assert counts[:2].min() > 2 * counts[-2:].max() > 0
    assert 0.03 < np.mean([len(boxes) == 0 for boxes in scenes.labels.values()]) < 0.3


def test_boxes_lie_inside_and_vary_in_size(scenes: Dataset) -> None:
    xyxy = np.concatenate([boxes.xyxy for boxes in scenes.labels.values()])
    height = xyxy[:, 3] - xyxy[:, 1]
    assert xyxy.min() >= 0
    assert xyxy.max() <= 96
    assert height.max() > 2 * height.min()


def test_no_handwritten_sample_serves_two_splits() -> None:
    samples = _samples(np.random.default_rng(3))
    ids = {split: {ink.tobytes() for of_class in samples[split] for ink in of_class} for split in Split}
    assert sum(map(len, ids.values())) == len(set.union(*ids.values())) > 1700


def test_same_seed_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_digits(tmp_path / name, seed=seed, images=20)
    content = {n: {p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*") if p.is_file()} for n in "abc"}
    assert content["a"] == content["b"] != content["c"]


def test_other_sizes_scale_the_digits(tmp_path: Path) -> None:
    scenes = make_digits(tmp_path, seed=0, images=30, imgsz=192)
    xyxy = np.concatenate([boxes.xyxy for boxes in scenes.labels.values()])
    assert read_image(scenes.images[0].uri).shape == (192, 192, 3)
    assert 20 < np.median(xyxy[:, 3] - xyxy[:, 1]) < 64
