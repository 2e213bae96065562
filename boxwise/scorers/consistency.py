"""Inconsistency under mirroring: does the detector say the same of a box and of its mirror image?

Returns one value an image. Knows nothing of embeddings, budgets or ground truth.
"""

from __future__ import annotations

from boxwise.detectors.base import Detector, View
from boxwise.detectors.views import Flip
from boxwise.scorers.agreement import distributions_at, probabilities_of, symmetric_kl
from boxwise.scorers.per_box import PerBox, Values, references


class FlipConsistency(PerBox):
    """Symmetric KL between a box's class distribution and that of its mirrored match (Elezi et al., "Not all labels are equal", CVPR 2022).

    The image's value is the max (or mean, sum) over its boxes of score >= 0.05. Cost an image: 1 forward pass beside the pool's own.

    Deviations. The paper compares an anchor with its mirrored anchor, which only single-shot detectors have; here a detection is compared
    with the best detection of IoU >= 0.5 on the mirrored image, and with background where there is none. Both are smoothed with 1% of the
    uniform distribution: the detector does not tell of scores below 0.01, and 0 would make the divergence infinite. The paper first keeps
    the images of largest entropy; a budget is none of a scorer's business, so all images are compared here.
    """

    name = "inconsistency"

    def box_values(self, detector: Detector, view: View) -> list[Values]:
        flip, seen, classes = Flip(), references(detector, view), len(detector.classes)
        mirrored = detector.detections(detector.view(flip.apply(view.batch, seen)))
        images = zip(seen, mirrored, view.batch.records, strict=True)
        return [
            symmetric_kl(probabilities_of(boxes, classes), distributions_at(flip.boxes(boxes.xyxy, image), other, classes))
            for boxes, other, image in images
        ]
