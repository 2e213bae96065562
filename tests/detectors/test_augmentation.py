"""Every recipe: geometry exact to the pixel, every draw from the given generator."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from boxwise.boxes import Boxes, iou
from boxwise.detectors.augmentation import (
    MEAN_COLOUR,
    NO_OBJECT,
    Rectangle,
    augment,
    centres_inside,
    crop_with_overlap,
    distorted,
    mosaic,
    moved,
    recoloured,
    scaled_view,
    zoom_out,
)
from boxwise.detectors.input import InputSpec

SIDE = 96


def painted(boxes: Boxes, *, width: int = 150, height: int = 120) -> torch.Tensor:
    """A dark image in which the inside of every box is white."""
    pixels = torch.full((3, height, width), 10, dtype=torch.uint8)
    for left, top, right, bottom in boxes.xyxy.astype(int):
        pixels[:, top:bottom, left:right] = 255
    return pixels


def one_box(*xyxy: float) -> Boxes:
    return Boxes(np.array([xyxy], np.float32), np.array([3]))


def bright_extent(pixels: torch.Tensor) -> list[int]:
    """xyxy of the pixels that are more white than not."""
    rows, columns = torch.nonzero(pixels.float().mean(dim=0) > 160, as_tuple=True)
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


@pytest.mark.parametrize("resize", ["stretch", "fit"])
@pytest.mark.parametrize("recipe", ["ssd", "flip", "none"])
class TestEveryRecipe:
    def test_the_painted_object_fills_its_box(self, recipe, resize):
        boxes, checked = one_box(40, 30, 90, 80), 0
        for seed in range(60):
            pixels, found, size = augment(
                painted(boxes), boxes, spec=InputSpec(SIDE, resize), augment=recipe, rng=np.random.default_rng(seed)
            )
            assert pixels.dtype == torch.uint8
            assert tuple(pixels.shape) == (3, *size)
            assert len(found) == 1  # the only box: its centre is in every crop
            bright = pixels.float().mean(dim=0).numpy() > 160
            inside = np.zeros_like(bright)
            left, top, right, bottom = found.xyxy[0]
            inside[int(np.floor(top)) : int(np.ceil(bottom)), int(np.floor(left)) : int(np.ceil(right))] = True
            if bright.any():
                assert not (bright & ~inside).any()
                np.testing.assert_allclose(bright_extent(pixels), found.xyxy[0], atol=1.5)
                checked += 1
        assert checked > 40

    def test_same_generator_same_result_and_inputs_unchanged(self, recipe, resize):
        boxes = Boxes(np.array([[5, 5, 60, 50], [70, 60, 140, 110]], np.float32), np.array([0, 1]), ids=np.array(["a", "b"], object))
        pixels = torch.randint(0, 256, (3, 120, 150), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        before, xyxy, state = pixels.clone(), boxes.xyxy.copy(), torch.get_rng_state()
        runs = [augment(pixels, boxes, spec=InputSpec(SIDE, resize), augment=recipe, rng=np.random.default_rng(7)) for _ in range(2)]
        assert torch.equal(runs[0][0], runs[1][0])
        assert runs[0][1].equals(runs[1][1])
        assert torch.equal(pixels, before)
        assert np.array_equal(boxes.xyxy, xyxy)
        assert torch.equal(torch.get_rng_state(), state)

    def test_images_without_objects_and_tiny_images(self, recipe, resize):
        for seed in range(20):
            for height, width in ((120, 150), (1, 1), (3, 200)):
                pixels = torch.full((3, height, width), 77, dtype=torch.uint8)
                out, found, size = augment(
                    pixels, Boxes.empty(), spec=InputSpec(SIDE, resize), augment=recipe, rng=np.random.default_rng(seed)
                )
                assert len(found) == 0
                assert tuple(out.shape) == (3, *size)
                assert max(size) == SIDE

    def test_boxes_stay_inside_and_keep_their_columns(self, recipe, resize):
        rng = np.random.default_rng(0)
        corner = rng.uniform(0, 80, (30, 2))
        boxes = Boxes(np.hstack([corner, corner + rng.uniform(5, 40, (30, 2))]), np.arange(30), difficult=np.arange(30) % 2 == 0)
        for seed in range(30):
            _, found, (height, width) = augment(
                painted(boxes), boxes, spec=InputSpec(SIDE, resize), augment=recipe, rng=np.random.default_rng(seed)
            )
            assert len(found)
            assert (found.xyxy >= 0).all()
            assert (found.xyxy <= np.array([width, height] * 2) + 1e-3).all()
            assert (found.xyxy[:, 2:] > found.xyxy[:, :2]).all()
            assert np.array_equal(found.difficult, found.labels % 2 == 0)


class TestGeometry:
    def test_flip_happens_half_the_time_and_mirrors_the_box(self):
        boxes = one_box(10, 10, 30, 40)
        lefts = [
            augment(painted(boxes), boxes, spec=InputSpec(SIDE, "fit"), augment="flip", rng=np.random.default_rng(s))[1].xyxy[0, 0]
            for s in range(200)
        ]
        assert set(np.round(lefts, 2)) == {np.float32(6.4), np.float32(76.8)}
        assert 70 < sum(left > 50 for left in lefts) < 130

    def test_zoom_out_holds_the_image_within_four_times_its_size(self):
        image, canvases = Rectangle(0, 0, 100, 60), []
        rng = np.random.default_rng(0)
        for _ in range(300):
            canvas = zoom_out(image, rng)
            assert canvas.intersection(image) == image
            assert 100 <= canvas.width <= 400
            assert abs(canvas.width / 100 - canvas.height / 60) < 0.03
            canvases.append(canvas)
        assert 100 < sum(canvas == image for canvas in canvases) < 200

    def test_crops_meet_the_overlap_of_some_centred_box(self):
        boxes = np.array([[10, 10, 40, 40], [50, 20, 95, 58]], np.float32)
        canvas, rng, cropped = Rectangle(-20, -10, 110, 70), np.random.default_rng(0), 0
        for _ in range(200):
            crop = crop_with_overlap(canvas, boxes, rng)
            assert crop.intersection(canvas) == crop
            assert 0.5 <= crop.width / crop.height <= 2
            inside = centres_inside(boxes, crop)
            assert inside.any()
            cropped += crop != canvas
        assert cropped > 120

    def test_least_overlap_is_the_iou_of_crop_and_box(self):
        """A canvas-filling box admits crops at every threshold; a speck only those at 0 and the whole."""
        canvas, rng = Rectangle(0, 0, 100, 100), np.random.default_rng(0)
        speck, whole = np.array([[50, 50, 51, 51]], np.float32), np.array([[0, 0, 100, 100]], np.float32)
        overlaps = [
            iou(whole, np.array([[c.left, c.top, c.right, c.bottom]], np.float32))[0, 0]
            for c in (crop_with_overlap(canvas, whole, rng) for _ in range(300))
        ]
        assert sum(o < 0.3 for o in overlaps) < 60 < sum(o >= 0.9 for o in overlaps)
        assert sum(crop_with_overlap(canvas, speck, rng) == canvas for _ in range(300)) in range(100, 200)

    def test_boxes_whose_centre_left_the_crop_are_dropped(self):
        view = Rectangle(0, 0, 50, 50)
        xyxy = np.array([[10, 10, 30, 30], [30, 10, 69, 30], [30, 10, 71, 30], [45, 45, 55, 55]], np.float32)
        assert centres_inside(xyxy, view).tolist() == [True, True, False, False]

    def test_what_a_crop_shows_of_a_crowd_stays(self):
        """Also when its centre is outside; other boxes are dropped then, and rejected ones attract no crop."""
        crowd = Boxes(np.array([[0, 0, 50, 100], [40, 0, 150, 100]], np.float32), np.array([0, 1]), crowd=np.array([True, False]))
        plain, rejected = replace(crowd, crowd=None), replace(crowd, labels=np.array([NO_OBJECT, 1]), crowd=None)
        cropped = 0
        for seed in range(60):
            found = [
                augment(painted(boxes), boxes, spec=InputSpec(SIDE), augment="ssd", rng=np.random.default_rng(seed))[1]
                for boxes in (crowd, plain, rejected, crowd[[1]])
            ]
            assert found[0][np.isin(found[0].labels, found[1].labels)].xyxy.tolist() == found[1].xyxy.tolist()
            assert np.array_equal(found[2].xyxy[found[2].labels == 1], found[3].xyxy)
            cropped += len(found[1]) < len(found[0])
        assert cropped > 5

    def test_moved_clips_and_drops_what_became_thinner_than_a_pixel(self):
        boxes = Boxes(np.array([[0, 0, 20, 20], [90, 90, 120, 130], [50, 50, 51, 60]], np.float32), np.array([0, 1, 2]))
        found = moved(boxes, Rectangle(0, 0, 100, 100), Rectangle(10, 20, 60, 70))
        assert found.labels.tolist() == [0, 1]
        np.testing.assert_allclose(found.xyxy, [[10, 20, 20, 30], [55, 65, 60, 70]])

    def test_zoomed_out_canvas_is_the_mean_colour(self):
        pixels = torch.full((3, 60, 100), 255, dtype=torch.uint8)
        seen = 0
        for seed in range(40):
            out, _, _ = augment(pixels, Boxes.empty(), spec=InputSpec(SIDE), augment="ssd", rng=np.random.default_rng(seed))
            corner = tuple(out[:, 0, 0].tolist())
            seen += corner == MEAN_COLOUR
        assert seen > 8

    def test_pixels_are_sampled_once(self):
        """A plain resize when nothing is drawn: equal to torchvision's own antialiased one."""
        from torchvision.transforms.v2 import functional

        pixels = torch.randint(0, 256, (3, 120, 150), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        out, _, _ = augment(pixels, Boxes.empty(), spec=InputSpec(SIDE), augment="none", rng=np.random.default_rng(0))
        assert torch.equal(out, functional.resize(pixels, [SIDE, SIDE], antialias=True))


def test_distortion_changes_colour_alone_and_about_as_often_as_it_should():
    pixels = torch.randint(60, 200, (3, 24, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    results = [distorted(pixels, np.random.default_rng(seed)) for seed in range(64)]
    assert all(r.shape == pixels.shape and r.dtype == torch.uint8 for r in results)
    assert sum(torch.equal(r, pixels) for r in results) < 8
    flat = distorted(torch.full((3, 8, 8), 128, dtype=torch.uint8), np.random.default_rng(3))
    assert (flat == flat[:, :1, :1]).all()


class TestScale:
    def painted_and_found(self, spec, seed, *, width=150, height=100):
        boxes = one_box(50, 30, 100, 70)
        return augment(painted(boxes, width=width, height=height), boxes, spec=spec, augment="scale", rng=np.random.default_rng(seed))

    @pytest.mark.parametrize("resize", ["stretch", "letterbox", "fit"])
    def test_boxes_move_with_the_pixels_and_the_canvas_is_the_input(self, resize):
        kept = 0
        for seed in range(60):
            pixels, found, size = self.painted_and_found(InputSpec(SIDE, resize, fill=0), seed)
            assert size == (SIDE, SIDE) and tuple(pixels.shape) == (3, SIDE, SIDE)
            if len(found) and (found.xyxy > 0).all() and (found.xyxy < SIDE).all():
                bright = pixels.float().mean(dim=0) > 90  # colours change: the inside may be far from white
                rows, columns = torch.nonzero(bright, as_tuple=True)
                extent = [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]
                np.testing.assert_allclose(extent, found.xyxy[0], atol=2)
                kept += 1
        assert kept > 30

    def test_a_letterbox_keeps_the_shape_and_scales_by_six_to_fourteen_tenths(self):
        rng, image = np.random.default_rng(0), Rectangle(0, 0, 300, 200)
        views = [scaled_view(image, InputSpec(SIDE, "letterbox"), rng) for _ in range(500)]
        scales = [300 / view.width for view in views]
        assert all(abs(view.width - view.height) <= 1 for view in views)
        assert 0.59 < min(scales) < 0.65 and 1.35 < max(scales) < 1.42

    def test_an_image_that_fits_is_shown_whole_and_a_larger_one_fills_the_canvas(self):
        rng, image = np.random.default_rng(0), Rectangle(0, 0, 200, 200)
        for _ in range(200):
            view = scaled_view(image, InputSpec(SIDE, "letterbox"), rng)
            part = view.intersection(image)
            assert part == image or (part.width, part.height) == (view.width, view.height)


class TestMosaic:
    def test_four_images_each_with_its_boxes_in_its_corner(self):
        boxes = [one_box(40, 30, 90, 80) for _ in range(4)]
        images = [(painted(each), replace(each, labels=np.array([index]))) for index, each in enumerate(boxes)]
        seen = set()
        for seed in range(40):
            pixels, found, size = mosaic(images, spec=InputSpec(SIDE, "letterbox", fill=0), rng=np.random.default_rng(seed))
            assert size == (SIDE, SIDE) and pixels.dtype == torch.uint8
            assert (found.xyxy >= 0).all() and (found.xyxy <= SIDE).all()
            centres = (found.xyxy[:, :2] + found.xyxy[:, 2:]) / 2
            low = {int(label): bool(centre[1] > 0.3 * SIDE) for label, centre in zip(found.labels, centres, strict=True)}
            assert all(low[label] for label in low if label >= 2)
            seen |= set(found.labels.tolist())
        assert seen == {0, 1, 2, 3}


class TestRecoloured:
    def test_grey_stays_grey_and_the_same_generator_gives_the_same(self):
        grey = torch.full((3, 4, 4), 100, dtype=torch.uint8)
        for seed in range(20):
            out = recoloured(grey, np.random.default_rng(seed))
            assert (out.float().amax(0) - out.float().amin(0)).max() <= 1
            assert out.equal(recoloured(grey, np.random.default_rng(seed)))

    def test_changes_brightness_and_colour_within_bounds(self):
        red = torch.tensor([200, 40, 40], dtype=torch.uint8)[:, None, None].expand(3, 2, 2)
        found = torch.stack([recoloured(red, np.random.default_rng(seed))[:, 0, 0] for seed in range(200)]).float()
        assert found.std(dim=0).min() > 5
        assert (found[:, 0] > found[:, 2]).all()  # the hue turns by a twentieth of the circle: red never turns blue
