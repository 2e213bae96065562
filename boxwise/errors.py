"""The errors a user can cause, and helpers of messages: the nearest known word, amounts with their nouns, many names, paths in commands.

Every message names the file or key, what was expected and what was found. Knows nothing of what went wrong inside.
"""

import os
import shlex
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import TypeVar

Entry = TypeVar("Entry")
NO_SPACE = "no space left. What was committed is safe: free some space and run again."


class BoxwiseError(Exception):
    """A user's mistake or a fault of their data: printed as one message, exit code 2, never a traceback."""


class ImageError(BoxwiseError):
    """One image cannot be read. Never ends a run: the image is quarantined and reported."""


class MissingImageError(ImageError):
    """There is no such image where its address points."""


class ImageStoreError(BoxwiseError):
    """The place where images lie cannot be used at all: none of its images is at fault, and what was begun can go on later."""


class ConfigError(BoxwiseError):
    """A config key or value that is not one of the known ones."""


class StudyError(BoxwiseError):
    """The study folder is missing, of another config, or not in the state that a call needs."""


class UnreachableError(StudyError):
    """The study's database cannot be used now: what was begun can go on once it can."""


class ChangedError(StudyError):
    """Another process changed the study while something was made of what it was: the same again is made of what it is."""


class BusyError(StudyError):
    """Another process is doing a step of the study."""


class StaleCheckpointError(StudyError):
    """A training checkpoint that belongs to another training: other labels, settings or seed."""


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """One sentence for an unknown `name`: the nearest known one if there is one, then all of them."""
    choices = sorted(known)
    near = get_close_matches(name, choices, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"Unknown {kind} {name!r}.{hint} Known: {', '.join(choices) or 'none'}."


def named(kind: str, entries: Mapping[str, Entry], name: str) -> Entry:
    """The entry called `name`; ConfigError that lists the known names, the nearest first, when there is none."""
    if name not in entries:
        raise ConfigError(unknown(kind, name, entries))
    return entries[name]


def plural(amount: int | None, noun: str, verb: str = "") -> str:
    """An amount with its noun and, where given, the verb in its number: '1 box', '2 boxes', '3 images are'; '?' for one not known."""
    if amount == 1:
        return f"1 {noun} {verb}".rstrip()
    nouns = {"box": "boxes", "class": "classes", "person": "people", "process": "processes"}
    verbs = {"is": "are", "was": "were", "has": "have", "still waits": "still wait"}
    number = "?" if amount is None else amount
    return f"{number} {nouns.get(noun, noun + 's')} {verbs.get(verb, verb)}".rstrip()


def listed(names: Collection[object], most: int = 3) -> str:
    """The names, of many the first `most` and how many more there are: 'a, b, c and 4 more'."""
    first = ", ".join(map(str, islice(names, most)))
    return f"{first} and {len(names) - most} more" if len(names) > most else first


def quoted(path: object) -> str:
    """A path or a name as it is typed in a command: in quotes where it would not be one word otherwise."""
    if os.name == "nt":
        from subprocess import list2cmdline

        return list2cmdline([str(path)])
    return shlex.quote(str(path))
