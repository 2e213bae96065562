"""How an image enters a network: its size, how it is made to fit, and what the network's first layer was trained on.

Pure data and arithmetic: knows nothing of files, tensors or networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Resize = Literal["stretch", "fit", "letterbox"]
STRIDE = 32  # "fit" batches are padded to a multiple: the deepest stride of the networks that take them


@dataclass(frozen=True)
class InputSpec:
    """What a network takes.

    imgsz: input side in pixels. resize: "stretch" squeezes an image to imgsz × imgsz. "fit" scales it so that its longest side is imgsz
    and pads the batch bottom right to a common multiple of 32. "letterbox" scales it likewise and pads bottom right to imgsz × imgsz.
    fill: the value of padded pixels, 0 to 255. antialias: whether shrinking averages over source pixels; False samples bilinearly.
    channels, mean, std: order and normalisation ((pixel - mean) / std, pixels from 0 to 255) that the network applies itself to RGB pixels;
    stated here for whoever exports it.
    """

    imgsz: int
    resize: Resize = "stretch"
    fill: int = 0
    antialias: bool = True
    channels: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) at which an image of that size enters, before it is padded."""
        if self.resize == "stretch":
            return self.imgsz, self.imgsz
        scale = self.imgsz / max(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))

    def canvas(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of a batch whose largest image enters at that size."""
        if self.resize == "fit":
            return -(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE
        return self.imgsz, self.imgsz


def in_bytes(values: Sequence[float]) -> tuple[float, float, float]:
    """A mean or deviation of pixels from 0 to 1 as one of pixels from 0 to 255."""
    first, second, third = (255 * value for value in values)
    return first, second, third
