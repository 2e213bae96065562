"""Small copies of pictures on the disk, bounded: what was not asked for longest goes first.

Returns bytes, or None for what is not there. Nothing here is of worth: a file that is lost or cannot be written is made again.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from threading import Lock, get_ident

MOST_BYTES = 2**29


class PictureCache:
    """Files of one folder, which may be deleted at any time. Names are plain file names."""

    def __init__(self, folder: Path, *, most_bytes: int = MOST_BYTES) -> None:
        self._folder, self._most = folder, most_bytes
        self._lock = Lock()
        self._sizes = _found(folder)
        self._bytes = sum(self._sizes.values())

    def get(self, name: str) -> bytes | None:
        """The content under a name."""
        try:
            content = (self._folder / name).read_bytes()
        except OSError:
            return None
        self._note(name, len(content))
        return content

    def put(self, name: str, content: bytes) -> None:
        """Keep a content, and make room for it."""
        aside = self._folder / f".{name}.{os.getpid()}.{get_ident()}"
        with suppress(OSError):  # a full or read-only disk: pictures are then made each time
            self._folder.mkdir(parents=True, exist_ok=True)
            aside.write_bytes(content)
            aside.replace(self._folder / name)
            self._note(name, len(content))

    def _note(self, name: str, size: int) -> None:
        """The name was used last; the oldest make room."""
        with self._lock:
            self._bytes += size - self._sizes.pop(name, 0)
            self._sizes[name] = size
            while len(self._sizes) > 1 and self._bytes > self._most:
                oldest, freed = self._sizes.popitem(last=False)
                self._bytes -= freed
                with suppress(OSError):
                    (self._folder / oldest).unlink()


def _found(folder: Path) -> OrderedDict[str, int]:
    """Name → bytes of what an earlier server left, oldest first."""
    found = []
    with suppress(OSError):
        found = sorted((entry.stat().st_mtime, entry.name, entry.stat().st_size) for entry in os.scandir(folder) if entry.is_file())
    return OrderedDict((name, size) for _, name, size in found)
