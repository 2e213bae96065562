"""Which JSON files of a folder are COCO's, and where the images of each are looked for.

Returns paths and indexes of images. Reads the first and last bytes of files at most; knows nothing of what their entries say.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath

from boxwise.data.addresses import is_local
from boxwise.data.formats.layout import (
    JSON,
    STRICTNESS,
    ImageIndex,
    files_below,
    has_images,
    image_folder,
    is_file,
    spelled_out,
    split_named,
    whole,
)
from boxwise.data.formats.listing import not_read
from boxwise.data.own_files import Whose, predictions_in, sorted_out
from boxwise.errors import BoxwiseError
from boxwise.records import Split

PROPOSALS = "proposals.json"
WRITTEN = "written by boxwise"
TO_CORRECT = f"{WRITTEN}, to be corrected"  # what `info` says in a file that is no answer yet
_PLACES = ("*.{}", "annotations/*.{}", "*/_annotations.coco.{}", "*/*.{}")
_PART = 1 << 16  # bytes of a file's beginning or end
_IMAGES = re.compile(r'"images"\s*:\s*\[')
LISTS = re.compile(r'"(images|annotations|categories)"\s*:\s*(\[|null)')
_ENTRIES = re.compile(rf'{LISTS.pattern}|"(file_name|category_id)"\s*:')


def coco_files(labels: Path) -> tuple[list[Path], list[str]]:
    """The file itself, or a folder's COCO files there, in annotations/ or in a folder a split; and notes on what is left aside.

    They stand in the order train, val, test, rest. What boxwise wrote to be corrected, or predicted, is read where nothing else is.
    Raises BoxwiseError where there is no JSON file at all.
    """
    if is_file(labels):
        return [labels], []
    own = {path for path, whose in sorted_out(labels) if whose is Whose.BOXWISE}
    places = [_visible(labels, set(labels.glob(place.format(JSON))) - own) for place in _PLACES]
    place = _first(places, _answers) or _first(places, _is_coco) or _first(places, lambda _: True)
    if place is None and (predicted := predictions_in(labels)):
        return [predicted], []
    if place is None:
        raise BoxwiseError(f"{labels}: expected a COCO JSON file such as instances_train.json, found none.")
    answered = any(map(_answers, place))
    read = [path for path in place if _is_coco(path) or _is_called_so(path)] or place
    read = _chosen([path for path in read if not (answered and is_draft(path))])
    left = [path for path in files_below(labels, ".json") if path not in read]
    drafts = [path for path in left if answered and is_draft(path)]
    aside = f"boxes that boxwise wrote to be corrected. Not read, since {read[0].name} has labels; name it to read it."
    notes = [f"{path}: {aside}" for path in drafts]
    return read, [*notes, *not_read([path for path in left if path not in drafts], read)]


def _visible(root: Path, paths: Iterable[Path]) -> list[Path]:
    """Those that are not hidden, sorted."""
    return sorted(path for path in paths if not any(part.startswith(".") for part in path.relative_to(root).parts))


def split_of(path: Path) -> Split | None:
    """The split that a file's name says, or else its folder's."""
    return split_named(path.stem) or split_named(spelled_out(path.parent).name)


def folder_split_of(path: Path) -> Split | None:
    """The split in whose folder the images of a file would lie; None of a trainval, whose images lie in two."""
    return None if "trainval" in path.stem.lower() else split_of(path)


def is_draft(path: Path) -> bool:
    """Whether boxwise wrote the file for a person to correct, and no other program has written it since."""
    head = _part(path)
    return f'"{TO_CORRECT}"' in head or (path.name == PROPOSALS and f'"{WRITTEN}"' in head)


def image_folder_of(labels: Path, files: Sequence[Path]) -> Path:
    """The folder of all images: of files in several folders the one around these, unless their images lie in its images/."""
    folder, root = files[0].parent, spelled_out(labels)
    parents = list(dict.fromkeys(path.parent for path in files))
    if len(parents) > 1:
        return root if any(map(has_images, parents)) else image_folder((root / "images", root))
    called = spelled_out(folder)
    parent = called.parent if called.name == "annotations" or is_file(folder / "_annotations.coco.json") else folder
    found = image_folder((folder / "images", parent / "images", parent))
    return found if has_images(found) or is_file(labels) else image_folder((found, root / "images", root))


class Places:
    """Where each of several files finds its images: below its own folder first, never below that of another file."""

    def __init__(self, index: ImageIndex, files: Iterable[Path]) -> None:
        self._index = index
        self._folders = {str(whole(path.parent)) for path in files}
        self._owners = _owners(index.paths, self._folders)
        self._splits = {image_id: _split_of_folder(str(PurePosixPath(image_id).parent)) for image_id in index.paths}
        self._names_repeat = _repeat(self._splits)

    def of(self, path: Path) -> tuple[ImageIndex, ...]:
        """Where to look for the images of a file, one place after the other."""
        split, folder = self._held_to(path), str(whole(path.parent))
        fitting = [image_id for image_id, own_split in self._splits.items() if split is None or own_split in (None, split)]
        own = [image_id for image_id in fitting if self._owners.get(image_id) == folder]
        rest = [image_id for image_id in fitting if image_id not in self._owners]
        return tuple(self._only(images) for images in (own, rest) if images)

    def of_any_split(self, path: Path) -> tuple[ImageIndex, ...]:
        """Where an image may lie, too, that a file calls by its name alone: in another split's folder.

        Nowhere if the file lies in its split's own folder, or if images of two splits share a name, so that names alone say too little.
        """
        split, folder = self._held_to(path), str(whole(path.parent))
        if split is None or self._names_repeat or split_named(Path(folder).name) == split:
            return ()
        return (self._only([image_id for image_id in self._index.paths if self._owners.get(image_id, folder) == folder]),)

    def prefix(self, path: Path) -> str:
        """What leads from the folder of all images to that of a file, with a slash at its end; '' where all files lie in one."""
        here = Path(whole(path.parent))
        around = [whole(folder) for folder in self._index.folders if here.is_relative_to(whole(folder))] if len(self._folders) > 1 else []
        return f"{here.relative_to(around[0]).as_posix()}/" if around and here != around[0] else ""

    def _held_to(self, path: Path) -> Split | None:
        """The file's split where a folder is called so, to which its images are held at first; else None."""
        split = folder_split_of(path)
        return split if split in self._splits.values() or split_named(whole(path.parent).name) == split else None

    def _only(self, images: Sequence[str]) -> ImageIndex:
        paths = self._index.paths
        return self._index if len(images) == len(paths) else ImageIndex({image_id: paths[image_id] for image_id in images})


def _owners(paths: Mapping[str, str], folders: set[str]) -> dict[str, str]:
    """Image id → the folder that it lies below, of those that do; where none does, the one that alone has the name of one around it."""

    @cache
    def around(folder: str) -> str | None:
        here = whole(Path(folder))
        return next((str(above) for above in (here, *here.parents) if str(above) in folders), None)

    @cache
    def namesake(folder: str) -> str | None:
        named = [one for one in folders if Path(one).name in PurePosixPath(folder).parts]
        return named[0] if len(named) == 1 else None

    local = {image_id: uri for image_id, uri in paths.items() if is_local(uri)}
    found = {image_id: owner for image_id, uri in local.items() if (owner := around(_folder(uri))) is not None}
    if found or len(folders) == 1:
        return found
    return {image_id: owner for image_id in paths if (owner := namesake(_folder(image_id))) is not None}


def _folder(path: str) -> str:
    """What comes before the name; of a million paths, each folder of which is looked at once."""
    return path[: max(path.rfind("/"), path.rfind(os.sep), 0)]


def _repeat(splits: Mapping[str, Split | None]) -> bool:
    """Whether images in the folders of two splits have the same name."""
    first: dict[str, Split] = {}
    return any(split and first.setdefault(image_id.rpartition("/")[2], split) is not split for image_id, split in splits.items())


@cache
def _split_of_folder(folder: str) -> Split | None:
    return split_named(folder)


def _first(places: Iterable[list[Path]], wanted: Callable[[Path], bool]) -> list[Path] | None:
    return next((paths for paths in places if any(map(wanted, paths))), None)


def _answers(path: Path) -> bool:
    return _is_coco(path) and not is_draft(path)


def _is_coco(path: Path) -> bool:
    """Whether a file has COCO's list of images; a long one is known by its beginning or its end, and the rest is not read for it."""
    head = _part(path)
    if not head.startswith("{"):
        return False
    if path.stat().st_size <= _PART:
        return _IMAGES.search(head) is not None
    return (LISTS.search(head) or _ENTRIES.search(_part(path, last=True))) is not None


def _is_called_so(path: Path) -> bool:
    """Whether a file is called as COCO's are, so that it is said what is wrong with it."""
    return path.name.startswith("instances") or path.name == "_annotations.coco.json" or split_named(path.stem) is not None


def _part(path: Path, *, last: bool = False) -> str:
    """The first characters of a file, or its last; '' where it cannot be read."""
    if not is_file(path):
        return ""
    try:
        with path.open("rb") as file:
            content = file.read(_PART)
            encoding = json.detect_encoding(content)
            if last:
                file.seek(-len(content), os.SEEK_END)
                content = file.read()
    except OSError:
        return ""
    return content.decode(encoding, errors="replace").lstrip("\ufeff \t\r\n")


def _chosen(found: list[Path]) -> list[Path]:
    """Those called instances*, else all, in the order train, val, test, rest; no trainval where its parts lie beside it."""
    found = [path for path in found if path.name.startswith("instances")] or found
    if any("trainval" in path.stem for path in found) and any(split_named(path.stem.replace("trainval", "")) for path in found):
        found = [path for path in found if "trainval" not in path.stem]
    return sorted(found, key=_file_order)


def _file_order(path: Path) -> tuple[bool, int, str]:
    split = split_of(path)
    return split is None, STRICTNESS[split], path.name
