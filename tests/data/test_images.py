import io
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boxwise.data.image_store import find_images
from boxwise.data.images import (
    contrast,
    digest,
    grey_thumbnail,
    image_size,
    orientation,
    read_image,
    read_reduced,
    verify_image,
    write_image,
)
from boxwise.errors import ImageError


@pytest.fixture
def photo() -> Image.Image:
    """40 x 20 pixels, smooth, red rising to the right and green downward: orientation shows in the corners."""
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, 40)[None]
    pixels[..., 1] = np.linspace(0, 255, 20)[:, None]
    return Image.fromarray(pixels)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_pixels_and_sizes_alike(tmp_path: Path, photo: Image.Image, suffix: str, orientation: int) -> None:
    path = tmp_path / f"photo.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    turns = {1: [], 2: ["h"], 3: ["r", "r"], 4: ["v"], 5: ["t"], 6: ["r"], 7: ["t", "r", "r"], 8: ["r", "r", "r"]}[orientation]
    expected = np.asarray(photo)
    for turn in turns:
        expected = {
            "h": lambda a: a[:, ::-1],
            "v": lambda a: a[::-1],
            "t": lambda a: a.transpose(1, 0, 2),
            "r": lambda a: np.rot90(a, -1),
        }[turn](expected)
    photo.save(
        path, exif=exif, **({"quality": 100, "subsampling": 0} if suffix == "jpg" else {"lossless": True} if suffix == "webp" else {})
    )

    image = read_image(path)

    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).max() <= (4 if suffix == "jpg" else 0)
    assert image_size(path) == verify_image(path) == (image.shape[1], image.shape[0])


def test_grey_and_grey_with_alpha(tmp_path: Path) -> None:
    Image.new("L", (3, 2), 77).save(tmp_path / "grey.png")
    Image.new("LA", (3, 2), (100, 0)).save(tmp_path / "grey_alpha.png")
    assert (read_image(tmp_path / "grey.png") == 77).all()
    assert (read_image(tmp_path / "grey_alpha.png") == 255).all()  # fully transparent: the white below


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, mode: str) -> None:
    values = np.array([[0, 257, 32896, 65535]], ">u2" if mode.endswith("B") else "<u2")
    Image.frombytes(mode, (4, 1), values.tobytes()).save(tmp_path / "deep.tif")
    assert read_image(tmp_path / "deep.tif")[0, :, 0].tolist() == [0, 1, 128, 255]


def test_sixteen_bit_png(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 32896, 65535]], np.uint16)).save(tmp_path / "deep.png")
    assert read_image(tmp_path / "deep.png")[0].tolist() == [[0] * 3, [128] * 3, [255] * 3]


@pytest.mark.parametrize(("kind", "ending"), [(np.uint16, "png"), (np.int32, "tif"), (np.float32, "tif")])
@pytest.mark.parametrize(
    ("values", "expected"), [([0, 2048, 4095], [0, 128, 255]), ([0, 128, 255], [0, 128, 255]), ([0, 8192, 16383], [0, 128, 255])]
)
def test_grey_of_fewer_bits_than_its_file_keeps_its_contrast(
    tmp_path: Path, kind: type, ending: str, values: list[int], expected: list[int]
) -> None:
    path = tmp_path / f"deep.{ending}"
    Image.fromarray(np.array([values], kind)).save(path)
    assert read_image(path)[0, :, 0].tolist() == expected
    assert grey_thumbnail(path, 3)[1].tolist() == expected and contrast(path) == 1


def test_images_of_one_camera_are_scaled_alike(tmp_path: Path) -> None:
    for name, largest in (("bright", 4000), ("dark", 300)):
        Image.fromarray(np.array([[0, 200, largest]], np.uint16)).save(tmp_path / f"{name}.png")
    assert read_image(tmp_path / "bright.png")[0, 1, 0] == read_image(tmp_path / "dark.png")[0, 1, 0]


def test_float_images_of_both_ranges(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32)).save(tmp_path / "unit.tif")
    Image.fromarray(np.array([[0.0, 100.0, np.nan]], np.float32)).save(tmp_path / "byte.tif")
    assert read_image(tmp_path / "unit.tif")[0, :, 0].tolist() == [0, 128, 255]
    assert read_image(tmp_path / "byte.tif")[0, :, 0].tolist() == [0, 100, 0]


def test_cmyk_jpeg(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), (200, 30, 60)).convert("CMYK").save(tmp_path / "print.jpg", quality=100)
    assert np.abs(read_image(tmp_path / "print.jpg").astype(int) - (200, 30, 60)).max() <= 4


def test_palette_with_and_without_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1])
    image.save(tmp_path / "plain.png")
    image.save(tmp_path / "hole.png", transparency=1)
    assert read_image(tmp_path / "plain.png")[0].tolist() == [[10, 20, 30], [200, 100, 50]]
    assert read_image(tmp_path / "hole.png")[0].tolist() == [[10, 20, 30], [255, 255, 255]]


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    Image.new("RGBA", (1, 1), (0, 0, 0, 51)).save(tmp_path / "veil.png")
    assert read_image(tmp_path / "veil.png")[0, 0].tolist() == [204] * 3


def test_one_bit(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "fax.png")
    assert read_image(tmp_path / "fax.png")[0].tolist() == [[255] * 3, [0] * 3]


def _png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def _broken(kind: str, photo: Image.Image) -> bytes:
    stream = io.BytesIO()
    photo.resize((200, 100)).save(stream, "png" if "png" in kind else "jpeg")
    whole = stream.getvalue()
    return {
        "empty": b"",
        "text": b"no picture at all" * 10,
        "truncated jpeg": whole[: len(whole) // 2],
        "jpeg without its end": whole[:-2],
        "truncated png": whole[: len(whole) // 2],
        "corrupt png": whole[:60] + bytes(80) + whole[140:],
        "png bomb": _png_header(60_000, 60_000) + whole[33:],
        "large png": _png_header(14_000, 13_000) + whole[33:],
    }[kind]


KINDS = ["empty", "text", "truncated jpeg", "jpeg without its end", "truncated png", "corrupt png", "png bomb", "large png"]


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("read", [read_image, verify_image])
@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_file_is_one_error_that_names_it(tmp_path: Path, photo: Image.Image, kind: str, read) -> None:
    path = tmp_path / "broken.bin"
    path.write_bytes(_broken(kind, photo))
    with pytest.raises(ImageError, match=r"broken\.bin: expected .*found "):
        read(path)


@pytest.mark.parametrize("read", [read_image, verify_image, image_size, digest])
def test_a_missing_file(tmp_path: Path, read) -> None:
    with pytest.raises(ImageError, match=r"gone\.jpg: expected .* found"):
        read(tmp_path / "gone.jpg")


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        read_image(tmp_path)


def test_every_truncation_of_a_real_jpeg_is_seen(tmp_path: Path, shared_data: Path) -> None:
    whole = next((shared_data / "bccd" / "JPEGImages").glob("*.jpg")).read_bytes()
    path = tmp_path / "cut.jpg"
    for kept in np.linspace(0.01, 0.999, 40):
        path.write_bytes(whole[: int(len(whole) * kept)])
        with pytest.raises(ImageError):
            verify_image(path)


def test_find_images_takes_any_case_and_depth_but_nothing_hidden(tmp_path: Path) -> None:
    for name in ("b.JPG", "a/c.jpeg", "a/B.Png", "notes.txt", ".hidden/d.jpg", "a/.thumb.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)] == ["a/B.Png", "a/c.jpeg", "b.JPG"]


def test_digest_tells_files_apart_by_their_bytes(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")


def test_write_image_reads_back_and_leaves_nothing_beside(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    write_image(pixels, tmp_path / "sub" / "x.png")
    assert np.array_equal(read_image(tmp_path / "sub" / "x.png"), pixels)
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["x.png"]


@pytest.mark.parametrize("late", [False, True])
def test_what_a_png_says_behind_its_pixels_turns_neither_them_nor_its_size(tmp_path: Path, photo: Image.Image, late: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content, chunk = io.BytesIO(), exif.tobytes().removeprefix(b"Exif\x00\x00")
    photo.save(content, "PNG")
    raw, path = content.getvalue(), tmp_path / "photo.png"
    place = raw.index(b"IEND" if late else b"IDAT") - 4
    chunk = struct.pack(">I", len(chunk)) + b"eXIf" + chunk + struct.pack(">I", zlib.crc32(b"eXIf" + chunk))
    path.write_bytes(raw[:place] + chunk + raw[place:])
    size = (40, 20) if late else (20, 40)
    assert image_size(path) == verify_image(path) == size
    assert read_image(path).shape[1::-1] == read_reduced(path, 2048).shape[1::-1] == size
    assert orientation(path) == (1 if late else 6)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_a_tiff_of_any_mode_is_turned_as_its_size_says(tmp_path: Path, photo: Image.Image, mode: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.convert(mode).save(tmp_path / "photo.tif", exif=exif)
    assert image_size(tmp_path / "photo.tif") == read_image(tmp_path / "photo.tif").shape[1::-1] == (20, 40)


def test_a_message_shows_no_signature(tmp_path: Path) -> None:
    (tmp_path / "a?SECRET.jpg").write_bytes(b"no picture")
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        tar.add(tmp_path / "a?SECRET.jpg", "a?SECRET.jpg")
    with pytest.raises(ImageError, match="expected an image that decodes") as caught:
        read_image(f"tar://a?SECRET.jpg::{tmp_path}/shard.tar")
    assert "SECRET" not in str(caught.value)
