"""A scorer that breaks its promises is one message, before what it said is kept."""

import re
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from boxwise.errors import BoxwiseError
from boxwise.records import Scores
from boxwise.scorers.checked import CheckedScorer

TWO = ("a", "b")
VIEW = SimpleNamespace(batch=SimpleNamespace(records=TWO))
NOTHING = np.zeros(2)


def saying(answer):
    """A scorer that says `answer` whatever it is asked."""
    return CheckedScorer(SimpleNamespace(fit=lambda *_, **__: answer, measure=lambda *_: answer, score=lambda *_: answer), "scorer mine")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (1.0, "expected a dict of terms, found a float"),
        ({"n": 1.0}, "expected 2 values of n, one an image, found a float"),
        ({"n": np.zeros((2, 1))}, "expected 2 values of n, one an image, found a ndarray of shape (2, 1)"),
        ({"m": NOTHING, "n": np.zeros(3)}, "expected 2 values of n, one an image, found a ndarray of shape (3,)"),
        ({"n": ["one", "two"]}, "expected 2 values of n, one an image, found a list"),
        ({"n": torch.ones(2, requires_grad=True)}, "expected 2 values of n, one an image, found a Tensor of shape (2,)"),
        ({"m": NOTHING, "n": np.array([np.nan, np.inf])}, "expected finite values of n, found 2 of 2 that are not"),
        ({"n": [1.0, -np.inf]}, "expected finite values of n, found 1 of 2 that are not"),
    ],
    ids=str,
)
def test_a_term_is_a_number_an_image(answer, message):
    with pytest.raises(BoxwiseError, match=f"^scorer mine: measure: {re.escape(message)}.*ScorerContract"):
        saying(answer).measure(None, VIEW)


@pytest.mark.parametrize(
    "values", [[1, 2], torch.tensor([1.0, 2.0]), np.array([1, 2], np.float32)], ids=lambda values: type(values).__name__
)
def test_numbers_of_any_type_become_float64(values):
    found = saying({"n": values}).measure(None, VIEW)["n"]
    assert found.dtype == np.float64 and found.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (NOTHING, "expected Scores, found a ndarray of shape (2,)"),
        (Scores(TWO, np.array([1.0, np.nan])), "expected finite scores, found 1 of 2 that are not"),
        (Scores(("b", "a"), NOTHING), "expected a score for each of the 2 images, in their order"),
        (Scores(("a",), np.zeros(1)), "expected a score for each of the 2 images, in their order"),
        (Scores(TWO, np.zeros((2, 1))), "expected 2 values, one an image, found a ndarray of shape (2, 1)"),
        (Scores(TWO, NOTHING, {"n": np.zeros(1)}), "expected 2 values of n, one an image, found a ndarray of shape (1,)"),
    ],
    ids=range(6),
)
def test_a_score_is_a_finite_number_an_image(answer, message):
    with pytest.raises(BoxwiseError, match=f"^scorer mine: score: {re.escape(message)}"):
        saying(answer).score(TWO, {})


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([1.0], "a dict of figures, found a list"),
        ({"loss": "low"}, "a number as the figure loss, found a str"),
        ({"loss": "1.0"}, "a number as the figure loss, found a str"),
        ({"n": 1, "loss": np.ones(2)}, r"a number as the figure loss, found a ndarray of shape \(2,\)"),
        ({"loss": [1.0]}, "a number as the figure loss, found a list"),
        ({"loss": torch.ones(2)}, r"a number as the figure loss, found a Tensor of shape \(2,\)"),
    ],
    ids=str,
)
def test_figures_are_numbers(answer, message):
    with pytest.raises(BoxwiseError, match=f"^scorer mine: fit: expected {message}"):
        saying(answer).fit([], [], detector=None, rng=None)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, None),
        (True, True),
        (np.bool_(True), True),
        (3, 3),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.array(0.5), 0.5),
        (torch.tensor(0.5), 0.5),
        (Fraction(1, 2), 0.5),
    ],
    ids=repr,
)
def test_figures_of_any_type_become_what_json_has(value, kept):
    found = saying({"loss": value}).fit([], [], detector=None, rng=None)["loss"]
    assert found == kept and type(found) is type(kept)


def test_a_fit_without_figures_says_nothing():
    assert saying(None).fit([], [], detector=None, rng=None) == {}
