"""Whether a configuration can be run: every name is known, every option valid, and each method has what it needs.

Returns options, or one message that names the key before any work is done. Builds nothing and imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ValidationError

from boxwise.config import Choice, Options, ScorerConfig, ScorerOptions, StudyConfig
from boxwise.config.faults import sentences_of
from boxwise.detectors.onnx_provider import check_onnx
from boxwise.embedders.names import check_embedder
from boxwise.errors import ConfigError, named, unknown
from boxwise.registry.methods import Method, Methods, Role
from boxwise.registry.tables import CAPABILITIES, DETECTORS, EMBEDDERS, NEEDS, POLICIES, SCORERS, STRATEGIES
from boxwise.runtime import check_device, has_gpu

_AUTO = ("detector", "scorer")  # sections whose name may be auto
SECTIONS = {"detector": DETECTORS, "scorer": SCORERS, "strategy": STRATEGIES, "policy": POLICIES, "embedding": EMBEDDERS}


def settled(config: StudyConfig) -> StudyConfig:
    """`config` with names where it says auto: a detector for this machine, which a study keeps, and the scorer of its strategy."""
    auto = {"detector": _detector_here, "scorer": _scorer_of_strategy}
    sections: dict[str, Choice] = {key: getattr(config, key) for key in auto}
    update = {key: section.model_copy(update={"name": auto[key](config)}) for key, section in sections.items() if section.name == "auto"}
    return config.model_copy(update=update) if update else config


def with_its_scorer(config: StudyConfig, before: StudyConfig) -> StudyConfig:
    """`config`, with the scorer of its strategy where that has changed since `before` and the scorer has stayed the earlier strategy's."""
    if config.strategy.name == before.strategy.name or not before.scorer.name == config.scorer.name == _scorer_of_strategy(before):
        return config
    return config.model_copy(update={"scorer": config.scorer.model_copy(update={"name": _scorer_of_strategy(config)})})


def _detector_here(config: StudyConfig) -> str:
    return "yolox_s" if config.device != "cpu" and has_gpu() else "yolox_nano"


def _scorer_of_strategy(config: StudyConfig) -> str:
    name = config.strategy.name
    return (STRATEGIES[name].scorer if name in STRATEGIES else None) or "none"


def check(config: StudyConfig, *, simulated: bool = False, scores: bool = False) -> None:
    """ConfigError for a name that nothing has, an option that its method has not, and a need that nothing meets.

    simulated: whether the pool's ground truth is at hand. scores: whether a strategy may go without those it needs, as in old studies.
    """
    config = settled(config)
    for key, methods in SECTIONS.items():
        _check_section(key, getattr(config, key), methods)
    _check_first("cold start", config.cold_start.name, STRATEGIES)
    _check_first("cold_start.embedding", config.cold_start.embedding, EMBEDDERS)
    offered = named("detector", DETECTORS, config.detector.name).offers
    met = offered | {"trained_detector"} | ({"self_labels"} if config.ask.mode in ("review", "trust") else set())
    met |= ({"ground_truth"} if simulated else set()) | ({"scores"} if scores or config.scorer.name != "none" else set())
    for key in ("scorer", "strategy", "policy"):
        if missing := needs_of(config, key) - met:
            raise ConfigError(_unmet(config, key, missing))
    check_device(config.device)
    check_onnx(config.detector.name, config.device)
    for name in {config.embedding.name} | ({config.cold_start.embedding} if config.cold_start.name != "random" else set()):
        check_embedder(name, options_of(config.embedding, EMBEDDERS[name], name))


def needs_of(config: StudyConfig, key: str) -> frozenset[str]:
    """What the method that a section names needs; names of NEEDS."""
    section: Choice = getattr(config, key)
    method = SECTIONS[key][section.name]
    return method.needs | options_of(section, method).needs()


def needs_oracle(config: StudyConfig) -> bool:
    """Whether the score is made of the pool's ground truth, which exists in a simulation only."""
    return "ground_truth" in needs_of(config, "scorer")


def role_of(arm: str, config: StudyConfig) -> Role:
    """What an arm, run with `config`, is there for."""
    if needs_oracle(config):
        return "upper bound"
    name = config.strategy.name  # of a package that may be gone
    return "ceiling" if "everything" in arm.split("+") else STRATEGIES[name].role if name in STRATEGIES else "arm"


def scorer_options(config: ScorerConfig) -> ScorerOptions:
    """The options of the scorer that `config` names. ConfigError for an unknown name or a wrong option."""
    found = options_of(config, named("scorer", SCORERS, config.name))
    return found if isinstance(found, ScorerOptions) else ScorerOptions()


def options_of(section: Choice, method: Method, name: str | None = None) -> Options:
    """The options of `method`, by default the one that the section names. ConfigError for a wrong one of an installed package's."""
    name = name or section.name
    given = section.options_of(name)
    if isinstance(given, Options):
        return given
    try:
        return method.options.model_validate(given)
    except ValidationError as error:
        sentences = sentences_of(error.errors(), method.options)
        raise ConfigError("\n".join(f"options of {name}: {sentence}" for sentence in sentences)) from None


def _check_first(kind: str, name: str, methods: Methods) -> None:
    """Whether round 0 can go by the method `name`."""
    if "trained_detector" in named(kind, methods, name).needs:
        able = [other for other, method in methods.loaded().items() if "trained_detector" not in method.needs]
        raise ConfigError(unknown(kind, name, able) + " Others need a trained detector, and round 0 has none yet.")


def _check_section(key: str, section: Choice, methods: Methods) -> None:
    if section.name not in methods:
        raise ConfigError(unknown(methods.kind, section.name, [*methods, *(["auto"] if key in _AUTO else [])]))
    options_of(section, methods[section.name])
    for name in section.model_extra or {}:
        options_of(section, named(f"{methods.kind} with options in {key}", methods, name), name)


def _unmet(config: StudyConfig, key: str, missing: Iterable[str]) -> str:
    """What is missing, and for capabilities of a detector the detectors that have them."""
    name, kinds = getattr(config, key).name, sorted(missing)
    words = f"{key} {name} needs {' and '.join(NEEDS.get(kind, kind) for kind in kinds)}"
    if lacking := frozenset(kinds) & CAPABILITIES.keys():
        able = ", ".join(detector for detector, method in DETECTORS.loaded().items() if lacking <= method.offers)
        return f"{words}, which detector {config.detector.name} has not. Those that have it: {able}."
    if "scores" in kinds:
        usual = STRATEGIES[name].scorer or "dual"
        return f"{words}, found scorer.name=none. Give scorer.name={usual}, or another of `boxwise methods scorers`."
    if "self_labels" in kinds:
        return f"{words}, found {config.ask.mode}."
    return f"{words}; it exists in a simulation only."
