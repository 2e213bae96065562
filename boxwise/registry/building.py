"""Names become objects: the detector, scorer, strategy, policy and embedder that a configuration names.

Returns them built. Imports what it builds, and torch with it for detectors, scorers and embedders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from boxwise.annotation.class_change import Renamed, now_called
from boxwise.config import ColdStartConfig, DetectorConfig, EmbeddingConfig, PolicyConfig, ScorerConfig, StrategyConfig
from boxwise.errors import BoxwiseError, ConfigError, named
from boxwise.policies.base import Policy
from boxwise.policies.checked import CheckedPolicy
from boxwise.registry.checking import options_of, scorer_options
from boxwise.registry.complete import complete
from boxwise.registry.methods import Methods
from boxwise.registry.tables import DETECTORS, EMBEDDERS, POLICIES, SCORERS, STRATEGIES
from boxwise.strategies.base import Strategy
from boxwise.strategies.checked import CheckedStrategy
from boxwise.strategies.near_duplicates import WithoutNearDuplicates

Device = Any  # a torch.device; torch is not imported here

if TYPE_CHECKING:
    from boxwise.detectors.base import Detector
    from boxwise.detectors.detector import TorchDetector
    from boxwise.detectors.input import InputSpec
    from boxwise.embedders.base import Embedder, EmbedderContext
    from boxwise.scorers.base import Scorer
    from boxwise.scorers.building import Truths
    from boxwise.scorers.vae import Progress


def strategy_of(config: StrategyConfig) -> Strategy:
    """The strategy that `config` names; with `duplicates`, without near-duplicates. ConfigError for an unknown name."""
    strategy = _strategy(config, config.name)
    return strategy if config.duplicates is None else WithoutNearDuplicates(strategy, config.duplicates)


def cold_start_of(config: ColdStartConfig, options: StrategyConfig) -> Strategy:
    """The strategy that chooses the images of round 0, with its options from the strategies' section."""
    return _strategy(options, config.name)


def policy_of(config: PolicyConfig) -> Policy:
    options = options_of(config, named("policy", POLICIES, config.name))
    return CheckedPolicy(*_complete(Policy, POLICIES, config.name, **dict(options)))


def _strategy(config: StrategyConfig, name: str) -> Strategy:
    options = options_of(config, named("strategy", STRATEGIES, name), name)
    return CheckedStrategy(*_complete(Strategy, STRATEGIES, name, **dict(options)))


def _complete(protocol: type, methods: Methods, name: str, *given: Any, **options: Any) -> tuple[Any, str]:
    """The method `name`, built, with all that `protocol` asks for, and what messages call it."""
    package = methods.package_of(name)
    whose = f"{protocol.__name__.lower()} {name}" + (f" of the package {package}" if package else "")
    return complete(_built(methods, name, *given, **options), protocol, whose), whose


def _built(methods: Methods, name: str, *given: Any, **options: Any) -> Any:
    """What builds the method `name`, called; ConfigError that says what went wrong with one of an installed package."""
    package = methods.package_of(name)
    try:
        return methods[name].load()(*given, **options)
    except (BoxwiseError, OSError):
        raise
    except Exception as error:  # a package may raise anything, at import too
        if package is None:
            raise
        raise ConfigError(
            f"{methods.kind} {name} of the package {package} cannot be built: {type(error).__name__}: {error}. It is called "
            "as `Method` says, with its options; boxwise.testing has its suite."
        ) from error


def scorer_of(
    config: ScorerConfig,
    *,
    device: Device,
    spec: InputSpec | None = None,
    truths: Truths | None = None,
    members: Sequence[Detector] = (),
    weights: Mapping[str, float] = MappingProxyType({}),
    progress: Progress | None = None,
) -> Scorer:
    """The scorer that `config` names, not fitted.

    spec: how images enter the detector, by default at 320 pixels, so that the VAE learns from thumbnails made as the pool pass makes them.
    truths: the simulation's ground truth, for `oracle_loss` alone. members: further detectors trained on the same labels, as many as the
    options ask for. weights: those learned, by the names of the options' `learned_weights`; what is not learned is in the options.
    progress: hears of a training that the scorer needs, with (step, steps, figures).
    Raises ConfigError for an unknown name, and for `oracle_loss` without truths.
    """
    from boxwise.detectors.input import InputSpec
    from boxwise.scorers.base import Scorer
    from boxwise.scorers.building import ScorerContext
    from boxwise.scorers.checked import CheckedScorer

    options = scorer_options(config)
    given = ScorerContext(config, device, spec or InputSpec(320), truths, tuple(members), weights, progress)
    return CheckedScorer(*_complete(Scorer, SCORERS, config.name, options, given))


def embedder_of(config: EmbeddingConfig, name: str, given: EmbedderContext) -> Embedder:
    """The embedder `name`, with its options from the embedders' section. ConfigError for an unknown name."""
    from boxwise.embedders.base import Embedder
    from boxwise.embedders.checked import CheckedEmbedder

    method = named("embedding", EMBEDDERS, name)
    return CheckedEmbedder(*_complete(Embedder, EMBEDDERS, name, options_of(config, method, name), given))


def build_detector(classes: Sequence[str], config: DetectorConfig, *, seed: int, device: Device) -> Any:
    """The detector that `config` names, with its first weights: a `Detector`, see detectors/base.py."""
    named("detector", DETECTORS, config.name)
    return _built(DETECTORS, config.name, classes, config, seed=seed, device=device)


def load_detector(classes: Sequence[str], config: DetectorConfig, weights: Path, *, device: Device, changes: Sequence[Renamed] = ()) -> Any:
    """The detector that `config` names, with the weights that it saved at `weights`. changes: see `now_called`."""
    from boxwise.detectors.detector import load_detector as load_own

    if config.name in DETECTORS.own:
        detector = load_own(weights, device=device)
        called = now_called(detector.classes, changes)
        detector.classes = tuple(called.get(name, name) for name in detector.classes)
        return detector
    detector = build_detector(classes, config, seed=0, device=device)
    detector.load(weights)
    return detector


def go_on_from(detector: Any, config: DetectorConfig, weights: Path, *, changes: Sequence[Renamed] = ()) -> None:
    """Give `detector` the weights that the detector `config` names saved at `weights`, perhaps over other classes.

    changes: see `now_called`. A detector of an installed package takes weights of the same classes alone, or says why it cannot.
    """
    if config.name in DETECTORS.own:
        detector.go_on_from(weights, lambda classes: now_called(classes, changes))
    else:
        detector.load(weights)


def own_detector(classes: Sequence[str], config: DetectorConfig, *, seed: int, device: Device) -> TorchDetector:
    """A detector of boxwise's own."""
    from boxwise.detectors.detector import build_detector as build_own

    return build_own(config.name, classes, config, seed=seed, device=device)
