"""COCO metrics: equal to pycocotools, defined at every edge, and the same after a trip through JSON."""

import contextlib
import io
import json
import math
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from boxwise.boxes import Boxes
from boxwise.evaluation.average_precision import Metrics, coco_metrics
from boxwise.jsonable import finite_or_none, plain

CLASSES = ("cat", "dog", "bird")


def boxes(xyxy, labels, scores=None, **columns):
    return Boxes(np.asarray(xyxy, float).reshape(-1, 4), labels, scores, **columns)


def pycocotools_metrics(predictions: Mapping[str, Boxes], truths: Mapping[str, Boxes], classes: tuple[str, ...]) -> dict:
    """The same figures from the reference implementation; -1 stands for no truth."""
    number = {image_id: index for index, image_id in enumerate(sorted(truths), start=1)}
    annotations, results = [], []
    for image_id, index in number.items():
        truth = truths[image_id]
        for row, (x1, y1, x2, y2) in enumerate(truth.xyxy.astype(float)):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index,
                    "category_id": int(truth.labels[row]) + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": int(truth.crowd is not None and truth.crowd[row]),
                }
            )
        for row, (x1, y1, x2, y2) in enumerate(predictions[image_id].xyxy.astype(float) if image_id in predictions else ()):
            found = predictions[image_id]
            results.append(
                {
                    "image_id": index,
                    "category_id": int(found.labels[row]) + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": float(found.scores[row]),
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        truth_table = COCO()
        truth_table.dataset = {
            "info": {},
            "images": [{"id": index} for index in number.values()],
            "annotations": annotations,
            "categories": [{"id": index, "name": name} for index, name in enumerate(classes, start=1)],
        }
        truth_table.createIndex()
        evaluation = COCOeval(truth_table, truth_table.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"][..., 0, 2]
    return {
        "ap": evaluation.stats[0],
        "ap50": evaluation.stats[1],
        "ap75": evaluation.stats[2],
        "ap_small": evaluation.stats[3],
        "ap_medium": evaluation.stats[4],
        "ap_large": evaluation.stats[5],
        "per_class": {name: (precision[..., index].mean(), precision[0, :, index].mean()) for index, name in enumerate(classes)},
        "precision50": precision[0],
    }


def assert_equal_to_pycocotools(
    metrics: Metrics, predictions: Mapping[str, Boxes], truths: Mapping[str, Boxes], classes: tuple[str, ...]
) -> None:
    reference = pycocotools_metrics(predictions, truths, classes)

    def close(mine: float, theirs: float) -> None:
        assert math.isnan(mine) if theirs == -1 else mine == pytest.approx(theirs, abs=1e-6)

    for name in ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"):
        close(getattr(metrics, name), reference[name])
    for name, (ap, ap50) in reference["per_class"].items():
        close(metrics.per_class[name]["AP"], ap)
        close(metrics.per_class[name]["AP50"], ap50)
    for index, name in enumerate(classes):
        if reference["per_class"][name][0] == -1:
            assert name not in metrics.pr
        else:
            np.testing.assert_allclose(metrics.pr[name]["precision"], reference["precision50"][:, index], atol=5.1e-5)


def jitter(truth: Boxes, rng: np.random.Generator, class_count: int, *, clutter: int) -> Boxes:
    """What a fair detector might say of `truth`: most boxes moved a little, some repeated, some wrong, scores with ties."""
    kept = truth[rng.random(len(truth)) < 0.85]
    found = Boxes.concatenate([kept, kept[rng.random(len(kept)) < 0.3]])
    size = np.tile(found.xyxy[:, 2:] - found.xyxy[:, :2], 2)
    xyxy = found.xyxy + rng.normal(0, 0.08, found.xyxy.shape) * size
    noise = rng.uniform(0, 200, (clutter, 2))
    xyxy = np.concatenate([xyxy, np.hstack([noise, noise + rng.uniform(5, 120, (clutter, 2))])])
    labels = np.concatenate([found.labels, rng.integers(0, class_count, clutter)])
    swapped = rng.random(len(labels)) < 0.1
    labels = np.where(swapped, rng.integers(0, class_count, len(labels)), labels)
    xyxy[:, 2:] = np.maximum(xyxy[:, 2:], xyxy[:, :2] + 0.5)
    return boxes(xyxy, labels, rng.uniform(0.02, 1, len(labels)).round(2))


@pytest.fixture(scope="module")
def random_case() -> tuple[dict[str, Boxes], dict[str, Boxes], tuple[str, ...]]:
    """500 images, 20 classes of which one never occurs and one is never predicted right; crowds, ties, empty images, > 100 boxes."""
    rng = np.random.default_rng(7)
    classes = tuple(f"class {index}" for index in range(20))
    truths, predictions = {}, {}
    for image in rng.permutation(500):
        count = 0 if rng.random() < 0.1 else int(rng.integers(1, 12))
        corner = rng.uniform(0, 300, (count, 2))
        truth = boxes(
            np.hstack([corner, corner + np.exp(rng.uniform(1.5, 5.3, (count, 2)))]),
            rng.integers(0, 19, count),
            crowd=rng.random(count) < 0.08,
        )
        truths[f"folder {image % 3}/{image}.jpg"] = truth
        if rng.random() < 0.9:
            clutter = 130 if image < 3 else int(rng.integers(0, 6))
            predictions[f"folder {image % 3}/{image}.jpg"] = jitter(truth, rng, 20, clutter=clutter)
    return predictions, truths, classes


@pytest.fixture(scope="module")
def bccd_case(shared_data: Path) -> tuple[dict[str, Boxes], dict[str, Boxes], tuple[str, ...]]:
    """The real boxes of bccd's 87 val images, and the same jittered."""
    classes = ("RBC", "WBC", "Platelets")
    names = (shared_data / "bccd/ImageSets/Main/val.txt").read_text().split()
    truths = {}
    for name in names:
        objects = ET.parse(shared_data / f"bccd/Annotations/{name}.xml").getroot().findall("object")
        sides = ("xmin", "ymin", "xmax", "ymax")
        xyxy = [[float(thing.findtext(f"bndbox/{side}")) for side in sides] for thing in objects]
        truths[name] = boxes(xyxy, [classes.index(thing.findtext("name")) for thing in objects])
    rng = np.random.default_rng(3)
    return {name: jitter(truth, rng, 3, clutter=3) for name, truth in truths.items()}, truths, classes


class TestParity:
    @pytest.mark.slow
    def test_equals_pycocotools_on_500_random_images(self, random_case):
        metrics = coco_metrics(*random_case)
        assert 0.2 < metrics.ap < 0.9
        assert_equal_to_pycocotools(metrics, *random_case)

    def test_equals_pycocotools_on_real_cells(self, bccd_case):
        metrics = coco_metrics(*bccd_case)
        assert metrics.images == 87
        assert 0.2 < metrics.ap < 0.9
        assert_equal_to_pycocotools(metrics, *bccd_case)

    def test_without_details_the_main_figures_are_the_same(self, random_case):
        full, brief = coco_metrics(*random_case), coco_metrics(*random_case, details=False)
        assert (brief.ap, brief.ap50, brief.ap75) == (full.ap, full.ap50, full.ap75)
        assert brief.to_json()["per_class"] == full.to_json()["per_class"]
        assert math.isnan(brief.voc07_ap50)
        assert brief.pr == {}
        assert brief.confusion == []

    def test_order_of_images_is_irrelevant(self, random_case):
        predictions, truths, classes = random_case
        turned = coco_metrics(dict(sorted(predictions.items())), dict(sorted(truths.items(), reverse=True)), classes)
        assert turned.to_json() == coco_metrics(*random_case).to_json()

    @pytest.mark.slow
    def test_is_faster_than_pycocotools(self, random_case):
        start = time.perf_counter()
        coco_metrics(*random_case, details=False)
        mine = time.perf_counter() - start
        start = time.perf_counter()
        pycocotools_metrics(*random_case)
        assert mine < time.perf_counter() - start


class TestByHand:
    def test_a_perfect_detector(self):
        truths = {"a": boxes([[0, 0, 10, 10], [20, 20, 50, 50]], [0, 1]), "b": Boxes.empty()}
        predictions = {"a": boxes([[0, 0, 10, 10], [20, 20, 50, 50]], [0, 1], [0.9, 0.8])}
        metrics = coco_metrics(predictions, truths, CLASSES)
        assert (metrics.ap, metrics.ap50, metrics.ap75) == pytest.approx((1, 1, 1))
        assert (metrics.voc07_ap50, metrics.voc10_ap50) == (1, 1)
        assert (metrics.images, metrics.boxes) == (2, 2)
        assert metrics.confusion == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]

    def test_a_class_without_truth_has_no_ap_and_does_not_lower_the_mean(self):
        truths = {"a": boxes([[0, 0, 10, 10]], [0])}
        metrics = coco_metrics({"a": boxes([[0, 0, 10, 10], [5, 5, 9, 9]], [0, 2], [0.9, 0.99])}, truths, CLASSES)
        assert metrics.ap == pytest.approx(1)
        assert math.isnan(metrics.per_class["bird"]["AP"])
        assert set(metrics.pr) == {"cat", "all"}

    def test_iou_of_the_thresholds(self):
        truths = {"a": boxes([[0, 0, 10, 10]], [0])}
        metrics = coco_metrics({"a": boxes([[0, 0, 10, 7]], [0], [0.9])}, truths, CLASSES)  # IoU .7: .50, .55, .60, .65, .70 of ten
        assert (metrics.ap50, metrics.ap75) == pytest.approx((1, 0))
        assert metrics.ap == pytest.approx(0.5)

    def test_a_detection_in_a_crowd_is_neither_right_nor_wrong(self):
        truths = {"a": boxes([[0, 0, 10, 10], [50, 50, 200, 200]], [0, 0], crowd=[False, True])}
        found = boxes([[60, 60, 80, 80], [100, 100, 120, 120], [0, 0, 10, 10]], [0, 0, 0], [0.9, 0.8, 0.7])
        metrics = coco_metrics({"a": found}, truths, CLASSES)
        assert metrics.ap == pytest.approx(1)
        assert metrics.boxes == 1

    def test_only_the_best_hundred_of_a_class_and_image_count(self):
        wrong = [[500, 500, 510, 510]] * 100
        found = boxes([*wrong, [0, 0, 10, 10]], [0] * 101, [0.9] * 100 + [0.1])
        assert coco_metrics({"a": found}, {"a": boxes([[0, 0, 10, 10]], [0])}, CLASSES).ap == 0
        assert coco_metrics({"a": found[1:]}, {"a": boxes([[0, 0, 10, 10]], [0])}, CLASSES).ap == pytest.approx(0.01)

    def test_difficult_counts_in_coco_and_not_in_voc(self):
        truths = {"a": boxes([[0, 0, 10, 10], [50, 50, 90, 90]], [0, 0], difficult=[False, True])}
        metrics = coco_metrics({"a": boxes([[0, 0, 10, 10]], [0], [0.9])}, truths, CLASSES)
        assert metrics.ap50 == pytest.approx(51 / 101)
        assert metrics.voc10_ap50 == 1


class TestEdges:
    @pytest.mark.parametrize("details", [True, False])
    @pytest.mark.parametrize("truths", [{}, {"a": Boxes.empty(), "b": Boxes.empty()}], ids=["no images", "no objects"])
    def test_nothing_to_find_is_nan(self, truths, details):
        metrics = coco_metrics({}, truths, CLASSES, details=details)
        assert math.isnan(metrics.ap)
        assert math.isnan(metrics.per_class["dog"]["AP50"])
        assert metrics.boxes == 0

    def test_objects_but_no_detections_is_zero(self):
        metrics = coco_metrics({"a": Boxes.empty(3)}, {"a": boxes([[0, 0, 9, 9]], [1])}, CLASSES)
        assert (metrics.ap, metrics.voc07_ap50, metrics.voc10_ap50) == (0, 0, 0)
        assert metrics.confusion[1] == [0, 0, 0, 1]

    def test_detections_but_no_objects_is_nan_and_shows_in_the_confusion(self):
        metrics = coco_metrics({"a": boxes([[0, 0, 9, 9]], [1], [0.9])}, {"a": Boxes.empty()}, CLASSES)
        assert math.isnan(metrics.ap)
        assert metrics.confusion[3] == [0, 1, 0, 0]

    def test_a_stranger_is_refused(self):
        with pytest.raises(ValueError, match=r"'b\.jpg'"):
            coco_metrics({"b.jpg": Boxes.empty(3)}, {"a.jpg": Boxes.empty()}, CLASSES)

    def test_predictions_need_scores(self):
        with pytest.raises(ValueError, match="no scores"):
            coco_metrics({"a": boxes([[0, 0, 9, 9]], [1])}, {"a": Boxes.empty()}, CLASSES)

    def test_labels_beyond_the_classes_are_refused(self):
        with pytest.raises(ValueError, match=r"truth of 'a' has labels \{3\}, expected 0 to 2"):
            coco_metrics({}, {"a": boxes([[0, 0, 9, 9]], [3])}, CLASSES)

    def test_prints_nothing_and_leaves_its_inputs(self, capfd):
        truths = {"a": boxes([[0, 0, 10, 10]], [0])}
        predictions = {"a": boxes([[5, 5, 9, 9], [0, 0, 10, 9]], [0, 0], [0.2, 0.9])}
        before = predictions["a"][:]
        coco_metrics(predictions, truths, CLASSES)
        assert predictions["a"].equals(before)
        assert capfd.readouterr() == ("", "")


class TestJson:
    def test_survives_the_trip(self):
        truths = {"a": boxes([[0, 0, 10, 10]], [0])}
        metrics = coco_metrics({"a": boxes([[0, 0, 10, 8]], [0], [0.9])}, truths, CLASSES)
        text = json.dumps(metrics.to_json(), allow_nan=False)
        back = Metrics.from_json(json.loads(text))
        assert json.dumps(back.to_json()) == text
        assert back.ap == metrics.ap
        assert math.isnan(back.per_class["dog"]["AP"])

    def test_no_truth_is_none(self):
        assert coco_metrics({}, {}, CLASSES).to_json()["ap"] is None

    def test_a_figure_without_end_is_none_as_in_every_other_file(self):
        values = {"nan": math.nan, "inf": -math.inf, "rows": (np.float64(math.inf), 0.5), 1: True}
        assert plain(values) == {"nan": None, "inf": None, "rows": [None, 0.5], "1": True}
        assert [*map(finite_or_none, (math.inf, 0.5, "x"))] == [None, 0.5, "x"]
        assert Metrics(1, 1, math.inf, 0.5, 0.5, {"dog": {"AP": math.inf}}).to_json()["per_class"] == {"dog": {"AP": None}}
