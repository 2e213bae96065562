"""Where images lie, by address: files of this machine, objects of remote stores, members of tar files.

Returns bytes, sizes with versions, and the addresses below a folder. An address is a string from end to end. What is remote comes through a
cache on the disk, as the settings `images` say (`use`). Knows nothing of pixels.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Lock
from typing import Protocol

from boxwise.config import ImagesConfig
from boxwise.data.addresses import Address, Stat, in_shard, is_local, member_of, redacted, scheme_of
from boxwise.data.cached_store import CachedStore
from boxwise.data.disk_cache import DiskCache
from boxwise.data.object_store import PACKAGES, ObjectStore, check_package
from boxwise.data.own_files import pictures_below
from boxwise.data.shards import LocalShards, RemoteShards
from boxwise.errors import ImageError, ImageStoreError, MissingImageError, unknown


class ImageStore(Protocol):
    """One kind of place where images lie. Each method raises ImageError for one image, ImageStoreError where none of them can be had."""

    def read(self, uri: str) -> bytes:
        """The image's file."""
        ...

    def stat(self, uri: str) -> Stat:
        """What is known of it without its content."""
        ...

    def list(self, uri: str) -> Sequence[str]:
        """The addresses of all images below a folder, sorted."""
        ...


class LocalStore:
    """Files of this machine."""

    def read(self, uri: str) -> bytes:
        """See `ImageStore`."""
        try:
            return Path(uri).read_bytes()
        except OSError as error:
            raise _unreadable(uri, error) from error

    def stat(self, uri: str) -> Stat:
        """See `ImageStore`."""
        try:
            found = os.stat(uri)  # noqa: PTH116 - no Path is made for each of a million
        except (OSError, ValueError) as error:
            raise _unreadable(uri, error) from error
        return Stat(found.st_size, str(found.st_mtime_ns))

    def list(self, uri: str) -> Sequence[str]:
        """See `ImageStore`."""
        return [str(path) for path in find_images(Path(uri))]


class _Stores:
    """The stores of one process under some settings; the remote ones are made when first asked for."""

    def __init__(self, settings: ImagesConfig) -> None:
        self.settings = settings
        self.local, self.shards = LocalStore(), LocalShards()
        self._lock = Lock()
        self._remote: tuple[CachedStore, CachedStore] | None = None

    def of(self, uri: Address) -> ImageStore:
        if is_local(uri):
            return self.local
        if scheme_of(uri) == "tar" and is_local(in_shard(str(uri))[1]):
            return self.shards
        return self.remote(str(uri))

    def remote(self, uri: str) -> CachedStore:
        check(uri)
        with self._lock:
            if self._remote is None:
                self._remote = self._made()
            return self._remote[scheme_of(uri) == "tar"]

    def _made(self) -> tuple[CachedStore, CachedStore]:
        settings = self.settings
        cache = DiskCache(settings.cache_folder or _cache_folder(), most_bytes=int(settings.cache_gb * 1e9))
        objects = ObjectStore(attempts=settings.attempts, timeout=settings.timeout, parallel=settings.parallel)
        sources = (objects, RemoteShards(objects, cache))
        first, second = (CachedStore(source, cache, parallel=settings.parallel, recheck=settings.recheck) for source in sources)
        return first, second


_stores = _Stores(ImagesConfig())


def use(settings: ImagesConfig) -> None:
    """Read remote images under these settings from now on, in this process and those that it starts."""
    global _stores
    if settings != _stores.settings:
        _stores = _Stores(settings)


def store_of(uri: Address) -> ImageStore:
    """The store that an address belongs to. Raises ImageStoreError for one of an unknown scheme, or whose package is missing."""
    return _stores.of(uri)


def check(uri: Address) -> None:
    """Raises ImageStoreError where an address cannot be read whatever it holds: an unknown scheme, or a package that is missing."""
    scheme = scheme_of(uri)
    if scheme == "tar":
        check(in_shard(str(uri))[1])
    elif scheme is not None and scheme not in PACKAGES:
        raise ImageStoreError(f"{redacted(str(uri))}: {unknown('scheme', scheme, {*PACKAGES, 'tar', 'file'} - {scheme})}")
    elif scheme is not None:
        check_package(str(uri))


def read(uri: Address) -> bytes:
    """The image's file. Raises ImageError."""
    return store_of(uri).read(str(uri))


def stat(uri: Address) -> Stat:
    """Its size and version. Raises ImageError."""
    return store_of(uri).stat(str(uri))


def below(folder: Address, *, dead: bool = False) -> dict[str, str]:
    """Image id → address of every image below a folder, in order; the id is the path below it in POSIX form.

    Tar files below a remote folder are folders, called as they are without their suffix. dead: with links of this machine to nothing, for
    which a reader has a message.
    """
    if is_local(folder):
        pictures = pictures_below(Path(folder))
        paths = sorted([*pictures.undrawn, *pictures.dead]) if dead else pictures.undrawn
        return {path.relative_to(folder).as_posix(): str(path) for path in paths}
    found: dict[str, str] = {}
    for uri in store_of(folder).list(str(folder)):
        name = _id_below(str(folder), uri)
        if uri.lower().endswith(".tar") and scheme_of(uri) != "tar":
            found |= {f"{name[:-4]}/{member}": address for member, address in below(member_of(uri, "")).items()}
        else:
            found[name] = uri
    return dict(sorted(found.items()))


def find_images(folder: Path) -> list[Path]:
    """All files below `folder` with an image suffix in any case, sorted by path.

    Left out are hidden files and folders, and what boxwise has drawn there itself, unless there is nothing else.
    """
    return pictures_below(folder).undrawn


def prefetch(uris: Iterable[str]) -> None:
    """Begin to read remote images side by side, so that they are there when `read` asks for them. Those of this machine need none of it."""
    of_store: dict[CachedStore, list[str]] = defaultdict(list)
    for uri in uris:
        store = None if is_local(uri) else store_of(uri)
        if isinstance(store, CachedStore):
            of_store[store].append(uri)
    for store, remote in of_store.items():
        store.prefetch(remote)


def gives_any(uris: Sequence[str]) -> bool:
    """Whether one of a few remote images of one place can be had now, each asked for once."""
    store = store_of(uris[0]) if uris else None
    return isinstance(store, CachedStore) and store.gives_any(uris)


def _id_below(folder: str, uri: str) -> str:
    if scheme_of(folder) == "tar":
        return in_shard(uri)[0].removeprefix(in_shard(folder)[0]).lstrip("/")
    return uri.removeprefix(folder.rstrip("/")).lstrip("/")


def _cache_folder() -> Path:
    """The folder of this user's caches, by the conventions of each system."""
    windows, home = os.environ.get("LOCALAPPDATA"), Path.home() / ".cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or windows or home) / "boxwise" / "images"


def _unreadable(uri: str, error: Exception) -> ImageError:
    if isinstance(error, FileNotFoundError):
        return MissingImageError(f"{uri}: expected an image, found no such file.")
    return ImageError(f"{uri}: expected a readable file, found: {getattr(error, 'strerror', None) or error}.")


def _after_fork() -> None:
    """A process that was forked has none of the threads and connections of the one it comes from."""
    global _stores
    _stores = _Stores(_stores.settings)


if hasattr(os, "register_at_fork"):  # not on Windows, which forks nothing
    os.register_at_fork(after_in_child=_after_fork)
