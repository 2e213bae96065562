"""Configurations read, overridden by `section.key=value`, written, and compared.

Returns a `StudyConfig`, or one message that names every wrong key with the nearest known one. Knows no key's meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from boxwise.config import faults
from boxwise.config.section import Choice
from boxwise.config.study import RENAMED, TOGETHER, StudyConfig
from boxwise.errors import ConfigError, unknown

_PRESETS = Path(__file__).parent / "presets"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # libyaml, where it is there, reads ten times as quickly
    """Refuses a key that a mapping has twice, of which YAML keeps the last."""

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        _check_keys(node, set())
        return node


def _check_keys(node: yaml.Node | None, seen: set[yaml.Node]) -> None:
    """YAMLError where a mapping in this node, or below it, names a key twice; what is merged into it (`<<`) is a mapping of its own."""
    if not isinstance(node, yaml.CollectionNode) or node in seen:
        return
    seen.add(node)
    named: set[tuple[str, str]] = set()
    for entry in node.value:
        key, value = entry if isinstance(node, yaml.MappingNode) else (None, entry)
        if isinstance(key, yaml.ScalarNode) and key.value != "<<":
            if (key.tag, key.value) in named:
                raise yaml.YAMLError(f"line {key.start_mark.line + 1} gives {key.value!r} a second time")
            named.add((key.tag, key.value))
        _check_keys(value, seen)


def load_config(path: Path | str | None = None, overrides: Iterable[str] = ()) -> StudyConfig:
    """The config of a YAML file (or the defaults) with `section.key=value` overrides applied.

    Raises ConfigError naming the file, the key and the nearest known one.
    """
    values: dict[str, Any] = {}
    if path is not None:
        values = _read_yaml(Path(path))
    apply_overrides(values, overrides)
    return parse_config(values, str(path) if path else "config")


def apply_overrides(values: dict[str, Any], overrides: Iterable[str]) -> None:
    """Set `section.key=value` overrides in a mapping of config values; ConfigError for one that is not of that form."""
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f"Override {override!r}: expected key=value, such as train.epochs=30.")
        try:
            value = yaml.load(text, Loader=_Loader)
        except (yaml.YAMLError, UnicodeEncodeError) as error:  # the latter of bytes that are no text
            raise ConfigError(f"Override {override!r}: the value is not YAML ({str(error).splitlines()[0]}).") from None
        for place in _places(key):
            _place(values, place, value, override)


def override_keys(overrides: Iterable[str]) -> list[str]:
    """The dotted key of every value that `section.key=value` overrides set; of a value that is a mapping its own alone."""
    return [".".join(place) for override in overrides for place in _places(override.partition("=")[0])]


def parse_config(values: Mapping[str, Any], origin: str) -> StudyConfig:
    """`values` validated; ConfigError with one line a fault, each naming `origin` and the key."""
    try:
        return StudyConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{origin}: {sentence}" for sentence in faults.sentences_of(error.errors(), StudyConfig))) from None


def dump_config(config: StudyConfig) -> str:
    """The resolved config as YAML, every key present."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def differences(a: StudyConfig, b: StudyConfig, *, but: Iterable[str] = ()) -> list[str]:
    """`key: here != there` for every value in which two configs differ. but: keys, or sections of them, that are not compared."""
    before, after = (dict(leaves(config.model_dump(mode="json"))) for config in (a, b))
    return differing(before, after, but=but)


def differing(one: Mapping[str, Any], other: Mapping[str, Any], *, but: Iterable[str] = ()) -> list[str]:
    """As `differences`, of the `leaves` of two configs."""
    found = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
    left_out = tuple(f"{key}." for key in but)
    return [f"{key}: {one.get(key)!r} != {other.get(key)!r}" for key in found if not f"{key}.".startswith(left_out)]


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Every value of a nested mapping with its dotted key."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such config file.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not readable as YAML: {error}") from None
    return mapping_of(text, str(path), "of keys")


def mapping_of(text: str, origin: str, expected: str) -> dict[str, Any]:
    """The mapping that YAML text holds, empty where it holds nothing.

    Raises ConfigError that names `origin` for anything else, and for a key that is there twice.
    """
    try:
        values = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin}: not readable as YAML: {error}") from None
    if values is not None and not isinstance(values, dict):
        raise ConfigError(f"{origin}: expected a mapping {expected}, found a {type(values).__name__}.")
    return values or {}


def _place(values: dict[str, Any], keys: list[str], value: Any, override: str) -> None:
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise ConfigError(f"Override {override!r}: {key!r} is a value, not a section.")
    values[keys[-1]] = value


def _places(key: str) -> list[list[str]]:
    """Where an override's value goes: one place, but for a key that sets several and for one that methods have taken over."""
    first, *rest = key.split(".")
    first = RENAMED.get(first, first)
    if len(rest) != 1:
        return [[first, *rest]]
    together = TOGETHER.get(first, {}).get(rest[0], ())
    section = faults.section_at([first], StudyConfig)
    options = section.places(rest[0]) if section is not None and issubclass(section, Choice) else []
    return [[first, name] for name in together] or [[first, *option] for option in options] or [[first, *rest]]


def known_keys() -> Iterator[str]:
    """The dotted key of every value that a configuration has."""
    return faults.known_keys(StudyConfig)


def preset_names() -> list[str]:
    """The presets that boxwise brings along."""
    return sorted(path.stem for path in _PRESETS.glob("*.yaml"))


def preset_file(name: str) -> Path:
    """The YAML file of a preset that boxwise brings along. Raises ConfigError that lists them."""
    if name not in preset_names():
        raise ConfigError(unknown("preset", name, preset_names()))
    return _PRESETS / f"{name}.yaml"
