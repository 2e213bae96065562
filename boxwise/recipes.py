"""The only place where names become objects: plain dicts of detectors, scorers, strategies, formats and arms.

To add an entry, write its class and name it here; the contract suites then test it. An unknown name prints the known ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from boxwise.config import StrategyConfig
from boxwise.errors import ConfigError, unknown
from boxwise.formats.base import Format
from boxwise.formats.coco import Coco
from boxwise.formats.voc import Voc
from boxwise.formats.yolo import Yolo
from boxwise.strategies.base import Strategy
from boxwise.strategies.k_center import KCenter
from boxwise.strategies.random import Random
from boxwise.strategies.score_then_diversity import ScoreThenDiversity
from boxwise.strategies.top_k import TopK

Entry = TypeVar("Entry")

FORMATS: dict[str, Format] = {"voc": Voc(), "coco": Coco(), "yolo": Yolo()}

STRATEGIES: dict[str, Callable[[StrategyConfig], Strategy]] = {
    "random": lambda config: Random(),
    "top_k": lambda config: TopK(),
    "k_center": lambda config: KCenter(),
    "score_then_diversity": lambda config: ScoreThenDiversity(config.oversample),
}

# An arm of a comparison is nothing but configuration: overrides of the study's config.
_NO_SCORE = ("scorer.name=none",)
ARMS: dict[str, tuple[str, ...]] = {
    "dual": ("scorer.name=dual", "strategy.name=top_k"),
    "auto": ("scorer.name=dual", "strategy.name=top_k", "scorer.alpha=auto", "scorer.beta=auto"),
    "random": (*_NO_SCORE, "strategy.name=random"),
    "k_center": (*_NO_SCORE, "strategy.name=k_center"),
    "score_then_diversity": ("scorer.name=dual", "strategy.name=score_then_diversity"),
    "alpha=0": ("scorer.name=dual", "strategy.name=top_k", "scorer.alpha=0", "scorer.beta=1"),
    "beta=0": ("scorer.name=dual", "strategy.name=top_k", "scorer.alpha=1", "scorer.beta=0"),
    "expected": ("scorer.name=dual", "strategy.name=top_k", "scorer.alpha=0", "scorer.beta=1", "scorer.detection=expected"),
    "pseudo": ("scorer.name=dual", "strategy.name=top_k", "scorer.alpha=0", "scorer.beta=1", "scorer.detection=pseudo"),
    "learned": ("scorer.name=dual", "strategy.name=top_k", "scorer.alpha=0", "scorer.beta=1", "scorer.detection=learned"),
    "oracle_loss": ("scorer.name=dual", "strategy.name=top_k", "scorer.alpha=0", "scorer.beta=1", "scorer.detection=oracle_loss"),
}
UPPER_BOUNDS = frozenset({"oracle_loss"})


def named(kind: str, entries: Mapping[str, Entry], name: str) -> Entry:
    """The entry called `name`; ConfigError that lists the known names, the nearest first, when there is none."""
    if name not in entries:
        raise ConfigError(unknown(kind, name, entries))
    return entries[name]


def detectors() -> dict[str, Any]:
    """Name → network builder. A function, so that naming a format or an arm does not import torch."""
    from boxwise.detectors.detector import NETWORKS

    return NETWORKS


def scorers() -> dict[str, Any]:
    """Name → scorer builder; a function for the same reason."""
    from boxwise.scorers.dual import SCORERS

    return SCORERS


def arm_overrides(arm: str) -> tuple[str, ...]:
    """Config overrides of an arm: a name of ARMS, or overrides joined by '+', such as 'strategy.name=random+scorer.name=none'.

    An override may be added to a name: 'dual+scorer.detection=pseudo'. Raises ConfigError for anything else.
    """
    if arm in ARMS:
        return ARMS[arm]
    name, *overrides = arm.split("+")
    base = ARMS["dual"] if "." in name and "=" in name else named("arm", ARMS, name)
    overrides = [name, *overrides] if "." in name and "=" in name else overrides
    for override in overrides:
        if "=" not in override:
            raise ConfigError(f"Arm {arm!r}: expected key=value after '+', found {override!r}.")
    return (*base, *overrides)
