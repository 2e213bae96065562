import numpy as np
import pytest
from PIL import Image

from boxwise.boxes import Boxes
from boxwise.errors import ImageError
from boxwise.report.drawing import draw_sources

GREEN, AMBER = (0x00, 0x9E, 0x73), (0xE6, 0x9F, 0x00)


@pytest.fixture
def grey(tmp_path):
    Image.new("RGB", (400, 200), (128, 128, 128)).save(tmp_path / "grey.png")
    return tmp_path / "grey.png"


def drawn(path, boxes, by_model, **options):
    return np.asarray(draw_sources(path, boxes, np.array(by_model, bool), **options))


def share(line, color):
    """How much of a row or column of pixels has the colour."""
    return (line == color).all(axis=1).mean()


def test_a_person_is_amber_and_whole_the_model_green_and_dashed(grey):
    pixels = drawn(grey, Boxes([[10, 20, 150, 180], [200, 20, 390, 180]], [0, 1]), [False, True])
    assert share(pixels[20, 10:150], AMBER) == 1
    assert 0.3 < share(pixels[20, 200:390], GREEN) < 0.7
    assert 0.3 < share(pixels[20:180, 200], GREEN) < 0.7


def test_large_images_shrink_with_their_boxes(grey):
    pixels = drawn(grey, Boxes([[100, 40, 300, 160]], [0]), [False], widest=100)
    assert pixels.shape == (50, 100, 3)
    assert share(pixels[10, 25:75], AMBER) == 1 and share(pixels[12:38, 50], AMBER) == 0


def test_without_boxes_the_image_is_as_it_was(grey):
    assert (drawn(grey, Boxes.empty(), []) == 128).all()


def test_an_unreadable_image_is_an_error(tmp_path):
    with pytest.raises(ImageError):
        draw_sources(tmp_path / "missing.png", Boxes.empty(), np.zeros(0, bool))
