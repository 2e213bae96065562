"""Bursts of near-duplicate frames, as embedders see them: one label is spent on each."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from boxwise.config import DetectorConfig
from boxwise.config.methods import EfficientNetOptions
from boxwise.data.images import image_size
from boxwise.detectors.detector import TorchDetector, build_detector
from boxwise.embedders.base import Embedder, embed
from boxwise.embedders.detector import DetectorFeatures
from boxwise.embedders.efficientnet import efficientnet_lite0
from boxwise.records import ImageRecord, Scores
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.near_duplicates import WithoutNearDuplicates
from boxwise.strategies.top_k import TopK


def detector(name="tiny_ssd", imgsz=96, weights=None) -> TorchDetector:
    config = DetectorConfig(name=name, imgsz=imgsz, pretrained=weights is not None, backbone_weights=weights)
    return build_detector(name, ("thing",), config, seed=0, device=torch.device("cpu"))


def records(paths) -> list[ImageRecord]:
    return [ImageRecord(path.name, path, *image_size(path)) for path in paths]


def burst_among(paths, folder, *, shift, frames=12):
    """JPEG frames of the first scene, shifted by up to `shift` pixels and compressed more or less, then the other scenes."""
    rng = np.random.default_rng(0)
    scene = Image.open(paths[0]).convert("RGB")
    made = []
    for number in range(frames):
        dx, dy = rng.integers(0, shift + 1, 2)
        made.append(folder / f"frame{number:02}.jpg")
        scene.crop((dx, dy, scene.width - shift + dx, scene.height - shift + dy)).save(made[-1], quality=int(rng.integers(75, 96)))
    return records([*made, *paths[1:]])


def spent_on_frames(images, embedder: Embedder, similarity):
    """Of ten labels asked by a score that prefers the frames: how many they take."""
    found = embed(images, embedder)
    image_ids = tuple(record.image_id for record in found.records)
    values = np.array([image_id.startswith("frame") for image_id in image_ids], float)
    candidates = Candidates(
        1, image_ids, Scores(image_ids, values), found.embeddings, found.embeddings[:0], box_counts=np.ones(len(image_ids))
    )
    query = WithoutNearDuplicates(TopK(), similarity).select(candidates, Budget(10), rng=np.random.default_rng(0))
    assert len(query.items) == 10
    return sum(image_id.startswith("frame") for image_id in query.image_ids)


@pytest.mark.slow
def test_a_burst_of_real_frames_spends_one_label(shared_data, shared_weights, tmp_path):
    paths = sorted((shared_data / "bccd").rglob("*.jpg"))[:30]
    backbone = detector("ssdlite320_mobilenet_v2", 160, shared_weights / "mobilenet_v2-b0353104.pth")
    assert spent_on_frames(burst_among(paths, tmp_path, shift=4), DetectorFeatures(backbone), 0.97) == 1


@pytest.mark.slow
def test_a_burst_spends_one_label_by_efficientnet_as_well(shared_data, shared_weights, tmp_path, circumstances):
    pytest.importorskip("timm", reason="needs the extra [hf]")
    paths = sorted((shared_data / "bccd").rglob("*.jpg"))[:30]
    options = EfficientNetOptions(weights=shared_weights / "tf_efficientnet_lite0.pth")
    assert spent_on_frames(burst_among(paths, tmp_path, shift=4), efficientnet_lite0(options, circumstances()), 0.95) == 1


def test_frames_that_only_compression_tells_apart_spend_one_label_even_by_random_features(digits, tmp_path):
    paths = [Path(record.uri) for record in digits.images[:20]]
    assert spent_on_frames(burst_among(paths, tmp_path, shift=0), DetectorFeatures(detector()), 0.99) == 1
