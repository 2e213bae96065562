"""Targets written by hand, for the tests of the losses."""

import torch
from torch import Tensor

from boxwise.detectors.targets import Target

EVERYWHERE = [[-torch.inf, -torch.inf, torch.inf, torch.inf]]


def made(
    xyxy: list[list[float]] | Tensor = (),
    classes: list[int] | Tensor = (),
    *,
    weights: list[float] | None = None,
    ignore: list[list[float]] | Tensor = (),
    background: list[list[float]] | Tensor = (),
) -> Target:
    """The target of a complete image whose boxes all count fully, but for what is given."""
    boxes = _rows(xyxy)
    full = torch.ones(len(boxes)) if weights is None else torch.tensor(weights, dtype=torch.float32)
    return Target(boxes, torch.as_tensor(classes, dtype=torch.int64), full, _rows(ignore), _rows(background))


def _rows(xyxy: list[list[float]] | Tensor) -> Tensor:
    return torch.as_tensor(xyxy, dtype=torch.float32).reshape(-1, 4)
