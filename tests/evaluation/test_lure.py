import numpy as np
import pytest

from boxwise.boxes import Boxes
from boxwise.evaluation.lure import image_error, lure, lure_weights
from boxwise.records import Scores
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.score_sampling import ScoreSampling

N, M = 40, 10
SPOT, ELSEWHERE = [0, 0, 10, 10], [50, 50, 60, 60]


def drawn(scores, seed):
    """(rows, probabilities) of M draws that favour high scores."""
    ids, nothing = tuple(map(str, range(N))), np.zeros((N, 1), np.float32)
    candidates = Candidates(0, ids, Scores(ids, scores), nothing, nothing[:0], np.ones(N))
    items = ScoreSampling(0.7).select(candidates, Budget(M), rng=np.random.default_rng(seed)).items
    return [int(item.image_id) for item in items], [item.probability for item in items]


def test_uniform_draws_give_the_plain_mean():
    losses = np.array([3.0, 1.0, 8.0])
    uniform = 1 / np.array([10, 9, 8])
    assert lure_weights(uniform, 10) == pytest.approx(np.ones(3))
    assert lure(losses, uniform, 10) == pytest.approx(4.0)


def test_weights_by_hand():
    # N = 4, M = 2: v_1 = 1 + 2/3 (1/(4 · 1/2) - 1), v_2 = 1 + 2/2 (1/(3 · 1/4) - 1)
    assert lure_weights([0.5, 0.25], 4) == pytest.approx([1 - 1 / 3, 4 / 3])
    assert lure([3.0, 6.0], [0.5, 0.25], 4) == pytest.approx((2 + 8) / 2)


def test_an_exhausted_pool_needs_no_weights():
    assert lure([1.0, 2.0, 6.0], [0.7, 0.9, 1.0], 3) == pytest.approx(3.0)
    assert lure([5.0], [1.0], 1) == 5.0


@pytest.mark.parametrize("figure", ["loss", "error"])
@pytest.mark.slow
def test_is_unbiased_where_the_plain_mean_of_the_drawn_is_not(figure):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=N)
    losses = np.exp(0.6 * scores + 0.3 * rng.normal(size=N))  # what scores high is lossy: active draws exaggerate the loss
    losses = losses if figure == "loss" else (losses > 1).astype(float)
    draws = [drawn(scores, seed) for seed in range(4000)]
    estimates = np.array([lure(losses[rows], probabilities, N) for rows, probabilities in draws])
    plain = np.array([losses[rows].mean() for rows, _ in draws])
    standard_error = estimates.std(ddof=1) / np.sqrt(len(draws))
    assert abs(estimates.mean() - losses.mean()) < 3 * standard_error
    assert plain.mean() - losses.mean() > 30 * plain.std(ddof=1) / np.sqrt(len(draws))


@pytest.mark.parametrize(
    ("losses", "probabilities", "pool", "message"),
    [
        ([1.0], [0.5, 0.5], 5, r"shape \(1,\), expected \(2,\)"),
        ([[1.0]], [[0.5]], 5, "one dimension"),
        ([1.0], [0.0], 5, "above 0"),
        ([1.0], [1.1], 5, "at most 1"),
        ([1.0], [float("nan")], 5, "above 0"),
        ([1.0, 2.0], [0.5, 0.5], 1, "pool of 1"),
        ([float("nan")], [0.5], 5, "finite"),
        ([], [], 5, "at least one"),
    ],
)
def test_refuses_what_has_no_estimate(losses, probabilities, pool, message):
    with pytest.raises(ValueError, match=message):
        lure(losses, probabilities, pool)


def boxes(xyxy, labels, scores=None, **columns):
    return Boxes(np.asarray(xyxy, float).reshape(-1, 4), labels, scores, **columns)


@pytest.mark.parametrize(
    ("found", "truth", "wrong"),
    [
        (boxes([SPOT], [2], [0.9]), boxes([SPOT], [2]), False),
        (boxes([SPOT], [1], [0.9]), boxes([SPOT], [2]), True),
        (boxes([SPOT, ELSEWHERE], [2, 0], [0.9, 0.5]), boxes([SPOT], [2]), True),
        (boxes([SPOT, ELSEWHERE], [2, 0], [0.9, 0.49]), boxes([SPOT], [2]), False),
        (boxes([SPOT], [2], [0.9]), boxes([SPOT, ELSEWHERE], [2, 2]), True),
        (boxes([SPOT], [2], [0.9]), boxes([[0, 0, 10, 21]], [2]), True),
        (boxes([SPOT], [2], [0.9]), Boxes.empty(), True),
        (Boxes.empty(3), Boxes.empty(), False),
        (boxes([SPOT], [0], [0.9]), boxes([[0, 0, 100, 100]], [0], crowd=[True]), False),
    ],
    ids=["right", "confused", "imagined", "too unsure to count", "missed", "misplaced", "no truth", "nothing there", "in a crowd"],
)
def test_an_image_is_wrong_with_one_box_wrong(found, truth, wrong):
    assert image_error(found, truth) is wrong
