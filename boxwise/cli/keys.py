"""A setting that is given as an option, or to a command that takes none, is answered with its full key and the command that takes it.

Returns the class of boxwise's commands. Knows which keys there are, not what they mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from collections.abc import Sequence

_UsageError: type[Exception] = typer.BadParameter.__bases__[0]  # click's, wherever this version of typer keeps it


class Command(TyperCommand):
    """A command that knows settings when it sees them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As click does; ConfigError for `--lr 0.1`, and for `lr=0.1` where the command takes no settings."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except _UsageError as error:
            message = self._about_settings(given)
            if message is None:
                raise
            from boxwise.errors import ConfigError

            raise ConfigError(f"boxwise {self.name}: {message}") from error

    def _about_settings(self, given: Sequence[str]) -> str | None:
        """What to write instead of the first setting among the arguments that the command cannot take; None if there is none."""
        options = {option for parameter in self.params for option in (*parameter.opts, *parameter.secondary_opts)}
        takes_keys = any(parameter.name in ("overrides", "settings") for parameter in self.params)
        for place, word in enumerate(given):
            name, equals, value = word.partition("=")
            option = name.startswith("--") and name not in options
            keys = _keys(name.lstrip("-")) if option or (equals and not takes_keys and not name.startswith("-")) else []
            if not keys:
                continue
            if not equals and place + 1 < len(given) and not given[place + 1].startswith("-"):
                value = given[place + 1]
            written = " or ".join(f"{key}={value or 'VALUE'}" for key in keys)
            where = f"write {written}" if takes_keys else f"settings of a study change with `boxwise set STUDY {written}`"
            return f"{name} is a setting, no option: {where}." if option else f"it takes no settings: {where}."
        return None


def _keys(name: str) -> list[str]:
    """The full keys that `name` may stand for: itself, or those that end in it; dashes count as underscores."""
    from boxwise.config import known_keys

    name = name.replace("-", "_")
    every = ["train.steps", *known_keys()]
    return [name] if name in every else [key for key in every if key.endswith(f".{name}")]
