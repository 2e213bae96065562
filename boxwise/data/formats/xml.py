"""Reading XML that strangers wrote: the root of a file, and numbers that may be missing or no numbers at all.

Returns elements and plain values. Knows nothing of what the elements mean.
"""

from __future__ import annotations

from math import inf, nan
from pathlib import Path
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring, iterparse

from boxwise.data.formats.layout import bytes_of, is_file, strict_float
from boxwise.errors import BoxwiseError


def root_of(path: Path, tag: str, *, owner: str) -> Element:
    """The root of the XML file, which is a <tag>. BoxwiseError for anything else, a file with entities included.

    owner: whose element it is, for the message.
    """
    content = bytes_of(path)
    try:
        root: Element = fromstring(content)
    except Exception as error:  # expat, defusedxml and the codecs each have their own
        raise BoxwiseError(f"{path}: expected well-formed XML without entities, found: {error or type(error).__name__}.") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # a namespace says nothing that matters here
    if root.tag != tag:
        raise BoxwiseError(f"{path}: expected {owner}'s <{tag}>, found <{root.tag}>.")
    return root


def root_tag(path: Path) -> str:
    """The tag of the root element, of which only the first bytes are read; '' where it is no XML that should be read."""
    if not is_file(path):
        return ""
    try:
        with path.open("rb") as file:
            tag = next((str(element.tag) for _, element in iterparse(file, events=("start",))), "")
    except Exception:  # expat, defusedxml and the codecs each have their own
        return ""
    return tag.rpartition("}")[2]


def number(text: str | None) -> float:
    """The number that `text` says; NaN where it says none."""
    try:
        return strict_float(text or "nan")
    except ValueError:
        return nan


def size(width: str | None, height: str | None) -> tuple[int, int] | None:
    """(width, height) in whole pixels; None unless both are stated, finite and above 0."""
    stated = number(width), number(height)
    return (int(stated[0]), int(stated[1])) if all(0 < side < inf for side in stated) else None
