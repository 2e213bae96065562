"""SAM 2 of the package transformers: from a click or a rough box to the box around the object that it means.

Returns boxes in pixels of the image. An image is embedded once, which is the long part; each prompt after that is answered from the
embedding. It knows no classes and learns nothing from a study's labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional

from boxwise.detectors import hub

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of what the encoder was trained on
_FINER = 4  # times the decoder's mask, whose pixel is four of the input's
Xyxy = tuple[float, float, float, float]


@dataclass(frozen=True)
class Embedded:
    """One image as the mask decoder takes it. features: from fine to coarse. width, height: of the image, pixels."""

    features: list[Tensor]
    width: int
    height: int


class Sam:
    """Segment Anything 2 (Ravi et al., 2024): a mask for a prompt, of which the extent is the box.

    Unlike the paper, only its image model is used, without the memory of a video; of the masks for one prompt the one whose IoU is
    predicted highest is taken, and of it the part under the click or, for a rough box, the largest part.
    """

    def __init__(self, weights: str | Path, *, device: torch.device) -> None:
        """weights: a name at the hub, or a folder that `save_pretrained` wrote. Raises BoxwiseError where they cannot be had."""
        self.device = device
        self._model = _loaded(str(Path(weights).expanduser())).to(device).eval()
        side = self._model.config.prompt_encoder_config.image_size
        self._side = int(side if isinstance(side, int) else side[0])

    @torch.inference_mode()
    def embed(self, pixels: Tensor) -> Embedded:
        """Of one image, uint8 [3, H, W] in RGB."""
        sized = functional.resize(pixels, [self._side, self._side], antialias=True).to(self.device)
        values = functional.normalize(sized.float() / 255, list(_MEAN), list(_STD))
        return Embedded(self._model.get_image_embeddings(values[None]), pixels.shape[2], pixels.shape[1])

    @torch.inference_mode()
    def box(self, image: Embedded, *, point: tuple[float, float] | None = None, rough: Xyxy | None = None) -> tuple[Xyxy, float] | None:
        """The box around what lies under `point`, or what the box `rough` means, and the predicted IoU of its mask; None for no mask."""
        scale = torch.tensor([self._side / image.width, self._side / image.height], device=self.device)
        prompt: dict[str, Tensor] = {}
        if point is not None:
            prompt["input_points"] = (torch.tensor(point, device=self.device) * scale)[None, None, None]
        if rough is not None:
            prompt["input_boxes"] = (torch.tensor(rough, device=self.device) * scale.repeat(2))[None, None]
        found = self._model(image_embeddings=list(image.features), multimask_output=True, **prompt)
        best = int(found.iou_scores[0, 0].argmax())
        mask = F.interpolate(found.pred_masks[0, 0, best][None, None].float(), scale_factor=_FINER, mode="bilinear")[0, 0] > 0
        inside = _extent(mask.cpu().numpy(), None if point is None else (point[0] / image.width, point[1] / image.height))
        if inside is None:
            return None
        x1, y1, x2, y2 = inside
        return (x1 * image.width, y1 * image.height, x2 * image.width, y2 * image.height), float(found.iou_scores[0, 0, best])


def _loaded(weights: str) -> Any:
    from transformers import Sam2Model

    with hub.loading(f"labelling.sam2={weights}", "SAM 2", ways_out="Give a folder of save_pretrained, or a name at the hub."):
        return hub.whole(Sam2Model, weights)


def _extent(mask: NDArray[np.bool_], at: tuple[float, float] | None) -> Xyxy | None:
    """x1, y1, x2, y2 as shares of the sides of the part of `mask` [H, W] that lies at `at` (shares, too), else of the largest part."""
    parts, count = label(mask)
    if not count:
        return None
    height, width = mask.shape
    part = 0 if at is None else int(parts[min(int(at[1] * height), height - 1), min(int(at[0] * width), width - 1)])
    part = part or int(np.bincount(parts.ravel())[1:].argmax()) + 1
    rows, columns = find_objects(parts)[part - 1]
    return columns.start / width, rows.start / height, columns.stop / width, rows.stop / height
