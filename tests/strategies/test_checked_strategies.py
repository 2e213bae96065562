"""A strategy that breaks its promises is one message, before anybody is asked."""

import re
from dataclasses import replace

import numpy as np
import pytest

from boxwise.errors import BoxwiseError
from boxwise.records import Query, QueryItem
from boxwise.strategies.base import Budget
from boxwise.strategies.checked import CheckedStrategy
from boxwise.testing.strategies import pool

POOL = pool(20)


class Picks:
    """A strategy that returns what it is told to."""

    uses_embeddings = uses_boxes = False

    def __init__(self, answer):
        self.answer = answer

    def select(self, candidates, budget, *, rng):
        return self.answer(candidates)


def asked(answer, budget):
    return CheckedStrategy(Picks(answer), "strategy mine").select(POOL, budget, rng=np.random.default_rng(0))


def rows(*picks, utility=1.0):
    return lambda candidates: candidates.query(picks, np.full(len(picks), utility))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (rows(4, 7, 4), "picked '004.jpg' 2 times, expected each image once"),
        (lambda c: Query(c.round, (QueryItem("nobody.jpg", 1.0),)), "picked 'nobody.jpg', which is no candidate"),
        (rows(0, 1, 2, 3), "picked 4 images, more than the budget of 3 images pays for"),
        (rows(0, 1, utility=np.nan), "gave '000.jpg' the utility nan, expected a finite number"),
        (rows(0, 1, utility=-np.inf), "gave '000.jpg' the utility -inf, expected a finite number"),
        (lambda c: [c.image_ids[0]], "expected a Query from select, found a list"),
    ],
)
def test_a_broken_promise_is_named(answer, message):
    with pytest.raises(BoxwiseError, match=rf"^strategy mine: {re.escape(message)}\..*nothing is lost.*strategy\.name=NAME"):
        asked(answer, Budget(3))


@pytest.mark.parametrize(("unit", "amount"), [("images", 3), ("boxes", 5), ("seconds", 20)])
def test_the_image_that_crosses_the_budget_is_welcome_and_the_next_is_not(unit, amount):
    budget = Budget(amount, unit)
    first = budget.first(np.arange(len(POOL)), POOL).tolist()
    assert asked(rows(*first), budget).image_ids == tuple(POOL.image_ids[row] for row in first)
    with pytest.raises(BoxwiseError, match=f"more than the budget of {amount} {unit} pays for"):
        asked(rows(*first, len(first)), budget)


def test_no_image_is_a_query_too():
    assert asked(rows(), Budget(3)) == replace(asked(rows(1), Budget(3)), items=())


def test_numpys_flags_become_pythons():
    picks = Picks(rows(0))
    picks.uses_embeddings, picks.uses_boxes = np.True_, np.False_
    checked = CheckedStrategy(picks, "strategy mine")
    assert checked.uses_embeddings is True and checked.uses_boxes is False
