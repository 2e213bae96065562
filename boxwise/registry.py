"""The only place where names become objects: plain dicts of detectors, scorers, strategies, policies, formats and arms.

To add an entry, write its class and name it here; the contract suites then test it. An unknown name prints the known ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

from boxwise.config import AskConfig, PolicyConfig, StrategyConfig, StudyConfig
from boxwise.detectors.names import BOX_FEATURES, DETECTORS, DROPOUT, EXPECTED_LOSS, MIXTURE, SUPPORTS, DetectorEntry
from boxwise.errors import ConfigError, named, unknown
from boxwise.policies.all_labeled import AllLabeled
from boxwise.policies.base import Policy
from boxwise.policies.ceal import Ceal
from boxwise.policies.ratio_threshold import RatioThreshold
from boxwise.policies.sample_mining import SampleMining
from boxwise.policies.score_threshold import ScoreThreshold
from boxwise.policies.topk_ratio import TopKRatio
from boxwise.policies.v1 import V1
from boxwise.policies.v1plus import V1Plus
from boxwise.strategies.badge import Badge
from boxwise.strategies.base import Strategy
from boxwise.strategies.cald import CaldBalance
from boxwise.strategies.class_balanced import ClassBalanced
from boxwise.strategies.fewest import Fewest
from boxwise.strategies.gain_per_second import GainPerSecond
from boxwise.strategies.k_center import KCenter
from boxwise.strategies.near_duplicates import WithoutNearDuplicates
from boxwise.strategies.pal import Pal
from boxwise.strategies.ppal import Ppal
from boxwise.strategies.random import Random
from boxwise.strategies.score_sampling import ScoreSampling
from boxwise.strategies.score_then_diversity import ScoreThenDiversity
from boxwise.strategies.top_k import TopK
from boxwise.strategies.typiclust import TypiClust

_PER_BOX = frozenset({EXPECTED_LOSS})  # for images on which nothing is detected
_SCORER_NEEDS = {
    "uncertainty": _PER_BOX,
    "cald": _PER_BOX,
    "consistency": _PER_BOX,
    "box_disagreement": _PER_BOX,
    "ensemble": _PER_BOX,
    "mc_dropout": _PER_BOX | {DROPOUT},
    "mixture": _PER_BOX | {MIXTURE},
    "pal": _PER_BOX | {SUPPORTS},
    "forecast": _PER_BOX | {SUPPORTS},
}

STRATEGIES: dict[str, Callable[[StrategyConfig], Strategy]] = {
    "random": lambda config: Random(),
    "fewest": lambda config: Fewest(),
    "top_k": lambda config: TopK(),
    "k_center": lambda config: KCenter(),
    "badge": lambda config: Badge(),
    "typiclust": lambda config: TypiClust(),
    "score_then_diversity": lambda config: ScoreThenDiversity(config.oversample),
    "score_sampling": lambda config: ScoreSampling(config.temperature),
    "ppal": lambda config: Ppal(config.oversample),
    "pal": lambda config: Pal(),
    "class_balanced": lambda config: ClassBalanced(),
    "gain_per_second": lambda config: GainPerSecond(rarity=config.rarity, novelty=config.novelty, per_second=config.per_second),
    "cald": lambda config: CaldBalance(config.oversample),
}

POLICIES: dict[str, Callable[[PolicyConfig], Policy]] = {
    "all_labeled": lambda config: AllLabeled(),
    "v1": lambda config: V1(),
    "v1plus": lambda config: V1Plus(),
    "topk_ratio": lambda config: TopKRatio(),
    "ratio_threshold": RatioThreshold,
    "score_threshold": ScoreThreshold,
    "ceal": Ceal,
    "sample_mining": SampleMining,
}

ASK_MODES: tuple[str, ...] = get_args(AskConfig.model_fields["mode"].annotation)

# An arm of a comparison is nothing but configuration: overrides of the study's config.
_NO_SCORE = ("scorer.name=none",)
_UNCERTAINTY = ("scorer.name=uncertainty", "strategy.name=top_k")
ARMS: dict[str, tuple[str, ...]] = {
    "dual": ("scorer.name=dual", "strategy.name=top_k"),
    "auto": ("scorer.name=dual", "strategy.name=top_k", "scorer.alpha=auto", "scorer.beta=auto"),
    "random": (*_NO_SCORE, "strategy.name=random"),
    "k_center": (*_NO_SCORE, "strategy.name=k_center"),
    "badge": (*_NO_SCORE, "strategy.name=badge"),
    "typiclust": (*_NO_SCORE, "strategy.name=typiclust"),
    "cold_k_center": (*_NO_SCORE, "strategy.name=random", "cold_start.name=k_center"),
    "cold_typiclust": (*_NO_SCORE, "strategy.name=random", "cold_start.name=typiclust"),
    "score_then_diversity": ("scorer.name=dual", "strategy.name=score_then_diversity"),
    "score_sampling": ("scorer.name=dual", "strategy.name=score_sampling"),
    "alpha=0": ("scorer.name=dual", "strategy.name=top_k", "scorer.alpha=0", "scorer.beta=1"),
    "beta=0": ("scorer.name=dual", "strategy.name=top_k", "scorer.alpha=1", "scorer.beta=0"),
    "expected": ("scorer.name=dual", "strategy.name=top_k", "scorer.alpha=0", "scorer.beta=1", "scorer.detection=expected"),
    "pseudo": ("scorer.name=dual", "strategy.name=top_k", "scorer.alpha=0", "scorer.beta=1", "scorer.detection=pseudo"),
    "learned": ("scorer.name=dual", "strategy.name=top_k", "scorer.alpha=0", "scorer.beta=1", "scorer.detection=learned"),
    "entropy": (*_UNCERTAINTY, "scorer.uncertainty=entropy"),
    "margin": (*_UNCERTAINTY, "scorer.uncertainty=margin"),
    "least_confidence": (*_UNCERTAINTY, "scorer.uncertainty=least_confidence"),
    "gate": (*_UNCERTAINTY, "scorer.uncertainty=gate"),
    "entropy_sum": (*_UNCERTAINTY, "scorer.uncertainty=entropy", "scorer.aggregate=sum"),
    "entropy_mean": (*_UNCERTAINTY, "scorer.uncertainty=entropy", "scorer.aggregate=mean"),
    "margin_sum": (*_UNCERTAINTY, "scorer.uncertainty=margin", "scorer.aggregate=sum"),
    "margin_mean": (*_UNCERTAINTY, "scorer.uncertainty=margin", "scorer.aggregate=mean"),
    "least_confidence_sum": (*_UNCERTAINTY, "scorer.uncertainty=least_confidence", "scorer.aggregate=sum"),
    "least_confidence_mean": (*_UNCERTAINTY, "scorer.uncertainty=least_confidence", "scorer.aggregate=mean"),
    "cald": ("scorer.name=cald", "strategy.name=cald", "strategy.oversample=1.2"),
    "consistency": ("scorer.name=consistency", "strategy.name=top_k"),
    "mc_dropout": ("scorer.name=mc_dropout", "strategy.name=top_k"),
    "ensemble": ("scorer.name=ensemble", "strategy.name=top_k"),
    "box_level": (
        *("scorer.name=box_disagreement", "scorer.aggregate=sum", "strategy.name=top_k"),
        *("ask.mode=boxes", "budget.unit=boxes"),
    ),
    "gain_per_second": ("scorer.name=forecast", "strategy.name=gain_per_second"),
    "fewest": (*_NO_SCORE, "strategy.name=fewest"),
    "everything": (
        *(*_NO_SCORE, "strategy.name=random", "ask.mode=full"),
        *("budget.unit=images", "budget.per_round=100%", "budget.val_per_round=0", "budget.rounds=1"),
    ),
    "al_mdn": ("scorer.name=mixture", "strategy.name=top_k"),  # needs a detector with mixture heads, see scorers/mixture.py
    "ppal": ("scorer.name=difficulty", "strategy.name=ppal"),
    "pal": ("scorer.name=pal", "strategy.name=pal"),
    "class_balanced": (*_NO_SCORE, "strategy.name=class_balanced"),
    "oracle_loss": ("scorer.name=dual", "strategy.name=top_k", "scorer.alpha=0", "scorer.beta=1", "scorer.detection=oracle_loss"),
}
# What an arm is there for. An upper bound looks at ground truth; a floor is bad on purpose: a comparison that does not rank it below random
# is not to be believed; a ceiling is no strategy, but what the whole pool would reach.
Role = Literal["arm", "upper bound", "floor", "ceiling"]


def strategy_of(config: StrategyConfig) -> Strategy:
    """The strategy that `config` names; with `duplicates`, without near-duplicates. ConfigError for an unknown name."""
    strategy = named("strategy", STRATEGIES, config.name)(config)
    return strategy if config.duplicates is None else WithoutNearDuplicates(strategy, config.duplicates)


def detectors() -> dict[str, DetectorEntry]:
    """Name → detector; none is built and torch is not imported."""
    return DETECTORS


def needs_of(config: StudyConfig) -> frozenset[str]:
    """What the config's scorer and strategy ask of a detector beyond the core, see detectors/names.py."""
    needs = _SCORER_NEEDS.get(config.scorer.name, frozenset())
    if config.scorer.name in ("dual", "detection_loss") and config.scorer.detection == "expected" and config.scorer.beta != 0:
        needs |= {EXPECTED_LOSS}
    boxes = STRATEGIES[config.strategy.name](config.strategy).uses_boxes if config.strategy.name in STRATEGIES else False
    return needs | ({BOX_FEATURES} if boxes else frozenset())


def scorers() -> dict[str, Any]:
    """Name → scorer builder; a function for the same reason."""
    from boxwise.scorers.building import SCORERS

    return SCORERS


def role_of(arm: str, config: StudyConfig) -> Role:
    """What an arm, run with `config`, is there for."""
    if needs_oracle(config):
        return "upper bound"
    if "everything" in arm.split("+"):
        return "ceiling"
    return "floor" if config.strategy.name == "fewest" else "arm"


def needs_oracle(config: StudyConfig) -> bool:
    """Whether the score is made of the pool's ground truth, which exists in a simulation only."""
    read = config.scorer.name == "detection_loss" or (config.scorer.name == "dual" and config.scorer.beta != 0)
    return read and config.scorer.detection == "oracle_loss"


def arm_overrides(arm: str) -> tuple[str, ...]:
    """Config overrides of an arm: parts joined by '+', such as 'dual+review+topk_ratio' or 'random+full+train.lr=0.1'.

    A part is a name of ARMS ('dual' where there is none), an ask mode, a policy, each at most once, or key=value, which takes precedence
    over the names wherever it is written. Raises ConfigError that lists the known names for anything else.
    """
    parts = [(_kind(part), part) for part in arm.split("+")]
    chosen = {kind: part for kind, part in parts if kind != "override"}
    overrides = [part for kind, part in parts if kind == "override"]
    if len(chosen) + len(overrides) < len(parts):
        raise ConfigError(f"Arm {arm!r}: expected at most one of each kind, found {', '.join(f'{kind} {part}' for kind, part in parts)}.")
    asked = [f"{key}={chosen[kind]}" for kind, key in (("ask mode", "ask.mode"), ("policy", "policy.name")) if kind in chosen]
    return (*ARMS[chosen.get("arm", "dual")], *asked, *overrides)


def _kind(part: str) -> str:
    """What a part of an arm is. A key is one of a section, or one that the config has."""
    key, equals, _ = part.partition("=")
    for kind, names in (("arm", ARMS), ("ask mode", ASK_MODES), ("policy", POLICIES)):
        if part in names:
            return kind
    if equals and ("." in key or key in StudyConfig.model_fields):
        return "override"
    raise ConfigError(unknown("arm or part of one", part, [*ARMS, *ASK_MODES, *POLICIES, "key=value"]))
