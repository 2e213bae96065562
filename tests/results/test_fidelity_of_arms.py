"""Fidelity over seeds: rounds of a seed are no seeds."""

import pytest
from made_cells import cell

from boxwise.evaluation.significance import interval
from boxwise.results.fidelity import fidelity_of, fidelity_table

AP, IMAGES = (0.1, 0.2, 0.3), (10, 20, 30)
OF_SEED = ((0.2, 0.6), (0.4, 0.4), (0.5, 0.1))  # rounds 1 and 2 of three seeds: means .4, .4, .3


def cells(arm="random"):
    facts_of = [({}, {"expected": a, "learned": None}, {"expected": b}) for a, b in OF_SEED]
    return [cell(arm, seed, AP, IMAGES, fidelity=facts) for seed, facts in enumerate(facts_of)]


def test_the_unit_is_the_seed():
    assert fidelity_of(cells(), "expected") == interval([0.4, 0.4, 0.3])
    assert fidelity_of(cells(), "expected").high - fidelity_of(cells(), "expected").mean == pytest.approx(4.302653 * 0.1 / 3, rel=1e-3)


def test_the_table_has_what_is_known():
    shown = fidelity_table([*cells(), *cells("dual")], "random")
    assert shown.heads == ("arm", "expected") and [row[0] for row in shown.rows] == ["dual", "random"]
    assert shown.rows[0][1].text == "0.37" and shown.rows[0][1].remark == "0.22 to 0.51"
    assert fidelity_table(cells()[:1], "random") is None
    assert fidelity_table([cell("a", seed, AP, IMAGES) for seed in range(2)], "random") is None
