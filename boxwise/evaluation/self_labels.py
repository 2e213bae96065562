"""How right self-labels are: the model's own labels of pool images against ground truth, class by class.

Returns counts, and precision and recall from them. Only simulation has the truths to call it with. Knows nothing of studies or stores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from boxwise.boxes import Boxes, FloatArray, area, iou
from boxwise.evaluation.matching import greedy_pairs

RIGHT_IOU = 0.5


def self_label_quality(
    labels: Iterable[tuple[str, Boxes]], truths: Mapping[str, Boxes], classes: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Class name → {"self_labeled", "correct", "objects"}, over the images of `labels`: (image_id, the model's labels there).

    correct: labels with IoU ≥ .5 to an object of their class, one to one, the largest IoU first. objects: of the class in those
    images. Crowd regions are no objects, and a label that lies half inside one of its class is not judged, as in COCO AP.
    """
    counts = np.zeros((len(classes), 3), np.int64)
    for image_id, found in labels:
        truth = truths[image_id]
        for label in np.union1d(found.labels, truth.labels):
            counts[label] += _judged(found, truth, label)
    return {
        name: {"self_labeled": int(found), "correct": int(correct), "objects": int(objects)}
        for name, (found, correct, objects) in zip(classes, counts, strict=True)
    }


def precision_recall(row: Mapping[str, int]) -> tuple[float | None, float | None]:
    """(correct / self_labeled, correct / objects) of one class's counts; None where nothing was labelled, or nothing was there."""
    found, correct, objects = row["self_labeled"], row["correct"], row["objects"]
    return correct / found if found else None, correct / objects if objects else None


def _judged(found: Boxes, truth: Boxes, label: int) -> tuple[int, int, int]:
    """Self-labelled, correct and objects of one class in one image."""
    of_class, true_of_class = found.labels == label, truth.labels == label
    crowd = np.zeros(len(truth), bool) if truth.crowd is None else truth.crowd
    objects = truth.xyxy[true_of_class & ~crowd]
    pairs = greedy_pairs(iou(found.xyxy[of_class], objects), RIGHT_IOU)
    unmatched = np.delete(found.xyxy[of_class], [row for row, _ in pairs], axis=0)
    excused = int(_half_inside(unmatched, truth.xyxy[true_of_class & crowd]).sum())
    return int(of_class.sum()) - excused, len(pairs), len(objects)


def _half_inside(xyxy: FloatArray, regions: FloatArray) -> NDArray[np.bool_]:
    """Which boxes have half of their own area or more in one of the regions; bool [N]."""
    corner = np.maximum(xyxy[:, None, :2], regions[None, :, :2])
    opposite = np.minimum(xyxy[:, None, 2:], regions[None, :, 2:])
    return (np.clip(opposite - corner, 0, None).prod(axis=2) >= 0.5 * area(xyxy)[:, None]).any(axis=1)
