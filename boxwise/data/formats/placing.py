"""Files of a data set that is written: texts and copies of images, many side by side, each complete or absent.

Returns nothing. Knows nothing of what the texts say.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from boxwise.data import image_store
from boxwise.data.addresses import is_local
from boxwise.data.formats.base import Dataset
from boxwise.files import replacing

_WRITERS = 16


def write_texts(texts: Mapping[Path, str]) -> None:
    """Write UTF-8 files, each complete or absent; side by side, since a disk syncs many files at once nearly as fast as one."""
    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(_write_text, texts, texts.values()))


def place_images(dataset: Dataset, folder: Path) -> None:
    """Copy every image to `folder`/image_id; one that is there already with the same size and time is left."""
    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(lambda record: _place(record.uri, folder / record.image_id), dataset.images))


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")


def _place(source: str, destination: Path) -> None:
    if not is_local(source):
        _download(source, destination)
    elif not _is_copy(Path(source), destination):
        with replacing(destination) as aside:
            shutil.copy2(source, aside)


def _download(source: str, destination: Path) -> None:
    content = image_store.read(source)
    if not destination.exists() or destination.read_bytes() != content:
        with replacing(destination) as aside:
            aside.write_bytes(content)


def _is_copy(source: Path, destination: Path) -> bool:
    if not destination.exists():
        return False
    there, here = destination.stat(), source.stat()
    return destination.samefile(source) or (there.st_size, there.st_mtime_ns) == (here.st_size, here.st_mtime_ns)
