"""Self-supervised sample mining: pool boxes that pass cross-image validation are trained on, the surer the heavier.

Returns a plan with soft self-labels for this round alone. Knows nothing of detectors, of how boxes are validated, or of ground truth.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from boxwise.evaluation.self_paced import self_paced_losses
from boxwise.policies.all_labeled import AllLabeled
from boxwise.policies.base import Material, PoolImage, SelfLabels, TrainingPlan
from boxwise.policies.plans import easiest

PASSES = 3 / 5  # of the images a box was pasted into: where it was found again, in place and class


class SampleMining:
    """Everything annotated, and pool boxes found again in 3 of 5 host images whose self-paced loss Σ_j l_j stays within the gate.

    "Towards Human-Machine Cooperation: Self-supervised Sample Mining for Object Detection" (Wang et al., CVPR 2018). The gate opens by
    `gate_step` a round, up to 1; a box above it is a person's to answer. Each box of class j weighs v_j = max(0, 1 - l_j / pace).
    The paper calls the mean score of the pastes that pass a box's consistency; here passing is all that counts, and v_j says how sure the
    detector is of the box itself. Images of the lowest mean loss come first, at most `most_self_labeled` for each annotated one:
    O(annotated) memory.
    """

    partial = False
    labels_pool = True

    def __init__(
        self,
        *,
        gate: float = 0.15,
        gate_step: float = 0.05,
        pace: float = 0.5,
        mined_images: int = 64,
        most_self_labeled: float = 1.0,
    ) -> None:
        self._gate, self._step, self._pace, self._most = gate, gate_step, pace, most_self_labeled
        self.validates = mined_images

    def compose(self, material: Material, *, rng: Generator) -> TrainingPlan:
        plan = AllLabeled().compose(material, rng=rng)
        gate = min(1.0, self._gate + self._step * (material.round - 1))
        amount = int(self._most * len(plan.train))
        return replace(
            plan, self_labels=easiest(material.pool(), lambda image: self._mined(image, gate, material.class_count), amount, rng=rng)
        )

    def _mined(self, image: PoolImage, gate: float, class_count: int) -> tuple[float, SelfLabels] | None:
        """The mean self-paced loss of the boxes that pass, and those boxes with their weights."""
        if image.consistency is None or image.boxes.probabilities is None:
            return None
        losses = self_paced_losses(image.boxes.probabilities, class_count)
        weights = np.maximum(0.0, 1 - losses[np.arange(len(losses)), image.boxes.labels] / self._pace)
        passed = (image.consistency >= PASSES) & (losses.sum(axis=1) <= gate) & (weights > 0)
        if not passed.any():
            return None
        return float(losses[passed].sum(axis=1).mean()), SelfLabels(image.boxes[passed], weights[passed].astype(np.float32))
