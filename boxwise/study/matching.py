"""Many images of a study by a few words: patterns, and lists of names in a file. Returns ids; changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from boxwise.data.formats.layout import existing, lines_of
from boxwise.errors import StudyError
from boxwise.study.upkeep import StudyUpkeep

_WILD = frozenset("*?[")


def images_matching(study: StudyUpkeep, names: Sequence[str], listed: Path | None = None) -> list[str]:
    """The ids of the images called by `names` and by the lines of the file `listed`, each once.

    A name with *, ? or [ in it means all images whose id or file name it fits, unless an image is called so. Raises StudyError for a name
    that fits none, or where there is no name at all.
    """
    lines = [] if listed is None else [line for line in lines_of(existing(listed, "a list of images, one a line")) if line]
    called = [*names, *lines]
    if not called:
        raise StudyError(f"{study.folder}: no image is named. Give names, patterns such as 'img_0*.jpg' in quotes, or --list FILE.")
    wild = {name for name in called if _WILD & set(name) and study.record(name) is None}
    ids = study.store.image_ids() if wild else []
    plain = [name for name in called if name not in wild]
    found = dict(zip(plain, ([image_id] for image_id in study.images_named(plain)), strict=True)) if plain else {}
    found |= {name: _fitting(study, name, ids) for name in wild}
    return list(dict.fromkeys(image_id for name in called for image_id in found[name]))


def _fitting(study: StudyUpkeep, pattern: str, ids: Iterable[str]) -> list[str]:
    found = [i for i in ids if fnmatchcase(i, pattern) or fnmatchcase(PurePosixPath(i).name, pattern)]
    if not found:
        raise StudyError(f"{study.folder}: {pattern!r} fits no image.")
    return found
