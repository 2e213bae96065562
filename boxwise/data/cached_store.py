"""Images that come over a network, each downloaded once: from memory while it is on its way, from the disk afterwards.

Returns bytes and versions. Several can be downloaded side by side ahead of their use. Knows nothing of protocols.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from time import monotonic, time
from typing import Protocol

from boxwise.data.addresses import Stat
from boxwise.data.disk_cache import DiskCache

MOMENT = 30.0  # seconds for which an answer about an object is as good as a new one
_MOST_ANSWERS = 10_000
_AHEAD = 8  # times as many images as are downloaded side by side may wait in memory


class Source(Protocol):
    """Where images come from. Every method raises ImageError for one image, ImageStoreError where none can be had."""

    def stat(self, uri: str) -> Stat:
        """Size and version of an image now."""
        ...

    def fetch(self, uri: str, expected: Stat) -> bytes:
        """Its file, of the size expected."""
        ...

    def list(self, uri: str) -> list[str]:
        """The addresses of the images below a folder, sorted."""
        ...

    def expect(self, uris: Iterable[str]) -> None:
        """Images that will be asked for next, side by side: where one cannot be had, the others tell whether the store is there."""
        ...

    def gives_any(self, uris: Iterable[str]) -> bool:
        """Whether one of a few images can be had now, each asked for once."""
        ...


class CachedStore:
    """An `ImageStore` over a source. recheck: seconds for which a downloaded image is taken as it is; an older one is compared by size and
    version, and downloaded again where these have changed."""

    def __init__(self, source: Source, cache: DiskCache, *, parallel: int, recheck: float) -> None:
        self._source, self._cache = source, cache
        self._parallel, self._recheck = parallel, recheck
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="images")
        self._lock = Lock()
        self._coming: OrderedDict[str, Future[bytes]] = OrderedDict()
        self._begun: dict[str, float] = {}
        self._answers: OrderedDict[str, tuple[Stat, float]] = OrderedDict()

    def read(self, uri: str) -> bytes:
        """See `ImageStore`. An image that is on its way already is waited for."""
        coming = self._begin(uri)
        try:
            return coming.result()
        finally:
            with self._lock:
                if self._coming.get(uri) is coming:
                    del self._coming[uri], self._begun[uri]

    def prefetch(self, uris: Iterable[str]) -> None:
        """Begin to download images that will be read soon; a fault is raised when they are."""
        uris = list(uris)
        self._source.expect(uris)
        for uri in uris:
            self._begin(uri)

    def stat(self, uri: str) -> Stat:
        """See `ImageStore`: as the store says within the last half minute."""
        with self._lock:
            stat, asked = self._answers.get(uri, (None, 0.0))
        if stat is None or monotonic() - asked > MOMENT:
            stat = self._source.stat(uri)
            self._remember(uri, stat)
        return stat

    def list(self, uri: str) -> list[str]:
        """See `ImageStore`."""
        return self._source.list(uri)

    def gives_any(self, uris: Iterable[str]) -> bool:
        """Whether one of a few images can be had now, each asked for once: the store is there."""
        return self._source.gives_any(uris)

    def _begin(self, uri: str) -> Future[bytes]:
        with self._lock:
            coming = self._coming.get(uri)
            if coming is None or (_has_failed(coming) and monotonic() - self._begun[uri] > MOMENT):
                coming = self._coming[uri] = self._pool.submit(self._load, uri)
                self._begun[uri] = monotonic()
            self._forget_unread()
        return coming

    def _forget_unread(self) -> None:
        """Let go of the oldest images that are here and were not read; they are on the disk."""
        while len(self._coming) > _AHEAD * self._parallel:
            uri, oldest = next(iter(self._coming.items()))
            if not oldest.done():
                return
            del self._coming[uri], self._begun[uri]

    def _load(self, uri: str) -> bytes:
        kept = self._cache.get(uri)
        if kept is not None and time() - kept.checked < self._recheck:
            return kept.content
        now = self.stat(uri)
        if kept is not None and kept.stat == now:
            return kept.content
        content = self._source.fetch(uri, now)
        self._cache.put(uri, now, content)
        return content

    def _remember(self, uri: str, stat: Stat) -> None:
        kept = self._cache.known(uri)
        if kept is not None:
            self._cache.confirm(uri) if kept == stat else self._cache.drop(uri)
        with self._lock:
            self._answers[uri] = (stat, monotonic())
            if len(self._answers) > _MOST_ANSWERS:
                self._answers.popitem(last=False)


def _has_failed(coming: Future[bytes]) -> bool:
    return coming.done() and coming.exception() is not None
