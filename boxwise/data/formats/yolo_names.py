"""What the numbers in YOLO's label files mean: the names in data.yaml or obj.data, and in lists of names beside the files.

Returns names by folder. Labelling tools leave a list of their own beside the files that they write, so all lists on the way to a label file
count, and have to agree. Knows nothing of boxes and of a study's classes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from boxwise.data.formats.base import Finding, FindingKind
from boxwise.data.formats.layout import folded, is_file, listed_names, split_of_folder, whole
from boxwise.data.formats.yolo_layouts import Sheet, read_sheet
from boxwise.data.formats.yolo_lines import holds_boxes
from boxwise.errors import BoxwiseError

_LISTS = ("classes.txt", "obj.names", "_darknet.labels")
_OF_SPLITS = ("train/_darknet.labels", "valid/_darknet.labels", "test/_darknet.labels")
_FURTHER = (*_LISTS, "labels/classes.txt", "images/classes.txt", "*.names", *_OF_SPLITS)  # where nothing else names a class
_NUMBERED = re.compile(r"(\d{1,6})\s*[\s:.,;=]\s*(\S.*)")


@dataclass(frozen=True)
class NameList:
    """Names of classes in the order of their numbers, and the file that has them, or the first of several that agree."""

    path: Path
    names: tuple[str, ...]


@dataclass(frozen=True)
class _FileNames:
    """What one file says: number → class, in each way that it can be understood, the likeliest first."""

    path: Path
    ways: Sequence[Mapping[int, str]]


def naming(sheet: Sheet, findings: list[Finding]) -> tuple[Sheet, list[Finding]]:
    """The sheet that names the classes, and what was found as it was read: `sheet`, read with `findings`, or the first that says something
    of names in the folders around it, as long as these are called as parts of a data set are: labels, images, or a split."""
    while not (sheet.names or findings or unread(sheet, findings)) and _is_part(folder := whole(sheet.folder)):
        sheet, findings = read_sheet(folder.parent)
    return sheet, findings


def unread(sheet: Sheet, findings: Sequence[Finding]) -> str:
    """What kept a sheet's names from being read, or ''. findings: of reading it."""
    of_several = sheet.notes if sheet.folder == sheet.path and not sheet.names else ()
    return next(iter([*(finding.message for finding in findings), *of_several]), "")


def name_lists(sheet: Sheet, labels: Path, files: Collection[Path]) -> dict[Path, NameList | None]:
    """Folder → what the numbers of its label files mean, for each that one of `files` lies in; without any for `labels`, where they would.

    sheet: the one that names classes, by `naming`. None where nothing names a class. Raises BoxwiseError where two lists that speak of the
    same files give a number two names.
    """
    folder, root = whole(sheet.folder), whole(labels)
    top = folder if root.is_relative_to(folder) else _outermost(root)
    own = [_FileNames(sheet.path, [sheet.names])] if sheet.names else []
    further: list[_FileNames] | None = None
    found: dict[Path, NameList | None] = {}
    for place in dict.fromkeys([path.parent for path in files] or [labels]):
        lists = [*own, *(one for on_the_way in _upwards(whole(place), top) for one in _lists_in(on_the_way, _LISTS))]
        if not lists and further is None:
            further = [one for around in dict.fromkeys([*_upwards(root, top), folder]) for one in _lists_in(around, _FURTHER)]
        found[place] = _agreed(
            lists or further or [],
            f"Which of the two the label files in {place} go by cannot be known. Keep the names that were shown as they were drawn, and "
            "make the other list the same or remove it.",
        )
    return found


def check_beside(target: Path, names: Sequence[str]) -> None:
    """BoxwiseError where a list in `target` says otherwise than a data.yaml with `names` that is written there."""
    beside = [one for folder in _upwards(target / "labels", target) for one in _lists_in(folder, _LISTS)]
    _agreed(
        [_FileNames(target / "data.yaml", [dict(enumerate(names))]), *beside],
        "Labels that are written beside it could not be read. Name another folder, or remove that list.",
    )


def named_twice(lists: Iterable[NameList | None]) -> list[Finding]:
    """A finding for each list in which several classes have one name."""
    findings = []
    for path, names in {one.path: one.names for one in lists if one is not None}.items():
        if double := sorted({name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else ()):
            message = f"{path}: expected a name of its own for each class, found {', '.join(double[:5])} twice; its numbers are one class."
            findings.append(Finding(FindingKind.DUPLICATE_ID, path, message))
    return findings


def _is_part(folder: Path) -> bool:
    """Whether a folder is called as those are that a data set has within it."""
    return folder.name in ("labels", "images") or split_of_folder(folder.name) is not None


def _outermost(folder: Path) -> Path:
    while _is_part(folder):
        folder = folder.parent
    return folder


def _upwards(folder: Path, top: Path) -> list[Path]:
    return [folder, *(above for above in folder.parents if above.is_relative_to(top))]


def _lists_in(folder: Path, patterns: Sequence[str]) -> Iterator[_FileNames]:
    """The lists of names in a folder, without what is the label file of an image of that name."""
    for path in dict.fromkeys(path for pattern in patterns for path in sorted(folder.glob(pattern)) if is_file(path)):
        if (lines := listed_names(path)) and not holds_boxes(path):
            yield _FileNames(path, _ways(lines))


def _ways(lines: Sequence[str]) -> list[dict[int, str]]:
    """A name a line; names below comments; names after their numbers; all of them in one line."""
    numbered = [found for line in lines if (found := _NUMBERED.fullmatch(line))]
    in_order = [int(found[1]) for found in numbered] == list(range(len(lines)))
    ways = [lines, [line for line in lines if not line.startswith("#")], [found[2] for found in numbered] if in_order else []]
    ways += [lines[0].split(",")] if len(lines) == 1 else []
    return [names for way in ways if (names := {number: name.strip() for number, name in enumerate(way) if name.strip()})]


def _agreed(lists: Sequence[_FileNames], advice: str) -> NameList | None:
    """What all of the lists say, each as it can be understood; BoxwiseError where a number has another name in one of them. Names are the
    same but for case, blanks, `_` and `-`."""
    if not lists:
        return None
    names: dict[int, str] = {}
    source: dict[int, Path] = {}
    for one in lists:
        stated = next((way for way in one.ways if not _apart(way, names)), one.ways[0])
        for number in _apart(stated, names)[:1]:
            raise BoxwiseError(
                f"{one.path}: expected the names of {source[number]}, found that class {number} is {stated[number]!r}, there "
                f"{names[number]!r}. {advice}"
            )
        names, source = {**stated, **names}, {**dict.fromkeys(stated, one.path), **source}
    return NameList(lists[0].path, tuple(names.get(number, str(number)) for number in range(max(names) + 1)))


def _apart(stated: Mapping[int, str], names: Mapping[int, str]) -> list[int]:
    """The numbers that have another name there."""
    return [number for number in sorted(stated.keys() & names.keys()) if _plain(stated[number]) != _plain(names[number])]


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", folded(name))
