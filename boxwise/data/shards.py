"""Images inside tar files, on this machine and in remote stores, each by its place in the file: nothing is unpacked.

Returns bytes and versions. What is in a shard is found once: of this machine by its headers; of a remote store by reading it through from
beginning to end, during which its images are put to the disk cache. A compressed tar has no places to read from, and is refused.
"""

from __future__ import annotations

import json
import tarfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import TypeVar

from boxwise.data.addresses import Stat, in_shard, is_image_name, member_of, redacted, scheme_of
from boxwise.data.cached_store import MOMENT
from boxwise.data.disk_cache import DiskCache
from boxwise.data.object_store import PACKAGES, ObjectStore
from boxwise.errors import ImageError, ImageStoreError, MissingImageError

_BLOCK = 8 * 2**20  # bytes of a remote shard that are read at once
_SHARDS = 64  # whose contents are remembered
_Places = dict[str, tuple[int, int]]  # name in the shard → (first byte, bytes)
Entry = TypeVar("Entry")


class LocalShards:
    """An `ImageStore` of tar files of this machine."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[str, _Places]] = OrderedDict()
        self._lock = Lock()

    def read(self, uri: str) -> bytes:
        """See `ImageStore`."""
        (start, size), path = self._place(uri), in_shard(uri)[1]
        with Path(path).open("rb") as file:
            file.seek(start)
            return file.read(size)

    def stat(self, uri: str) -> Stat:
        """See `ImageStore`: the version is the shard's."""
        return Stat(self._place(uri)[1], self._version(in_shard(uri)[1]))

    def list(self, uri: str) -> list[str]:
        """See `ImageStore`."""
        return _listed(uri, self._places(in_shard(uri)[1]))

    def _place(self, uri: str) -> tuple[int, int]:
        return _found(uri, self._places(in_shard(uri)[1]))

    def _places(self, shard: str) -> _Places:
        with self._lock:
            version = self._version(shard)
            if self._known.get(shard, ("", {}))[0] != version:
                with _a_tar(shard), tarfile.open(shard, "r:") as tar:
                    _remember(self._known, shard, (version, {_name(m): (m.offset_data, m.size) for m in tar if m.isreg()}))
            return self._known[shard][1]

    def _version(self, shard: str) -> str:
        try:
            return str(Path(shard).stat().st_mtime_ns)
        except OSError as error:
            raise ImageStoreError(f"{shard}: expected a tar file, found: {error.strerror or error}.") from error


class RemoteShards:
    """A `Source` of the images in tar files of remote stores."""

    def __init__(self, objects: ObjectStore, cache: DiskCache) -> None:
        self._objects, self._cache = objects, cache
        self._known: OrderedDict[str, tuple[Stat, _Places]] = OrderedDict()
        self._lock = Lock()
        self._finding: dict[str, Lock] = {}  # a shard is read through once, others meanwhile
        self._asked: dict[str, float] = {}

    def stat(self, uri: str) -> Stat:
        """See `Source`: the version is the shard's."""
        stat, places = self._shard(in_shard(uri)[1])
        return Stat(_found(uri, places)[1], stat.version)

    def fetch(self, uri: str, expected: Stat) -> bytes:
        """See `Source`."""
        shard = in_shard(uri)[1]
        kept = self._cache.get(uri)  # finding what is in the shard may have brought it along
        if kept is not None and kept.stat == expected:
            return kept.content
        start, size = _found(uri, self._shard(shard)[1])
        return self._objects.part(shard, start, start + size)

    def list(self, uri: str) -> list[str]:
        """See `Source`."""
        return _listed(uri, self._shard(in_shard(uri)[1])[1])

    def expect(self, uris: Iterable[str]) -> None:
        """See `Source`."""
        self._objects.expect(in_shard(uri)[1] for uri in uris)

    def gives_any(self, uris: Iterable[str]) -> bool:
        """See `Source`."""
        return self._objects.gives_any({in_shard(uri)[1] for uri in uris})

    def _shard(self, shard: str) -> tuple[Stat, _Places]:
        """The shard's size and version, and what is where in it."""
        if scheme_of(shard) not in PACKAGES:
            raise ImageStoreError(f"{redacted(shard)}: expected a tar file of this machine, or of {', '.join(sorted(PACKAGES))}.")
        with self._lock:
            finding = self._finding.setdefault(shard, Lock())
        with finding:
            known = self._known.get(shard)
            if known is not None and monotonic() - self._asked[shard] < MOMENT:
                return known
            stat = self._present(shard)
            if known is None or known[0] != stat:
                known = stat, self._kept_places(shard, stat) or self._read_through(shard, stat)
            with self._lock:
                _remember(self._known, shard, known)
                self._asked[shard] = monotonic()
            return known

    def _present(self, shard: str) -> Stat:
        try:
            return self._objects.stat(shard)
        except MissingImageError as error:
            raise ImageStoreError(f"{redacted(shard)}: expected a tar file, found no such object.") from error

    def _kept_places(self, shard: str, stat: Stat) -> _Places | None:
        kept = self._cache.get(_contents_of(shard))
        if kept is None or kept.stat != stat:
            return None
        return {name: (start, size) for name, (start, size) in json.loads(kept.content).items()}

    def _read_through(self, shard: str, stat: Stat) -> _Places:
        places: _Places = {}
        blocks = _Blocks(self._objects, shard, stat.size)
        with _a_tar(shard), tarfile.open(fileobj=blocks, mode="r|") as tar:  # type: ignore[call-overload]  # it is read, and nothing else
            for member in tar:
                if not member.isreg():
                    continue
                name = _name(member)
                places[name] = (member.offset_data, member.size)
                file = tar.extractfile(member) if is_image_name(name) else None
                if file is not None:
                    self._cache.put(member_of(shard, name), Stat(member.size, stat.version), file.read())
        self._cache.put(_contents_of(shard), stat, json.dumps(places).encode())
        return places


class _Blocks:
    """An object as a file that is read from beginning to end, a block a request; a block that fails is asked for again, not the object."""

    def __init__(self, objects: ObjectStore, uri: str, size: int) -> None:
        self._objects, self._uri, self._size = objects, uri, size
        self._at, self._block = 0, b""

    def read(self, count: int) -> bytes:
        """At most `count` bytes; none at the end."""
        if not self._block and self._at < self._size:
            end = min(self._at + _BLOCK, self._size)
            self._block, self._at = self._objects.part(self._uri, self._at, end), end
        found, self._block = self._block[:count], self._block[count:]
        return found


def _remember(entries: OrderedDict[str, Entry], shard: str, entry: Entry) -> None:
    entries[shard] = entry
    entries.move_to_end(shard)
    while len(entries) > _SHARDS:
        entries.popitem(last=False)


def _contents_of(shard: str) -> str:
    """Under which address the disk cache keeps what is in a shard."""
    return f"contents of {shard}"


def _name(member: tarfile.TarInfo) -> str:
    return member.name.removeprefix("./")


def _listed(uri: str, places: _Places) -> list[str]:
    folder, shard = in_shard(uri)
    inside = f"{folder.rstrip('/')}/" if folder else ""
    return sorted(member_of(shard, name) for name in places if name.startswith(inside) and is_image_name(name))


def _found(uri: str, places: _Places) -> tuple[int, int]:
    name, shard = in_shard(uri)
    if name not in places:
        raise MissingImageError(f"{redacted(uri)}: expected {name!r} in the tar file {redacted(shard)}, found no such member.")
    return places[name]


@contextmanager
def _a_tar(shard: str) -> Iterator[None]:
    """Says of a file that is no tar, or ends early, what was expected."""
    try:
        yield
    except (tarfile.TarError, EOFError) as error:
        raise ImageError(f"{redacted(shard)}: expected an uncompressed tar file, found something else ({error}).") from error
