"""The bootstrap interval of an AP: around the figure, narrower with more images, and honest about what it is."""

import numpy as np
import pytest

from boxwise.boxes import Boxes
from boxwise.evaluation.average_precision import coco_metrics
from boxwise.evaluation.bootstrap import ap_intervals, drawn_aps

CLASSES = ("cat",)


def found_and_true(count, *, share, seed=0):
    """`count` images of one object each, of which about `share` are found; each image also has a weaker wrong box."""
    rng = np.random.default_rng(seed)
    truths, found = {}, {}
    for number in range(count):
        truths[str(number)] = Boxes([[10, 10, 50, 50]], [0])
        right = [[10, 10, 50, 50]] if rng.random() < share else [[60, 60, 90, 90]]
        found[str(number)] = Boxes([*right, [0, 60, 30, 90]], [0, 0], scores=np.array([rng.uniform(0.5, 0.9), 0.2], np.float32))
    return found, truths


def test_holds_the_figure_and_shrinks_with_images():
    widths = []
    for count in (15, 150):
        found, truths = found_and_true(count, share=0.6)
        low, high = ap_intervals(found, truths, CLASSES)["ap"]
        assert low < coco_metrics(found, truths, CLASSES).ap < high
        widths.append(high - low)
    assert widths[1] < 0.7 * widths[0]


@pytest.mark.slow
def test_mostly_holds_the_figure_of_many_images():
    """Measured: 24 of 30 sets of 40 images; percentiles of a bootstrap over few images are somewhat too narrow."""
    truth = coco_metrics(*found_and_true(2000, share=0.6, seed=99), CLASSES).ap50
    held = 0
    for seed in range(30):
        low, high = ap_intervals(*found_and_true(40, share=0.6, seed=seed), CLASSES, draws=40)["ap50"]
        held += low <= truth <= high
    assert held >= 22


def test_is_the_same_again_and_nothing_where_nothing_can_be_said():
    found, truths = found_and_true(12, share=0.5)
    assert ap_intervals(found, truths, CLASSES) == ap_intervals(found, truths, CLASSES) != {}
    assert ap_intervals({}, {}, CLASSES) == {}
    assert ap_intervals(*found_and_true(1, share=1), CLASSES) == {}
    empty = {name: Boxes.empty() for name in "abc"}
    assert ap_intervals(empty, empty, CLASSES) == {}


@pytest.mark.parametrize("classes", [1, 3])
def test_each_draw_has_the_ap_of_the_images_drawn_to_the_last_bit(classes):
    """Among images with crowd regions, without objects, without detections, and with equal scores in several of them."""
    rng, names = np.random.default_rng(classes), tuple("abc"[:classes])

    def boxes(count, **columns):
        corners = rng.integers(0, 4, (count, 2)) * 10.0
        return Boxes(np.hstack([corners, corners + rng.integers(2, 5, (count, 2)) * 10]), rng.integers(0, classes, count), **columns)

    truths = {f"{number:02}": boxes(number % 4, crowd=rng.random(number % 4) < 0.2) for number in range(20)}
    found = {name: boxes(9, scores=rng.integers(1, 5, 9).astype(np.float32) / 4) for name in list(truths)[::2]}
    rows = rng.integers(0, 20, (40, 20))
    rows[0] = 0  # an image without objects, again and again
    for row, drawn in zip(rows.tolist(), drawn_aps(found, truths, names, rows), strict=True):
        copies = {f"{place:02}": f"{image:02}" for place, image in enumerate(row)}
        again = {place: found[name] for place, name in copies.items() if name in found}
        metrics = coco_metrics(again, {place: truths[name] for place, name in copies.items()}, names, details=False)
        assert np.array_equal(drawn, [metrics.ap, metrics.ap50], equal_nan=True)
