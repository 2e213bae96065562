import base64
import io

import numpy as np
import pytest
from PIL import Image

from boxwise.boxes import Boxes
from boxwise.report.charts import BY_MODEL, BY_PERSON
from boxwise.report.sheets import MOST_BOXES, picture, thumbnail

CLASSES, COLORS = ("cat", "dog"), ("#111111", "#222222")


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (400, 640, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def decoded(uri: str) -> Image.Image:
    head, data = uri.split(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_boxes_shrink_with_the_picture(photo):
    small = thumbnail(photo, Boxes([[64, 40, 320, 200]], [1]), classes=CLASSES, colors=COLORS)
    assert decoded(small.uri).size == (small.width, small.height) == (160, 100)
    box = small.outlines[0]
    assert (box.x, box.y, box.width, box.height, box.color, box.name) == (16, 10, 64, 40, "#222222", "dog")


def test_small_boxes_lie_above_large_ones(photo):
    boxes = Boxes([[10, 10, 20, 20], [0, 0, 600, 380]], [0, 1])
    assert [box.name for box in thumbnail(photo, boxes, classes=CLASSES, colors=COLORS).outlines] == ["dog", "cat"]


def test_a_crowded_image_says_how_many_boxes_are_hidden(photo):
    boxes = Boxes(np.tile([[0, 0, 9, 9]], (MOST_BOXES + 7, 1)), np.zeros(MOST_BOXES + 7))
    small = thumbnail(photo, boxes, classes=CLASSES, colors=COLORS)
    assert (len(small.outlines), small.hidden) == (MOST_BOXES, 7)


def test_no_labels_no_outlines(photo):
    assert thumbnail(photo, None, classes=CLASSES, colors=COLORS).outlines == ()


def test_an_unreadable_image_has_no_picture(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 nothing follows")
    assert thumbnail(tmp_path / "broken.jpg", None, classes=CLASSES, colors=COLORS) is None
    assert thumbnail(tmp_path / "missing.jpg", None, classes=CLASSES, colors=COLORS) is None
    assert picture(tmp_path / "broken.jpg") is None


def test_a_sheet_keeps_its_proportions(photo):
    sheet = picture(photo, widest=320)
    assert decoded(sheet.uri).size == (sheet.width, sheet.height) == (320, 200)


class TestSources:
    boxes = Boxes([[10, 10, 20, 20], [0, 0, 600, 380]], [0, 1])

    def test_the_models_boxes_are_dashed_in_the_colour_of_their_class(self, photo):
        small = thumbnail(photo, self.boxes, classes=CLASSES, colors=COLORS, by_model=np.array([True, False]))
        assert [(box.name, box.color, box.dashed) for box in small.outlines] == [
            ("dog, by a person", "#222222", False),
            ("cat, by the model", "#111111", True),
        ]

    def test_colours_can_tell_the_source_instead(self, photo):
        by_model = np.array([True, False])
        small = thumbnail(photo, self.boxes, classes=CLASSES, colors=COLORS, by_model=by_model, colored_by="source")
        assert [box.color for box in small.outlines] == [BY_PERSON, BY_MODEL]

    def test_without_sources_nothing_is_said_of_them(self, photo):
        outlines = thumbnail(photo, self.boxes, classes=CLASSES, colors=COLORS, colored_by="source").outlines
        assert [(box.name, box.color, box.dashed) for box in outlines] == [("dog", "#222222", False), ("cat", "#111111", False)]
