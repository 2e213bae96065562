from dataclasses import asdict

import numpy as np
import pytest
import torch
from changed_bits import changed_bits
from torch.distributions import Normal, kl_divergence

from boxwise.config import VaeConfig
from boxwise.errors import BoxwiseError
from boxwise.scorers.vae import Vae, VaeShape, load_vae, reconstruction_errors, save_vae, train_vae

SMALL = VaeConfig(size=32, latent=16, width=16, steps=250, batch=16, lr=6e-3)


def ramps(count: int, seed: int = 0) -> np.ndarray:
    """Smooth colour ramps, uint8 [count, 3, 32, 32]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:32, 0:32] / 31
    slopes = rng.uniform(-100, 100, (count, 3, 2, 1, 1))
    return np.clip(128 + slopes[:, :, 0] * (x - 0.5) + slopes[:, :, 1] * (y - 0.5), 0, 255).astype(np.uint8)


def checkers(count: int) -> np.ndarray:
    """Checkerboards of the same range of grey values, uint8 [count, 3, 32, 32]."""
    y, x = np.mgrid[0:32, 0:32] // 4
    return np.broadcast_to(np.where((x + y) % 2, 78, 178).astype(np.uint8), (count, 3, 32, 32)).copy()


def train(images, config=SMALL, seed=0):
    return train_vae(images, config, rng=np.random.default_rng(seed), device="cpu")


@pytest.fixture(scope="module")
def trained():
    return train(ramps(200))


@pytest.mark.parametrize("size", [32, 64, 128])
def test_reconstructs_at_its_own_size_within_a_few_million_parameters(size):
    vae = Vae(VaeShape(size, 128, 32))
    mean, log_variance = vae.encode(torch.rand(2, 3, size, size))
    assert mean.shape == log_variance.shape == (2, 128)
    assert vae.decode(mean).shape == (2, 3, size, size)
    assert 1e5 < sum(weights.numel() for weights in vae.parameters()) < 4e6


def test_kl_is_the_one_to_the_standard_normal():
    vae = Vae(VaeShape(32, 16, 8))
    images = torch.rand(5, 3, 32, 32)
    mean, log_variance = vae.encode(images)
    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum(dim=1).mean() / (3 * 32 * 32)
    assert vae.objective(images)[1].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.slow
def test_what_it_was_trained_on_is_reconstructed_well_and_the_unfamiliar_badly(trained):
    vae, _ = trained
    familiar, strange = ramps(30, seed=9), checkers(4)
    spread = float((familiar / 255.0).var())
    errors = reconstruction_errors(vae, torch.from_numpy(familiar))
    assert errors.mean() < 0.1 * spread
    assert reconstruction_errors(vae, torch.from_numpy(strange)).min() > 3 * errors.max()


@pytest.mark.slow
def test_the_curve_falls_and_names_its_steps(trained):
    _, history = trained
    assert [history[0]["step"], history[-1]["step"]] == [1, SMALL.steps]
    assert history[-1]["reconstruction"] < 0.2 * history[0]["reconstruction"]
    assert all(point["kl"] >= 0 for point in history)


@pytest.mark.slow
def test_beta_trades_reconstruction_for_kl(trained):
    _, loose = trained
    _, tight = train(ramps(200), SMALL.model_copy(update={"beta": 1.0}))
    assert tight[-1]["kl"] < 0.2 * loose[-1]["kl"]
    assert tight[-1]["reconstruction"] > loose[-1]["reconstruction"]


@pytest.mark.slow
def test_an_images_error_does_not_depend_on_its_companions(trained):
    vae, _ = trained
    images = torch.from_numpy(np.concatenate([ramps(5, seed=3), checkers(3)]))
    alone = [reconstruction_errors(vae, image[None])[0] for image in images]
    assert reconstruction_errors(vae, images) == pytest.approx(alone, rel=1e-4)


def test_same_seed_same_weights_and_the_global_generator_untouched():
    few = SMALL.model_copy(update={"steps": 3})
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = train(ramps(10), few)[0].state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second, other = train(ramps(10), few)[0].state_dict(), train(ramps(10), few, seed=1)[0].state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_trains_on_fewer_images_than_a_batch():
    _, history = train(ramps(1), SMALL.model_copy(update={"steps": 2}))
    assert np.isfinite(history[-1]["reconstruction"])


@pytest.mark.slow
def test_a_diverging_training_stops_and_says_what_to_lower():
    with pytest.raises(BoxwiseError, match=r"scorer\.vae\.lr"):
        train(ramps(10), SMALL.model_copy(update={"lr": 1e30, "steps": 60}))


@pytest.mark.slow
def test_progress_is_reported():
    seen = []
    train_vae(
        ramps(4),
        SMALL.model_copy(update={"steps": 30}),
        rng=np.random.default_rng(0),
        device="cpu",
        progress=lambda *progress: seen.append(progress),
    )
    assert [(step, steps) for step, steps, _ in seen] == [(1, 30), (25, 30), (30, 30)]


@pytest.mark.slow
def test_what_is_saved_is_loaded(trained, tmp_path):
    vae, _ = trained
    save_vae(vae, tmp_path / "vae.pt")
    loaded = load_vae(tmp_path / "vae.pt", "cpu")
    images = torch.from_numpy(ramps(3))
    assert asdict(loaded.shape) == asdict(vae.shape)
    assert np.array_equal(reconstruction_errors(loaded, images), reconstruction_errors(vae, images))


@pytest.mark.parametrize("content", [b"", b"not weights"])
def test_a_foreign_file_is_named(content, tmp_path):
    (tmp_path / "vae.pt").write_bytes(content)
    with pytest.raises(BoxwiseError, match=r"vae\.pt: expected the weights of a VAE"):
        load_vae(tmp_path / "vae.pt", "cpu")


def test_a_changed_bit_is_a_message_or_changes_nothing(tmp_path):
    vae = Vae(VaeShape(32, 2, 2))
    save_vae(vae, tmp_path / "vae.pt")
    refused = 0
    for _ in changed_bits(tmp_path / "vae.pt", 60):
        try:
            loaded = load_vae(tmp_path / "vae.pt", "cpu")
        except BoxwiseError:
            refused += 1
        else:
            assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in vae.state_dict().items())
    assert refused > 50
