"""What `boxwise init` asks on a terminal where its options leave something open: images, labels, class names, preset, first batch.

Returns the answers as the options would have given them, and says the command that needs no questions. In a pipe nothing is asked.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import typer

from boxwise.data.addresses import is_local

T = TypeVar("T")


@dataclass(frozen=True)
class Answers:
    """The options of `init` that say what a study is made of. settings: key=value, for what was asked beside them."""

    images: str | None = None
    labels: Path | None = None
    classes: str | None = None
    preset: str | None = None
    settings: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether a study can be made of this: images with class names, or labels that name them."""
        return self.labels is not None or (self.images is not None and self.classes is not None)

    def command(self, study: Path) -> str:
        """The command line that gives these answers."""
        options = {"--images": self.images, "--labels": self.labels, "--classes": self.classes, "--preset": self.preset}
        given = [word for option, value in options.items() if value is not None for word in (option, str(value))]
        return shlex.join(["boxwise", "init", str(study), *given, *self.settings])


def completed(study: Path, given: Answers, *, config: Path | None) -> Answers:
    """`given`, with what is missing asked for where there is a terminal to ask on; as it is in a pipe or where nothing is missing."""
    if given.whole or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return given
    typer.echo("A few questions; Enter takes what stands in brackets, Ctrl-C leaves without a trace.")
    answers = _with_data(given)
    if given.preset is None and config is None:
        answers = replace(answers, preset=_preset(), settings=(f"budget.initial={_first_batch()}",))
    typer.echo(f"The same without questions:\n  {answers.command(study)}")
    return answers


def class_names(said: str) -> tuple[str, ...]:
    """The names of the classes, as a person writes them. Raises ConfigError where one is empty or there twice."""
    from boxwise.errors import ConfigError

    names = tuple(name.strip() for name in said.split(","))
    if not all(names) or len(set(names)) != len(names):
        raise ConfigError(f"{said!r}: expected class names such as: cat, dog. None may be empty or there twice.")
    return names


def _with_data(given: Answers) -> Answers:
    images = given.images or _ask("Folder of images", _folder)
    labels = None if given.classes else _ask("Labels that exist already: a file or folder [none]", _labels, default="")
    classes = given.classes or (None if labels else _ask("Class names, separated by commas", _names))
    return replace(given, images=images, labels=labels, classes=classes)


def _ask(question: str, read: Callable[[str], T], *, default: str | None = None) -> T:
    """The answer to a question, asked again until `read` takes it."""
    while True:
        said = typer.prompt(question, default=default, show_default=bool(default))
        try:
            return read(said.strip())
        except ValueError as error:
            typer.echo(f"  {error}")


def _folder(said: str) -> str:
    if not is_local(said):
        return said
    path = Path(said).expanduser()
    if not path.is_dir():
        raise ValueError(f"{path}: expected a folder, found {'a file' if path.exists() else 'nothing'}.")
    return str(path)


def _labels(said: str) -> Path | None:
    path = Path(said).expanduser()
    if said and not path.exists():
        raise ValueError(f"{path}: expected a file or folder, found nothing.")
    return path if said else None


def _names(said: str) -> str:
    from boxwise.errors import ConfigError

    try:
        return ",".join(class_names(said))
    except ConfigError as error:
        raise ValueError(error) from None


def _preset() -> str | None:
    from boxwise.config import preset_names

    known = ["none", *preset_names()]

    def read(said: str) -> str | None:
        if said not in known:
            raise ValueError(f"Expected one of: {', '.join(known)}.")
        return None if said == "none" else said

    return _ask(f"Preset ({', '.join(known)})", read, default="none")


def _first_batch() -> str:
    from boxwise.config import BudgetConfig, resolve

    def read(said: str) -> str:
        resolve(int(said) if said.isdigit() else said, 100, "The first batch")
        return said

    return _ask("Images to label first: a count, or a share such as 5%", read, default=str(BudgetConfig().initial))
