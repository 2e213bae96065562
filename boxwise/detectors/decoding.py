"""From an image file to uint8 RGB pixels, JPEG by the fastest decoder that works here.

Tries TorchCodec, then torchvision (whose decoder is deprecated from 0.29), then Pillow. What each decodes is held equal to Pillow's by the
tests: which one is used changes how long it takes, never a size and hardly a pixel.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from boxwise.data import image_store
from boxwise.data.addresses import Address, is_local
from boxwise.data.images import MAX_PIXELS, read_image, upright_rgb
from boxwise.errors import BoxwiseError, ImageError

Decode = Callable[[Tensor], Any]  # any: TorchCodec may also return lists

_JPEG, _APP1, _EXIF = b"\xff\xd8\xff", b"\xff\xe1", b"Exif\0\0"
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class JpegDecoder:
    """How JPEG files are decoded: `name` with version, and `decode`, from the file's bytes (uint8 [n]) to uint8 [1 or 3, H, W], turned
    upright by the first metadata segment if that is EXIF; None for Pillow. passed_over: why each faster one is not used."""

    name: str
    decode: Decode | None
    passed_over: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} ({'; '.join(self.passed_over)})" if self.passed_over else self.name


def _torchcodec() -> tuple[str, Decode]:
    import torchcodec
    from torchcodec.decoders import decode_jpeg  # from 0.16

    return f"torchcodec {torchcodec.__version__}", lambda data: decode_jpeg(data, mode="RGB")


def _torchvision() -> tuple[str, Decode]:
    import torchvision
    from torchvision.io import decode_jpeg

    return f"torchvision {torchvision.__version__}", lambda data: decode_jpeg(data, apply_exif_orientation=True)


FASTEST_FIRST: dict[str, Callable[[], tuple[str, Decode]]] = {"torchcodec": _torchcodec, "torchvision": _torchvision}


@cache
def jpeg_decoder() -> JpegDecoder:
    """The first of TorchCodec, torchvision and Pillow that decodes a small picture here: one may be installed and yet not work, such as one
    built for another torch."""
    passed_over: list[str] = []
    for package, find in FASTEST_FIRST.items():
        try:
            name, decode = find()
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
                if decode(torch.from_numpy(_small_jpeg())).shape == (3, 8, 16):
                    return JpegDecoder(name, decode, tuple(passed_over))
            passed_over.append(f"{package}: its test picture came out wrong")
        except Exception as error:  # a missing package, a missing system library, another torch: each raises something else
            passed_over.append(f"{package}: {str(error).partition(chr(10))[0] or type(error).__name__}")
    return JpegDecoder(f"Pillow {Image.__version__}", None, tuple(passed_over))


def _small_jpeg() -> np.ndarray:
    stream = io.BytesIO()
    Image.new("RGB", (16, 8)).save(stream, "jpeg")
    return np.frombuffer(stream.getvalue(), np.uint8).copy()


def decode(uri: Address) -> Tensor:
    """The image as uint8 RGB [3, H, W], turned upright by its EXIF orientation; pixel after pixel in memory, which is faster to resize.

    Anything but a plain JPEG, and one that the fast decoder refuses, is read by `images.read_image`. Raises ImageError.
    """
    pixels = _decoded_fast(uri)
    return _channels_first(read_image(uri)) if pixels is None else pixels


def pixels_of(image: Address | Image.Image | np.ndarray, name: str) -> Tensor:
    """A file, an opened image or an array (uint8 RGB [H, W, 3], or grey [H, W]) as uint8 RGB [3, H, W]; ImageError that names it."""
    if isinstance(image, str | Path):
        return decode(image)
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or 0 in image.shape or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
            raise ImageError(f"{name}: expected an array uint8 [height, width, 3] of RGB, found {image.dtype} {list(image.shape)}.")
        return torch.from_numpy(np.require(image, requirements=["C", "W"])).expand(3, -1, -1) if image.ndim == 2 else _channels_first(image)
    if 0 in image.size:
        raise ImageError(f"{name}: expected an image, found one of {image.width} x {image.height} pixels.")
    try:
        return _channels_first(upright_rgb(image))
    except Exception as error:  # an opened file is decoded only now, and may be damaged in any way
        raise ImageError(f"{name}: expected an image that decodes, found {error or type(error).__name__}.") from error


def _channels_first(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.require(pixels, requirements=["C", "W"])).permute(2, 0, 1)


def _decoded_fast(uri: Address) -> Tensor | None:
    """The image by the fast decoder; None where Pillow has to read it, or to say what is wrong with it."""
    decoder = jpeg_decoder().decode
    if decoder is None:
        return None
    try:
        data = np.fromfile(uri, np.uint8) if is_local(uri) else np.frombuffer(bytearray(image_store.read(uri)), np.uint8)
        if data[:3].tobytes() != _JPEG:
            return None
        size = _plain_size(data)
        if size is None:
            return None
        pixels = decoder(torch.from_numpy(data))
    except BoxwiseError:
        raise
    except Exception:  # hostile bytes are answered with any exception there is; Pillow words the message
        return None
    return pixels.expand(3, -1, -1) if tuple(pixels.shape[1:]) == size else None


def _plain_size(data: np.ndarray) -> tuple[int, int] | None:
    """(height, width) upright of grey and RGB files of a sound size whose orientation a fast decoder finds; None for others.

    Pillow reads the header alone (0.03 ms). A fast decoder sees the orientation only in the first metadata segment: programs that write XMP
    before EXIF would have their pictures lie on their side.
    """
    with Image.open(io.BytesIO(data.tobytes())) as image:
        if image.mode not in ("L", "RGB") or image.width * image.height > MAX_PIXELS:
            return None
        orientation = image.getexif().get(_ORIENTATION, 1)
        if orientation != 1 and orientation != _first_orientation(image, data.tobytes()):
            return None
        return (image.width, image.height) if orientation in (5, 6, 7, 8) else (image.height, image.width)


def _first_orientation(image: Image.Image, data: bytes) -> int | None:
    """The orientation of the first metadata segment; None where that is no EXIF."""
    start = data.find(_APP1) + 4  # the marker, then the segment's length in two bytes
    if data[start : start + len(_EXIF)] != _EXIF:
        return None
    exif = Image.Exif()
    exif.load(image.info["exif"])
    return exif.get(_ORIENTATION)
