"""Where the images of a data set lie, which split a name says, and how files of one are copied.

Returns image ids: paths below the image folder in POSIX form. Knows nothing of what the label files hold.
"""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from boxwise.data.formats.base import Dataset
from boxwise.data.images import find_images
from boxwise.errors import BoxwiseError
from boxwise.files import replacing
from boxwise.records import Split

_SPLIT_WORDS = {
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "trainval": Split.TRAIN,
    "val": Split.VAL,
    "valid": Split.VAL,
    "validation": Split.VAL,
    "test": Split.TEST,
    "testing": Split.TEST,
}
_WRITERS = 16
STRICTNESS: dict[Split | None, int] = {None: -1, Split.TRAIN: 0, Split.VAL: 1, Split.TEST: 2}


def split_named(name: str) -> Split | None:
    """The split that a word of `name` says, as in 'instances_val2017' or 'train'; None if none or several do."""
    said = {_SPLIT_WORDS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in _SPLIT_WORDS}
    return said.pop() if len(said) == 1 else None


def stem_of(image_id: str) -> str:
    """The image id without its suffix, folders kept."""
    return str(PurePosixPath(image_id).with_suffix(""))


def first_folder(candidates: Iterable[Path]) -> Path:
    """The first candidate that is a folder; the last one when none is."""
    folders = list(candidates)
    return next((folder for folder in folders if folder.is_dir()), folders[-1])


def existing(path: Path, kind: str) -> Path:
    """`path`, or a BoxwiseError that says what was expected there."""
    if not path.exists():
        raise BoxwiseError(f"{path}: expected {kind}, found no such file or folder.")
    return path


def listed_names(path: Path) -> tuple[str, ...]:
    """The class names of a text file, one a line; () when there is no such file."""
    text = path.read_text(encoding="utf-8-sig", errors="replace") if path.is_file() else ""
    return tuple(line.strip() for line in text.rstrip().splitlines())


def shared_stems(image_ids: Iterable[str]) -> set[str]:
    """Stems that several images have, such as 'a' of a.jpg and a.png: their label files need the suffix in the name."""
    seen: set[str] = set()
    shared: set[str] = set()
    for image_id in image_ids:
        stem = stem_of(image_id)
        (shared if stem in seen else seen).add(stem)
    return shared


def write_texts(texts: Mapping[Path, str]) -> None:
    """Write UTF-8 files, each complete or absent; side by side, since a disk syncs many files at once nearly as fast as one."""
    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(_write_text, texts, texts.values()))


def place_images(dataset: Dataset, folder: Path) -> None:
    """Copy every image to `folder`/image_id; one that is there already with the same size and time is left."""
    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(lambda record: _place(record.path, folder / record.image_id), dataset.images))


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")


def _place(source: Path, destination: Path) -> None:
    if not _is_copy(source, destination):
        with replacing(destination) as aside:
            shutil.copy2(source, aside)


def _is_copy(source: Path, destination: Path) -> bool:
    if not destination.exists():
        return False
    there, here = destination.stat(), source.stat()
    return destination.samefile(source) or (there.st_size, there.st_mtime_ns) == (here.st_size, here.st_mtime_ns)


class ImageIndex:
    """The images below one folder, to be found by id, by stem or by the end of their path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = {path.relative_to(folder).as_posix(): path for path in find_images(folder)} if folder.is_dir() else {}
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for image_id in self.paths:
            self._by_stem[stem_of(image_id)].append(image_id)
            self._by_name[PurePosixPath(image_id).name].append(image_id)

    def path(self, image_id: str) -> Path:
        """Where the image lies, or would lie."""
        return self.paths.get(image_id, self.folder / image_id)

    def with_stem(self, stem: str, file_name: str = "") -> str | None:
        """The image called `stem` apart from its suffix; of several the one that `file_name` names."""
        found = self._by_stem.get(stem, [])
        return found[0] if len(found) == 1 else next((i for i in found if PurePosixPath(i).name == file_name), None)

    def ending_in(self, tail: str, split: Split | None = None) -> str | None:
        """The image with id `tail`, or the only one whose path ends in it; of several the one in a folder named after `split`."""
        if tail in self.paths:
            return tail
        name = PurePosixPath(tail).name
        found = [i for i in self._by_name.get(name, []) if i.endswith("/" + tail)]
        if len(found) > 1 and split is not None:
            found = [i for i in found if split_named(str(PurePosixPath(i).parent)) == split]
        return found[0] if len(found) == 1 else None
