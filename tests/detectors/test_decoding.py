"""Every JPEG decoder gives what Pillow gives, whatever a camera or a program wrote."""

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boxwise.data.images import image_size, read_image
from boxwise.detectors import decoding
from boxwise.detectors.decoding import decode, jpeg_decoder
from boxwise.detectors.input import InputSpec
from boxwise.detectors.loading import resized
from boxwise.errors import ImageError

DECODERS = ("torchcodec", "torchvision", "Pillow")


@pytest.fixture(params=DECODERS)
def decoder(request, monkeypatch) -> Iterator[str]:
    """The decoder that is used, the only fast one there is."""
    finders = {name: find for name, find in decoding.FASTEST_FIRST.items() if name == request.param}
    monkeypatch.setattr(decoding, "FASTEST_FIRST", finders)
    jpeg_decoder.cache_clear()
    if not jpeg_decoder().name.startswith(request.param):
        pytest.skip(f"not here: {jpeg_decoder()}")
    yield request.param
    jpeg_decoder.cache_clear()


def painting(width: int = 203, height: int = 101) -> Image.Image:
    """A smooth colour picture, as JPEG likes it."""
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 255, (4, 5, 3), dtype=np.uint8)).resize((width, height), Image.Resampling.BICUBIC)


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def jpeg(mode: str = "RGB", **options) -> bytes:
    stream = io.BytesIO()
    painting().convert(mode).save(stream, "jpeg", **options)
    return stream.getvalue()


def with_segments(content: bytes, *segments: bytes) -> bytes:
    """A JPEG with further metadata segments (APP1) before its own, in this order."""
    return content[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", len(each) + 2) + each for each in segments) + content[2:]


XMP = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>"
FILES = {
    "4:4:4": jpeg(subsampling=0),
    "4:2:2": jpeg(subsampling=1),
    "4:2:0": jpeg(subsampling=2),
    "progressive": jpeg(progressive=True),
    "grey": jpeg("L"),
    "CMYK": jpeg("CMYK"),
    "something behind its end": jpeg() + b"12345678" * 9,
    "grey and turned": jpeg("L", exif=turned(6)),
    "CMYK and turned": jpeg("CMYK", exif=turned(8)),
    "XMP before EXIF": with_segments(jpeg(), XMP, turned(6).tobytes()),
    "XMP before EXIF, upside down": with_segments(jpeg(), XMP, turned(3).tobytes()),
    "orientation in XMP alone": with_segments(jpeg(), b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="3"/>'),
    "EXIF without, XMP with orientation": with_segments(
        jpeg(), Image.Exif().tobytes(), b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="4"/>'
    ),
    **{f"orientation {number}": jpeg(exif=turned(number)) for number in range(1, 9)},
}


@pytest.mark.parametrize("kind", FILES)
def test_equals_pillow(decoder: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(FILES[kind])
    found, expected = decode(path), read_image(path)
    assert tuple(found.shape) == (3, *expected.shape[:2])
    assert image_size(path) == (found.shape[2], found.shape[1])
    assert np.abs(found.permute(1, 2, 0).numpy().astype(int) - expected).max() <= 3
    assert resized(found, InputSpec(32)).equal(resized(found.contiguous(), InputSpec(32)))  # whatever their order in memory


@pytest.mark.parametrize("kind", ["4:2:0", "grey", "orientation 6"])
def test_the_fast_decoder_reads_what_cameras_write(decoder: str, kind: str, tmp_path: Path, monkeypatch) -> None:
    if decoder == "Pillow":
        pytest.skip("Pillow reads everything")
    monkeypatch.setattr(decoding, "read_image", lambda path: pytest.fail("left to Pillow"))
    (tmp_path / "a.jpg").write_bytes(FILES[kind])
    decode(tmp_path / "a.jpg")


@pytest.mark.parametrize(("mode", "suffix"), [("RGB", "png"), ("P", "png"), ("RGB", "bmp"), ("RGBA", "webp")])
def test_reads_other_formats(decoder: str, mode: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    painting().convert(mode).save(path)
    np.testing.assert_array_equal(decode(path).permute(1, 2, 0).numpy(), read_image(path))


def test_a_png_named_jpg_is_read_by_its_content(decoder: str, tmp_path: Path) -> None:
    painting().save(tmp_path / "a.jpg", format="png")
    np.testing.assert_array_equal(decode(tmp_path / "a.jpg").permute(1, 2, 0).numpy(), np.asarray(painting()))


def _bomb() -> bytes:
    """A sound JPEG whose header says that it has 65,000 × 65,000 pixels."""
    content = jpeg()
    frame = content.index(b"\xff\xc0") + 5  # marker, length, precision
    return content[:frame] + struct.pack(">HH", 65_000, 65_000) + content[frame + 4 :]


DAMAGED = {
    "empty": b"",
    "text": b"not an image",
    "truncated": jpeg()[: len(jpeg()) // 2],
    "without its end": jpeg()[:-2],
    "no more than a marker": b"\xff\xd8\xff",
    "a bomb": _bomb(),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", [*DAMAGED, "missing", "a folder"])
def test_damage_is_an_image_error_naming_the_file(decoder: str, kind: str, tmp_path: Path) -> None:
    if kind == "a folder":
        (tmp_path / "bad.jpg").mkdir()
    elif kind != "missing":
        (tmp_path / "bad.jpg").write_bytes(DAMAGED[kind])
    with pytest.raises(ImageError, match=r"bad\.jpg: expected .*found"):
        decode(tmp_path / "bad.jpg")


def test_real_photos_equal_pillow(decoder: str, shared_data: Path) -> None:
    for path in sorted((shared_data / "bccd" / "JPEGImages").glob("*.jpg"))[:5]:
        assert np.abs(decode(path).permute(1, 2, 0).numpy().astype(int) - read_image(path)).mean() < 1


def test_a_decoder_that_does_not_work_is_passed_over_and_named(monkeypatch) -> None:
    def broken() -> None:
        raise OSError("libtorch.so: undefined symbol")

    def wrong():
        return "wrong 1.0", lambda data: np.zeros((1, 1, 1))

    monkeypatch.setattr(decoding, "FASTEST_FIRST", {"torchcodec": broken, "torchvision": wrong})
    jpeg_decoder.cache_clear()
    text = str(jpeg_decoder())
    jpeg_decoder.cache_clear()
    assert text.startswith(f"Pillow {Image.__version__} (")
    assert "torchcodec: libtorch.so: undefined symbol" in text and "torchvision: its test picture" in text
