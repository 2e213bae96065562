"""What is said of arms that are not compared as the others are."""

from dataclasses import replace

import pytest
from made_cells import cell

from boxwise.results.set_aside import ended_early, one_config
from boxwise.results.tables import arm_results

RANDOM = cell("random", 0, (0.1, 0.2, 0.3), (10, 20, 30))
THRIFTY = cell("box_level", 0, (0.1, 0.2, 0.2), (10, 12, 14))

DUAL = cell("dual", 0, (0.1, 0.2, 0.3), (10, 20, 30))


def in_unit(unit, of):
    return replace(of, config={"budget": {"unit": unit}})


def said(*cells):
    return ended_early(arm_results(cells, baseline="random", split="test"))


def test_few_images_are_named_where_rounds_buy_something_else():
    assert said(RANDOM, THRIFTY) == []
    assert said(RANDOM, in_unit("boxes", THRIFTY))[0] == (
        "box_level: set aside in 1 seed, with less than half of the baseline's images. These have no area and no rank, and narrow no "
        "other arm's."
    )


def test_what_shares_no_time_with_the_others_is_named():
    dear = cell("dual", 0, (0.1, 0.2, 0.3), (10, 20, 30), seconds=200)
    assert said(RANDOM, dear) == [
        "dual: set aside over annotator time in 1 seed, with less than half of the baseline's. These have no area there, and narrow no "
        "other arm's."
    ]


def test_one_config_under_two_names_is_named():
    alike = [replace(cell(arm, 0, (0.1,), (10,)), config={"strategy": "top_k", "seed": 0}) for arm in ("dual", "dual+top", "random")]
    other = replace(alike[2], config={"strategy": "random", "seed": 0})
    assert one_config([*alike[:2], replace(alike[0], seed=1, config=alike[0].config | {"seed": 1}), other]) == [
        "dual, dual+top: one config under 2 names, each counted as an arm."
    ]
    assert one_config([alike[0], other]) == []


@pytest.mark.parametrize(
    ("unit", "over"), [("boxes", "labelled boxes"), ("seconds", "annotator time"), ("money", "annotator time"), ("images", None)]
)
def test_budgets_in_another_unit_are_named(unit, over):
    words = f"dual: its budget is in {unit}, the baseline's is not (budget.unit); compare it over {over}."
    assert said(RANDOM, in_unit(unit, DUAL)) == ([words] if over else [])
    assert said(in_unit(unit, RANDOM), in_unit(unit, DUAL)) == []


def test_without_cells_of_the_baseline_no_budget_differs_from_its():
    assert said(in_unit("boxes", DUAL), THRIFTY) == []
