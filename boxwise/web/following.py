"""Which box of one image is which detection of the next one of a burst, by what lies inside of them.

Returns pairs. Arrays in, rows out; knows nothing of models or studies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from boxwise.boxes import Boxes

REACH = 3.0  # of a box's own longer side: how far its centre may move from one image of a burst to the next

Matrix = NDArray[np.float32]


def followed(before: Boxes, looks: Matrix, found: Boxes, found_looks: Matrix) -> list[tuple[int, int]]:
    """(row of `before`, row of `found`) of each box that is found again, as the assignment of the highest likeness altogether.

    looks, found_looks: embeddings of the boxes, float32 [N, E] and [M, E], L2-normalised. A pair is of one class, and its likeness is the
    cosine of the embeddings, less by how far the centre has moved, more by the detection's score, so that of several detections of
    an object the surest is taken.
    """
    if not len(before) or not len(found):
        return []
    moved = _shifts(before.xyxy, found.xyxy) / REACH
    scores = np.ones(len(found), np.float32) if found.scores is None else found.scores
    likeness = (looks @ found_looks.T) * (1 - moved) * np.sqrt(scores)
    likeness[(moved >= 1) | (before.labels[:, None] != found.labels[None])] = 0
    rows, columns = linear_sum_assignment(likeness, maximize=True)
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if likeness[row, column] > 0]


def _shifts(before: Matrix, found: Matrix) -> Matrix:
    """How far each centre of `found` [M, 4] is from each of `before` [N, 4], in longer sides of the latter; float32 [N, M]."""
    sides = (before[:, 2:] - before[:, :2]).max(axis=1)
    apart = (before[:, None, :2] + before[:, None, 2:] - found[None, :, :2] - found[None, :, 2:]) / 2
    return np.linalg.norm(apart, axis=2) / np.maximum(sides, 1e-6)[:, None]
