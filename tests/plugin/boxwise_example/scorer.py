"""How dark or bright an image is. Returns one value an image, read off its pixels. Knows nothing of what is detected."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from boxwise.detectors.base import Detector, View
from boxwise.records import Scores
from boxwise.scorers.base import Scorer, Terms
from boxwise.scorers.building import ScorerContext
from boxwise_example import BrightnessOptions


class Brightness(Scorer):
    """The mean of an image's pixels in [0, 1], or what is missing to 1."""

    def __init__(self, wanted: str) -> None:
        self._dark = wanted == "dark"

    def measure(self, detector: Detector, view: View) -> Terms:
        images = zip(view.batch.pixels, view.batch.valid.tolist(), strict=True)
        means = [float(pixels[:, :height, :width].double().mean()) / 255 for pixels, (height, width) in images]
        return {"brightness": np.array(means, np.float64)}

    def score(self, image_ids: Sequence[str], terms: Mapping[str, NDArray[np.float64]]) -> Scores:
        values = terms["brightness"].copy() if image_ids else np.zeros(0)
        return Scores(tuple(image_ids), 1 - values if self._dark else values, {"brightness": values})


def brightness(options: BrightnessOptions, given: ScorerContext) -> Brightness:
    return Brightness(options.wanted)
