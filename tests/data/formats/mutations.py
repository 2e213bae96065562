"""Seeded mutations of data sets: of bytes, numbers, lines, JSON values, XML elements, and of files as such.

A data set is a mapping from names to bytes; each mutation returns another one.
"""

import json
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any
from xml.etree.ElementTree import ParseError, fromstring, tostring

from numpy.random import Generator

Files = dict[str, bytes]
NUMBERS = ("nan", "inf", "-inf", "-1", "0", "1", "17", "1e308", "1e-320", "0.5", "9" * 30, "1_0", "0x10", "1,5", "", "x", "-0", "1e2", "５")
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    17,
    1e308,
    float("inf"),
    float("nan"),
    10**30,
    "",
    "x",
    "../a.png",
    "a\nb",
    [],
    {},
    [[]],
    {"a": 1},
)
STEMS = ("train", "test", "classes", "notes", "b", "a", "A", "ü", "0a1b2c3d-a", "x" * 200, "a b", "data")
IMAGES = (".png", ".jpg")


def mutate(files: Files, rng: Generator) -> tuple[Files, str]:
    """One to three mutations of one kind each; also what they were, to be named where something fails."""
    said = []
    for _ in range(rng.integers(1, 4)):
        kind = KINDS[rng.integers(len(KINDS))]
        files = kind(dict(files), rng) or files
        said.append(kind.__name__)
    return files, " ".join(said)


def _pick(files: Files, rng: Generator, *, labels: bool) -> str | None:
    names = sorted(name for name in files if name.endswith(IMAGES) != labels)
    return names[rng.integers(len(names))] if names else None


def _bytes(content: bytes, rng: Generator) -> bytes:
    at, end = sorted(rng.integers(0, len(content) + 1, 2).tolist())
    end = min(end, at + 40)
    return [
        content[:at] + bytes([rng.integers(256)]) + content[at + 1 :],
        content[:at],
        content[:at] + content[end:],
        content[:end] + content[at:],
        content[:at] + rng.bytes(8) + content[at:],
        b"",
    ][rng.integers(6)]


def bytes_of_labels(files: Files, rng: Generator) -> Files | None:
    name = _pick(files, rng, labels=True)
    return files | {name: _bytes(files[name], rng)} if name else None


def bytes_of_images(files: Files, rng: Generator) -> Files | None:
    name = _pick(files, rng, labels=False)
    return files | {name: _bytes(files[name], rng)} if name else None


def a_number(files: Files, rng: Generator) -> Files | None:
    name = _pick(files, rng, labels=True)
    found = list(re.finditer(rb"-?\d+(\.\d+)?", files[name])) if name else []
    if not name or not found:
        return None
    at, text = found[rng.integers(len(found))], NUMBERS[rng.integers(len(NUMBERS))]
    return files | {name: files[name][: at.start()] + text.encode() + files[name][at.end() :]}


def a_line(files: Files, rng: Generator) -> Files | None:
    name = _pick(files, rng, labels=True)
    lines = files[name].splitlines(keepends=True) if name else []
    if not name or not lines:
        return None
    row = int(rng.integers(len(lines)))
    changed = [lines[:row] + lines[row + 1 :], [*lines, lines[row]], [*lines[:row], b"\n", *lines[row:]], lines[::-1]][rng.integers(4)]
    return files | {name: b"".join(changed)}


def a_value(files: Files, rng: Generator) -> Files | None:
    """A value somewhere in a JSON file is replaced, taken out or doubled."""
    names = sorted(name for name in files if name.endswith(".json"))
    if not names:
        return None
    name = names[rng.integers(len(names))]
    try:
        content = json.loads(files[name])
    except ValueError:
        return None
    places = list(_places(content))
    if not places:
        return None
    holder, key = places[rng.integers(len(places))]
    act = rng.integers(4)
    if act == 0:
        del holder[key]
    elif act == 1 and isinstance(holder, list):
        holder.append(holder[key])
    else:
        holder[key] = VALUES[rng.integers(len(VALUES))]
    return files | {name: json.dumps(content).encode()}


def _places(value: Any) -> Any:
    """Every (container, key) below a JSON value."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def an_element(files: Files, rng: Generator) -> Files | None:
    """An element somewhere in an XML file is taken out, doubled, renamed, wrapped or emptied."""
    names = sorted(name for name in files if name.endswith(".xml"))
    if not names:
        return None
    name = names[rng.integers(len(names))]
    try:
        root = fromstring(files[name].decode("utf-8", "replace"))
    except ParseError:
        return None
    pairs = [(parent, child) for parent in root.iter() for child in parent]
    if not pairs:
        return None
    parent, child = pairs[rng.integers(len(pairs))]
    act = rng.integers(5)
    if act == 0:
        parent.remove(child)
    elif act == 1:
        parent.append(child)
    elif act == 2:
        child.tag = ("box", "object", "bndbox", "polygon", "tag", "other")[rng.integers(6)]
    elif act == 3:
        parent.remove(child)
        wrapper = parent.makeelement("wrapper", {})
        wrapper.append(child)
        parent.append(wrapper)
    else:
        child.text = NUMBERS[rng.integers(len(NUMBERS))]
    return files | {name: tostring(root)}


def without_a_file(files: Files, rng: Generator) -> Files | None:
    name = sorted(files)[rng.integers(len(files))] if files else None
    return {other: content for other, content in files.items() if other != name}


def a_renamed_file(files: Files, rng: Generator) -> Files | None:
    name = sorted(files)[rng.integers(len(files))] if files else None
    if name is None:
        return None
    path = PurePosixPath(name)
    suffix = (path.suffix, path.suffix.upper(), ".txt", ".png")[rng.integers(4)]
    new = str(path.with_name(STEMS[rng.integers(len(STEMS))] + suffix))
    return {**{other: content for other, content in files.items() if other != name}, new: files[name]}


def a_copied_file(files: Files, rng: Generator) -> Files | None:
    name = sorted(files)[rng.integers(len(files))] if files else None
    return a_renamed_file(files, rng) if name is None else {**(a_renamed_file({name: files[name]}, rng) or {}), **files}


def a_moved_file(files: Files, rng: Generator) -> Files | None:
    name = sorted(files)[rng.integers(len(files))] if files else None
    if name is None:
        return None
    folder = ("", "labels/", "images/", "train/", "Annotations/", "deep/er/")[rng.integers(6)]
    return {**{other: content for other, content in files.items() if other != name}, folder + PurePosixPath(name).name: files[name]}


KINDS: tuple[Callable[[Files, Generator], Files | None], ...] = (
    bytes_of_labels, bytes_of_labels, bytes_of_images, a_number, a_number, a_line, a_value, a_value, an_element, an_element,
    without_a_file, a_renamed_file, a_copied_file, a_moved_file,
)  # fmt: skip
