"""What acts cost, by the default prices and by others."""

import pytest

from boxwise.config import CostConfig
from boxwise.evaluation.cost import by_hand, charge
from boxwise.records import Action


@pytest.mark.parametrize(
    ("action", "seconds"), [(Action.ADD, 7.0), (Action.KEEP, 1.6), (Action.DELETE, 1.6), (Action.MOVE, 7.0), (Action.RELABEL, 7.0)]
)
def test_default_prices(action, seconds):
    assert charge(action, CostConfig()) == seconds


def test_every_act_has_its_own_price():
    config = CostConfig(draw=1, verify=2, correct=4, delete=8, look=16)
    assert {action: charge(action, config) for action in Action} == {"add": 1, "keep": 2, "move": 4, "relabel": 4, "delete": 8}


def test_by_hand_is_a_look_an_image_and_a_drawing_a_box():
    config = CostConfig(draw=5, look=3)
    assert by_hand(4, 10, config) == 62 and by_hand(0, 0, config) == 0
