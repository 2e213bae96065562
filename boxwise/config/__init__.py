"""The one configuration of a study: a validated model over YAML with `key=value` overrides.

Returns a `StudyConfig`; every other room takes the part it needs. Knows the names and ranges of the keys, not what
they do: whether a detector or scorer of that name exists is `registry.py`'s to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from boxwise.config.sections import (
    AnnotatorConfig,
    AskConfig,
    BudgetConfig,
    ColdStartConfig,
    CostConfig,
    DetectorConfig,
    PolicyConfig,
    ScorerConfig,
    Section,
    StopConfig,
    StrategyConfig,
    TrainConfig,
    VaeConfig,
    resolve,
)
from boxwise.errors import ConfigError, unknown

__all__ = [
    "AnnotatorConfig",
    "AskConfig",
    "BudgetConfig",
    "ColdStartConfig",
    "CostConfig",
    "DetectorConfig",
    "PolicyConfig",
    "ScorerConfig",
    "Section",
    "StopConfig",
    "StrategyConfig",
    "StudyConfig",
    "TrainConfig",
    "VaeConfig",
    "apply_overrides",
    "differences",
    "dump_config",
    "leaves",
    "load_config",
    "parse_config",
    "resolve",
]

_RENAMED = {"curriculum": "policy"}  # section of a study of an older version → its name today
_JUDGES_SELF_LABELS = ("topk_ratio", "ratio_threshold", "score_threshold")


class StudyConfig(Section):
    """The settings of a study. Saved resolved in its folder and in its store."""

    seed: int = Field(0, ge=0, description="of every random choice of the study")
    store: str | None = Field(None, description="database URL such as postgresql+pg8000://host/db; null: SQLite in the study's folder")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 ...")
    threads: int = Field(0, ge=0, description="torch threads; 0: torch's own choice")
    workers: int = Field(0, ge=0, description="processes that decode and augment; 0: in the training process")
    score_batch: int = Field(16, ge=1, description="images a forward pass when inspecting")
    detector: DetectorConfig = DetectorConfig()
    train: TrainConfig = TrainConfig()
    scorer: ScorerConfig = ScorerConfig()
    strategy: StrategyConfig = StrategyConfig()
    cold_start: ColdStartConfig = ColdStartConfig()
    ask: AskConfig = AskConfig()
    policy: PolicyConfig = PolicyConfig()
    annotator: AnnotatorConfig = AnnotatorConfig()
    budget: BudgetConfig = BudgetConfig()
    cost: CostConfig = CostConfig()
    stop: StopConfig = StopConfig()

    @model_validator(mode="before")
    @classmethod
    def _of_older_studies(cls, values: Any) -> Any:
        """Keys that a section had before, under its name of today."""
        return {_RENAMED.get(key, key): value for key, value in values.items()} if isinstance(values, Mapping) else values

    @model_validator(mode="after")
    def _answerable(self) -> Self:
        if self.policy.name in _JUDGES_SELF_LABELS and self.ask.mode not in ("review", "trust"):
            raise ValueError(
                f"policy {self.policy.name} judges images by their self-labelled boxes: it needs ask.mode review or trust, "
                f"found {self.ask.mode}"
            )
        return self


def load_config(path: Path | None = None, overrides: Iterable[str] = ()) -> StudyConfig:
    """The config of a YAML file (or the defaults) with `section.key=value` overrides applied.

    Raises ConfigError naming the file, the key and the nearest known one.
    """
    values: dict[str, Any] = {}
    if path is not None:
        values = _read_yaml(path)
    apply_overrides(values, overrides)
    return parse_config(values, str(path) if path else "config")


def apply_overrides(values: dict[str, Any], overrides: Iterable[str]) -> None:
    """Set `section.key=value` overrides in a mapping of config values; ConfigError for one that is not of that form."""
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f"Override {override!r}: expected key=value, such as train.epochs=30.")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"Override {override!r}: the value is not YAML ({str(error).splitlines()[0]}).") from None
        first, *rest = key.split(".")
        _place(values, [_RENAMED.get(first, first), *rest], value, override)


def parse_config(values: Mapping[str, Any], origin: str) -> StudyConfig:
    """`values` validated; ConfigError with one line a fault, each naming `origin` and the key."""
    try:
        return StudyConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{origin}: {_explain(fault)}" for fault in error.errors())) from None


def dump_config(config: StudyConfig) -> str:
    """The resolved config as YAML, every key present."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def differences(a: StudyConfig, b: StudyConfig) -> list[str]:
    """`key: here != there` for every value in which two configs differ."""
    mine, theirs = dict(leaves(a.model_dump(mode="json"))), dict(leaves(b.model_dump(mode="json")))
    return [f"{key}: {mine.get(key)!r} != {theirs.get(key)!r}" for key in sorted(mine | theirs) if mine.get(key) != theirs.get(key)]


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Every value of a nested mapping with its dotted key."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such config file.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not readable as YAML: {error}") from None
    if values is not None and not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of keys, found a {type(values).__name__}.")
    return values or {}


def _place(values: dict[str, Any], keys: list[str], value: Any, override: str) -> None:
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise ConfigError(f"Override {override!r}: {key!r} is a value, not a section.")
    values[keys[-1]] = value


def _explain(fault: Any) -> str:
    place = [str(part) for part in fault["loc"]]
    key = ".".join(place)
    if fault["type"] == "extra_forbidden":
        return unknown("key", key, [".".join([*place[:-1], name]) for name in _known_keys(place[:-1])])
    message = fault["msg"].removeprefix("Value error, ")
    found = "" if isinstance(fault["input"], dict) else f", found {fault['input']!r}"
    return f"{key}: {message}{found}." if key else f"{message}{found}."


def _known_keys(place: list[str]) -> list[str]:
    section: Any = StudyConfig
    for part in place:
        section = section.model_fields[part].annotation
    return list(section.model_fields)
