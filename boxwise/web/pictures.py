"""Pictures for the browser: a study's images by their ids, upright, and small copies of them.

Returns bytes with their media type. An image that a browser shows by itself is sent as it is; others become PNG.
"""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

from PIL import Image

from boxwise.data.images import read_image
from boxwise.errors import ImageError

SMALL = 320  # pixels of a thumbnail's longest side
_SHOWN = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".gif": "image/gif"}


def picture(path: Path) -> tuple[bytes, str]:
    """(bytes, media type) of an image for the browser, which turns it upright by its EXIF orientation as all readers here do.

    Raises ImageError when it cannot be read.
    """
    media = _SHOWN.get(path.suffix.lower())
    if media is not None:
        return path.read_bytes(), media
    buffer = io.BytesIO()
    Image.fromarray(read_image(path)).save(buffer, "PNG")
    return buffer.getvalue(), "image/png"


@lru_cache(maxsize=512)
def small_picture(path: Path, _modified: int) -> bytes:
    """JPEG of at most `SMALL` pixels a side. _modified: the file's time, so that a changed file is read anew. Raises ImageError."""
    image = Image.fromarray(read_image(path))
    image.thumbnail((SMALL, SMALL))
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def etag(path: Path) -> str:
    """Changes when the file does. Raises ImageError when it is gone."""
    try:
        found = path.stat()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}).") from None
    return f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
