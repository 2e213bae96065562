"""Options that would have no effect beside the others are refused, one message for all of them."""

from __future__ import annotations

from collections.abc import Mapping


def check_used(given: Mapping[str, bool], *, why: str) -> None:
    """ConfigError that names the options that are given although they have no effect. why: when that is so, and what to do instead."""
    from boxwise.errors import ConfigError

    named = [option for option, is_given in given.items() if is_given]
    if named:
        raise ConfigError(f"{' and '.join(named)}: no effect {why}")
