"""A convolutional variational autoencoder over thumbnails: what is familiar is reconstructed well.

Returns a network, its training curve and each image's reconstruction error. Knows nothing of files, detectors or pools.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from boxwise.config import VaeConfig
from boxwise.detectors.weights_file import write_torch
from boxwise.errors import BoxwiseError
from boxwise.files import seal_is_broken, sealing

Progress = Callable[[int, int, dict[str, float]], None]
LOG_EVERY = 25  # steps between points of the curve
PATCH = 4  # side in pixels of what the first convolution sees
SMALLEST = 4  # side in pixels of the deepest feature map


@dataclass(frozen=True)
class VaeShape:
    """What a Vae is built from: thumbnail side in pixels, latent dimensions, channels of the first convolution."""

    size: int
    latent: int
    width: int


class Vae(nn.Module):
    """Variational autoencoder (Kingma & Welling, ICLR 2014) of strided convolutions and a mirrored decoder.

    The first convolution takes 4 × 4 patches (half the time of two strided ones), then each halving of the side doubles the channels,
    to at most 4 × width. No normalisation: BatchNorm would make an image's error depend on its batch companions, and GroupNorm, which
    hides contrast, left a tenth to a third more error on held-out images of four data sets (400 steps).
    """

    def __init__(self, shape: VaeShape) -> None:
        super().__init__()
        self.shape = shape
        levels = (shape.size // PATCH // SMALLEST).bit_length()
        channels = [min(shape.width << level, 4 * shape.width) for level in range(levels)]
        features = channels[-1] * SMALLEST**2
        downs = [_down(a, b) for a, b in pairwise(channels)]
        ups = [_up(a, b) for a, b in pairwise(reversed(channels))]
        stem = nn.Conv2d(3, shape.width, PATCH, stride=PATCH)
        posterior = nn.Linear(features, 2 * shape.latent)
        nn.init.constant_(posterior.bias[shape.latent :], -4.0)  # latents start nearly noiseless, or the first steps learn little
        self.encoder = nn.Sequential(stem, nn.SiLU(), *downs, nn.Flatten(), posterior)
        self.decoder = nn.Sequential(
            nn.Linear(shape.latent, features),
            nn.Unflatten(1, (channels[-1], SMALLEST, SMALLEST)),
            nn.SiLU(),
            *ups,
            nn.ConvTranspose2d(shape.width, 3, PATCH, stride=PATCH),
        )

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and log variance, each [B, latent], of images in [0, 1], float32 [B, 3, S, S]."""
        mean, log_variance = self.encoder(images - 0.5).chunk(2, dim=1)
        return mean, log_variance.clamp(-20, 10)  # exp stays finite however far a first step goes

    def decode(self, latents: Tensor) -> Tensor:
        """Reconstructions [B, 3, S, S] of latents [B, latent]; not clamped to [0, 1], so that the error has a gradient everywhere."""
        return self.decoder(latents) + 0.5

    def objective(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(mean squared error, KL to the standard normal) of the batch, both per pixel and channel, with latents drawn at random."""
        mean, log_variance = self.encode(images)
        drawn = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(dim=1).mean()
        return F.mse_loss(self.decode(drawn), images), kl / images[0].numel()


@torch.inference_mode()
def reconstruct(vae: Vae, thumbnails: Tensor) -> Tensor:
    """Reconstructions from the posterior mean, in [0, 1], float32 [B, 3, S, S], of uint8 thumbnails."""
    return vae.decode(vae.encode(_unit(thumbnails, vae))[0]).clamp(0, 1)


@torch.inference_mode()
def reconstruction_errors(vae: Vae, thumbnails: Tensor) -> NDArray[np.float64]:
    """L_rec: mean squared error of the reconstruction from the posterior mean, per pixel and channel; float64 [B]. Deterministic."""
    return (reconstruct(vae, thumbnails) - _unit(thumbnails, vae)).square().mean(dim=(1, 2, 3)).double().cpu().numpy()


@torch.inference_mode()
def posterior_means(vae: Vae, thumbnails: Tensor) -> NDArray[np.float32]:
    """Where the images lie among the latents; float32 [B, latent], of uint8 thumbnails. Deterministic."""
    return vae.encode(_unit(thumbnails, vae))[0].float().cpu().numpy()


def train_vae(
    images: NDArray[np.uint8], config: VaeConfig, *, rng: Generator, device: torch.device | str, progress: Progress | None = None
) -> tuple[Vae, list[dict[str, float]]]:
    """A Vae trained on thumbnails uint8 [N, 3, S, S], N >= 1, and its curve: dicts of step, reconstruction, kl.

    Everything random comes from `rng`; torch's global generators are left as they were. Adam, cosine schedule.
    Raises BoxwiseError when the loss stops being finite.
    """
    device = torch.device(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        _seed(int(rng.integers(2**63)), device)
        vae = Vae(VaeShape(config.size, config.latent, config.width)).to(memory_format=torch.channels_last).to(device)
        history = _descend(vae, images, config, rng, progress)
    return vae.eval().requires_grad_(False), history


def _seed(seed: int, device: torch.device) -> None:
    """Of the generators that are drawn from here; torch.manual_seed would also reseed the other GPUs."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


def save_vae(vae: Vae, path: Path) -> None:
    """Weights and shape, complete or absent."""
    with sealing(path) as aside:
        write_torch({"shape": asdict(vae.shape), "weights": vae.state_dict()}, aside)


def load_vae(path: Path, device: torch.device | str) -> Vae:
    """The Vae that `save_vae` wrote. Raises BoxwiseError naming the file when it is something else."""
    try:
        if seal_is_broken(path):
            raise ValueError("its bytes are not those that were written")
        saved = torch.load(path, map_location=device, weights_only=True)
        vae = Vae(VaeShape(**saved["shape"]))
        vae.load_state_dict(saved["weights"])
    except Exception as error:  # anything that a foreign file can provoke: unpickling, keys, shapes
        raise BoxwiseError(f"{path}: expected the weights of a VAE, found something else ({error}).") from error
    return vae.to(memory_format=torch.channels_last).to(device).eval().requires_grad_(False)


def _descend(vae: Vae, images: NDArray[np.uint8], config: VaeConfig, rng: Generator, progress: Progress | None) -> list[dict[str, float]]:
    optimizer = torch.optim.Adam(vae.parameters(), lr=config.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    pixels = torch.from_numpy(images)
    history: list[dict[str, float]] = []
    for step, rows in enumerate(_batches(len(images), config.batch, config.steps, rng), start=1):
        reconstruction, kl = vae.objective(_unit(pixels[rows], vae))
        optimizer.zero_grad()
        (reconstruction + config.beta * kl).backward()
        optimizer.step()
        schedule.step()
        if step % LOG_EVERY == 0 or step in (1, config.steps):
            figures = {"reconstruction": float(reconstruction.detach()), "kl": float(kl.detach())}
            history.append({"step": step, **figures})
            _check_finite(history[-1], config.lr)
            if progress is not None:
                progress(step, config.steps, figures)
    return history


def _check_finite(point: dict[str, float], lr: float) -> None:
    if not np.isfinite(point["reconstruction"] + point["kl"]):
        raise BoxwiseError(
            f"The VAE's training diverged by step {point['step']:.0f} (reconstruction {point['reconstruction']}, KL {point['kl']}). "
            f"Lower scorer.vae.lr, now {lr}."
        )


def _batches(count: int, batch: int, steps: int, rng: Generator) -> Iterator[Tensor]:
    """Index batches of the full size: shuffled passes over all images, one running into the next."""
    rows = np.zeros(0, np.int64)
    for _ in range(steps):
        while len(rows) < batch:
            rows = np.concatenate([rows, rng.permutation(count)])
        yield torch.from_numpy(rows[:batch])
        rows = rows[batch:]


def _unit(thumbnails: Tensor, vae: Vae) -> Tensor:
    device = next(vae.parameters()).device
    return thumbnails.to(device).contiguous(memory_format=torch.channels_last).float() / 255


def _down(into: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(into, out, 3, stride=2, padding=1), nn.SiLU())


def _up(into: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(into, out, 3, stride=2, padding=1, output_padding=1), nn.SiLU())
