"""What each scorer is built of, from its options and what a study gives it; named in registry/builtin.py.

Returns scorers that have not been fitted. Knows nothing of how they score, nor of where the weights in force come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from boxwise.boxes import Boxes
from boxwise.config import Options, ScorerConfig
from boxwise.config.methods import (
    BoxOptions,
    DetectionLossOptions,
    DropoutOptions,
    DualOptions,
    EnsembleOptions,
    ForecastOptions,
    ReconstructionOptions,
    UncertaintyOptions,
)
from boxwise.detectors.base import Detector
from boxwise.detectors.input import InputSpec
from boxwise.errors import ConfigError
from boxwise.scorers.base import Scorer
from boxwise.scorers.box_disagreement import BoxDisagreement
from boxwise.scorers.cald import Cald
from boxwise.scorers.committee import Ensemble, McDropout
from boxwise.scorers.consistency import FlipConsistency
from boxwise.scorers.detection_loss import ExpectedLoss, LearnedLoss, OracleLoss, surrogates
from boxwise.scorers.difficulty import Difficulty
from boxwise.scorers.dual import Dual
from boxwise.scorers.forecast import Forecast
from boxwise.scorers.mixture import Mixture
from boxwise.scorers.no_score import NoScore
from boxwise.scorers.pal import PalUncertainty
from boxwise.scorers.reconstruction import Reconstruction
from boxwise.scorers.uncertainty import Uncertainty
from boxwise.scorers.vae import Progress

Truths = Callable[[str], Boxes]


@dataclass(frozen=True)
class ScorerContext:
    """What a scorer is built for, beside its options: see `registry.scorer_of`.

    config: the scorers' section, for what several of them share.
    """

    config: ScorerConfig
    device: torch.device | str
    spec: InputSpec
    truths: Truths | None
    members: Sequence[Detector]
    weights: Mapping[str, float]
    progress: Progress | None = None


def dual(options: DualOptions, given: ScorerContext) -> Scorer:
    alpha, beta = (_weight(given, name, value) for name, value in (("alpha", options.alpha), ("beta", options.beta)))
    reconstruction = None if options.alpha == 0 else _reconstruction(options.reconstruction, given)
    detection = None if options.beta == 0 else _detection(options.detection, given)
    return Dual(reconstruction, detection, alpha=alpha, beta=beta, normalize=options.normalize)


def reconstruction(options: ReconstructionOptions, given: ScorerContext) -> Scorer:
    return _reconstruction(options.error, given)


def detection_loss(options: DetectionLossOptions, given: ScorerContext) -> Scorer:
    return _detection(options.detection, given)


def uncertainty(options: UncertaintyOptions, given: ScorerContext) -> Scorer:
    return Uncertainty(options.measure, options.aggregate)


def cald(options: Options, given: ScorerContext) -> Scorer:
    return Cald()


def consistency(options: BoxOptions, given: ScorerContext) -> Scorer:
    return FlipConsistency(options.aggregate)


def mc_dropout(options: DropoutOptions, given: ScorerContext) -> Scorer:
    return McDropout(passes=options.passes, rate=options.dropout, aggregate=options.aggregate)


def ensemble(options: EnsembleOptions, given: ScorerContext) -> Scorer:
    return Ensemble(given.members, aggregate=options.aggregate)


def box_disagreement(options: BoxOptions, given: ScorerContext) -> Scorer:
    return BoxDisagreement(options.aggregate)


def mixture(options: Options, given: ScorerContext) -> Scorer:
    return Mixture()


def difficulty(options: Options, given: ScorerContext) -> Scorer:
    return Difficulty()


def pal(options: Options, given: ScorerContext) -> Scorer:
    return PalUncertainty()


def forecast(options: ForecastOptions, given: ScorerContext) -> Scorer:
    parts: dict[str, Scorer] = {
        "expected": ExpectedLoss(),
        "learned": LearnedLoss(),
        "uncertain": PalUncertainty(),
    }
    return Forecast({name: parts[name] for name in options.parts}, given.weights)


def no_score(options: Options, given: ScorerContext) -> Scorer:
    return NoScore()


def _weight(given: ScorerContext, name: str, value: float | str) -> float:
    """The weight in force: as learned, else as given; half where it is to be learned and nothing was learned yet."""
    return given.weights.get(name, 0.5 if isinstance(value, str) else value)


def _reconstruction(error: str, given: ScorerContext) -> Scorer:
    corrected = error == "complexity"
    return Reconstruction(given.config.vae, corrected=corrected, spec=given.spec, device=given.device, progress=given.progress)


def _detection(surrogate: str, given: ScorerContext) -> Scorer:
    if surrogate == "oracle_loss":
        if given.truths is None:
            raise ConfigError("detection is 'oracle_loss', which needs the pool's ground truth: it exists in a simulation only.")
        return OracleLoss(given.truths)
    losses = surrogates(pseudo_threshold=given.config.pseudo_threshold)
    return next(loss for loss in losses if loss.name == surrogate)
