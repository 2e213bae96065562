"""Greedy one-to-one matching of two sets of boxes.

Returns index pairs. Knows nothing of classes, scores or what the boxes are.
"""

from __future__ import annotations

import numpy as np

from boxwise.boxes import FloatArray


def greedy_pairs(affinity: FloatArray, least: float) -> list[tuple[int, int]]:
    """(row, column) of the highest value first, each row and column at most once; ties in row, then column order.

    affinity: float32 [N, M], an IoU or what else orders the pairs. least: pairs below it never match.
    """
    rows, columns = np.nonzero(affinity >= np.float32(least))
    free_rows, free_columns = np.ones(affinity.shape[0], bool), np.ones(affinity.shape[1], bool)
    pairs = []
    for index in np.argsort(-affinity[rows, columns], kind="stable"):
        row, column = int(rows[index]), int(columns[index])
        if free_rows[row] and free_columns[column]:
            free_rows[row] = free_columns[column] = False
            pairs.append((row, column))
    return pairs
