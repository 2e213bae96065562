"""Downloaded images on the disk, within a bound: what was not read for longest goes first. Any number of processes share the folder.

Returns content that is whole, or None. Nothing here is of worth: a file that is lost or damaged is downloaded again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, get_ident
from time import time

from boxwise.data.addresses import Stat
from boxwise.files import locked

_SHARE = 0.05  # of the bound: how much one process writes before it looks at the folder again
_FULL, _LEFT = 0.9, 0.8  # of the bound: from how much on room is made, and how much stays then
_ABANDONED = 3600.0  # seconds after which a half-written file is nobody's


@dataclass(frozen=True)
class Kept:
    """stat: of the object when it was downloaded. checked: when it last was the store's present one, in seconds since the epoch."""

    stat: Stat
    content: bytes
    checked: float


class DiskCache:
    """Files of one folder, which may be deleted at any time; their names are hashes, so that no address leads out of it.

    A file is a line of JSON (address, size, version, digest of the content) and the content. Its time of change says when it was checked,
    its time of access when it was read. One process keeps the bound; each further one that writes at the same time may exceed it by 5%.
    """

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        self._folder, self._most = folder, most_bytes
        self._lock = Lock()
        self._unseen = most_bytes  # bytes written since the folder was looked at; the first file makes it look

    def get(self, uri: str) -> Kept | None:
        """What is kept under an address; a damaged file is removed."""
        path = self._path(uri)
        try:
            head, _, content = path.read_bytes().partition(b"\n")
            checked = path.stat().st_mtime
            os.utime(path, (time(), checked))
        except OSError:
            return None
        stat = _stat_of(head, uri, content)
        if stat is None:
            self.drop(uri)
            return None
        return Kept(stat, content, checked)

    def known(self, uri: str) -> Stat | None:
        """The object's size and version when it was downloaded, without its content."""
        try:
            with self._path(uri).open("rb") as file:
                return _stat_of(file.readline(), uri)
        except OSError:
            return None

    def put(self, uri: str, stat: Stat, content: bytes) -> None:
        """Keep a content. On a disk that is full or read-only nothing is kept."""
        path = self._path(uri)
        head = {"uri": uri, "size": stat.size, "version": stat.version, "digest": _digest(content)}
        aside = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}")
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # what is downloaded is its user's alone
            path.parent.mkdir(exist_ok=True)
            written = aside.write_bytes(json.dumps(head).encode() + b"\n" + content)
            aside.replace(path)
            self._make_room(written)

    def confirm(self, uri: str) -> None:
        """What is kept is the store's present object."""
        with suppress(OSError):
            os.utime(self._path(uri))

    def drop(self, uri: str) -> None:
        """Keep it no longer."""
        with suppress(OSError):
            self._path(uri).unlink()

    def _path(self, uri: str) -> Path:
        name = hashlib.blake2b(uri.encode(errors="surrogatepass"), digest_size=16).hexdigest()
        return self._folder / name[:2] / name

    def _make_room(self, added: int) -> None:
        with self._lock:
            self._unseen += added
            if self._unseen <= _SHARE * self._most:
                return
            self._unseen = 0
        with suppress(BlockingIOError), locked(self._folder / ".lock"):  # another process makes room
            self._remove_oldest()

    def _remove_oldest(self) -> None:
        found = sorted(_files(self._folder))
        total = sum(size for _, size, _ in found)
        if total <= _FULL * self._most:
            return
        for _, size, path in found:
            if total <= _LEFT * self._most:
                break
            total -= size
            with suppress(OSError):
                path.unlink()


def _files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """(when it was last read, bytes, path) of each file; half-written ones that were left behind are as old as can be."""
    for part in folder.glob("[0-9a-f][0-9a-f]"):
        for entry in os.scandir(part):
            with suppress(OSError):
                found = entry.stat()
                abandoned = entry.name.startswith(".") and time() - found.st_mtime > _ABANDONED
                yield 0.0 if abandoned else found.st_atime, found.st_size, Path(entry.path)


def _stat_of(head: bytes, uri: str, content: bytes | None = None) -> Stat | None:
    """What a file says of its object; None where it is damaged or another address's."""
    try:
        stated = json.loads(head)
        whole = stated["uri"] == uri and (content is None or stated["digest"] == _digest(content))
        return Stat(int(stated["size"]), str(stated["version"])) if whole else None
    except (ValueError, KeyError, TypeError):
        return None


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
