"""Committees: what several members say of each box that the detector finds, by dropout or by separate trainings.

Returns one value an image. Knows nothing of how the members were trained, of embeddings, budgets or ground truth.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.random import Generator

from boxwise.boxes import Boxes
from boxwise.detectors.base import Detector, View
from boxwise.errors import ConfigError
from boxwise.records import ImageRecord, Sample
from boxwise.scorers.agreement import distributions_at, mutual_information, probabilities_of
from boxwise.scorers.per_box import PerBox, Values, references


class Committee(PerBox):
    """Mutual information of the members about each box (BALD; Houlsby et al., 2011), the detector itself among them.

    A member's word on a box of the detector (score >= 0.05) is the class distribution of its own best detection of IoU >= 0.5, background
    where it has none. What the members find and the detector does not is not asked about.
    """

    name = "mutual_information"

    def box_values(self, detector: Detector, view: View) -> list[Values]:
        seen, classes = references(detector, view), len(detector.classes)
        members = self.members_detections(detector, view)
        return [_information(boxes, [found[row] for found in members], classes) for row, boxes in enumerate(seen)]

    @abstractmethod
    def members_detections(self, detector: Detector, view: View) -> list[list[Boxes]]:
        """What each other member detects on each image of the view."""


def _information(boxes: Boxes, members: Sequence[Boxes], class_count: int) -> Values:
    views = [probabilities_of(boxes, class_count), *(distributions_at(boxes.xyxy, found, class_count) for found in members)]
    return mutual_information(np.stack(views))


class McDropout(Committee):
    """Members by dropout at inference (Gal & Ghahramani, ICML 2016; for detectors Miller et al., ICRA 2018).

    Whole channels of the feature levels before the heads are dropped; the backbone is shared. The masks are drawn once in `fit` and are the
    same for every image. Cost an image: `passes` passes of the heads and their NMS, no second pass of the backbone.

    Deviation: the detectors here are trained without dropout, so the passes sample perturbed networks, not the posterior of the paper.
    """

    def __init__(self, *, passes: int = 10, rate: float = 0.2, aggregate: str = "max") -> None:
        super().__init__(aggregate)
        self._passes, self._rate, self._seed = passes, rate, 0

    def fit(
        self, labeled: Sequence[Sample], unlabeled: Sequence[ImageRecord], *, detector: Detector, rng: Generator, folder: Path | None = None
    ) -> dict[str, float]:
        self._seed = int(rng.integers(2**31))
        return {}

    def members_detections(self, detector: Detector, view: View) -> list[list[Boxes]]:
        views = detector.dropout_views(view.batch, passes=self._passes, rate=self._rate, seed=self._seed)
        return [detector.detections(each) for each in views]


class Ensemble(Committee):
    """Members trained on the same labels from other first weights and in another order (Beluch et al., CVPR 2018).

    Cost a round: one training a member; an image: one forward pass a member beside the pool's own.
    Raises ConfigError without members: an ensemble of one never disagrees.
    """

    def __init__(self, members: Sequence[Detector], *, aggregate: str = "max") -> None:
        super().__init__(aggregate)
        if not members:
            raise ConfigError("scorer.name is 'ensemble', which needs further detectors trained on the same labels; found none.")
        self._members = tuple(members)

    def members_detections(self, detector: Detector, view: View) -> list[list[Boxes]]:
        return [member.detections(member.view(view.batch)) for member in self._members]
