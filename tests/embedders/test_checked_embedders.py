"""An embedder that breaks its promises is one message, before its embeddings are kept."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from boxwise.embedders.checked import CheckedEmbedder
from boxwise.errors import BoxwiseError

BATCH = SimpleNamespace(records=("a", "b"))


def embedded(*answers):
    """The last of the answers, of an embedder that gives them one after the other."""
    given = iter(answers)
    embedder = CheckedEmbedder(SimpleNamespace(input=None, identity="1f", embed=lambda batch: next(given)), "embedder mine")
    return [embedder.embed(BATCH) for _ in answers][-1]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.array([[0, 1], [np.nan, 1]]), "expected finite numbers, found NaN or infinity in 1 of 2 rows"),
        (np.full((2, 4), np.inf, np.float32), "expected finite numbers, found NaN or infinity in 2 of 2 rows"),
        (np.zeros((2, 3, 4)), "expected floating numbers [2, D], a row an image, found float64 [2, 3, 4]"),
        (np.zeros((3, 4)), "expected floating numbers [2, D], a row an image, found float64 [3, 4]"),
        (np.zeros((2, 4), int), "expected floating numbers [2, D], a row an image, found int64 [2, 4]"),
        (None, "expected floating numbers [2, D], a row an image, found object []"),
        (torch.ones((2, 4), requires_grad=True), "Can't call numpy()"),
    ],
    ids=range(7),
)
def test_a_broken_promise_is_named(rows, message):
    with pytest.raises(BoxwiseError, match=f"^embedder mine: embed: {re.escape(message)}.*EmbedderContract"):
        embedded(rows)


def test_every_row_is_as_long_as_the_first():
    with pytest.raises(BoxwiseError, match=re.escape("expected floating numbers [2, 4], a row an image, found float64 [2, 5]")):
        embedded(np.zeros((2, 4)), np.zeros((2, 5)))


def test_finite_rows_pass_as_they_are():
    rows = np.ones((2, 4), np.float32)
    assert embedded(rows) is rows
