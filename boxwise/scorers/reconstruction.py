"""L_rec: how unfamiliar an image looks to a VAE trained on other images.

Returns the reconstruction error of each image's thumbnail, as it is or corrected for the image's own complexity.
Knows nothing of boxes, classes or detections.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional

from boxwise.artifacts.round_folder import RoundFolder
from boxwise.artifacts.vae_history import write_vae_history
from boxwise.config import VaeConfig
from boxwise.detectors.base import Detector, ImageBatch, View
from boxwise.detectors.input import InputSpec
from boxwise.detectors.loading import image_batches
from boxwise.errors import BoxwiseError
from boxwise.files import replacing
from boxwise.records import ImageRecord, Sample, Scores
from boxwise.scorers.base import Terms
from boxwise.scorers.vae import Progress, Vae, reconstruct, reconstruction_errors, save_vae, train_vae

BATCH = 32  # images decoded at a time for training
SHEET_COLUMNS = 5  # images in each third of the sheet: best, median, worst
PNG_LEVEL = 1  # two thirds of the time of level 6


class Reconstruction:
    """Mean squared error of a VAE's reconstruction from the posterior mean, per pixel and channel.

    Trained on what is labelled, a large error is novelty; trained on labelled and unlabelled, rarity (config.train_on). A raw error
    mostly measures contrast and texture. `corrected` scores instead the residual of the log error regressed over the pool on the
    thumbnail's bits per pixel as PNG, after the input complexity of Serrà et al., ICLR 2020.
    """

    def __init__(
        self,
        config: VaeConfig,
        *,
        corrected: bool,
        spec: InputSpec,
        device: torch.device | str = "cpu",
        progress: Progress | None = None,
    ) -> None:
        """spec: the detector's, so that training thumbnails go through the same two resizings as those of the pool pass.

        progress: hears of the VAE's training.
        """
        self.config, self.corrected = config, corrected
        self.spec, self.device = spec, device
        self.vae: Vae | None = None
        self._progress = progress

    def fit(
        self, labeled: Sequence[Sample], unlabeled: Sequence[ImageRecord], *, detector: Detector, rng: Generator, folder: Path | None = None
    ) -> dict[str, float]:
        """Train a new VAE. Into `folder`: vae.pt, vae_history.csv, reconstructions.png. Unreadable images are left out.

        Raises BoxwiseError when not one image can be read, or when training diverges.
        """
        records = [sample.image for sample in labeled] + (list(unlabeled) if self.config.train_on == "all" else [])
        images = self._training_images(records, rng)
        self.vae, history = train_vae(images, self.config, rng=rng, device=self.device, progress=self._progress)
        self._progress = None  # a fitted scorer goes to other processes
        if folder is not None:
            files = RoundFolder(folder)
            save_vae(self.vae, files.vae)
            write_vae_history(files.vae_history, history)
            _write_sheet(self.vae, torch.from_numpy(images), files.reconstructions)
        last = history[-1]
        return {"vae_images": float(len(images)), "vae_reconstruction": last["reconstruction"], "vae_kl": last["kl"]}

    def measure(self, detector: Detector, view: View) -> Terms:
        if self.vae is None:
            raise RuntimeError("Reconstruction.measure was called before fit")
        small = thumbnails(view.batch, self.config.size)
        terms = {"reconstruction": reconstruction_errors(self.vae, small)}
        return terms | {"complexity": complexities(small)} if self.corrected else terms

    def score(self, image_ids: Sequence[str], terms: Mapping[str, NDArray[np.float64]]) -> Scores:
        columns = {name: terms[name].copy() for name in ("reconstruction", "complexity") if name in terms}
        if not image_ids:  # an empty pool was never measured
            return Scores((), np.zeros(0), columns)
        values = residuals(columns["reconstruction"], columns["complexity"]) if self.corrected else columns["reconstruction"].copy()
        return Scores(tuple(image_ids), values, columns)

    def _training_images(self, records: list[ImageRecord], rng: Generator) -> NDArray[np.uint8]:
        """Thumbnails uint8 [N, 3, S, S] of at most `max_images` records drawn at random."""
        drawn = [records[row] for row in np.sort(rng.permutation(len(records))[: self.config.max_images])]
        size = self.config.size
        images = np.empty((len(drawn), 3, size, size), np.uint8)
        count = 0
        for batch in image_batches(drawn, self.spec, batch=BATCH):
            small = thumbnails(batch, size).numpy()
            images[count : count + len(small)] = small
            count += len(small)
        if count == 0:
            raise BoxwiseError(f"The VAE has nothing to learn from: expected readable images, found none among {len(drawn)}.")
        return images[:count]


def thumbnails(batch: ImageBatch, size: int) -> Tensor:
    """Each image's valid area squeezed to size × size, antialiased; uint8 [B, 3, size, size]."""
    height, width = batch.pixels.shape[2:]
    if bool((batch.valid == torch.tensor([height, width])).all()):
        return functional.resize(batch.pixels, [size, size], antialias=True)
    areas = zip(batch.pixels, batch.valid.tolist(), strict=True)
    return torch.stack([functional.resize(image[:, :h, :w], [size, size], antialias=True) for image, (h, w) in areas])


def complexities(small: Tensor) -> NDArray[np.float64]:
    """Bits per pixel of each thumbnail uint8 [B, 3, S, S] as PNG, whose filters and deflate see texture but not contrast alone."""
    images = small.permute(0, 2, 3, 1).cpu().numpy()
    return np.array([_png_bits(image) for image in images], np.float64) / (small.shape[2] * small.shape[3])


def _png_bits(image: NDArray[np.uint8]) -> int:
    file = BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=PNG_LEVEL)
    return 8 * file.tell()


def residuals(errors: NDArray[np.float64], complexity: NDArray[np.float64]) -> NDArray[np.float64]:
    """log `errors` less what a least-squares line on `complexity` predicts; float64 [N]. With constant complexity: less their mean."""
    logs = np.log(np.maximum(errors, 1e-12))  # a flat image may be reconstructed exactly
    centered = complexity - complexity.mean()
    spread = float(centered @ centered)
    slope = float(centered @ logs) / spread if spread > 1e-12 * len(complexity) else 0.0
    return logs - logs.mean() - slope * centered


def _write_sheet(vae: Vae, images: Tensor, path: Path) -> None:
    """Originals above reconstructions: the best, the median and the worst of the training images, by rising error."""
    order = np.argsort(np.concatenate([reconstruction_errors(vae, some) for some in images.split(64)]), kind="stable")
    middle = max(0, (len(order) - SHEET_COLUMNS) // 2)
    thirds = (order[:SHEET_COLUMNS], order[middle : middle + SHEET_COLUMNS], order[-SHEET_COLUMNS:])
    rows = [row for third in thirds for row in _pair(vae, images[torch.from_numpy(third)])]
    with replacing(path) as aside:
        Image.fromarray(np.concatenate(rows)).save(aside)


def _pair(vae: Vae, originals: Tensor) -> Iterator[NDArray[np.uint8]]:
    """A strip of originals and one of their reconstructions, each uint8 [S, B · S, 3]."""
    rebuilt = (reconstruct(vae, originals) * 255).round().to(torch.uint8).cpu()
    for images in (originals, rebuilt):
        yield np.concatenate(list(images.permute(0, 2, 3, 1).numpy()), axis=1)
