"""Predictions of YOLOX written by hand, for the tests of its loss and its boxes."""

import torch

from boxwise.detectors.yolox.cells import cells_of
from boxwise.detectors.yolox.model import Predictions

SIDE, CELLS = 64, 64 + 16 + 4
LEVELS = cells_of(((8, 8), (4, 4), (2, 2)), torch.device("cpu"))


def unsure(images: int = 1, *, class_count: int = 3) -> Predictions:
    """Of 64 × 64 pixels: every cell predicts a box of its own size around its upper left corner, and one half for everything else."""
    return Predictions(torch.zeros(images, CELLS, 4), torch.zeros(images, CELLS), torch.zeros(images, CELLS, class_count), LEVELS)


def drawn(images: int, *, seed: int = 0, class_count: int = 3) -> Predictions:
    """Of 64 × 64 pixels: boxes near their cells, everything else at random; leaves that take gradients."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((images, CELLS, 4), (images, CELLS), (images, CELLS, class_count))
    boxes, objectness, classes = (torch.randn(shape, generator=generator) for shape in shapes)
    return Predictions(boxes.requires_grad_(), objectness.requires_grad_(), classes.requires_grad_(), LEVELS)


def cell_at(stride: int, column: int, row: int) -> int:
    """Where the cell stands among all."""
    first = {8: 0, 16: 64, 32: 80}[stride]
    return first + row * (SIDE // stride) + column
