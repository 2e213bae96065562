"""The detector's own features: of an untrained one, what its pretrained weights see; of a round's, what it has learned to see.

Returns an embedder over the detector that is given. Knows nothing of boxes.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from boxwise.config import Options
from boxwise.detectors.base import Detector, ImageBatch
from boxwise.detectors.checked import embeddings_of
from boxwise.detectors.weights_file import read_weights, weights_digest
from boxwise.embedders.base import EmbedderContext, fingerprint
from boxwise.errors import BoxwiseError


class DetectorFeatures:
    """Pooled features of the detector's backbone, L2-normalised."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self.input, self.identity = detector.input, _identity(detector)

    def embed(self, batch: ImageBatch) -> NDArray[np.float32]:
        return embeddings_of(self._detector, self._detector.view(batch))


def detector(options: Options, given: EmbedderContext) -> DetectorFeatures:
    return DetectorFeatures(given.detector())


def _identity(detector: Detector) -> str:
    """Of the network in the file that the detector saves, on whichever device; of another package's detector, of all that it saves."""
    with TemporaryDirectory(prefix="boxwise-") as folder:
        path = Path(folder, "detector.pt")
        detector.save(path)
        try:
            found = read_weights(path)
        except BoxwiseError:
            return weights_digest(path)
    return fingerprint(found["network"], found["name"], found["imgsz"])
