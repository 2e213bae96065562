"""Images for browsers: the file where it is shown as it is read, else what is read."""

import io

import numpy as np
import pytest
from odd_pictures import ALIKE, OTHERWISE, odd_picture
from PIL import Image

from boxwise.data.for_browsers import for_browsers
from boxwise.data.images import read_image
from boxwise.errors import ImageError


@pytest.mark.parametrize("name", ALIKE)
def test_a_file_that_browsers_show_as_it_is_read_stays_as_it_is(tmp_path, name):
    path = odd_picture(tmp_path, name)
    media = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}[name.rpartition(".")[2]]
    assert for_browsers(path) == (path.read_bytes(), media)


@pytest.mark.parametrize("name", OTHERWISE)
def test_of_any_other_file_comes_what_is_read(tmp_path, name):
    path = odd_picture(tmp_path, name)
    content, media = for_browsers(path)
    with Image.open(io.BytesIO(content)) as sent:
        assert (media, sent.format, sent.mode) == ("image/png", "PNG", "RGB") and np.array_equal(np.array(sent), read_image(path))


def test_a_file_that_is_no_picture_is_named(tmp_path):
    (tmp_path / "none.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"none\.png: expected an image that decodes"):
        for_browsers(tmp_path / "none.png")
