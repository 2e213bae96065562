"""Arms of a comparison: names, and parts joined by '+', that become overrides of the configuration.

Returns overrides. Knows nothing of how an arm is run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from boxwise.config import AskConfig, StudyConfig, override_keys
from boxwise.errors import ConfigError, unknown
from boxwise.registry.tables import POLICIES

ASK_MODES: tuple[str, ...] = get_args(AskConfig.model_fields["mode"].annotation)

# An arm of a comparison is nothing but configuration: overrides of the study's config.
_NO_SCORE = ("scorer.name=none",)
_L_DET = ("scorer.name=dual", "strategy.name=top_k", "scorer.dual.alpha=0", "scorer.dual.beta=1")
_DEFAULT = StudyConfig().strategy.name  # the arm of an arm that names none
_UNCERTAINTY = ("scorer.name=uncertainty", "strategy.name=top_k")
ARMS: dict[str, tuple[str, ...]] = {
    "dual": ("scorer.name=dual", "strategy.name=top_k"),
    "auto": ("scorer.name=dual", "strategy.name=top_k", "scorer.dual.alpha=auto", "scorer.dual.beta=auto"),
    "random": (*_NO_SCORE, "strategy.name=random"),
    "k_center": (*_NO_SCORE, "strategy.name=k_center"),
    "facility_location": (*_NO_SCORE, "strategy.name=facility_location"),
    "badge": (*_NO_SCORE, "strategy.name=badge"),
    "typiclust": (*_NO_SCORE, "strategy.name=typiclust"),
    "cold_k_center": (*_NO_SCORE, "strategy.name=random", "cold_start.name=k_center"),
    "cold_typiclust": (*_NO_SCORE, "strategy.name=random", "cold_start.name=typiclust"),
    "score_then_diversity": ("scorer.name=dual", "strategy.name=score_then_diversity"),
    "score_sampling": ("scorer.name=dual", "strategy.name=score_sampling"),
    "alpha=0": _L_DET,
    "beta=0": ("scorer.name=dual", "strategy.name=top_k", "scorer.dual.alpha=1", "scorer.dual.beta=0"),
    "expected": (*_L_DET, "scorer.dual.detection=expected"),
    "pseudo": (*_L_DET, "scorer.dual.detection=pseudo"),
    "learned": (*_L_DET, "scorer.dual.detection=learned"),
    "entropy": (*_UNCERTAINTY, "scorer.uncertainty.measure=entropy"),
    "margin": (*_UNCERTAINTY, "scorer.uncertainty.measure=margin"),
    "least_confidence": (*_UNCERTAINTY, "scorer.uncertainty.measure=least_confidence"),
    "gate": (*_UNCERTAINTY, "scorer.uncertainty.measure=gate"),
    "entropy_sum": (*_UNCERTAINTY, "scorer.uncertainty.measure=entropy", "scorer.uncertainty.aggregate=sum"),
    "entropy_mean": (*_UNCERTAINTY, "scorer.uncertainty.measure=entropy", "scorer.uncertainty.aggregate=mean"),
    "margin_sum": (*_UNCERTAINTY, "scorer.uncertainty.measure=margin", "scorer.uncertainty.aggregate=sum"),
    "margin_mean": (*_UNCERTAINTY, "scorer.uncertainty.measure=margin", "scorer.uncertainty.aggregate=mean"),
    "least_confidence_sum": (*_UNCERTAINTY, "scorer.uncertainty.measure=least_confidence", "scorer.uncertainty.aggregate=sum"),
    "least_confidence_mean": (*_UNCERTAINTY, "scorer.uncertainty.measure=least_confidence", "scorer.uncertainty.aggregate=mean"),
    "cald": ("scorer.name=cald", "strategy.name=cald"),
    "consistency": ("scorer.name=consistency", "strategy.name=top_k"),
    "mc_dropout": ("scorer.name=mc_dropout", "strategy.name=top_k"),
    "ensemble": ("scorer.name=ensemble", "strategy.name=top_k"),
    "box_level": (
        *("scorer.name=box_disagreement", "scorer.box_disagreement.aggregate=sum", "strategy.name=top_k"),
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
    "oracle_loss": (
        "scorer.name=dual",
        "strategy.name=top_k",
        "scorer.dual.alpha=0",
        "scorer.dual.beta=1",
        "scorer.dual.detection=oracle_loss",
    ),
}


EACH_CELL = {  # keys that every cell of a comparison has a value of its own of, and why
    "seed": "seeds are paired: --seeds says how many",
    "store": "each cell keeps its own database",
}


def check_shared(keys: Iterable[str]) -> None:
    """ConfigError for a key of `EACH_CELL`."""
    for key in keys:
        if key in EACH_CELL:
            raise ConfigError(f"{key}: {EACH_CELL[key]}; leave it out.")


def arm_overrides(arm: str) -> tuple[str, ...]:
    """Config overrides of an arm: parts joined by '+', such as 'dual+review+topk_ratio' or 'random+full+train.lr=0.1'.

    A part is a name of ARMS (the default strategy's where there is none), an ask mode, a policy, each at most once, or key=value, which
    takes precedence over the names wherever it is written. Raises ConfigError that lists the known names for anything else, and for a
    key of `EACH_CELL`.
    """
    parts = [(_kind(part), part) for part in arm.split("+")]
    chosen = {kind: part for kind, part in parts if kind != "override"}
    overrides = own_overrides(arm)
    check_shared(override_keys(overrides))
    if len(chosen) + len(overrides) < len(parts):
        raise ConfigError(f"Arm {arm!r}: expected at most one of each kind, found {', '.join(f'{kind} {part}' for kind, part in parts)}.")
    asked = [f"{key}={chosen[kind]}" for kind, key in (("ask mode", "ask.mode"), ("policy", "policy.name")) if kind in chosen]
    return (*ARMS[chosen.get("arm", _DEFAULT)], *asked, *overrides)


def own_overrides(arm: str) -> list[str]:
    """The parts of an arm that are key=value."""
    return [part for part in arm.split("+") if _kind(part) == "override"]


def arm_keys(arm: str) -> frozenset[str]:
    """The keys of a config that an arm decides: those of its overrides, and the names of scorer and strategy, which every arm names.

    Of an arm that this version does not know, every section.
    """
    try:
        keys = override_keys(arm_overrides(arm))
    except ConfigError:
        return frozenset(StudyConfig.model_fields)
    named = {"detector.name"} if "device" in keys else set()  # auto is another one where there is no GPU
    return frozenset(keys) | named | {"scorer.name", "strategy.name"}


def _kind(part: str) -> str:
    """What a part of an arm is. A key is one of a section, or one that the config has."""
    key, equals, _ = part.partition("=")
    for kind, names in (("arm", ARMS), ("ask mode", ASK_MODES), ("policy", POLICIES)):
        if part in names:
            return kind
    if equals and ("." in key or key in StudyConfig.model_fields):
        return "override"
    raise ConfigError(unknown("arm or part of one", part, [*ARMS, *ASK_MODES, *POLICIES, "key=value"]))
