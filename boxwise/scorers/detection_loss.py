"""L_det: how wrong the detector probably is on an image, without knowing its labels.

Returns one loss an image, read off the pool pass's view. Knows nothing of the pool's ground truth, except `OracleLoss`,
which is handed it by the simulation and is an upper bound, not a method.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from boxwise.boxes import Boxes, flip_horizontal
from boxwise.detectors.base import Detector, View
from boxwise.records import Scores
from boxwise.scorers.base import Scorer, Terms


class DetectionLoss(Scorer):
    """A scorer whose only term, `name`, is a loss of the detector itself; nothing to fit."""

    name: str

    def measure(self, detector: Detector, view: View) -> Terms:
        return {self.name: self.losses(detector, view).astype(np.float64)}

    def score(self, image_ids: Sequence[str], terms: Mapping[str, NDArray[np.float64]]) -> Scores:
        values = terms[self.name] if image_ids else np.zeros(0)  # an empty pool was never measured
        return Scores(tuple(image_ids), values.copy(), {self.name: values.copy()})

    @abstractmethod
    def losses(self, detector: Detector, view: View) -> NDArray[np.float32]:
        """One loss an image of the view; float32 [B], finite with and without detections."""


class ExpectedLoss(DetectionLoss):
    """The loss expected under the detector's own belief: entropy of its most-foreground anchors or proposals.

    Anchors are there whether or not anything passes the detection threshold, so an image without detections has its place.
    """

    name = "expected"

    def losses(self, detector: Detector, view: View) -> NDArray[np.float32]:
        return detector.expected_losses(view)


class PseudoLoss(DetectionLoss):
    """The detector's own loss on an image, against its confident boxes on the mirrored image (consistency under flip).

    Boxes of the mirrored image with score >= `threshold` are mirrored back and become the targets. Where there are none, the
    loss is the one against no objects: high when half-believed objects lie below the threshold. Costs a second forward pass.
    """

    name = "pseudo"

    def __init__(self, *, threshold: float = 0.5) -> None:
        self.threshold = threshold

    def losses(self, detector: Detector, view: View) -> NDArray[np.float32]:
        mirrored = detector.detections(detector.view(view.batch.flipped()))
        targets = [self._targets(boxes, image.width) for boxes, image in zip(mirrored, view.batch.records, strict=True)]
        return detector.losses(view, targets)

    def _targets(self, mirrored: Boxes, width: int) -> Boxes:
        confident = mirrored.at_least(self.threshold)
        return replace(confident, xyxy=flip_horizontal(confident.xyxy, width))


class LearnedLoss(DetectionLoss):
    """The loss predicted by a head on backbone features (Yoo & Kweon, CVPR 2019), trained along with the detector."""

    name = "learned"

    def losses(self, detector: Detector, view: View) -> NDArray[np.float32]:
        return detector.learned_losses(view)


class OracleLoss(DetectionLoss):
    """The true loss against ground truth: an upper bound for L_det, never a method.

    truths: image_id → labels. Only the simulation has such a function, so a real study cannot build this scorer.
    """

    name = "oracle_loss"

    def __init__(self, truths: Callable[[str], Boxes]) -> None:
        self.truths = truths

    def __reduce__(self) -> str:
        raise TypeError("oracle_loss knows the pool's ground truth, which goes into no file and to no other process")

    def losses(self, detector: Detector, view: View) -> NDArray[np.float32]:
        return detector.losses(view, [self.truths(image.image_id) for image in view.batch.records])


def surrogates(*, pseudo_threshold: float, expected: bool = True) -> tuple[DetectionLoss, ...]:
    """The three surrogates of the true loss whose fidelity is reported each round. expected: whether the detector has an expected loss."""
    others = (PseudoLoss(threshold=pseudo_threshold), LearnedLoss())
    return (ExpectedLoss(), *others) if expected else others
