"""The confusion matrix: what counts where, by hand."""

import numpy as np
import pytest

from boxwise.boxes import Boxes
from boxwise.evaluation.confusion import confusion_matrix

SPOT, ELSEWHERE = [0, 0, 10, 10], [50, 50, 60, 60]


def boxes(xyxy, labels, scores=None, **columns):
    return Boxes(np.asarray(xyxy, float).reshape(-1, 4), labels, scores, **columns)


def cells(found, truth, **options):
    """The non-zero cells, as {(truth, prediction): count}; 2 is background."""
    counts = confusion_matrix({"a": found}, {"a": truth}, 2, **options)
    return {(int(row), int(column)): int(counts[row, column]) for row, column in np.argwhere(counts)}


@pytest.mark.parametrize(
    ("found", "truth", "expected"),
    [
        (boxes([SPOT], [0], [0.9]), boxes([SPOT], [0]), {(0, 0): 1}),
        (boxes([SPOT], [1], [0.9]), boxes([SPOT], [0]), {(0, 1): 1}),
        (boxes([ELSEWHERE], [1], [0.9]), boxes([SPOT], [0]), {(0, 2): 1, (2, 1): 1}),
        (boxes([SPOT], [0], [0.29]), boxes([SPOT], [0]), {(0, 2): 1}),
        (boxes([SPOT], [0], [0.3]), boxes([SPOT], [0]), {(0, 0): 1}),
        (boxes([SPOT, SPOT], [0, 1], [0.5, 0.9]), boxes([SPOT], [0]), {(0, 1): 1, (2, 0): 1}),
        (Boxes.empty(2), boxes([SPOT, ELSEWHERE], [0, 0]), {(0, 2): 2}),
        (boxes([SPOT], [1], [0.9]), Boxes.empty(), {(2, 1): 1}),
    ],
    ids=["right", "confused", "missed and imagined", "too unsure", "just sure enough", "best score first", "no detections", "no truth"],
)
def test_counts(found, truth, expected):
    assert cells(found, truth) == expected


def test_a_crowd_absorbs_detections_and_is_not_missed():
    truth = boxes([[0, 0, 100, 100]], [0], crowd=[True])
    assert cells(boxes([SPOT, [95, 95, 120, 120]], [1, 1], [0.9, 0.8]), truth) == {(2, 1): 1}


def test_an_image_without_predictions_is_missed_whole():
    assert confusion_matrix({}, {"a": boxes([SPOT], [1])}, 2)[1, 2] == 1


def test_rows_add_up_to_the_truth_and_columns_to_the_detections():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 80, (40, 2))
    truth = boxes(np.hstack([corner, corner + 20]), rng.integers(0, 2, 40))
    found = boxes(truth.xyxy + rng.normal(0, 4, (40, 4)), rng.integers(0, 2, 40), rng.uniform(0.3, 1, 40))
    counts = confusion_matrix({"a": found}, {"a": truth}, 2)
    assert counts[:2].sum(axis=1).tolist() == np.bincount(truth.labels, minlength=2).tolist()
    assert counts[:, :2].sum(axis=0).tolist() == np.bincount(found.labels, minlength=2).tolist()
    assert counts[2, 2] == 0
