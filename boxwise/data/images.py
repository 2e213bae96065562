"""Image files: measure, verify, decode and write them.

Decoding returns uint8 [H, W, 3] RGB, upright by EXIF, from files of any mode. One bad image is one ImageError.
Knows nothing of boxes, data sets or torch.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from boxwise.data import image_store
from boxwise.data.addresses import Address, is_local
from boxwise.errors import BoxwiseError, ImageError
from boxwise.files import replacing

MAX_PIXELS = 178_956_970  # where Pillow too sees a decompression bomb: 0.5 GB decoded
_ORIENTATION = 0x0112
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # `_opened` refuses such a file itself, as an error
_FULL_SCALE = {"I": 65535.0, "F": 1.0}  # what counts as white in the modes without a fixed range


def read_image(uri: Address) -> NDArray[np.uint8]:
    """The image as uint8 [H, W, 3] RGB, turned upright by its EXIF orientation.

    16-bit, 32-bit and float grey are scaled by their full range, not clipped; transparency is laid over white; of an animation
    the first frame. Raises ImageError with file, expected and found.
    """
    with _opened(uri) as image:
        image.load()
        return upright_rgb(image)


def upright_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """An opened image as `read_image` gives it."""
    return _to_rgb(ImageOps.exif_transpose(image))


def read_reduced(uri: Address, side: int) -> NDArray[np.uint8]:
    """As `read_image`, but at most `side` pixels a side; a JPEG is decoded at a fraction of its size. Raises ImageError."""
    with _opened(uri) as image:
        image.draft("RGB", (side, side))
        image.load()
        reduced = Image.fromarray(_to_rgb(ImageOps.exif_transpose(image)))
    reduced.thumbnail((side, side), reducing_gap=2.0)
    return np.array(reduced)


def image_size(uri: Address) -> tuple[int, int]:
    """(width, height) in pixels after EXIF orientation, from the header alone. Raises ImageError."""
    with _opened(uri) as image:
        return _upright_size(image)


def grey_thumbnail(uri: Address, side: int) -> NDArray[np.uint8]:
    """The upright image squeezed into side x side pixels of grey; uint8. Raises ImageError."""
    with _opened(uri) as image:
        image.draft("L", (4 * side, 4 * side))
        return np.asarray(ImageOps.exif_transpose(image).convert("L").resize((side, side), Image.Resampling.BOX))


def orientation(uri: Address) -> int:
    """The EXIF orientation, 1 to 8, that is still to be applied to the pixels as they are stored; 1 where none is. Raises ImageError."""
    with _opened(uri) as image:
        return _orientation_of(image)


def verify_image(uri: Address) -> tuple[int, int]:
    """(width, height) as `image_size`, after every byte of the picture was decoded. Raises ImageError for a broken file.

    A JPEG is decoded at an eighth of its size: truncation shows all the same, and it costs a third.
    """
    with _opened(uri) as image:
        size = _upright_size(image)
        image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
        image.load()
    return size


def digest(uri: Address) -> str:
    """Fingerprint of the file's bytes, equal for byte-equal files; 32 hex digits. Raises ImageError when it cannot be read."""
    if not is_local(uri):
        return hashlib.blake2b(image_store.read(uri), digest_size=16).hexdigest()
    try:
        with Path(uri).open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise ImageError(f"{uri}: expected a readable file, found: {error.strerror or error}.") from error


def write_image(array: NDArray[np.uint8], path: Path) -> None:
    """Write uint8 [H, W, 3] or [H, W] to `path` in the format of its suffix; the file is complete or absent."""
    image = Image.fromarray(array)
    with replacing(path) as aside:
        image.save(aside, quality=95) if path.suffix.lower() in {".jpg", ".jpeg"} else image.save(aside)


@contextmanager
def _opened(uri: Address) -> Iterator[Image.Image]:
    """The opened image; anything that goes wrong until the block ends becomes an ImageError."""
    try:
        source = uri if is_local(uri) else io.BytesIO(image_store.read(uri))
        with Image.open(source) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(f"{uri}: expected at most {MAX_PIXELS} pixels, found {image.width} x {image.height}.")
            yield image
    except BoxwiseError:
        raise
    except Exception as error:  # decoders answer hostile bytes with any exception there is
        raise ImageError(f"{uri}: expected an image that decodes, found {_reason(uri, error)}.") from error


def _reason(uri: Address, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if _is_empty(uri):
        return "an empty file"
    if isinstance(error, UnidentifiedImageError):
        return "a file of no known image format"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {MAX_PIXELS} pixels"
    return str(error).rstrip(".") or type(error).__name__


def _is_empty(uri: Address) -> bool:
    try:
        return image_store.stat(uri).size == 0
    except BoxwiseError:
        return False


def _upright_size(image: Image.Image) -> tuple[int, int]:
    # TIFF alone states its size upright already.
    sideways = image.format != "TIFF" and _orientation_of(image) in (5, 6, 7, 8)
    return (image.height, image.width) if sideways else (image.width, image.height)


def _orientation_of(image: Image.Image) -> int:
    # PNG's own getexif decodes the whole picture in search of a late chunk; the base class reads what the header gave.
    said = Image.Image.getexif(image).get(_ORIENTATION, 1)
    return said if said in range(1, 9) else 1


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I;16") or image.mode in _FULL_SCALE:
        return _scaled(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))


def _scaled(image: Image.Image) -> NDArray[np.uint8]:
    """Grey of more than 8 bits as uint8 RGB; a float picture whose values pass 1 is taken as one of 0 to 255."""
    grey = np.nan_to_num(np.asarray(image).astype(np.float64))
    white = _FULL_SCALE.get(image.mode, 65535.0)
    if image.mode == "F" and grey.max(initial=0.0) > 1:
        white = 255.0
    scaled = np.clip(np.rint(grey * (255 / white)), 0, 255).astype(np.uint8)
    return np.repeat(scaled[:, :, None], 3, axis=2)
