"""Embeddings that are learned from the study's images themselves, without any labels: latents of a VAE.

Returns an embedder; what it learned is kept, so that it is learned once. Knows nothing of reconstruction errors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boxwise.config import Options
from boxwise.detectors.base import Detector, ImageBatch
from boxwise.detectors.input import InputSpec
from boxwise.embedders.base import EmbedderContext, fingerprint
from boxwise.errors import BoxwiseError
from boxwise.scorers.reconstruction import Reconstruction, thumbnails
from boxwise.scorers.vae import Vae, load_vae, posterior_means, save_vae


class VaeLatents:
    """Posterior means of a VAE, as they are, of thumbnails made as the detector's input is."""

    def __init__(self, vae: Vae, spec: InputSpec) -> None:
        self._vae, self.input = vae, spec
        self.identity = fingerprint(vae.state_dict(), vae.shape, spec)

    def embed(self, batch: ImageBatch) -> NDArray[np.float32]:
        return posterior_means(self._vae, thumbnails(batch, self._vae.shape.size))


def vae(options: Options, given: EmbedderContext) -> VaeLatents:
    """Of the VAE that was trained on the images before, by the same settings, or is now. BoxwiseError when not one can be read."""
    detector = given.detector()
    spec = detector.input
    settings = fingerprint({}, given.vae, spec)[:16]
    path = None if given.folder is None else given.folder / f"vae-{settings}.pt"
    if path is not None and path.is_file():
        try:
            return VaeLatents(load_vae(path, given.device), spec)
        except BoxwiseError:  # damaged: the same images and draws give the same again
            path.unlink()
    learned = _trained(given, detector)
    if path is not None:
        save_vae(learned, path)
    return VaeLatents(learned, spec)


def _trained(given: EmbedderContext, detector: Detector) -> Vae:
    trainer = Reconstruction(given.vae.model_copy(update={"train_on": "all"}), corrected=False, spec=detector.input, device=given.device)
    trainer.fit((), given.images(), detector=detector, rng=given.rng())
    assert trainer.vae is not None  # fitted
    return trainer.vae
