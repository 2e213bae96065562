"""What acts cost, by the default prices and by others."""

import pytest

from boxwise.config import CostConfig
from boxwise.evaluation.cost import charge, seconds_of
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
