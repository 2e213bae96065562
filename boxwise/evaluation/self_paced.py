"""Self-paced loss: how far a detector is from being sure of each box it predicts, in the classes it has.

Returns one loss a box and class. Knows nothing of labels, ground truth, images or what the losses decide.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LEAST = 1e-7  # about what float32 resolves below 1: nearer to 0 or 1 a probability says no more, and its log would be infinite


def self_paced_losses(probabilities: NDArray[np.floating], class_count: int) -> NDArray[np.float64]:
    """l_j = -[(1 + y_j)/2 log p_j + (1 - y_j)/2 log(1 - p_j)], y_j = 1 for the predicted class and -1 for the others (nats, finite).

    Self-supervised sample mining (Wang et al., CVPR 2018). probabilities: float [N, C], or [N, C + 1] with background last, which is no
    class; C is `class_count`. The predicted class is the most probable. Returns float64 [N, C]; Σ_j l_j is what the mining's gate judges.
    """
    foreground = np.clip(probabilities[:, :class_count].astype(np.float64), _LEAST, 1 - _LEAST)
    losses = -np.log1p(-foreground)
    rows, predicted = np.arange(len(foreground)), foreground.argmax(axis=1)
    losses[rows, predicted] = -np.log(foreground[rows, predicted])
    return losses
