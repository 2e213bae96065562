"""Many images of a study by a few words: patterns, and lists of names in a file. Returns ids; changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from boxwise.data.formats.layout import existing, lines_of
from boxwise.errors import StudyError
from boxwise.study.upkeep import StudyUpkeep, ending_alike

_WILD = frozenset("*?[")


def images_matching(study: StudyUpkeep, names: Sequence[str], listed: Path | None = None) -> list[str]:
    """The ids of the images called by `names` and by the lines of the file `listed`, each once.

    A name with *, ? or [ in it that no image has means all whose id or file name it fits; lines of a file are names alone. Raises
    StudyError for a name that fits none, or where there is no name at all.
    """
    lines = [] if listed is None else [line for line in lines_of(existing(listed, "a list of images, one a line")) if line]
    if not (names or lines):
        raise StudyError(f"{study.folder}: no image is named. Give names, patterns such as 'img_0*.jpg' in quotes, or --list FILE.")
    wild = [name for name in names if _WILD & set(name)]
    ids = study.store.image_ids() if wild else []
    called = ending_alike(ids, wild)
    found = {name: _fitting(study, name, ids) for name in wild if not called[name]}
    plain = [name for name in names if name not in found]
    found |= {name: [image_id] for name, image_id in zip(plain, study.images_named(plain), strict=True)}
    return list(dict.fromkeys([*(image_id for name in names for image_id in found[name]), *study.images_named(lines)]))


def _fitting(study: StudyUpkeep, pattern: str, ids: Sequence[str]) -> list[str]:
    found = [i for i in ids if fnmatchcase(i, pattern) or fnmatchcase(PurePosixPath(i).name, pattern)]
    if not found:
        called = f"; they are called like {ids[0]}" if ids else ""
        raise StudyError(f"{study.folder}: {pattern!r} fits no image{called}.")
    return found
