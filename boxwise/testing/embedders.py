"""What every embedder promises, as a suite that is run on each name, on real small images.

Returns verdicts of pytest. Knows nothing of how an embedder sees.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from boxwise.config import DetectorConfig, EmbeddingConfig, VaeConfig
from boxwise.detectors.detector import TorchDetector, build_detector
from boxwise.detectors.loading import image_batches
from boxwise.embedders.base import Embedder, EmbedderContext, embed
from boxwise.records import ImageRecord
from boxwise.registry import embedder_of
from boxwise.testing.base import Contract, global_generators_left_alone

Records = tuple[ImageRecord, ...]
VAE = VaeConfig(size=32, latent=4, width=4, steps=3, batch=4)


@cache
def _detector() -> TorchDetector:
    config = DetectorConfig(name="tiny_ssd", imgsz=96, pretrained=False)
    return build_detector("tiny_ssd", ("cat", "dog"), config, seed=0, device=torch.device("cpu"))


def _image(folder: Path, index: int, rng: np.random.Generator) -> ImageRecord:
    width, height = 80 + 8 * index, 64 + 4 * index
    pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
    if index < 2:
        pixels[:] = (0, 0, 0) if index else (255, 255, 255)
    path = folder / f"{index}.png"
    Image.fromarray(pixels).save(path)
    return ImageRecord(path.name, str(path), width, height)


class EmbedderContract(Contract):
    """Promises of an embedder: a finite row for every image, its own, that depends on the image and the embedder alone."""

    def config(self, name: str) -> EmbeddingConfig:
        """How the embedders are configured under test."""
        return EmbeddingConfig()

    def circumstances(self, records: Records, folder: Path | None = None) -> EmbedderContext:
        """What the embedder is built for."""
        device = torch.device("cpu")
        return EmbedderContext(device, _detector, lambda: records, VAE, lambda: np.random.default_rng(0), folder)

    def built(self, name: str, records: Records, folder: Path | None = None) -> Embedder:
        return embedder_of(self.config(name), name, self.circumstances(records, folder))

    @pytest.fixture(scope="class")
    @staticmethod
    def records(tmp_path_factory: pytest.TempPathFactory) -> Records:
        """Seven images of several sizes: black, white, and noise."""
        folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
        return tuple(_image(folder, index, rng) for index in range(7))

    @pytest.fixture(scope="class")
    @staticmethod
    def embedder(request: pytest.FixtureRequest, name: str, records: Records) -> Embedder:
        """Built; no test changes it."""
        return request.cls().built(name, records)

    def test_a_finite_row_an_image_and_images_differ(self, name: str, records: Records, embedder: Embedder) -> None:
        found = embed(records, embedder, batch=4)
        assert found.records == records
        assert found.embeddings.dtype == np.float32
        assert found.embeddings.ndim == 2
        assert np.isfinite(found.embeddings).all()
        assert len(np.unique(found.embeddings, axis=0)) == len(records)

    def test_an_images_row_does_not_depend_on_its_batch_companions(self, name: str, records: Records, embedder: Embedder) -> None:
        together, alone = (embed(records, embedder, batch=batch).embeddings for batch in (7, 1))
        np.testing.assert_allclose(alone, together, rtol=1e-3, atol=1e-4)

    def test_built_again_it_is_the_same_in_name_and_in_bits(self, name: str, records: Records, embedder: Embedder, tmp_path: Path) -> None:
        again = self.built(name, records, tmp_path)  # what learns keeps what it learned there
        once_more = self.built(name, records[:1], tmp_path)
        expected = embed(records, embedder, batch=4).embeddings
        for other in (again, once_more):
            assert other.identity == embedder.identity
            assert int(embedder.identity, 16) >= 0  # hexadecimal
            np.testing.assert_array_equal(embed(records, other, batch=4).embeddings, expected)

    def test_building_and_embedding_leave_the_global_generators(self, name: str, records: Records) -> None:
        with global_generators_left_alone():
            embed(records, self.built(name, records), batch=4)

    def test_embedding_leaves_the_batch_and_embeds_it_alike_again(self, name: str, records: Records, embedder: Embedder) -> None:
        (batch,) = image_batches(records, embedder.input, batch=len(records))
        pixels = batch.pixels.clone()
        first = embedder.embed(batch)
        assert torch.equal(batch.pixels, pixels)
        np.testing.assert_array_equal(embedder.embed(batch), first)

    def test_an_unreadable_image_is_named_and_costs_no_other(self, name: str, records: Records, embedder: Embedder, tmp_path: Path) -> None:
        broken = tmp_path / "broken.jpg"
        broken.write_bytes(b"\xff\xd8\xff no picture")
        given = (records[0], dataclasses.replace(records[1], image_id="broken.jpg", uri=str(broken)), records[2])
        found = embed(given, embedder, batch=2)
        assert found.records == (given[0], given[2])
        assert list(found.unreadable) == ["broken.jpg"]

    def test_no_image_is_no_row(self, name: str, embedder: Embedder) -> None:
        assert len(embed([], embedder).embeddings) == 0
