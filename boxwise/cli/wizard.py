"""What `boxwise init` asks on a terminal where its options leave something open: images, labels, class names, preset, first batch.

Returns the answers as the options would have given them, and says the command that needs no questions. In a pipe nothing is asked.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TypeVar

import typer

from boxwise.errors import BoxwiseError, ConfigError

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

    def command(self, given: Answers) -> str:
        """The command line as it was, with what is not `given` by it."""
        names = [name for name in ("images", "labels", "classes", "preset") if getattr(self, name) != getattr(given, name)]
        options = [word for name in names for word in (f"--{name}", str(getattr(self, name)))]
        return shlex.join(["boxwise", *sys.argv[1:2], *options, *sys.argv[2:], *self.settings])


def completed(given: Answers, *, overrides: Sequence[str], config: Path | None, format_name: str | None) -> Answers:
    """`given`, with what is missing asked for where there is a terminal to ask on; as it is in a pipe or where nothing is missing."""
    from boxwise.config import load_config, preset_file

    if given.whole or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return given
    load_config(preset_file(given.preset) if given.preset else config, overrides)  # a mistake there is said before anything is asked
    if isinstance(sys.stdin, TextIOWrapper):  # a path may be of bytes that are no text, as in an option
        sys.stdin.reconfigure(errors="surrogateescape")
    typer.echo("A few questions; Enter takes what stands in brackets, Ctrl-C leaves without a trace.")
    answers = _with_data(given, format_name)
    if given.preset is None and config is None:
        answers = replace(answers, preset=_preset())
        if not _sets_first_batch(overrides):
            answers = replace(answers, settings=(f"budget.initial={_first_batch(least=0 if answers.labels else 1)}",))
    typer.echo(f"The same without questions:\n  {answers.command(given)}")
    return answers


def class_names(text: str) -> tuple[str, ...]:
    """The names of the classes, as a person writes them. Raises ConfigError where one is empty, there twice or no name of a class."""
    from boxwise.data.formats.class_names import check_class_names

    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len(set(names)) != len(names):
        raise ConfigError(f"{text!r}: expected class names such as: cat, dog. None may be empty or there twice.")
    check_class_names(names)
    return names


def _with_data(given: Answers, format_name: str | None) -> Answers:
    from boxwise.data.formats.image_list import is_image_list

    images = given.images or _ask("Folder of images", _images)
    alone = given.classes or is_image_list(images)
    labels = partial(_labels, format_name=format_name)
    found = None if alone else _ask("Labels that exist already: a file or folder [none]", labels, default="")
    classes = given.classes or (None if found else _ask("Class names, separated by commas", _names))
    return replace(given, images=images, labels=found, classes=classes)


def _ask(question: str, read: Callable[[str], T], *, default: str | None = None) -> T:
    """The answer to a question, asked again until `read` takes it; a blank is no answer."""
    while True:
        answer = typer.prompt(question, default=default, show_default=bool(default)).strip() or default
        if answer is None:
            continue
        try:
            return read(answer)
        except (ValueError, BoxwiseError) as error:
            typer.echo(f"  {error}")


def _images(answer: str) -> str:
    """What `--images` takes. Of a folder of this machine one image is looked for; remote ones and tar files are not opened."""
    from boxwise.data import image_store
    from boxwise.data.addresses import given, in_shard, is_local, scheme_of
    from boxwise.data.formats.folder import check_folder
    from boxwise.data.formats.image_list import is_image_list
    from boxwise.data.formats.layout import is_file, is_folder

    address = given(_path(answer))
    image_store.check(address)
    shard = in_shard(address)[1] if scheme_of(address) == "tar" else None
    place = shard or address
    if not is_local(place):
        return address
    if not shard and is_folder(Path(place)):
        check_folder(Path(place))
    elif not (is_file(Path(place)) if shard else is_image_list(place)):
        found = "another file" if is_file(Path(place)) else "nothing"
        raise ValueError(f"{place}: expected a folder, a tar file or a list of images, found {found}.")
    return address


def _labels(answer: str, format_name: str | None) -> Path | None:
    """Where labels lie, if there are any; the files' first bytes show whether it is a layout that is known."""
    from boxwise.data.datasets import format_of_labels
    from boxwise.data.formats.layout import existing

    if not answer:
        return None
    path = existing(Path(_path(answer)), "labels")
    format_of_labels(path, format_name)
    return path


def _path(answer: str) -> str:
    """A path without the quotes or backslashes with which terminals paste one, and with the user's folder for `~`."""
    path = os.path.expanduser(answer)  # noqa: PTH111 - as it is where there is no such user
    try:
        words = shlex.split(answer)
    except ValueError:
        words = []
    pasted = len(words) == 1 and not os.path.lexists(path) and os.path.lexists(words[0])
    return words[0] if pasted else path


def _names(answer: str) -> str:
    return ",".join(class_names(answer))


def _preset() -> str | None:
    from boxwise.config import preset_names

    names = ["none", *preset_names()]

    def read(answer: str) -> str | None:
        if answer not in names:
            raise ValueError(f"Expected one of: {', '.join(names)}.")
        return None if answer == "none" else answer

    return _ask(f"Preset ({', '.join(names)})", read, default="none")


def _sets_first_batch(overrides: Sequence[str]) -> bool:
    from boxwise.config import apply_overrides, leaves

    values: dict[str, Any] = {}
    apply_overrides(values, overrides)
    return "budget.initial" in dict(leaves(values))


def _first_batch(*, least: int) -> str:
    from boxwise.config import BudgetConfig, resolve

    def read(answer: str) -> str:
        amount = int(answer) if answer.isdecimal() else answer
        if resolve(amount, 100, "The first batch") < least:
            raise ValueError(f"The first batch is {answer}, expected {least} or more: there would be nothing to train on.")
        return str(amount)

    return _ask("Images to label first: a count, or a share such as 5%", read, default=str(BudgetConfig().initial))
