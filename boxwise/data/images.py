"""Image files: measure, verify, decode and write them.

Decoding returns uint8 [H, W, 3] RGB, upright by EXIF, from files of any mode. One bad image is one ImageError.
Knows nothing of boxes, data sets or torch.
"""

from __future__ import annotations

import hashlib
import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from boxwise.data import image_store
from boxwise.data.addresses import Address, is_local, redacted
from boxwise.errors import BoxwiseError, ImageError
from boxwise.files import replacing

MAX_PIXELS = 178_956_970  # where Pillow too sees a decompression bomb: 0.5 GB decoded
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # `_opened` refuses such a file itself, as an error


def read_image(uri: Address) -> NDArray[np.uint8]:
    """The image as uint8 [H, W, 3] RGB, turned upright by its EXIF orientation.

    Grey of more than 8 bits is scaled by the range that its values show it to have (`_white_of`); transparency is laid over white; of an
    animation the first frame. Raises ImageError with file, expected and found.
    """
    with _opened(uri) as image:
        return upright_rgb(image)


def upright_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """An opened image as `read_image` gives it."""
    return _to_rgb(_upright(image))


def read_reduced(uri: Address, side: int) -> NDArray[np.uint8]:
    """As `read_image`, but at most `side` pixels a side; a JPEG is decoded at a fraction of its size. Raises ImageError."""
    with _opened(uri) as image:
        image.draft("RGB", (side, side))
        reduced = Image.fromarray(_to_rgb(_upright(image)))
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
        return np.asarray(_grey(_upright(image)).resize((side, side), Image.Resampling.BOX))


def contrast(uri: Address) -> float:
    """The share of the range from black to white that the image's grey values span once decoded, in [0, 1]; of a JPEG those of its eighth.

    Raises ImageError.
    """
    with _opened(uri) as image:
        image.draft("L", (max(1, image.width // 8), max(1, image.height // 8)))
        grey = np.asarray(_grey(_upright(image)))
    return float(np.ptp(grey)) / 255


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
        # An open file, not its name: of a name Pillow maps grey TIFF files into memory, and then does not turn them.
        with Path(uri).open("rb") if is_local(uri) else io.BytesIO(image_store.read(uri)) as file, Image.open(file) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(f"{redacted(str(uri))}: expected at most {MAX_PIXELS} pixels, found {image.width} x {image.height}.")
            yield image
    except BoxwiseError:
        raise
    except Exception as error:  # decoders answer hostile bytes with any exception there is
        raise ImageError(f"{redacted(str(uri))}: expected an image that decodes, found {_reason(uri, error)}.") from error


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


def _upright(image: Image.Image) -> Image.Image:
    """The decoded image turned as its header says, which is what `_upright_size` goes by: a PNG may say otherwise behind its pixels."""
    turn = _TURNS.get(_orientation_of(image))
    image.load()
    return image if turn is None or image.format == "TIFF" else image.transpose(turn)  # Pillow turns a TIFF as it decodes it


def _upright_size(image: Image.Image) -> tuple[int, int]:
    # TIFF alone states its size upright already.
    sideways = image.format != "TIFF" and _orientation_of(image) in (5, 6, 7, 8)
    return (image.height, image.width) if sideways else (image.width, image.height)


def _orientation_of(image: Image.Image) -> int:
    # PNG's own getexif decodes the whole picture in search of a late chunk; the base class reads what the header gave.
    value = Image.Image.getexif(image).get(_ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if _is_deep(image):
        return np.repeat(_scaled(image)[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))


def _grey(image: Image.Image) -> Image.Image:
    return Image.fromarray(_scaled(image)) if _is_deep(image) else image.convert("L")


def _is_deep(image: Image.Image) -> bool:
    """Whether it is grey of more than 8 bits, whole numbers or floats."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def _scaled(image: Image.Image) -> NDArray[np.uint8]:
    """Grey of more than 8 bits as uint8 [H, W]."""
    values = np.asarray(image).astype(np.float64)
    largest = float(values[np.isfinite(values)].max(initial=0.0))
    white = _white_of(largest, floats=image.mode == "F")
    grey = np.nan_to_num(values, posinf=largest, neginf=0.0)
    return np.clip(np.rint(grey * (255 / white)), 0, 255).astype(np.uint8)


def _white_of(largest: float, *, floats: bool) -> float:
    """What counts as white in a grey image whose largest value is that: the end of the smallest of the usual ranges that holds it.

    Images of one camera, which fill their range more or less, are so scaled alike: by 8, 12, 14 or 16 bits, by the next power of two where
    they have more, and floats that stay within 1 by 1.
    """
    ranges = (*((1.0,) if floats else ()), 255.0, 4095.0, 16383.0, 65535.0)
    return next((white for white in ranges if largest <= white), 2.0 ** math.ceil(math.log2(largest + 1)) - 1)
