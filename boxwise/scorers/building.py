"""The scorers by name: what each is built of, from its config and the circumstances of a study.

Returns scorers that have not been fitted. Knows nothing of how they score, nor of where the weights in force come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch

from boxwise.boxes import Boxes
from boxwise.config import ScorerConfig
from boxwise.detectors.base import Detector
from boxwise.detectors.input import InputSpec
from boxwise.errors import ConfigError, unknown
from boxwise.scorers.base import Scorer
from boxwise.scorers.box_disagreement import BoxDisagreement
from boxwise.scorers.cald import Cald
from boxwise.scorers.committee import Ensemble, McDropout
from boxwise.scorers.consistency import FlipConsistency
from boxwise.scorers.detection_loss import ExpectedLoss, LearnedLoss, OracleLoss, PseudoLoss
from boxwise.scorers.difficulty import Difficulty
from boxwise.scorers.dual import Dual
from boxwise.scorers.forecast import TERM, Forecast
from boxwise.scorers.mixture import Mixture
from boxwise.scorers.no_score import NoScore
from boxwise.scorers.pal import PalUncertainty
from boxwise.scorers.reconstruction import Reconstruction
from boxwise.scorers.uncertainty import Uncertainty

Truths = Callable[[str], Boxes]


@dataclass(frozen=True)
class Circumstances:
    """What a scorer is built for, beside its config: see `build_scorer`."""

    device: torch.device | str
    alpha: float
    beta: float
    spec: InputSpec
    truths: Truths | None
    members: Sequence[Detector]
    weights: Mapping[str, float]


def _oracle(config: ScorerConfig, given: Circumstances) -> Scorer:
    if given.truths is None:
        raise ConfigError("scorer.detection is 'oracle_loss', which needs the pool's ground truth: it exists in a simulation only.")
    return OracleLoss(given.truths)


def _detection(config: ScorerConfig, given: Circumstances) -> Scorer:
    return DETECTION_LOSSES[config.detection](config, given)


def _reconstruction(config: ScorerConfig, given: Circumstances) -> Scorer:
    corrected = config.reconstruction == "complexity"
    return Reconstruction(config.vae, corrected=corrected, spec=given.spec, device=given.device)


def _dual(config: ScorerConfig, given: Circumstances) -> Scorer:
    reconstruction = None if config.alpha == 0 else _reconstruction(config, given)
    detection = None if config.beta == 0 else _detection(config, given)
    return Dual(reconstruction, detection, alpha=given.alpha, beta=given.beta, normalize=config.normalize)


def _mc_dropout(config: ScorerConfig, given: Circumstances) -> Scorer:
    return McDropout(passes=config.passes, rate=config.dropout, aggregate=config.aggregate)


def _forecast(config: ScorerConfig, given: Circumstances) -> Scorer:
    parts: dict[str, Scorer] = {
        "expected": ExpectedLoss(),
        "learned": LearnedLoss(),
        "uncertain": PalUncertainty(),
    }
    return Forecast({name: parts[name] for name in config.parts}, given.weights)


Builder = Callable[[ScorerConfig, Circumstances], Scorer]
DETECTION_LOSSES: dict[str, Builder] = {
    "expected": lambda config, given: ExpectedLoss(),
    "pseudo": lambda config, given: PseudoLoss(threshold=config.pseudo_threshold),
    "learned": lambda config, given: LearnedLoss(),
    "oracle_loss": _oracle,
}
SCORERS: dict[str, Builder] = {
    "dual": _dual,
    "reconstruction": _reconstruction,
    "detection_loss": _detection,
    "uncertainty": lambda config, given: Uncertainty(config.uncertainty, config.aggregate),
    "cald": lambda config, given: Cald(),
    "consistency": lambda config, given: FlipConsistency(config.aggregate),
    "mc_dropout": _mc_dropout,
    "ensemble": lambda config, given: Ensemble(given.members, aggregate=config.aggregate),
    "box_disagreement": lambda config, given: BoxDisagreement(config.aggregate),
    "mixture": lambda config, given: Mixture(),
    "difficulty": lambda config, given: Difficulty(),
    "pal": lambda config, given: PalUncertainty(),
    "forecast": _forecast,
    "none": lambda config, given: NoScore(),
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
    spec: InputSpec = InputSpec(320),
    truths: Truths | None = None,
    members: Sequence[Detector] = (),
    weights: Mapping[str, float] = MappingProxyType({}),
) -> Scorer:
    """The scorer that `config` names.

    alpha, beta: the weights in force, numbers also where the config says 'auto'. spec: the detector's, so that the VAE is
    trained on thumbnails made as the pool pass makes them. truths: the simulation's ground truth, for `oracle_loss` alone. members:
    further detectors trained on the same labels, for `ensemble` alone. weights: those learned, by the names of `learned_weights`, for
    `forecast` alone.
    Raises ConfigError for an unknown name, and for `oracle_loss` without truths.
    """
    if config.name not in SCORERS:
        raise ConfigError(unknown("scorer", config.name, SCORERS))
    return SCORERS[config.name](config, Circumstances(device, alpha, beta, spec, truths, tuple(members), weights))
