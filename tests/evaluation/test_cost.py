"""What acts cost, by the default prices and by others."""

import pytest

from boxwise.config import CostConfig
from boxwise.evaluation.cost import by_hand, charge, seconds_of
from boxwise.records import Action, Verdict


@pytest.mark.parametrize(
    ("action", "seconds"), [(Action.ADD, 7.0), (Action.KEEP, 1.6), (Action.DELETE, 1.6), (Action.MOVE, 7.0), (Action.RELABEL, 7.0)]
)
def test_default_prices(action, seconds):
    assert charge(action, CostConfig()) == seconds


def test_every_act_has_its_own_price():
    config = CostConfig(draw=1, verify=2, correct=4, delete=8, look=16)
    assert {action: charge(action, config) for action in Action} == {"add": 1, "keep": 2, "move": 4, "relabel": 4, "delete": 8}


def test_an_image_costs_its_look_and_its_acts():
    verdicts = [Verdict(Action.ADD, seconds=99.0), Verdict(Action.KEEP, "1"), Verdict(Action.DELETE, "2")]
    assert seconds_of(verdicts, CostConfig()) == pytest.approx(2.0 + 7.0 + 1.6 + 1.6)


def test_an_image_without_objects_costs_the_look():
    assert seconds_of([], CostConfig()) == 2.0


def test_boxes_asked_about_alone_cost_no_look():
    assert seconds_of([Verdict(Action.KEEP, "1"), Verdict(Action.MOVE, "2")], CostConfig(), whole=False) == pytest.approx(1.6 + 7.0)
    assert seconds_of([], CostConfig(), whole=False) == 0


def test_by_hand_is_a_look_an_image_and_a_drawing_a_box():
    config = CostConfig(draw=5, look=3)
    assert by_hand(4, 10, config) == 62 and by_hand(0, 0, config) == 0
    assert by_hand(1, 2, config) == seconds_of([Verdict(Action.ADD)] * 2, config)
