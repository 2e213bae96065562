"""How the classes of a study change: added, renamed, merged or removed; and what boxes of the old classes become.

Returns a `ClassChange`. Knows nothing of where labels are kept or of what was trained on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from boxwise.boxes import Boxes
from boxwise.data.formats.class_names import check_class_names
from boxwise.errors import ConfigError, unknown

Renamed = tuple[Sequence[str], Mapping[str, str]]  # classes before a change, and name before → name after of those that stay


@dataclass(frozen=True)
class ClassChange:
    """before, after: class names, in label order. becomes: label before → label after, None for a class that is removed."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    becomes: tuple[int | None, ...]

    @property
    def added(self) -> tuple[str, ...]:
        """Classes that no earlier one has become."""
        return tuple(name for label, name in enumerate(self.after) if label not in self.becomes)

    @property
    def only_renames(self) -> bool:
        """Whether every label means the same objects as before."""
        return self.becomes == tuple(range(len(self.after)))

    @property
    def keeps_labels(self) -> bool:
        """Whether every label of before still is a label, and the same."""
        return self.becomes == tuple(range(len(self.before)))

    @property
    def names(self) -> dict[str, str]:
        """Name before → name after, of the classes that are still there."""
        return {name: self.after[label] for name, label in zip(self.before, self.becomes, strict=True) if label is not None}

    def convert(self, boxes: Boxes) -> tuple[Boxes, np.ndarray]:
        """The boxes of classes that are still there under their new labels, and which of `boxes` these are; bool [N]."""
        kept = np.array([self.becomes[label] is not None for label in boxes.labels], bool)
        rest = boxes[kept]
        return replace(rest, labels=np.array([self.becomes[label] for label in rest.labels], np.int64)), kept


def now_called(classes: Sequence[str], changes: Sequence[Renamed]) -> dict[str, str]:
    """What each of `classes`, those of a study at some time, is called now; a class that is there no more is not in it.

    changes: oldest first, the classes before each and what became of their names.
    """
    since = [number for number, (before, _) in enumerate(changes) if tuple(before) == tuple(classes)]
    names = {name: name for name in classes}
    for _, became in changes[since[-1] :] if since else ():
        names = {old: became[name] for old, name in names.items() if name in became}
    return names


def change_since(classes: Sequence[str], changes: Sequence[Renamed]) -> ClassChange:
    """What one or more `changes`, oldest first, made of the classes before the first of them; `classes`: those after the last."""
    before = tuple(changes[0][0])
    called: dict[str, str] = {name: name for name in before}
    for _, became in changes:
        called = {old: became[name] for old, name in called.items() if name in became}
    return ClassChange(before, tuple(classes), tuple(classes.index(called[name]) if name in called else None for name in before))


def class_change(
    classes: Sequence[str],
    *,
    add: Sequence[str] = (),
    rename: Mapping[str, str] | None = None,
    merge: Mapping[str, str] | None = None,
    remove: Sequence[str] = (),
) -> ClassChange:
    """What `classes` become. rename, merge: class → its name from now on; several classes merge by the same name, which may be one of them.

    Raises ConfigError for a class that there is not, one that is named twice, a name that is taken, and where no class would be left.
    """
    rename, merge = rename or {}, merge or {}
    for name in (*rename, *merge, *remove):
        if name not in classes:
            raise ConfigError(unknown("class", name, classes))
    for name in classes:
        if (name in rename) + (name in merge) + (name in remove) > 1:
            raise ConfigError(f"class {name!r} is named twice: expected one change of a class at a time.")
    names = {name: rename.get(name, merge.get(name, name)) for name in classes if name not in remove}
    _refuse_taken(names, rename, merge, add)
    after = tuple(dict.fromkeys((*names.values(), *add)))
    if not after:
        raise ConfigError("no class would be left: a study needs at least one.")
    becomes = tuple(after.index(names[name]) if name in names else None for name in classes)
    return ClassChange(tuple(classes), after, becomes)


def _refuse_taken(names: Mapping[str, str], rename: Mapping[str, str], merge: Mapping[str, str], add: Sequence[str]) -> None:
    """ConfigError where two classes would have one name without having been merged, or a new name is none."""
    check_class_names((*rename.values(), *merge.values(), *add))
    for name, new in rename.items():
        if any(other != name and is_now == new for other, is_now in names.items()):
            raise ConfigError(f"there is a class {new!r} already. To make {name!r} and {new!r} one class: --merge {name},{new}={new}")
    for new in set(merge.values()):
        if new in names and names[new] == new and new not in merge:
            others = ",".join(old for old, into in merge.items() if into == new)
            raise ConfigError(f"there is a class {new!r} already. To merge into it, name it too: --merge {others},{new}={new}")
    for name in add:
        if name in names.values() or list(add).count(name) > 1:
            raise ConfigError(f"there is a class {name!r} already.")
