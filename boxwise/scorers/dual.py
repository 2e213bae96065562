"""The dual score: how unfamiliar an image is (L_rec) and how wrong the detector probably is on it (L_det).

Returns weighted normalised terms and keeps every part visible; also builds each scorer from its config.
Knows nothing of how the two losses are made, nor where alpha and beta come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.boxes import Boxes
from boxwise.config import ScorerConfig
from boxwise.detectors.base import Detector, View
from boxwise.detectors.loading import Resize
from boxwise.errors import ConfigError, unknown
from boxwise.records import ImageRecord, Sample, Scores
from boxwise.scorers.base import Scorer, Terms
from boxwise.scorers.box_disagreement import BoxDisagreement
from boxwise.scorers.cald import Cald
from boxwise.scorers.committee import Ensemble, McDropout
from boxwise.scorers.consistency import FlipConsistency
from boxwise.scorers.detection_loss import ExpectedLoss, LearnedLoss, OracleLoss, PseudoLoss
from boxwise.scorers.difficulty import Difficulty
from boxwise.scorers.forecast import TERM, Forecast
from boxwise.scorers.mixture import Mixture
from boxwise.scorers.no_score import NoScore
from boxwise.scorers.normalize import NORMALIZERS
from boxwise.scorers.pal import PalUncertainty
from boxwise.scorers.reconstruction import Reconstruction
from boxwise.scorers.uncertainty import Uncertainty

Truths = Callable[[str], Boxes]


class Dual:
    """score(i) = alpha · norm(L_rec(i)) + beta · norm(L_det(i)), norm = standardised (z) or ranked over the pool pass.

    Terms: the raw terms of both parts, and the normalised "L_rec" and "L_det". A part that is None is neither fitted nor
    measured and counts as 0, which is how alpha=0 and beta=0 arms save their cost.
    """

    def __init__(
        self, reconstruction: Scorer | None, detection: Scorer | None, *, alpha: float = 0.5, beta: float = 0.5, normalize: str = "z"
    ) -> None:
        parts = {"L_rec": (reconstruction, alpha), "L_det": (detection, beta)}
        self._parts = {name: (part, weight) for name, (part, weight) in parts.items() if part is not None}
        self._normalize = NORMALIZERS[normalize]

    def fit(
        self, labeled: Sequence[Sample], unlabeled: Sequence[ImageRecord], *, detector: Detector, rng: Generator, folder: Path | None = None
    ) -> dict[str, float]:
        figures: dict[str, float] = {}
        for part, _ in self._parts.values():
            figures |= part.fit(labeled, unlabeled, detector=detector, rng=rng, folder=folder)
        return figures

    def measure(self, detector: Detector, view: View) -> Terms:
        terms: Terms = {}
        for part, _ in self._parts.values():
            terms |= part.measure(detector, view)
        return terms

    def score(self, image_ids: Sequence[str], terms: Mapping[str, NDArray[np.float64]]) -> Scores:
        shown = {name: values.copy() for name, values in terms.items()}
        total = np.zeros(len(image_ids))
        for name, (part, weight) in self._parts.items():
            shown[name] = self._normalize(part.score(image_ids, terms).values)
            total += weight * shown[name]
        return Scores(tuple(image_ids), total, shown)


@dataclass(frozen=True)
class Circumstances:
    """What a scorer is built for, beside its config: see `build_scorer`."""

    device: torch.device | str
    alpha: float
    beta: float
    imgsz: int
    resize: Resize
    truths: Truths | None
    members: Sequence[Detector]
    weights: Mapping[str, float]


def _expected(config: ScorerConfig, given: Circumstances) -> Scorer:
    return ExpectedLoss()


def _pseudo(config: ScorerConfig, given: Circumstances) -> Scorer:
    return PseudoLoss(threshold=config.pseudo_threshold)


def _learned(config: ScorerConfig, given: Circumstances) -> Scorer:
    return LearnedLoss()


def _oracle(config: ScorerConfig, given: Circumstances) -> Scorer:
    if given.truths is None:
        raise ConfigError("scorer.detection is 'oracle_loss', which needs the pool's ground truth: it exists in a simulation only.")
    return OracleLoss(given.truths)


def _detection(config: ScorerConfig, given: Circumstances) -> Scorer:
    return DETECTION_LOSSES[config.detection](config, given)


def _reconstruction(config: ScorerConfig, given: Circumstances) -> Scorer:
    corrected = config.reconstruction == "complexity"
    return Reconstruction(config.vae, corrected=corrected, imgsz=given.imgsz, resize=given.resize, device=given.device)


def _dual(config: ScorerConfig, given: Circumstances) -> Scorer:
    reconstruction = None if config.alpha == 0 else _reconstruction(config, given)
    detection = None if config.beta == 0 else _detection(config, given)
    return Dual(reconstruction, detection, alpha=given.alpha, beta=given.beta, normalize=config.normalize)


def _uncertainty(config: ScorerConfig, given: Circumstances) -> Scorer:
    return Uncertainty(config.uncertainty, config.aggregate)


def _cald(config: ScorerConfig, given: Circumstances) -> Scorer:
    return Cald()


def _consistency(config: ScorerConfig, given: Circumstances) -> Scorer:
    return FlipConsistency(config.aggregate)


def _mc_dropout(config: ScorerConfig, given: Circumstances) -> Scorer:
    return McDropout(passes=config.passes, rate=config.dropout, aggregate=config.aggregate)


def _ensemble(config: ScorerConfig, given: Circumstances) -> Scorer:
    return Ensemble(given.members, aggregate=config.aggregate)


def _box_disagreement(config: ScorerConfig, given: Circumstances) -> Scorer:
    return BoxDisagreement(config.aggregate)


def _mixture(config: ScorerConfig, given: Circumstances) -> Scorer:
    return Mixture()


def _difficulty(config: ScorerConfig, given: Circumstances) -> Scorer:
    return Difficulty(resize=given.resize)


def _pal(config: ScorerConfig, given: Circumstances) -> Scorer:
    return PalUncertainty(resize=given.resize)


def _forecast(config: ScorerConfig, given: Circumstances) -> Scorer:
    parts: dict[str, Scorer] = {
        "expected": ExpectedLoss(),
        "learned": LearnedLoss(),
        "uncertain": PalUncertainty(resize=given.resize),
    }
    return Forecast({name: parts[name] for name in config.parts}, given.weights)


def _none(config: ScorerConfig, given: Circumstances) -> Scorer:
    return NoScore()


Builder = Callable[[ScorerConfig, Circumstances], Scorer]
DETECTION_LOSSES: dict[str, Builder] = {"expected": _expected, "pseudo": _pseudo, "learned": _learned, "oracle_loss": _oracle}
SCORERS: dict[str, Builder] = {
    "dual": _dual,
    "reconstruction": _reconstruction,
    "detection_loss": _detection,
    "uncertainty": _uncertainty,
    "cald": _cald,
    "consistency": _consistency,
    "mc_dropout": _mc_dropout,
    "ensemble": _ensemble,
    "box_disagreement": _box_disagreement,
    "mixture": _mixture,
    "difficulty": _difficulty,
    "pal": _pal,
    "forecast": _forecast,
    "none": _none,
}


def learned_weights(config: ScorerConfig) -> dict[str, str]:
    """Weight → score term, of the weights that are fitted to true losses round after round; empty where all are given."""
    if config.name == "forecast" and config.learn:
        return {name: TERM + name for name in config.parts}
    return {"alpha": "L_rec", "beta": "L_det"} if config.alpha == "auto" else {}


def build_scorer(
    config: ScorerConfig,
    *,
    device: torch.device | str,
    alpha: float,
    beta: float,
    imgsz: int = 320,
    resize: Resize = "stretch",
    truths: Truths | None = None,
    members: Sequence[Detector] = (),
    weights: Mapping[str, float] = MappingProxyType({}),
) -> Scorer:
    """The scorer that `config` names.

    alpha, beta: the weights in force, numbers also where the config says 'auto'. imgsz, resize: the detector's, so that the VAE is
    trained on thumbnails made as the pool pass makes them. truths: the simulation's ground truth, for `oracle_loss` alone. members:
    further detectors trained on the same labels, for `ensemble` alone. weights: those learned, by the names of `learned_weights`, for
    `forecast` alone.
    Raises ConfigError for an unknown name, and for `oracle_loss` without truths.
    """
    if config.name not in SCORERS:
        raise ConfigError(unknown("scorer", config.name, SCORERS))
    return SCORERS[config.name](config, Circumstances(device, alpha, beta, imgsz, resize, truths, tuple(members), weights))
