"""From YOLOX's predictions to the boxes that go into NMS.

Returns one `RawBoxes` an image. Knows nothing of networks, losses, labels or original sizes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

from boxwise.detectors.network import Postprocessing, RawBoxes
from boxwise.detectors.yolox.model import Predictions

CANDIDATES = 1000  # most boxes an image that go into NMS


def probabilities(objectness: Tensor, classes: Tensor) -> Tensor:
    """Probability that there is an object and that it is of each class, [..., C] from logits [...] and [..., C]."""
    return objectness.float().sigmoid()[..., None] * classes.float().sigmoid()


def raw_boxes(predictions: Predictions, valid: Tensor, post: Postprocessing) -> list[RawBoxes]:
    """The cells' boxes above the score threshold, at most CANDIDATES an image, clipped to its valid (height, width), int64 [B, 2].

    Every cell speaks for its most probable class alone; its score is objectness × that class's probability.
    """
    return [_raw_boxes(predictions, image, size, post) for image, size in enumerate(valid.tolist())]


def _raw_boxes(predictions: Predictions, image: int, size: list[int], post: Postprocessing) -> RawBoxes:
    likely = torch.where(predictions.objectness[image].float().sigmoid() > post.score_threshold)[0]
    each = probabilities(predictions.objectness[image, likely], predictions.classes[image, likely])
    scores, labels = each.max(-1)
    rows = torch.where(scores > post.score_threshold)[0]
    if len(rows) > CANDIDATES:
        rows = rows[scores[rows].topk(CANDIDATES).indices]
    cells = likely[rows]
    xyxy = predictions.cells[cells].decode(predictions.boxes[image, cells].float())
    return RawBoxes(clip_boxes_to_image(xyxy, (size[0], size[1])), labels[rows], scores[rows], each[rows], cells)
