"""Pictures for the browser: at the size that is looked at, kept within bounds; a file that is gone is a message, not a crash."""

import io

import numpy as np
import pytest
from PIL import Image

from boxwise.errors import ImageError
from boxwise.records import ImageRecord
from boxwise.web.picture_cache import PictureCache
from boxwise.web.pictures import Pictures, etag, is_large, picture


def test_a_file_that_is_gone_is_named_and_a_changed_one_has_another_tag(tmp_path):
    path = tmp_path / "a.jpg"
    with pytest.raises(ImageError, match=r"a\.jpg: expected an image, found no such file"):
        etag(path)
    path.write_bytes(b"one")
    first = etag(path)
    path.write_bytes(b"other")
    assert etag(path) != first


def test_a_small_copy_is_upright_made_once_and_made_anew_of_a_changed_file(tmp_path):
    path, pictures = tmp_path / "a.jpg", Pictures(PictureCache(tmp_path / "kept"))
    sideways = Image.Exif()
    sideways[0x0112] = 6
    Image.fromarray(np.full((600, 1200, 3), 200, np.uint8)).save(path, exif=sideways)
    assert Image.open(io.BytesIO(pictures.thumbnail(path))).size == (160, 320)
    (kept,) = (tmp_path / "kept").iterdir()
    kept.write_bytes(b"from the disk")
    assert pictures.thumbnail(path) == b"from the disk"
    Image.fromarray(np.zeros((60, 40, 3), np.uint8)).save(path)
    assert Image.open(io.BytesIO(pictures.thumbnail(path))).size == (40, 60)


def test_the_cache_keeps_its_bound_and_what_was_used_last(tmp_path):
    cache = PictureCache(tmp_path / "kept", most_bytes=100)
    for name in "abcd":
        cache.put(name, b"x" * 30)
        cache.get("a")
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"a", "c", "d"}
    again = PictureCache(tmp_path / "kept", most_bytes=100)
    again.put("e", b"x" * 30)
    assert len(list((tmp_path / "kept").iterdir())) == 3 and again.get("e") is not None and again.get("b") is None


def test_a_cache_that_cannot_be_written_serves_all_the_same(tmp_path):
    (tmp_path / "kept").write_bytes(b"a file where the folder should be")
    Image.fromarray(np.zeros((60, 40, 3), np.uint8)).save(tmp_path / "a.png")
    assert Pictures(PictureCache(tmp_path / "kept")).thumbnail(tmp_path / "a.png")


def test_images_of_a_bucket_are_shown_at_every_size_and_downloaded_once(bucket, tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 1100, 3), np.uint8)).save(buffer, "PNG")
    uri, pictures = bucket.put("set/a.png", buffer.getvalue()), Pictures(PictureCache(tmp_path / "kept"))
    first = etag(uri)
    assert picture(uri) == (buffer.getvalue(), "image/png")
    assert Image.open(io.BytesIO(pictures.thumbnail(uri))).size == (320, 262)
    assert Image.open(io.BytesIO(pictures.tile(uri, 1, 0))).size == (76, 900)
    assert etag(uri) == first and not is_large(ImageRecord("a.png", uri, 1100, 900))
    assert bucket.proxy.images() == {"/photos/set/a.png": 1}
    with pytest.raises(ImageError, match=r"none\.png: expected an image"):
        pictures.preview("s3://photos/set/none.png")
