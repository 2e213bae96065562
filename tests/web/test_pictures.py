"""Pictures for the browser: at the size that is looked at, kept within bounds; a file that is gone is a message, not a crash."""

import io

import numpy as np
import pytest
from PIL import Image

from boxwise.errors import ImageError
from boxwise.web.picture_cache import PictureCache
from boxwise.web.pictures import Pictures, etag


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
