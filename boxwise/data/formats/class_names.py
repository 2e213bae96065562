"""The names of classes: what can be one, and blanks around them, which lists of one name a line cannot hold and no person sees.

Returns data sets and readings whose names agree. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from boxwise.data.formats.base import Dataset, Finding, FindingKind, is_unspeakable
from boxwise.data.formats.reading import Reading
from boxwise.errors import ConfigError, listed


def is_class_name(name: str) -> bool:
    """Whether it is one line of text that UTF-8 can hold, in any script, and not blank."""
    return bool(name.strip()) and not any(map(is_unspeakable, name))


def check_class_names(names: Iterable[str]) -> None:
    """ConfigError for the first that no class can be called by."""
    for name in names:
        if not is_class_name(name):
            raise ConfigError(f"{name!r} is no name of a class: expected one line of text in UTF-8, in any script.")


def names_text(names: Iterable[str]) -> str:
    """The names with commas between; in quotes those that hold a comma themselves."""
    return ", ".join(repr(name) if "," in name else name for name in names)


def without_blanks(dataset: Dataset, path: Path) -> Dataset:
    """The data set at `path` with the names of its classes stripped, and a note; names that become equal are one class, a finding."""
    odd = [repr(name) for name in dataset.classes if name != name.strip()]
    if not odd:
        return dataset
    names = [name.strip() for name in dataset.classes]
    classes = tuple(dict.fromkeys(names))
    note = f"names of classes are taken without the blanks around them: {listed(odd, most=8)}."
    plain = replace(dataset, classes=classes, notes=(*dataset.notes, note))
    if len(classes) == len(names):
        return plain
    number = np.array([classes.index(name) for name in names], np.int64)
    labels = {image_id: replace(boxes, labels=number[boxes.labels]) for image_id, boxes in dataset.labels.items()}
    ids = None if dataset.class_ids is None else tuple(dataset.class_ids[names.index(name)] for name in classes)
    alike = ", ".join(" and ".join(map(repr, group)) for group in _alike(dataset.classes)[:5])
    message = f"{path}: expected a name of its own for each class, found {alike}, which differ in blanks alone; they are one."
    finding = Finding(FindingKind.DUPLICATE_ID, path, message)
    return replace(plain, labels=labels, class_ids=ids, findings=(*dataset.findings, finding))


def _alike(classes: Sequence[str]) -> list[list[str]]:
    """The names that are equal once stripped, together."""
    groups = [[name for name in classes if name.strip() == plain] for plain in dict.fromkeys(name.strip() for name in classes)]
    return [names for names in groups if len(names) > 1]


def spelled_as(classes: Sequence[str]) -> Callable[[Reading], Reading]:
    """What gives the names of a reading as `classes` spell them, where they differ in the blanks around them alone."""
    exact, plain = set(classes), {name.strip(): name for name in reversed(classes)}

    def spelled(reading: Reading) -> Reading:
        if exact.issuperset(reading.names):
            return reading
        return replace(reading, names=[name if name in exact else plain.get(name.strip(), name) for name in reading.names])

    return spelled
