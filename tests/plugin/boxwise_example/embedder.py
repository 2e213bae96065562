"""What colours an image has. Returns the mean of each cell of a grid. Knows nothing of what is seen in it."""

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from boxwise.detectors.base import ImageBatch
from boxwise.detectors.input import InputSpec
from boxwise.embedders.base import EmbedderContext
from boxwise_example import ColoursOptions


class Colours:
    """Mean red, green and blue in [0, 1] of each of cells × cells parts; float32 [B, 3 · cells²]."""

    def __init__(self, cells: int, device: torch.device) -> None:
        self._cells, self._device = cells, device
        self.input = InputSpec(64)
        self.identity = hashlib.sha256(f"colours {cells}".encode()).hexdigest()

    def embed(self, batch: ImageBatch) -> NDArray[np.float32]:
        pixels = batch.pixels.to(self._device).float() / 255
        return interpolate(pixels, size=(self._cells, self._cells), mode="area").flatten(1).cpu().numpy()


def colours(options: ColoursOptions, given: EmbedderContext) -> Colours:
    return Colours(options.cells, given.device)
