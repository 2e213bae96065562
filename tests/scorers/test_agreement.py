from math import log, sqrt

import numpy as np
import pytest
from scripted import boxes

from boxwise.boxes import Boxes
from boxwise.scorers.agreement import (
    best_matches,
    consistencies,
    distributions_at,
    mutual_information,
    symmetric_kl,
)

A, B = [0.8, 0.1, 0.1], [0.2, 0.6, 0.2]
NOWHERE = np.zeros((0, 4), np.float32)


def rows(*distributions):
    return np.array(distributions, np.float64)


def test_symmetric_kl_by_hand():
    p, q = ([0.99 * x + 0.01 / 3 for x in each] for each in (A, B))
    expected = sum(x * log(x / y) + y * log(y / x) for x, y in zip(p, q, strict=True)) / 2
    assert symmetric_kl(rows(A, A), rows(B, A)) == pytest.approx([expected, 0])
    assert np.isfinite(symmetric_kl(rows([1, 0, 0]), rows([0, 0, 1]))).all()


def test_mutual_information_by_hand():
    """Two members that are sure of different classes: entropy ln 2 of the mean, none of their own. Two that are torn alike: none."""
    sure, torn = rows([1, 0, 0], [0.5, 0.5, 0]), rows([0, 1, 0], [0.5, 0.5, 0])
    assert mutual_information(np.stack([sure, torn])) == pytest.approx([log(2), 0])
    three = np.stack([rows([1, 0, 0]), rows([1, 0, 0]), rows([0, 0, 1])])
    assert mutual_information(three) == pytest.approx([-(2 / 3 * log(2 / 3) + 1 / 3 * log(1 / 3))])
    assert mutual_information(np.zeros((3, 0, 4))).shape == (0,)


def test_best_match_is_the_largest_overlap():
    xyxy = np.array([[0, 0, 10, 10], [50, 50, 60, 60]], np.float32)
    other = Boxes([[0, 0, 10, 5], [1, 0, 11, 10]], [0, 0])
    found, overlaps = best_matches(xyxy, other)
    assert found.tolist() == [1, -1] and overlaps == pytest.approx([90 / 110, 0])
    assert best_matches(xyxy, Boxes(NOWHERE, []))[0].tolist() == [-1, -1]


def test_what_is_there_is_background_where_nothing_overlaps_by_half():
    other = boxes(([0, 0, 10, 10], A))
    places = np.array([[0, 0, 10, 10], [0, 0, 10, 20], [0, 0, 10, 21], [40, 40, 50, 50]], np.float32)
    assert distributions_at(places, other, 2) == pytest.approx(rows(A, A, [0, 0, 1], [0, 0, 1]), abs=1e-7)
    assert distributions_at(places, boxes(), 2).tolist() == [[0, 0, 1]] * 4
    assert distributions_at(NOWHERE, other, 2).shape == (0, 3)


def test_calds_consistency_by_hand():
    """IoU 1 and the same distribution: 1 + (0.8 + 0.8) / 2. IoU 1/3 and another one. No overlap: pure background of score 0."""
    references = boxes(([0, 0, 10, 10], A), ([20, 0, 30, 10], A), ([80, 0, 90, 10], A))
    other = boxes(([0, 0, 10, 10], A), ([25, 0, 35, 10], B))
    m, n = [0.5, 0.35, 0.15], [0.4, 0.05, 0.55]
    js = (sum(x * log(x / y) for x, y in zip(A, m, strict=True)) + sum(x * log(x / y) for x, y in zip(B, m, strict=True))) / 2
    background = (sum(x * log(x / y) for x, y in zip(A, n, strict=True)) - log(0.55)) / 2
    expected = [1.8, 1 / 3 + (1 - js) * (0.8 + 0.6) / 2, (1 - background) * 0.8 / 2]
    assert consistencies(references, references.xyxy, other, 2) == pytest.approx(expected, abs=1e-6)


def test_consistency_lies_between_0_and_2():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 50, (40, 2))
    xyxy = np.concatenate([corners, corners + rng.uniform(1, 30, (40, 2))], axis=1).astype(np.float32)
    p = rng.dirichlet(np.ones(3) / sqrt(10), 40).astype(np.float32)
    first, second = (Boxes(xyxy[part], p[part, :2].argmax(1), p[part, :2].max(1), p[part]) for part in (slice(20), slice(20, 40)))
    found = consistencies(first, first.xyxy, second, 2)
    assert (found >= 0).all() and (found <= 2).all()


def test_boxes_without_probabilities_are_refused():
    with pytest.raises(ValueError, match="probabilities"):
        consistencies(Boxes(NOWHERE, []), NOWHERE, boxes(), 2)
