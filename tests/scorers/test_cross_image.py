from pathlib import Path

import numpy as np
import pytest
from blob_detector import BlobDetector
from dark_scenes import write_broken
from PIL import Image
from scipy import ndimage

from boxwise.boxes import Boxes
from boxwise.detectors.base import View
from boxwise.detectors.input import InputSpec
from boxwise.records import ImageRecord, Sample
from boxwise.scorers.cross_image import PASTES, cross_validate, most_confident

RED, GREEN = 0, 1
COLOURS = {RED: (255, 0, 0), GREEN: (0, 255, 0)}
THING = (20, 24, 60, 56)  # 40 × 32 pixels: more than a fifth of a host, less than six tenths


class ColourDetector(BlobDetector):
    """Finds red and green patches by their pixels, each at score 0.9, and remembers what it found of `watched` images."""

    classes = ("red", "green")

    def __init__(self, *, imgsz: int = 64, resize: str = "stretch", score: float = 0.9) -> None:
        super().__init__(score)
        self.input = InputSpec(imgsz, resize)
        self.batches: list[int] = []
        self.seen: list[Boxes] = []

    def view(self, batch) -> View:
        self.batches.append(len(batch.records))
        return View(batch, [list(_patches(image.numpy())) for image in batch.pixels])

    def detections(self, view: View) -> list[Boxes]:
        batch = zip(view.outputs, view.batch.records, view.batch.valid.tolist(), strict=True)
        found = [self._found(patches, record, height, width) for patches, record, (height, width) in batch]
        self.seen += found
        return found

    def _found(self, patches, record, height, width) -> Boxes:
        xyxy = np.array([box for box, _ in patches], np.float32).reshape(-1, 4)
        xyxy *= [record.width / width, record.height / height] * 2
        rest = 1 - self.score
        probabilities = [[self.score, 0, rest] if label == RED else [0, self.score, rest] for _, label in patches]
        labels = [label for _, label in patches]
        return Boxes(xyxy, labels, [self.score] * len(patches), np.array(probabilities, np.float32).reshape(-1, 3))


def _patches(image: np.ndarray):
    for label in (RED, GREEN):
        regions, _ = ndimage.label((image[label] > 150) & (image[1 - label] < 100))
        for rows, columns in ndimage.find_objects(regions):
            yield (columns.start, rows.start, columns.stop, rows.stop), label


def scene(folder: Path, name: str, *things, size=(128, 96), seed=0) -> tuple[ImageRecord, Boxes]:
    """A dark noisy image of `size` with coloured rectangles ((x1, y1, x2, y2), class), and their boxes."""
    width, height = size
    pixels = np.random.default_rng(seed).integers(10, 40, (height, width, 3), np.uint8)
    for (x1, y1, x2, y2), label in things:
        pixels[y1:y2, x1:x2] = COLOURS[label]
    Image.fromarray(pixels).save(folder / name)
    xyxy, labels = [xyxy for xyxy, _ in things], [label for _, label in things]
    boxes = Boxes(np.reshape(xyxy, (-1, 4)), labels, np.full(len(labels), 0.8))
    return ImageRecord(name, folder / name, width, height), boxes


def proposed(xyxy, labels) -> Boxes:
    return Boxes(np.array(xyxy, np.float32), labels, np.full(len(labels), 0.8))


@pytest.fixture
def hosts(tmp_path) -> list[Sample]:
    """Eight labelled images of several shapes: four with something green, two empty, two with something red."""
    sizes = [(128, 96), (96, 128), (160, 100), (100, 100)]
    of_green = [scene(tmp_path, f"green{i}.png", ((2, 2, 30, 26), GREEN), size=size, seed=i) for i, size in enumerate(sizes)]
    empty = [scene(tmp_path, f"empty{i}.png", size=size, seed=9 + i) for i, size in enumerate(sizes[:2])]
    of_red = [scene(tmp_path, f"red{i}.png", ((2, 2, 30, 26), RED), size=size, seed=20 + i) for i, size in enumerate(sizes[:2])]
    return [Sample(*made) for made in [*of_green, *empty, *of_red]]


@pytest.fixture
def pool(tmp_path) -> list[tuple[ImageRecord, Boxes]]:
    """One image with a red thing: proposed as what it is, as green, and a piece of its background proposed as red."""
    record, _ = scene(tmp_path, "pool.png", (THING, RED))
    return [(record, proposed([THING, THING, (70, 40, 110, 80)], [RED, GREEN, RED]))]


def validate(images, hosts, *, detector=None, seed=0, **options):
    return cross_validate(detector or ColourDetector(), images, hosts, rng=np.random.default_rng(seed), **options)


@pytest.mark.parametrize("resize", ["stretch", "fit"])
def test_finds_a_true_object_again_and_neither_a_wrong_class_nor_background(pool, hosts, resize):
    found = validate(pool, hosts, detector=ColourDetector(resize=resize))["pool.png"]
    assert found.tolist() == [1, 0, 0] and found.dtype == np.float32


def test_a_detection_must_be_surer_than_a_half(pool, hosts):
    assert validate(pool, hosts, detector=ColourDetector(score=0.5))["pool.png"].tolist() == [0, 0, 0]


def test_a_box_much_larger_than_its_object_fails(tmp_path, hosts):
    record, _ = scene(tmp_path, "loose.png", ((40, 30, 64, 50), RED))
    boxes = proposed([(40, 30, 64, 50), (20, 20, 100, 70)], [RED, RED])  # the second is 40 times 50 pixels too many
    assert validate([(record, boxes)], hosts)["loose.png"].tolist() == [1, 0]


def test_pastes_into_hosts_without_the_class_alone(pool, hosts):
    with_red = [host for host in hosts if RED in host.boxes.labels]
    found = validate(pool, with_red)["pool.png"]
    assert np.isnan(found).tolist() == [True, False, True]


def test_incomplete_images_are_no_hosts(pool, hosts):
    unsure = [Sample(host.image, host.boxes, complete=False) for host in hosts]
    assert np.isnan(validate(pool, unsure)["pool.png"]).tolist() == [True] * 3
    assert np.isnan(validate(pool, [])["pool.png"]).tolist() == [True] * 3


def test_fewer_hosts_than_pastes_serve_more_than_once(pool, hosts):
    detector = ColourDetector()
    assert validate(pool, hosts[:1], detector=detector)["pool.png"][0] == 1
    assert sum(detector.batches) == PASTES * 2  # the only host is green: the box proposed as green has none


@pytest.mark.parametrize(
    ("thing", "expected"),
    [
        ((20, 24, 60, 56), (40, 32)),  # 0.31 of the host: as it is
        ((4, 4, 124, 64), (76.8, 38.4)),  # 0.94: down to 0.6
        ((50, 40, 60, 46), (76.8, 46.1)),  # 0.08: up to 0.6
        ((60, 4, 70, 94), (6.4, 57.6)),  # 0.94 in height
    ],
)
def test_rescales_what_is_too_large_or_too_small_for_its_host(tmp_path, thing, expected):
    record, _ = scene(tmp_path, "pool.png", (thing, RED))
    host = Sample(*scene(tmp_path, "host.png", seed=1))
    detector = ColourDetector(imgsz=128)
    assert validate([(record, proposed([thing], [RED]))], [host], detector=detector)["pool.png"].tolist() == [1]
    sizes = np.array([found.xyxy[0, 2:] - found.xyxy[0, :2] for found in detector.seen])
    assert sizes == pytest.approx(np.tile(expected, (PASTES, 1)), abs=1.6)


def test_pastes_anywhere_inside_the_host(tmp_path, pool):
    host = Sample(*scene(tmp_path, "host.png", seed=1))
    detector = ColourDetector(imgsz=128)
    for seed in range(20):
        validate([(pool[0][0], pool[0][1][[0]])], [host], detector=detector, seed=seed)
    corners = np.array([found.xyxy[0] for found in detector.seen])
    assert (corners.min(axis=0)[:2] < 4).all() and (corners.max(axis=0)[2:] > [124, 92]).all()
    assert (corners[:, :2] >= 0).all() and (corners[:, 2:] <= [128, 96]).all()


def test_same_rng_same_answer_whatever_the_batch(tmp_path, hosts):
    things = [scene(tmp_path, f"{i}.png", ((10 + 3 * i, 8, 40 + 3 * i, 60), RED), seed=i) for i in range(4)]
    loose = [(record, Boxes(np.add(boxes.xyxy, [[-8, 0, 14, 10]]), boxes.labels, boxes.scores)) for record, boxes in things]
    first, second = validate(loose, hosts, batch=1), validate(loose, hosts, batch=7)
    assert list(first) == [record.image_id for record, _ in things]
    assert all(np.array_equal(first[image], second[image]) for image in first)


def test_an_unreadable_image_is_untried_and_changes_no_other(tmp_path, pool, hosts):
    broken = (write_broken(tmp_path, "broken.jpg"), proposed([THING], [RED]))
    found = validate([broken, *pool], hosts)
    assert np.isnan(found["broken.jpg"]).tolist() == [True]
    assert found["pool.png"].tolist() == [1, 0, 0]


def test_an_unreadable_host_costs_a_try_and_no_more(tmp_path, pool, hosts):
    broken = Sample(write_broken(tmp_path, "broken.jpg"), Boxes.empty())
    assert validate(pool, [*hosts[:4], broken])["pool.png"][0] == 1
    assert np.isnan(validate(pool, [broken])["pool.png"]).tolist() == [True] * 3


def test_an_image_without_boxes_has_an_empty_answer(tmp_path, hosts):
    record, boxes = scene(tmp_path, "nothing.png")
    detector = ColourDetector()
    found = validate([(record, boxes)], hosts, detector=detector)
    assert found["nothing.png"].shape == (0,) and detector.batches == []
    assert validate([], hosts) == {}


def test_pastes_in_batches_and_tells_how_many(pool, hosts):
    detector, reported = ColourDetector(), []
    validate(pool, hosts, detector=detector, batch=6, progress=lambda done, total: reported.append((done, total)))
    assert detector.batches == [6, 6, 3]
    assert reported == [(6, 15), (12, 15), (15, 15)]


def test_the_surest_images_first_from_a_stream():
    def images():
        for image_id, scores in {"low": [0.2], "none": [], "mixed": [0.9, 0.1], "high": [0.8, 0.7], "even": [0.5]}.items():
            yield image_id, Boxes(np.tile([0, 0, 5, 5], (len(scores), 1)), [0] * len(scores), scores)

    assert most_confident(images(), 3) == ["high", "mixed", "even"]  # mixed and even are equal: the earlier first
    assert most_confident(images(), 99) == ["high", "mixed", "even", "low"]
    assert most_confident(images(), 0) == []
