"""What labels teach and what they must not, rule by rule; and that it matters to what is learned."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_targets import EVERYWHERE, made
from PIL import Image

from boxwise.boxes import Boxes, iou
from boxwise.config import DetectorConfig, TrainConfig
from boxwise.detectors.detector import build_detector
from boxwise.detectors.prediction import predict
from boxwise.detectors.targets import target_of
from boxwise.records import ImageRecord, Sample

IMAGE = ImageRecord("a.png", Path("a.png"), 100, 50)
XYXY = np.array([[10, 20, 30, 40], [50, 10, 90, 40], [0, 0, 9, 9]], np.float32)
REJECTED = np.array([[60, 20, 80, 40]], np.float32)


def sample(**facts) -> Sample:
    return Sample(IMAGE, Boxes(XYXY, [1, 0, 2]), **facts)


class TestTargetOf:
    def test_a_complete_image_ignores_nothing_and_counts_every_box_fully(self):
        target = target_of(sample(), 50, 50)
        torch.testing.assert_close(target.xyxy, torch.tensor(XYXY) * torch.tensor([0.5, 1, 0.5, 1]))
        assert target.classes.tolist() == [2, 1, 3]
        assert target.weights.tolist() == [1, 1, 1]
        assert (len(target.ignore), len(target.background)) == (0, 0)

    def test_crowds_are_ignored_regions(self):
        target = target_of(Sample(IMAGE, Boxes(XYXY, [1, 0, 2], crowd=[False, True, False])), 100, 100)
        assert target.classes.tolist() == [2, 3]
        assert target.ignore.tolist() == [[50, 20, 90, 80]]

    def test_boxes_of_weight_zero_are_ignored_regions_and_the_other_weights_stay_with_their_boxes(self):
        target = target_of(sample(weights=np.array([0.25, 0, 0.75], np.float32)), 50, 100)
        assert target.classes.tolist() == [2, 3]
        assert target.weights.tolist() == [0.25, 0.75]
        assert target.ignore.tolist() == [[50, 10, 90, 40]]

    def test_boxes_without_area_take_their_weights_along(self):
        boxes = Boxes(np.array([[5, 5, 5, 9], [1, 1, 9, 9]], np.float32), [0, 1])
        target = target_of(Sample(IMAGE, boxes, weights=np.array([0.1, 0.9], np.float32)), 50, 100)
        assert target.weights.tolist() == pytest.approx([0.9])

    def test_an_incomplete_image_ignores_everything_but_what_was_rejected(self):
        target = target_of(sample(complete=False, rejected=REJECTED), 100, 200)
        assert target.ignore.tolist() == EVERYWHERE
        assert target.background.tolist() == [[120, 40, 160, 80]]
        assert len(target.xyxy) == 3

    def test_moving_to_a_device_moves_every_column(self):
        target = target_of(sample(complete=False, rejected=REJECTED), 50, 100).to("meta")
        assert {column.device.type for column in vars(target).values()} == {"meta"}


class TestAllowsBackground:
    anchors = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [6, 0, 16, 10], [-100, -100, -90, -90], [3, 3, 3, 3]])

    def test_everywhere_in_a_complete_image(self):
        target = made([[0, 0, 10, 10]], [1], background=[[5, 0, 15, 10]])
        assert target.allows_background(self.anchors).tolist() == [True] * 5

    def test_not_where_half_of_the_anchor_is_ignored(self):
        target = made(ignore=[[0, 0, 10, 10]])
        assert target.allows_background(self.anchors[:3]).tolist() == [False, False, True]

    def test_not_at_a_small_regions_best_anchor(self):
        """An SSD matches an object to its best default box however small the overlap; ignoring must reach as far."""
        speck = made(ignore=[[12, 2, 14, 4]])
        assert speck.allows_background(self.anchors[:4]).tolist() == [True, False, True, True]

    def test_nowhere_in_an_incomplete_image_not_even_beyond_its_edge(self):
        assert not made(ignore=EVERYWHERE).allows_background(self.anchors).any()

    def test_what_was_rejected_outranks_what_is_ignored(self):
        """IoU with the rejected box: 1/3, 1, 0.82, 0, 0."""
        target = made(ignore=EVERYWHERE, background=[[5, 0, 15, 10]])
        assert target.allows_background(self.anchors).tolist() == [False, True, True, False, False]

    def test_of_no_anchors_there_are_none(self):
        assert made(ignore=EVERYWHERE).allows_background(torch.zeros(0, 4)).shape == (0,)


SIDE, COLOURS = 64, ((255, 60, 60), (60, 255, 60))


def squares(folder: Path, *, count: int, seed: int) -> list[Sample]:
    """Dark images with one red square (class 0) in the upper half and one green (class 1) in the lower."""
    folder.mkdir()
    rng, samples = np.random.default_rng(seed), []
    for number in range(count):
        pixels, xyxy = rng.integers(0, 60, (SIDE, SIDE, 3), dtype=np.uint8), []
        for half, colour in enumerate(COLOURS):
            left, top = int(rng.integers(0, SIDE - 16)), int(rng.integers(0, SIDE // 2 - 16)) + half * SIDE // 2
            pixels[top : top + 16, left : left + 16] = colour
            xyxy.append([left, top, left + 16, top + 16])
        path = folder / f"{number}.png"
        Image.fromarray(pixels).save(path)
        samples.append(Sample(ImageRecord(f"{folder.name}/{path.name}", path, SIDE, SIDE), Boxes(np.array(xyxy, np.float32), np.arange(2))))
    return samples


@dataclass(frozen=True)
class Case:
    """A detector, a training of it that is just long enough, the score from which a box counts as found, and in how many images green is
    labelled."""

    detector: DetectorConfig
    train: TrainConfig
    score: float
    labelled: int


def scores_of_green(case: Case, train: list[Sample], images: list[Sample], *, seed: int) -> list[float]:
    """Of each image's green square the best score of a green box on it after a short training; 0 without one."""
    detector = build_detector(case.detector.name, ("red", "green"), case.detector, seed=seed, device=torch.device("cpu"))
    detector.fit(train, [], case.train, seed=seed)
    found, _ = predict(detector, [one.image for one in images], batch=10)
    scores = []
    for one in images:
        boxes = found[one.image.image_id]
        green = boxes[boxes.labels == 1]
        scores.append(float(green.scores[(iou(one.boxes.xyxy[1:], green.xyxy) >= 0.5)[0]].max(initial=0)))
    return scores


def recalls(case: Case, folder: Path) -> dict[bool, float]:
    """Whether unlabelled green is taught as background → share of green squares found, over two seeds.

    Green is labelled in few of 24 images; looked for where it is unlabelled, and in 20 images of test.
    """
    scores: dict[bool, list[float]] = {False: [], True: []}
    for seed in range(2):
        images, test = squares(folder / f"train{seed}", count=24, seed=seed), squares(folder / f"test{seed}", count=20, seed=100 + seed)
        wholly, hidden = images[: case.labelled], images[case.labelled :]
        for complete, found in scores.items():
            partly = [replace(one, boxes=one.boxes[[0]], complete=complete) for one in hidden]
            found += scores_of_green(case, wholly + partly, hidden + test, seed=seed)
    return {complete: float(np.mean(np.array(found) >= case.score)) for complete, found in scores.items()}


@pytest.mark.slow
class TestUnlabelledObjectsAreFoundOnlyIfTheyAreNotTaughtAsBackground:
    """Over two seeds, since what so short a training finds by one is partly chance, and another kind of processor rounds otherwise."""

    def test_by_a_small_ssd(self, tmp_path):
        """Measured with seeds 0 to 2 on one machine: recall .10, .00, .10 as background, .46, .68, .95 ignored."""
        train = TrainConfig(max_steps=120, min_steps=120, batch=8, warmup_steps=20, augment="flip", lr=0.01, ema=0.0)
        recall = recalls(Case(DetectorConfig(name="tiny_ssd", imgsz=SIDE, pretrained=False), train, score=0.5, labelled=3), tmp_path)
        assert recall[False] > recall[True] + 0.3

    def test_by_yolox_from_coco(self, tmp_path, shared_weights):
        """Measured with seeds 0 to 2 on one machine: recall .00, .26, .05 as background, .97, .87, .87 ignored.

        With green in three images, as above, it is chance what so short a training finds.
        """
        train = TrainConfig(max_steps=100, min_steps=100, batch=4, augment="flip", optimizer="sgd", weight_decay=5e-4, lr=0.02)
        config = DetectorConfig(name="yolox_nano", imgsz=SIDE, weights=shared_weights / "yolox_nano_coco.pth")
        recall = recalls(Case(config, train, score=0.7, labelled=6), tmp_path)
        assert recall[False] > recall[True] + 0.4
