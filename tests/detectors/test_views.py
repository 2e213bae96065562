import math

import numpy as np
import pytest
import torch

from boxwise.boxes import Boxes
from boxwise.detectors.augmentation import MEAN_COLOUR
from boxwise.detectors.base import ImageBatch
from boxwise.detectors.views import CutOut, Flip, Rotated, Shrunk, cuts
from boxwise.records import ImageRecord

WIDE, SQUARE = ImageRecord("wide.png", "wide.png", 200, 100), ImageRecord("square.png", "square.png", 100, 100)
BOX = np.array([[40, 20, 80, 60]], np.float32)
ALL = (Flip(), CutOut(), Shrunk(0.8), Rotated(5.0))


def batch_of(*records, size=96, valid=None) -> ImageBatch:
    """Black images with `BOX` in white."""
    pixels = torch.zeros((len(records), 3, size, size), dtype=torch.uint8)
    sizes = torch.tensor([valid or (size, size)] * len(records))
    for image, record, (height, width) in zip(pixels, records, sizes.tolist(), strict=True):
        x1, y1, x2, y2 = (BOX[0] * np.array([width / record.width, height / record.height] * 2)).round().astype(int)
        image[:, y1:y2, x1:x2] = 255
    return ImageBatch(tuple(records), pixels, sizes)


def references(batch) -> list[Boxes]:
    return [Boxes(BOX, [0])] * len(batch.records)


def white(batch, row=0) -> np.ndarray:
    """The box around what is white, in original pixels."""
    rows, columns = np.nonzero(batch.pixels[row].numpy().min(axis=0) > 128)
    height, width = batch.valid[row].tolist()
    record = batch.records[row]
    found = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    return found * np.array([record.width / width, record.height / height] * 2)


@pytest.mark.parametrize("transform", [Flip(), Shrunk(0.8), Rotated(5.0)], ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("valid", [None, (48, 96)], ids=["stretched", "padded"])
def test_boxes_go_where_the_pixels_go(transform, valid):
    batch = batch_of(WIDE, valid=valid)
    view = transform.apply(batch, references(batch))
    assert view.pixels.shape == batch.pixels.shape and view.pixels.dtype == torch.uint8
    assert white(view) == pytest.approx(transform.boxes(BOX, WIDE)[0], abs=3.2)  # an input pixel is 2 wide


@pytest.mark.parametrize("transform", ALL, ids=lambda t: type(t).__name__)
def test_an_image_looks_the_same_beside_any_other_and_the_batch_stays(transform):
    batch, alone = batch_of(SQUARE, WIDE), batch_of(WIDE)
    before = batch.pixels.clone()
    together, single = transform.apply(batch, references(batch)), transform.apply(alone, references(alone))
    assert torch.equal(together.pixels[1], single.pixels[0]) and torch.equal(together.valid[1], single.valid[0])
    assert torch.equal(batch.pixels, before) and not torch.equal(together.pixels, before)


def test_a_quarter_turn_by_hand():
    """Relative to the centre (50, 50): x 10 to 30, y -10 to 0; clockwise (x, y) becomes (-y, x)."""
    assert Rotated(90).boxes(np.array([[60, 40, 80, 50]], np.float32), SQUARE)[0] == pytest.approx([50, 60, 60, 80])


def test_a_turned_image_is_squeezed_until_it_fits():
    cos, sin = math.cos(math.radians(5)), math.sin(math.radians(5))
    needed_width, needed_height = 200 * cos + 100 * sin, 200 * sin + 100 * cos
    whole = Rotated(5).boxes(np.array([[0, 0, 200, 100]], np.float32), WIDE)[0]
    assert whole == pytest.approx([0, 0, 200, 100], abs=1e-3)
    right = 10 * cos + 5 * sin  # half of what a box of 20 x 10 round the centre takes once turned
    down = 10 * sin + 5 * cos
    expected = [100 - right * 200 / needed_width, 50 - down * 100 / needed_height, 100 + right * 200 / needed_width]
    assert Rotated(5).boxes(np.array([[90, 45, 110, 55]], np.float32), WIDE)[0][:3] == pytest.approx(expected)


def test_what_is_turned_in_and_shrunk_around_has_the_mean_colour():
    batch = batch_of(WIDE)
    for transform, place in ((Rotated(5.0), (1, 1)), (Shrunk(0.8), (95, 95))):
        assert tuple(transform.apply(batch, references(batch)).pixels[0, :, place[0], place[1]].tolist()) == MEAN_COLOUR


def test_shrinking_keeps_original_pixels_by_its_valid_size():
    view = Shrunk(0.8).apply(batch_of(WIDE), references(batch_of(WIDE)))
    assert view.valid.tolist() == [[77, 77]]  # 0.8 x 96 = 76.8
    assert np.array_equal(Shrunk(0.8).boxes(BOX, WIDE), BOX)


class TestCutOut:
    def test_cuts_cover_some_of_a_box_but_never_most(self):
        for seed in range(50):
            found = cuts(BOX, 200, 100, np.random.default_rng(seed))
            assert len(found) <= 2
            for x1, y1, x2, y2 in found:
                assert 9 <= x2 - x1 <= 41 and 4 <= y2 - y1 <= 21 and x1 >= 0 and y1 >= 0 and x2 <= 200 and y2 <= 100
                shared = max(0, min(x2, 80) - max(x1, 40)) * max(0, min(y2, 60) - max(y1, 20))
                assert 0.1 <= shared / (40 * 40) <= 0.4
        assert sum(len(cuts(BOX, 200, 100, np.random.default_rng(seed))) for seed in range(50)) > 50

    def test_the_place_comes_from_the_image_id(self):
        first, again, other = (CutOut().apply(batch_of(r), references(batch_of(r))) for r in (WIDE, WIDE, ImageRecord("x", "x", 200, 100)))
        assert torch.equal(first.pixels, again.pixels) and not torch.equal(first.pixels, other.pixels)

    def test_an_image_without_boxes_stays_as_it_is(self):
        batch = batch_of(WIDE)
        assert torch.equal(CutOut().apply(batch, [Boxes.empty()]).pixels, batch.pixels)

    def test_boxes_stay(self):
        assert np.array_equal(CutOut().boxes(BOX, WIDE), BOX)
