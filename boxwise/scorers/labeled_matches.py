"""What the detector finds again on the labelled images: its detections paired with people's labels of the same class.

Returns columns, one row a detection and one row an object. Knows nothing of the pool, nor of what the pairs will be used for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from boxwise.boxes import Boxes, FloatArray, area, iou
from boxwise.detectors.base import Detector, View
from boxwise.detectors.loading import image_batches
from boxwise.evaluation.matching import greedy_pairs
from boxwise.records import Sample

MIN_IOU = 0.5  # with an object of its class, from which a detection may be the one that finds it
BATCH = 16


@dataclass(frozen=True)
class LabeledMatches:
    """Detections (D rows) and objects (M rows) of all completely labelled images that could be read.

    labels int64 [D], scores float32 [D], supports int64 [D] (see Detector.supports; 0 where not asked for), correct bool [D].
    object_labels int64 [M]; probabilities float32 [M], of the object's class in the detection that found it, and overlaps float32 [M],
    their IoU: both 0 for an object that none found.
    """

    labels: NDArray[np.int64]
    scores: FloatArray
    supports: NDArray[np.int64]
    correct: NDArray[np.bool_]
    object_labels: NDArray[np.int64]
    probabilities: FloatArray
    overlaps: FloatArray


def labeled_matches(detector: Detector, labeled: Sequence[Sample], *, least: float, supports: bool = False) -> LabeledMatches:
    """Detections of score `least` or more on `labeled`, paired with its objects; one forward pass an image.

    Pairs are of one class and of IoU .5 or more, the largest IoU first. Left out: unreadable images; images with unlabelled objects;
    difficult objects, crowds and boxes that the model labelled itself, with the unpaired detections that lie on them: a detector judged by
    its own labels is always right.
    """
    labeled = [sample for sample in labeled if sample.complete]
    samples = {sample.image.image_id: sample for sample in labeled}
    found = [_matched(Boxes.empty(len(detector.classes)), _NO_SUPPORTS, Boxes.empty())]
    records = [sample.image for sample in labeled]
    for batch in image_batches(records, detector.input, batch=BATCH):
        view = detector.view(batch)
        within = zip(batch.records, detector.detections(view), _supports(detector, view, asked=supports), strict=True)
        for image, boxes, counts in within:
            sure = _scores(boxes) >= np.float32(least)
            found.append(_of_sample(boxes[sure], counts[sure], samples[image.image_id]))
    columns = {field.name: np.concatenate([getattr(part, field.name) for part in found]) for field in fields(LabeledMatches)}
    return LabeledMatches(**columns)


_NO_SUPPORTS = np.zeros(0, np.int64)


def _supports(detector: Detector, view: View, *, asked: bool) -> list[NDArray[np.int64]]:
    return detector.supports(view) if asked else [np.zeros(len(boxes), np.int64) for boxes in detector.detections(view)]


def _of_sample(boxes: Boxes, supports: NDArray[np.int64], sample: Sample) -> LabeledMatches:
    """One image's rows, without the detections that cannot be called right or wrong."""
    by_model = False if sample.by_model is None else sample.by_model
    skipped = sample.boxes.skipped | by_model
    matches = _matched(boxes, supports, sample.boxes[~skipped])
    judged = matches.correct | ~_lies_on(boxes, sample.boxes[skipped])
    return replace(
        matches,
        labels=matches.labels[judged],
        scores=matches.scores[judged],
        supports=matches.supports[judged],
        correct=matches.correct[judged],
    )


def _matched(boxes: Boxes, supports: NDArray[np.int64], objects: Boxes) -> LabeledMatches:
    same = boxes.labels[:, None] == objects.labels[None, :]
    overlap = np.where(same, iou(boxes.xyxy, objects.xyxy), 0).astype(np.float32)
    correct = np.zeros(len(boxes), bool)
    probabilities, overlaps = np.zeros(len(objects), np.float32), np.zeros(len(objects), np.float32)
    for row, column in greedy_pairs(overlap, MIN_IOU):
        correct[row], probabilities[column], overlaps[column] = True, _scores(boxes)[row], overlap[row, column]
    return LabeledMatches(boxes.labels, _scores(boxes), supports, correct, objects.labels, probabilities, overlaps)


def _scores(boxes: Boxes) -> FloatArray:
    if boxes.scores is None:
        raise ValueError("matching with labels needs detections with scores, found boxes without")
    return boxes.scores


def _lies_on(boxes: Boxes, regions: Boxes) -> NDArray[np.bool_]:
    """Which boxes have at least half of their area in one of `regions` of their class; bool [N]."""
    top_left = np.maximum(boxes.xyxy[:, None, :2], regions.xyxy[None, :, :2])
    bottom_right = np.minimum(boxes.xyxy[:, None, 2:], regions.xyxy[None, :, 2:])
    shared = np.clip(bottom_right - top_left, 0, None).prod(axis=2)
    inside = (shared >= MIN_IOU * area(boxes.xyxy)[:, None]) & (boxes.labels[:, None] == regions.labels[None, :])
    return inside.any(axis=1)
