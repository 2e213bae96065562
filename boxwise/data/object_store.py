"""Objects of remote stores (S3, Google, Azure, the web) through fsspec, asked for again after faults that pass.

Returns bytes and versions. A fault of one object is an ImageError; one that stops them all, such as wrong credentials, an ImageStoreError.
Credentials are those of the environment, found by each store's own library; none is ever kept or said. fsspec is imported when the first
object is asked for.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from time import monotonic, sleep
from typing import Any, NamedTuple, TypeVar

from boxwise.data.addresses import Stat, is_image_name, place_of, redacted, scheme_of
from boxwise.errors import BoxwiseError, ImageError, ImageStoreError, MissingImageError

PACKAGES = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "http": "aiohttp",
    "https": "aiohttp",
}
_CREDENTIALS = {
    "s3fs": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; FSSPEC_S3_ANON=true for a public bucket",
    "gcsfs": "GOOGLE_APPLICATION_CREDENTIALS; FSSPEC_GS_TOKEN=anon for a public bucket",
    "adlfs": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
    "aiohttp": "a link that carries its signature",
}
_VERSIONS = ("ETag", "etag", "generation", "md5Hash", "LastModified", "last_modified", "Last-Modified", "mtime")
_LONGEST_PAUSE = 10.0  # seconds
OTHERS, _REMEMBERED = 2, 4  # addresses of a place that are tried before it is given up; those that it is known by
_WAY_OUT = "If this image alone cannot be had: boxwise exclude STUDY IMAGE..."
_DENIED = {
    "PermissionError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "ProfileNotFound",
    "RefreshError",
    "DefaultCredentialsError",
    "ClientAuthenticationError",
}
_NO_SUCH, _REFUSED = (404, 410), (401, 403)  # HTTP's answers
Found = TypeVar("Found")


class _Given(NamedTuple):
    """What a place gave last, and when."""

    uri: str
    at: float


class ObjectStore:
    """A `Source` of objects. attempts: how often one is asked for. timeout: seconds for one attempt. pause: seconds after the first that
    fails; each further pause is twice as long, up to ten seconds."""

    def __init__(self, *, attempts: int = 5, timeout: float = 60.0, parallel: int = 16, pause: float = 0.5) -> None:
        self._attempts, self._timeout, self._parallel, self._pause = attempts, timeout, parallel, pause
        self._lock = Lock()
        self._systems: dict[str, Any] = {}
        self._given: dict[str, _Given] = {}  # by place
        self._asked_for: dict[str, list[str]] = {}  # place → the last addresses in it that were or will be asked for

    def stat(self, uri: str) -> Stat:
        """See `Source`. The size is -1 where the store does not say it."""
        info = self._asked(uri, lambda system, path: system.info(path))
        if info.get("type") == "directory":
            raise MissingImageError(f"{redacted(uri)}: expected an image, found a folder.")
        version = next((str(info[name]) for name in _VERSIONS if info.get(name) is not None), "")
        return Stat(-1 if info.get("size") is None else int(info["size"]), version)

    def fetch(self, uri: str, expected: Stat) -> bytes:
        """See `Source`."""
        return self._asked(uri, lambda system, path: _whole(system.cat_file(path), expected.size))

    def part(self, uri: str, start: int, end: int) -> bytes:
        """The bytes of an object from `start` up to `end`."""
        return self._asked(uri, lambda system, path: _whole(system.cat_file(path, start=start, end=end), end - start))

    def list(self, uri: str) -> list[str]:
        """The addresses of the images and tar files below `uri`, sorted. Raises ImageStoreError where that cannot be listed."""
        if PACKAGES.get(scheme_of(uri) or "") == "aiohttp":
            raise ImageStoreError(f"{redacted(uri)}: the web has no folders that could be listed. Give a file of addresses, one a line.")
        root, paths = uri.rstrip("/"), self._asked(uri, lambda system, path: (system._strip_protocol(path), system.find(path)))
        if not paths[1] and not self._lets_in(uri):
            raise ImageStoreError(f"{redacted(uri)}: expected {redacted(place_of(uri))} to be there, found no such place.")
        found = (str(path).removeprefix(paths[0]).lstrip("/") for path in paths[1])
        return sorted(f"{root}/{name}" for name in found if is_image_name(name) or name.lower().endswith(".tar"))

    def expect(self, uris: Iterable[str]) -> None:
        """See `Source`. Of many, some from all over them are remembered: images that are gone often lie together."""
        by_place: dict[str, list[str]] = defaultdict(list)
        for uri in dict.fromkeys(uris):  # a shard is named once for each of its images
            by_place[place_of(uri)].append(uri)
        for place, expected in by_place.items():
            spread = expected[:: math.ceil(len(expected) / _REMEMBERED)]
            with self._lock:
                others = [one for one in self._asked_for.get(place, ()) if one not in spread]
                self._asked_for[place] = [*others, *spread][-_REMEMBERED:]

    def gives_any(self, uris: Iterable[str]) -> bool:
        """Whether one of a few addresses can be had now: each is asked for once, and none after one that hangs."""
        began = monotonic()
        return any(monotonic() - began < self._timeout and self._has(uri) for uri in uris)

    def _asked(self, uri: str, act: Callable[[Any, str], Found]) -> Found:
        """What `act` returns of the file system and the path in it; again after faults that pass."""
        self.expect([uri])
        for attempt in range(1, self._attempts + 1):
            began = monotonic()
            try:
                system = self._system(uri)
                found = act(system, system._strip_protocol(uri))
            except BoxwiseError:
                raise
            except Exception as error:  # each store's library has errors of its own
                if (fault := self._fault(uri, error, began, last=attempt == self._attempts)) is not None:
                    raise fault from error
                sleep(min(_LONGEST_PAUSE, self._pause * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0))
            else:
                self._given[place_of(uri)] = _Given(uri, monotonic())
                return found
        raise AssertionError("the last attempt returns or raises")

    def _system(self, uri: str) -> Any:
        """The file system of the place that an address lies in: one a process and place, since each has connections of its own."""
        place = place_of(uri)
        with self._lock:
            if place not in self._systems:
                self._systems[place] = _opened(place, self._options(uri))
            return self._systems[place]

    def _options(self, uri: str) -> dict[str, Any]:
        common = {"use_listings_cache": False, "skip_instance_cache": True}  # a listing grows old, and `_systems` keeps the instances
        package = PACKAGES[scheme_of(uri) or ""]
        if package == "s3fs":
            pool = {"max_pool_connections": self._parallel, "connect_timeout": self._timeout, "read_timeout": self._timeout}
            return {**common, "config_kwargs": {**pool, "retries": {"total_max_attempts": 1}}}
        if package == "aiohttp":
            import aiohttp

            return {**common, "client_kwargs": {"timeout": aiohttp.ClientTimeout(total=self._timeout)}}
        return common

    def _fault(self, uri: str, error: Exception, began: float, *, last: bool) -> BoxwiseError | None:
        """What to raise for an error; None where it may pass."""
        package = PACKAGES[scheme_of(uri) or ""]
        if _is_missing(error, web=package == "aiohttp"):
            if package == "aiohttp" or self._lets_in(uri):
                return MissingImageError(f"{redacted(uri)}: expected an image, found no such object.")
            return ImageStoreError(f"{redacted(uri)}: expected {redacted(place_of(uri))} to be there, found no such place.")
        if _is_denied(error):
            if not last and place_of(uri) in self._given and not self._lets_in(uri):
                return None  # has all that was open been closed, or this object alone? What others get meanwhile tells
            if self._has_given(uri, began) or self._lets_in(uri):
                return ImageError(f"{redacted(uri)}: expected an object that may be read, found it forbidden.")
            return ImageStoreError(
                f"{redacted(uri)}: expected credentials that may read {redacted(place_of(uri))}, found none, or others. "
                f"They come from the environment: {_CREDENTIALS[package]}. {_WAY_OUT}"
            )
        if not last:
            return None
        cause = error.__cause__ or error
        why = f"{type(cause).__name__}: {redacted(str(cause))}".partition("\n")[0][:300].rstrip(": .")
        if self._has_given(uri, began) or self._lets_in(uri):
            return ImageError(f"{redacted(uri)}: expected to read it, found at each of {self._attempts} attempts: {why}.")
        return ImageStoreError(
            f"{redacted(uri)}: expected {redacted(place_of(uri))} to answer, found at each of {self._attempts} attempts: {why}. "
            f"Nothing is lost: run the same command again once it does. {_WAY_OUT}"
        )

    def _has_given(self, uri: str, since: float) -> bool:
        """Whether the place has given anything since the failed attempt began: then the fault is the object's alone."""
        given = self._given.get(place_of(uri))
        return given is not None and given.at > since

    def _lets_in(self, uri: str) -> bool:
        """Whether the place can be had now, or another object of it that was given, asked for or expected: then it is there, and open.

        An answer that refuses says nothing: so does what stands before a place that is closed, away or asked too often.
        """
        place = place_of(uri)
        given = [self._given[place].uri] if place in self._given else []
        addresses = dict.fromkeys([*given, *reversed(self._asked_for.get(place, []))])
        return self.gives_any([*[other for other in addresses if other != uri][:OTHERS], place])

    def _has(self, uri: str) -> bool:
        place = place_of(uri)
        try:
            system = self._system(uri)
            if uri == place:
                return bool(system.exists(place))
            system.info(system._strip_protocol(uri))
        except Exception:  # whatever is wrong with it, it cannot be had
            return False
        self._given[place] = _Given(uri, monotonic())
        return True


def check_package(uri: str) -> None:
    """Raises ImageStoreError where the package that reads such addresses is not installed."""
    from importlib.util import find_spec

    package = PACKAGES[scheme_of(uri) or ""]
    missing = [name for name in ("fsspec", package) if find_spec(name) is None]
    if missing:
        raise ImageStoreError(
            f"{redacted(uri)}: reading it needs the package {' and '.join(missing)}, found none: pip install 'boxwise[remote]' {package}"
        )


def _opened(place: str, options: Mapping[str, Any]) -> Any:
    check_package(place)
    import fsspec

    scheme = scheme_of(place) or ""
    of_user = fsspec.config.conf.get(scheme, {}).get("config_kwargs")
    merged = {**options, "config_kwargs": {**options["config_kwargs"], **of_user}} if of_user and "config_kwargs" in options else options
    system, _ = fsspec.core.url_to_fs(place, **merged)
    if hasattr(system, "retries"):  # s3fs would ask five times for each of ours
        system.retries = 1
    return system


def _whole(content: bytes, size: int) -> bytes:
    if size >= 0 and len(content) != size:
        raise EOFError(f"{len(content)} of {size} bytes")
    return content


def _status(error: BaseException | None) -> int | None:
    return getattr(error, "status", None) if error is not None else None


def _is_missing(error: Exception, *, web: bool) -> bool:
    """Whether there is no such object; fsspec says so of the web whatever came instead of an answer, or an answer of any kind."""
    cause = error.__cause__
    status = _status(error) or _status(cause)
    return status in _NO_SUCH or (isinstance(error, FileNotFoundError) and not (web and cause is not None))


def _is_denied(error: Exception) -> bool:
    named = any(kind.__name__ in _DENIED for kind in type(error).__mro__)
    return named or _status(error) in _REFUSED or _status(error.__cause__) in _REFUSED
