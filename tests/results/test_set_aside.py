"""What is said of arms that are not compared as the others are."""

from dataclasses import replace

from made_cells import cell

from boxwise.results.tables import arm_results, ended_early

RANDOM = cell("random", 0, (0.1, 0.2, 0.3), (10, 20, 30))
THRIFTY = cell("box_level", 0, (0.1, 0.2, 0.2), (10, 12, 14))


def said(*cells):
    return ended_early(arm_results(cells, baseline="random", split="test"))


def test_few_images_are_named_however_many_rounds():
    assert said(RANDOM, THRIFTY) == [
        "box_level: set aside in 1 seed, with less than half of the baseline's images. These have no area and no rank, and narrow no "
        "other arm's."
    ]


def test_rounds_that_buy_something_else_are_named():
    by_boxes = {"budget": {"unit": "boxes"}}
    found = said(RANDOM, replace(THRIFTY, config=by_boxes))
    assert len(found) == 2 and found[1].startswith("box_level: its rounds buy boxes (budget.unit)")
    assert said(replace(RANDOM, config=by_boxes), replace(cell("dual", 0, (0.1, 0.2, 0.3), (10, 20, 30)), config=by_boxes)) == []
