"""Whole images for browsers, on pages here and on labelling servers: they show what the study reads.

Returns the bytes of a file, or of a PNG in its place, with their media type, and what to call them. Knows nothing of HTTP or pages.
"""

from __future__ import annotations

import io
from pathlib import PurePosixPath

from PIL import Image

from boxwise.data import image_store
from boxwise.data.addresses import Address
from boxwise.data.images import read_image

_JPEG, _PNG, _WEBP = "image/jpeg", "image/png", "image/webp"
_SHOWN = {"JPEG": _JPEG, "MPO": _JPEG, "PNG": _PNG, "WEBP": _WEBP}  # Pillow's formats that every browser shows
_SUFFIXES = {_JPEG: (".jpg", ".jpeg"), _PNG: (".png",), _WEBP: (".webp",)}  # not `mimetypes`, which knows what the machine does
_EIGHT_BITS = ("L", "RGB")
_ORIENTATION = 0x0112


def for_browsers(uri: Address) -> tuple[bytes, str]:
    """(bytes, media type) of an image: its file where a browser shows that as `read_image` gives it, else what `read_image` gives as PNG.

    Raises ImageError when it cannot be read.
    """
    content = image_store.read(uri)
    media = _media_for_browsers(content)
    if media is not None:
        return content, media
    buffer = io.BytesIO()
    Image.fromarray(read_image(uri)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue(), _PNG


def shown_as_it_is(uri: Address) -> bool:
    """Whether `for_browsers` is the image's file, by its header. Raises ImageError when there is none."""
    return _media_for_browsers(image_store.read(uri)) is not None


def named_for(name: str, media: str) -> str:
    """What to call a file of a media type that `for_browsers` gives: `name` where it says so, else that with a suffix more."""
    suffixes = _SUFFIXES[media]
    return name if PurePosixPath(name).suffix.lower() in suffixes else name + suffixes[0]


def _media_for_browsers(content: bytes) -> str | None:
    """The media type of a file that browsers show as the study reads it, by its header; None for any other, whatever it is called.

    Browsers show neither grey of more than 8 bits nor transparency as it is read here, move what is read as a still, and turn no picture
    but a JPEG, by its EXIF alone.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            media = _SHOWN.get(image.format or "")
            still = image.format == "MPO" or getattr(image, "n_frames", 1) == 1  # of the pictures of an MPO browsers show the first
            plain = image.mode in _EIGHT_BITS and not image.has_transparency_data
            return media if still and plain and _turned_alike(image, media) else None
    except Exception:  # decoders answer hostile bytes with any exception there is; `read_image` says what is wrong
        return None


def _turned_alike(image: Image.Image, media: str | None) -> bool:
    read = Image.Image.getexif(image).get(_ORIENTATION, 1)
    in_exif = Image.Exif()
    in_exif.load(image.info.get("exif", b""))
    return read == (in_exif.get(_ORIENTATION, 1) if media == _JPEG else 1)
