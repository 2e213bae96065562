from boxwise.annotation.simulated import SimulatedAnnotator
from boxwise.boxes import Boxes
from boxwise.config import CostConfig
from boxwise.records import Action


def test_draws_every_object_and_charges_the_look():
    annotator = SimulatedAnnotator({"a": Boxes([[0, 0, 1, 1], [1, 1, 2, 2]], [0, 1]), "b": Boxes.empty()}, CostConfig(draw=7, look=2))
    verdicts, seconds = annotator.annotate("a")
    assert [verdict.action for verdict in verdicts] == [Action.ADD] * 2 and seconds == 16
    assert annotator.annotate("b") == ((), 2)
