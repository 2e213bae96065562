"""Disagreement of two looks about each box, in class and in place.

Returns one value an image. Knows nothing of embeddings, budgets, of which boxes a person will be asked about, or of ground truth.
"""

from __future__ import annotations

import numpy as np

from boxwise.boxes import Boxes, FloatArray, iou
from boxwise.detectors.base import Detector, View
from boxwise.detectors.views import Flip
from boxwise.evaluation.entropy import jensen_shannon
from boxwise.evaluation.matching import greedy_pairs
from boxwise.scorers.agreement import MATCHED, probabilities_of
from boxwise.scorers.per_box import PerBox, Values, references


class BoxDisagreement(PerBox):
    """The committee of two looks of box-level active detection (Lyu et al., CVPR 2023), the image and its mirror image.

    A box's disagreement is that about its class, JS(p, q), times that about its place, 1 - IoU. Boxes of score >= 0.05 of both looks are
    matched one to one, best IoU first and 0.5 at least; a box of one look alone is compared with background, at IoU 0. The image's value
    is the sum (or max, mean) over all of them. Cost an image: 1 forward pass beside the pool's own.

    Deviations. The paper scales both factors to [0, 1] over the pool, and never asks about a box that the second look does not have;
    here a box of a middling score that comes and goes counts most. It buys boxes one by one, here images are ranked and then, with
    ask.mode=boxes, their boxes between ask.uncertain and ask.certain are asked about, false ones among them at their price.
    """

    name = "disagreement"

    def __init__(self, aggregate: str = "sum") -> None:
        super().__init__(aggregate)

    def box_values(self, detector: Detector, view: View) -> list[Values]:
        flip, seen = Flip(), references(detector, view)
        mirrored = references(detector, detector.view(flip.apply(view.batch, seen)))
        images = zip(seen, mirrored, view.batch.records, strict=True)
        return [disagreements(boxes, flip.boxes(boxes.xyxy, image), other, len(detector.classes)) for boxes, other, image in images]


def disagreements(boxes: Boxes, places: FloatArray, other: Boxes, class_count: int) -> Values:
    """Class disagreement x place disagreement of each pair of matched boxes, then of each box without a match in either set; 0 to ln 2.

    places: float32 [N, 4], where `boxes` lie in the second look, which has the M boxes `other`. float64 [N + M - pairs].
    """
    p, q = probabilities_of(boxes, class_count), probabilities_of(other, class_count)
    overlaps = iou(places, other.xyxy)
    pairs = greedy_pairs(overlaps, MATCHED)
    rows, other_rows = np.array([row for row, _ in pairs], np.intp), np.array([row for _, row in pairs], np.intp)
    background = np.eye(p.shape[1])[-1:]
    both = jensen_shannon(p[rows], q[other_rows]) * (1 - overlaps[rows, other_rows])
    alone = np.concatenate([np.delete(p, rows, axis=0), np.delete(q, other_rows, axis=0)])
    return np.concatenate([both, jensen_shannon(alone, background)])
