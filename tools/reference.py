"""The pages of the documentation that are made of the code: every key of the configuration, every command, every method.

site_pages.py adds them when the site is built, so that they cannot lag behind. `python tools/reference.py` prints them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from boxwise.cli import app
from boxwise.config import StudyConfig
from boxwise.registry import KINDS, NEEDS, Methods

if TYPE_CHECKING:
    from click import Command, Context

_BOUNDS = {"ge": "≥ {}", "gt": "> {}", "le": "≤ {}", "lt": "< {}", "min_length": "at least {} of them"}


def config_page() -> str:
    """Every key of a study's configuration as Markdown, section by section."""
    head = (
        "# Configuration\n\n"
        "Every key of `STUDY/config.yaml`. Give any of them to `boxwise init` or `boxwise simulate` as `section.key=value`, or in a YAML\n"
        "file with `--config`; what is not given has the default below. Made of the code when this page was built.\n"
    )
    return head + "".join(_section(StudyConfig, ""))


def _section(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """The keys of a section as a table, then the sections inside it."""
    inner = {name: field.annotation for name, field in model.model_fields.items() if _is_section(field.annotation)}
    yield f"\n## {prefix.rstrip('.') or 'The study'}\n\n{' '.join((model.__doc__ or '').split())}\n\n"
    yield "| key | value | default | what it does |\n|---|---|---|---|\n"
    for name, field in model.model_fields.items():
        if name not in inner:
            yield _row(f"`{prefix}{name}`", _values(field), f"`{_shown(_default(field))}`", field.description or "")
    for name, section in inner.items():
        yield from _section(section, f"{prefix}{name}.")


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True)


def _shown(value: Any) -> str:
    """A default as YAML would have it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_shown, value))}]"
    return "required" if value is PydanticUndefined else str(value)


def _values(field: FieldInfo) -> str:
    """What a key may be: its type in words, and its bounds."""
    found = [(name, getattr(part, name, None)) for part in field.metadata for name in _BOUNDS]
    bounds = [_BOUNDS[name].format(value) for name, value in found if value is not None]
    return ", ".join([_type(field.annotation), *bounds])


def _type(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{part}`" for part in parts)
    if origin in (Union, UnionType):
        return " or ".join("nothing" if part is NoneType else _type(part) for part in parts)
    if origin is tuple:
        return f"list of {_type(parts[0])}"
    if origin is dict:
        return f"mapping of {_type(parts[0])} to {_type(parts[1])}"
    return {int: "integer", float: "number", bool: "true or false", str: "text", Path: "path"}.get(annotation, str(annotation))


def methods_page() -> str:
    """Every detector, scorer, strategy and policy of boxwise as Markdown."""
    head = "# Methods by name\n\nWhat `boxwise methods` prints. Made of the code when this page was built.\n"
    return head + "".join(_kind(kind, methods) for kind, methods in KINDS.items())


def _kind(kind: str, methods: Methods) -> str:
    rows = (
        _row(f"`{name}`", method.about, method.paper, ", ".join(NEEDS[need] for need in sorted(method.needs | method.offers)), method.cost)
        for name, method in methods.own.items()
    )
    third = "has" if kind == "detectors" else "needs"
    return f"\n## {kind.capitalize()}\n\n| name | what it is | paper | {third} | cost |\n|---|---|---|---|---|\n{''.join(rows)}"


def cli_page() -> str:
    """Every command with its arguments and options as Markdown."""
    head = "# Commands\n\nWhat `boxwise COMMAND --help` prints. Made of the code when this page was built.\n"
    command = typer.main.get_command(app)
    context = command.make_context("boxwise", [], resilient_parsing=True)
    return head + "".join(_commands(command, context))


def _commands(group: Command, context: Context) -> Iterator[str]:
    for name in group.list_commands(context):  # type: ignore[attr-defined]
        command = group.get_command(context, name)  # type: ignore[attr-defined]
        inner = command.context_class(command, info_name=name, parent=context)
        if hasattr(command, "list_commands"):
            yield from _commands(command, inner)
        elif not command.hidden:
            yield _command(command, inner)


def _command(command: Command, context: Context) -> str:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    records = [parameter.get_help_record(context) for parameter in command.params]
    rows = "".join(_row(f"`{names}`", help_text) for names, help_text in filter(None, records))
    table = f"| option | what it does |\n|---|---|\n{rows}" if rows else ""
    help_text = "\n".join(line.strip() for line in (command.help or "").splitlines())
    return f"\n## {context.command_path}\n\n{help_text}\n\n```\n{usage}\n```\n\n{table}"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |\n"


if __name__ == "__main__":
    sys.stdout.write("\n".join((config_page(), methods_page(), cli_page())))
