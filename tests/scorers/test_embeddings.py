from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from boxwise.config import DetectorConfig, VaeConfig
from boxwise.data.images import image_size
from boxwise.detectors.detector import TorchDetector, build_detector
from boxwise.detectors.input import InputSpec
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord, Scores
from boxwise.scorers.embeddings import by_backbone, by_vae, embed
from boxwise.scorers.vae import posterior_means, train_vae
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.near_duplicates import WithoutNearDuplicates
from boxwise.strategies.top_k import TopK

VAE = VaeConfig(size=32, width=4, latent=8, steps=5, batch=8)


def detector(name="tiny_ssd", imgsz=96, weights=None) -> TorchDetector:
    config = DetectorConfig(name=name, imgsz=imgsz, pretrained=weights is not None, backbone_weights=weights)
    return build_detector(name, ("thing",), config, seed=0, device=torch.device("cpu"))


def records(paths) -> list[ImageRecord]:
    return [ImageRecord(path.name, path, *image_size(path)) for path in paths]


@pytest.fixture(scope="module")
def some(digits):
    return list(digits.images[:9])


def embedded(some, embedder, batch=4):
    return embed(some, embedder, InputSpec(96), batch=batch)


class TestEmbed:
    def test_one_unit_row_an_image_whatever_the_batch(self, some):
        found, one_by_one = (embedded(some, by_backbone(detector()), batch) for batch in (4, 1))
        assert found.image_ids == tuple(record.image_id for record in some) and not found.unreadable
        np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(found.embeddings, one_by_one.embeddings, atol=1e-5)

    def test_unreadable_images_are_named_and_left_out(self, some, tmp_path):
        broken = tmp_path / "broken.jpg"
        broken.write_bytes(b"\xff\xd8\xff no picture")
        calls = []
        found = embed(
            [some[0], ImageRecord("broken.jpg", broken, 5, 5), some[1]],
            by_backbone(detector()),
            InputSpec(96),
            batch=2,
            progress=lambda done, total: calls.append((done, total)),
        )
        assert found.image_ids == (some[0].image_id, some[1].image_id) and found.embeddings.shape[0] == 2
        assert list(found.unreadable) == ["broken.jpg"] and calls == [(2, 3), (3, 3)]

    def test_nothing_to_embed(self):
        assert embed([], by_backbone(detector()), InputSpec(96)).embeddings.shape[0] == 0


class TestVae:
    def embedder(self, some, seed=0):
        tiny = detector()
        return by_vae(some, VAE, tiny, device=tiny.device, rng=np.random.default_rng(seed))

    def test_one_finite_row_an_image_the_same_for_the_same_seed(self, some):
        first, again = (embedded(some, self.embedder(some)).embeddings for _ in range(2))
        assert first.shape == (9, 8) and np.isfinite(first).all() and np.ptp(first, axis=0).min() > 0
        assert np.array_equal(first, again)

    def test_means_are_those_of_the_posterior(self):
        images = np.random.default_rng(0).integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
        vae, _ = train_vae(images, VAE, rng=np.random.default_rng(1), device="cpu")
        with torch.no_grad():
            expected = vae.encoder(torch.from_numpy(images).float() / 255 - 0.5)[:, :8]
        np.testing.assert_allclose(posterior_means(vae, torch.from_numpy(images)), expected, atol=1e-5)

    def test_no_readable_image_is_one_clear_error(self, tmp_path):
        with pytest.raises(BoxwiseError, match="found none among 1"):
            self.embedder([ImageRecord("absent.jpg", tmp_path / "absent.jpg", 5, 5)])


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


def spent_on_frames(images, detector, similarity):
    """Of ten labels asked by a score that prefers the frames: how many they take."""
    found = embed(images, by_backbone(detector), detector.input)
    values = np.array([image_id.startswith("frame") for image_id in found.image_ids], float)
    count = len(found.image_ids)
    candidates = Candidates(
        1, found.image_ids, Scores(found.image_ids, values), found.embeddings, found.embeddings[:0], box_counts=np.ones(count)
    )
    query = WithoutNearDuplicates(TopK(), similarity).select(candidates, Budget(10), rng=np.random.default_rng(0))
    assert len(query.items) == 10
    return sum(image_id.startswith("frame") for image_id in query.image_ids)


def test_a_burst_of_real_frames_spends_one_label(shared_data, shared_weights, tmp_path):
    paths = sorted((shared_data / "bccd").rglob("*.jpg"))[:30]
    backbone = detector("ssdlite320_mobilenet_v2", 160, shared_weights / "mobilenet_v2-b0353104.pth")
    assert spent_on_frames(burst_among(paths, tmp_path, shift=4), backbone, 0.97) == 1


def test_frames_that_only_compression_tells_apart_spend_one_label_even_by_random_features(digits, tmp_path):
    paths = [Path(record.uri) for record in digits.images[:20]]
    assert spent_on_frames(burst_among(paths, tmp_path, shift=0), detector(), 0.99) == 1
