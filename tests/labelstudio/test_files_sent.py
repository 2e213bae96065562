"""What is uploaded of an image: what the study reads, under a name that says what it is."""

import io
import mimetypes

import numpy as np
import pytest
from odd_pictures import odd_picture
from PIL import Image

from boxwise.data.images import read_image
from boxwise.labelstudio.sync import _file
from boxwise.records import ImageRecord


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("plain.jpg", "plain.jpg"),
        ("plain.JPEG", "plain.JPEG"),
        ("plain.webp", "plain.webp"),
        ("two.mpo.jpg", "two.mpo.jpg"),
        ("plain.bmp", "plain.bmp.png"),
        ("a tiff.jpg", "a tiff.jpg.png"),
        ("twelve bits.png", "twelve bits.png"),
        ("turned.webp", "turned.webp.png"),
    ],
)
def test_a_file_is_what_the_study_reads_and_called_so(tmp_path, monkeypatch, name, called):
    monkeypatch.setattr(mimetypes, "_db", mimetypes.MimeTypes())
    mimetypes._db.types_map[True].pop(".webp", None)  # as on a machine without a list of types
    path = odd_picture(tmp_path, name)
    sent, content = _file(ImageRecord(f"below/{name}", str(path), 60, 40))
    assert sent == called and np.array_equal(np.array(Image.open(io.BytesIO(content)).convert("RGB")), read_image(path))
