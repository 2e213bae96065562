"""Options that would have no effect beside the others, or that others contradict, are refused, one message for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def check_used(given: Mapping[str, bool], *, why: str) -> None:
    """ConfigError that names the options that are given although they have no effect. why: when that is so, and what to do instead."""
    from boxwise.errors import ConfigError

    named = [option for option, is_given in given.items() if is_given]
    if named:
        raise ConfigError(f"{' and '.join(named)}: no effect {why}")


def as_overrides(given: Mapping[str, tuple[str, object]], overrides: Iterable[str]) -> list[str]:
    """Options as key=value, those that are given. given: option → (key, its value, or None).

    Raises ConfigError where one of `overrides` gives the key another value.
    """
    from boxwise.config import apply_overrides, leaves
    from boxwise.errors import ConfigError

    def values(settings: Iterable[str]) -> dict[str, object]:
        found: dict[str, object] = {}
        apply_overrides(found, settings)
        return dict(leaves(found))

    stated, made = values(overrides), []
    for option, (key, value) in given.items():
        if value is None:
            continue
        made.append(f"{key}={value}")
        for place, meant in values(made[-1:]).items():
            if stated.get(place, meant) != meant:
                raise ConfigError(f"{option} {value} and {place}={stated[place]}: they say different things; give one of them.")
    return made
