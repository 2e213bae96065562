"""Latents of a VAE as embeddings: learned once from the study's images, and kept."""

import numpy as np
import pytest
import torch

from boxwise.config import Options
from boxwise.embedders.base import embed
from boxwise.embedders.vae import vae
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord
from boxwise.scorers.vae import posterior_means, train_vae


@pytest.fixture(scope="module")
def some(digits):
    return digits.images[:9]


def test_rows_are_the_posterior_means(some, circumstances):
    found = embed(some, vae(Options(), circumstances(some))).embeddings
    assert found.shape == (9, 8) and np.ptp(found, axis=0).min() > 0


def test_means_are_those_of_the_posterior(circumstances):
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
    model, _ = train_vae(images, circumstances().vae, rng=np.random.default_rng(1), device="cpu")
    with torch.no_grad():
        expected = model.encoder(torch.from_numpy(images).float() / 255 - 0.5)[:, :8]
    np.testing.assert_allclose(posterior_means(model, torch.from_numpy(images)), expected, atol=1e-5)


def test_it_learns_once_and_again_where_its_file_is_damaged_or_its_settings_are_others(some, circumstances, tmp_path):
    first = vae(Options(), circumstances(some, tmp_path))
    (file,) = tmp_path.glob("vae-*.pt")
    assert vae(Options(), circumstances((), tmp_path, seed=1)).identity == first.identity  # nothing to learn from, nor needed
    file.write_bytes(file.read_bytes()[:-100])
    assert vae(Options(), circumstances(some, tmp_path)).identity == first.identity
    assert vae(Options(), circumstances(some, tmp_path, latent=4)).identity != first.identity
    assert len(list(tmp_path.glob("vae-*.pt"))) == 2


def test_no_readable_image_is_one_clear_error(tmp_path, circumstances):
    (tmp_path / "beside.jpg").write_bytes(b"something that can be opened, so that the folder is not away")
    with pytest.raises(BoxwiseError, match="found none among 1"):
        vae(Options(), circumstances([ImageRecord("absent.jpg", str(tmp_path / "absent.jpg"), 5, 5)]))
