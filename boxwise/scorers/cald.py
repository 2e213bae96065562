"""CALD: how consistent the detector is on an image and on augmented views of it.

Returns one value an image, for `CaldBalance` or any other strategy. Knows nothing of embeddings, budgets or ground truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from boxwise.boxes import Boxes
from boxwise.detectors.base import Detector, View
from boxwise.detectors.views import CutOut, Flip, Rotated, Shrunk, Transform
from boxwise.records import ImageRecord, Scores
from boxwise.scorers.agreement import consistencies
from boxwise.scorers.base import Scorer, Terms
from boxwise.scorers.per_box import placed, references

BASE = 1.3  # the consistency that tells most: above, the detector is sure; below, the box is mostly noise
VIEWS: tuple[Transform, ...] = (Flip(), CutOut(), Shrunk(0.8), Rotated(5.0))


class Cald(Scorer):
    """Consistency-based active learning (Yu et al., CVPR Workshops 2022): the image of whose boxes one has consistency nearest to 1.3.

    For each of four views (mirrored, two cuts, x 0.8, turned by 5 degrees) min_k |M_k - 1.3| over the reference boxes, those of score
    >= 0.05; M_k as in `consistencies`. The value is minus the mean over views. Cost an image: 4 forward passes beside the pool's own.

    Deviations. An image without reference boxes: the published code gives it the best value there is, so that all such images are bought
    first; here it is placed among the others by its expected loss (see `PerBox`). A view without detections: 1.3 as the formula has
    it, where the code says 0, again the best value; nor is a view's value capped at 1. Without any overlap the match is background, where
    the code takes the view's first box. All reference boxes count, not 50. What is painted over or moves in is of mean colour, not black,
    and the x 0.8 view really is smaller: torchvision's resizing, which the code runs into, undoes it.
    """

    def measure(self, detector: Detector, view: View) -> Terms:
        """Raw terms "distance", the mean over views of min_k |M_k - 1.3| (0 without reference boxes), "references", their number, and
        "expected", the expected loss."""
        seen = references(detector, view)
        views = [_distances(detector, view, seen, transform) for transform in VIEWS]
        return {
            "distance": np.mean(views, axis=0),
            "references": np.array([len(boxes) for boxes in seen], np.float64),
            "expected": detector.expected_losses(view).astype(np.float64),
        }

    def score(self, image_ids: Sequence[str], terms: Mapping[str, NDArray[np.float64]]) -> Scores:
        if not image_ids:
            return Scores((), np.zeros(0), {"distance": np.zeros(0)})
        known = terms["references"] > 0
        near = placed(np.where(known, BASE - terms["distance"], 0.0), terms["expected"], known)  # 0 or larger, as `placed` wants it
        return Scores(tuple(image_ids), near - BASE, {"distance": BASE - near})


def _distances(detector: Detector, view: View, seen: Sequence[Boxes], transform: Transform) -> NDArray[np.float64]:
    """min_k |M_k - 1.3| of each image in one view, 0 without reference boxes; float64 [B]."""
    found, class_count = references(detector, detector.view(transform.apply(view.batch, seen))), len(detector.classes)
    images = zip(seen, found, view.batch.records, strict=True)
    return np.array([_nearest(boxes, other, transform, image, class_count) for boxes, other, image in images], np.float64)


def _nearest(boxes: Boxes, other: Boxes, transform: Transform, image: ImageRecord, class_count: int) -> float:
    if not len(boxes):
        return 0.0
    return float(np.abs(consistencies(boxes, transform.boxes(boxes.xyxy, image), other, class_count) - BASE).min())
