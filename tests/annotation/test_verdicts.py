import numpy as np
import pytest

from boxwise.annotation.verdicts import apply_verdicts, drawn
from boxwise.boxes import Boxes
from boxwise.config import CostConfig
from boxwise.errors import BoxwiseError
from boxwise.records import Action, Source, Verdict

SHOWN = Boxes([[0, 0, 10, 10], [20, 20, 30, 30], [40, 40, 50, 50]], [0, 1, 2], ids=["a", "b", "c"])


def test_each_act_does_what_it_says():
    boxes, sources = apply_verdicts(
        [
            Verdict(Action.KEEP, "a"),
            Verdict(Action.MOVE, "b", xyxy=(21, 21, 31, 31)),
            Verdict(Action.RELABEL, "c", label=0),
            Verdict(Action.ADD, xyxy=(1, 2, 3, 4), label=1, difficult=True),
        ],
        SHOWN,
    )
    assert boxes.xyxy.tolist() == [[0, 0, 10, 10], [21, 21, 31, 31], [40, 40, 50, 50], [1, 2, 3, 4]]
    assert boxes.labels.tolist() == [0, 1, 0, 1]
    assert boxes.difficult.tolist() == [False, False, False, True] and sources == (Source.HUMAN,) * 4


def test_deleted_and_unanswered_proposals_are_gone():
    boxes, sources = apply_verdicts([Verdict(Action.DELETE, "a")], SHOWN)
    assert len(boxes) == 0 and sources == ()


@pytest.mark.parametrize("verdict", [Verdict(Action.KEEP, "z"), Verdict(Action.ADD, label=1), Verdict(Action.ADD, xyxy=(0, 0, 1, 1))])
def test_an_impossible_verdict_is_an_error(verdict):
    with pytest.raises(BoxwiseError):
        apply_verdicts([verdict], SHOWN)


def test_drawn_boxes_come_back_equal_and_are_charged():
    truth = Boxes(np.float32([[0.1, 0.2, 10.3, 10.4]]), [2], difficult=[True], crowd=[True])
    verdicts = drawn(truth, CostConfig(draw=7.0))
    assert apply_verdicts(verdicts)[0].equals(truth)
    assert [verdict.seconds for verdict in verdicts] == [7.0]
