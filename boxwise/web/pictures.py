"""Pictures for the browser: a study's images by their ids, upright, at the size that is looked at.

Returns JPEG bytes; a whole image is `boxwise.data.for_browsers`. Small copies are kept on the disk (picture_cache.py). Knows nothing of
HTTP or studies.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from boxwise.data import image_store
from boxwise.data.addresses import absolute, is_local, place_of
from boxwise.data.for_browsers import shown_as_it_is
from boxwise.data.images import read_image, read_reduced
from boxwise.data.object_store import OTHERS
from boxwise.data.presence import check_place
from boxwise.errors import ImageError, ImageStoreError
from boxwise.records import ImageRecord
from boxwise.web.picture_cache import PictureCache

SMALL = 320  # pixels of a thumbnail's longest side
PREVIEW = 2048  # of a preview's
TILE = 1024  # pixels of a tile's sides
_LARGEST, _MOST_BYTES = 2560, 3 * 2**20  # up to these an image is sent whole
_MOST_MADE = 2**20  # pixels up to which it is sent whole where that has to be made for browsers: a PNG of any size in bytes


class Pictures:
    """Thumbnails, previews and tiles of images, made when first asked for; one at a time is decoded, so that memory stays bounded."""

    def __init__(self, cache: PictureCache) -> None:
        self._cache = cache
        self._decoding = Lock()

    def thumbnail(self, uri: str) -> bytes:
        """At most `SMALL` pixels a side. Raises ImageError."""
        return self._reduced(uri, SMALL, quality=80)

    def preview(self, uri: str) -> bytes:
        """At most `PREVIEW` pixels a side. Raises ImageError."""
        return self._reduced(uri, PREVIEW, quality=88)

    def tile(self, uri: str, column: int, row: int) -> bytes:
        """One square of the original, of `TILE` pixels a side and fewer at the right and lower edge. Raises ImageError outside of it."""
        found = self._cache.get(_tile_name(uri, column, row))
        if found is None:
            with self._decoding:
                found = self._cache.get(_tile_name(uri, column, row)) or self._cut(uri, column, row)
        if found is None:
            raise ImageError(f"{uri}: has no tile {column}, {row}.")
        return found

    def _cut(self, uri: str, column: int, row: int) -> bytes | None:
        """Every tile goes to the cache, since the decoding is what costs; the one that was asked for."""
        wanted = None
        for at, content in _tiles(read_image(uri)):
            self._cache.put(_tile_name(uri, *at), content)
            wanted = content if at == (column, row) else wanted
        return wanted

    def _reduced(self, uri: str, side: int, *, quality: int) -> bytes:
        name = f"{version(uri)}-{side}"
        found = self._cache.get(name)
        if found is None:
            with self._decoding:
                found = jpeg(read_reduced(uri, side), quality)
            self._cache.put(name, found)
        return found


def check_file(record: ImageRecord, others: Callable[[], Iterable[ImageRecord]]) -> None:
    """Raises ImageError where an image's file is gone; ImageStoreError where it may come back, see `check_place`.

    others: images of the study. Of a store that refuses one image it is known that it gives any once it has given another.
    """
    try:
        _check(record)
    except ImageStoreError:
        place = place_of(record.uri)
        beside = (other.uri for other in others() if other.uri != record.uri and place_of(other.uri) == place)
        if not image_store.gives_any([*islice(beside, OTHERS)]):
            raise
        _check(record)


def _check(record: ImageRecord) -> None:
    try:
        image_store.stat(record.uri)
    except (ImageError, ImageStoreError) as error:
        check_place(record)
        if not is_local(record.uri):
            raise
        raise ImageError(str(error)) from error


def is_large(record: ImageRecord) -> bool:
    """Whether a preview is sent first; raises ImageError when the file is gone."""
    if max(record.width, record.height) > _LARGEST or image_store.stat(record.uri).size > _MOST_BYTES:
        return True
    return record.width * record.height > _MOST_MADE and not shown_as_it_is(record.uri)


def jpeg(pixels: NDArray[np.uint8], quality: int) -> bytes:
    """JPEG of uint8 [H, W, 3]."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def version(uri: str) -> str:
    """Names a file with what it holds now: another one's, and this one's after a change, differ. Raises ImageError when it is gone."""
    return hashlib.sha256(f"{absolute(uri)}|{image_store.stat(uri).stamp}".encode()).hexdigest()[:32]


def _tile_name(uri: str, column: int, row: int) -> str:
    return f"{version(uri)}-{column}-{row}"


def _tiles(pixels: NDArray[np.uint8]) -> Iterator[tuple[tuple[int, int], bytes]]:
    """((column, row), JPEG) of every tile."""
    for row, y in enumerate(range(0, pixels.shape[0], TILE)):
        for column, x in enumerate(range(0, pixels.shape[1], TILE)):
            yield (column, row), jpeg(np.ascontiguousarray(pixels[y : y + TILE, x : x + TILE]), 92)
