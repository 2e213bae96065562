import numpy as np
import pytest

from boxwise.annotation.verdicts import annotation_of, drawn, settled_id, shown_to_annotator
from boxwise.boxes import Boxes
from boxwise.config import CostConfig
from boxwise.errors import BoxwiseError
from boxwise.records import Action, Annotation, Proposals, Source, Verdict

BOXES = Boxes(np.float32([[0, 0, 10.1, 10], [20, 20, 30, 30.7], [40, 40, 50, 50]]), [0, 1, 2], scores=[0.5, 0.9, 0.4], ids=["a", "b", "c"])
FRESH = Proposals("i", BOXES, np.array([False, True, False]))
EARLIER = Annotation(
    "i",
    Boxes([[60, 60, 70, 70], [1, 1, 5, 5], [80, 80, 90, 90.3]], [2, 0, 1], scores=[np.nan, 0.9, np.nan], difficult=[True, False, False]),
    (Source.HUMAN, Source.MODEL, Source.HUMAN),
    complete=False,
    rejected=np.float32([[5, 60, 15, 70]]),
)
AGAIN = Proposals("i", BOXES, np.array([False, True, False]), EARLIER)
HUMAN, MODEL = Source.HUMAN, Source.MODEL


def test_each_act_does_what_it_says():
    verdicts = [
        Verdict(Action.KEEP, "a"),
        Verdict(Action.MOVE, "b", xyxy=(21, 21, 31, 31)),
        Verdict(Action.RELABEL, "c", label=0),
        Verdict(Action.ADD, xyxy=(1, 2, 3, 4), label=1, difficult=True),
    ]
    annotation = annotation_of("i", verdicts, FRESH, complete=False, round_index=3)
    expected = Boxes(
        [BOXES.xyxy[0], [21, 21, 31, 31], [40, 40, 50, 50], [1, 2, 3, 4]],
        [0, 1, 0, 1],
        difficult=[False, False, False, True],
        crowd=[False] * 4,
    )
    assert annotation.boxes.equals(expected) and annotation.sources == (HUMAN,) * 4
    assert (annotation.image_id, annotation.complete, annotation.round, len(annotation.rejected)) == ("i", False, 3, 0)


def test_a_moved_box_may_change_its_class():
    assert annotation_of("i", [Verdict(Action.MOVE, "a", (0, 0, 9, 9), 2)], FRESH).boxes.labels.tolist() == [2, 1]


def test_certain_proposals_enter_unanswered_and_uncertain_ones_do_not():
    annotation = annotation_of("i", [Verdict(Action.KEEP, "c")], FRESH)
    assert annotation.boxes.labels.tolist() == [2, 1] and annotation.sources == (HUMAN, MODEL)
    assert np.array_equal(annotation.boxes.xyxy, BOXES.xyxy[[2, 1]])
    assert np.array_equal(annotation.boxes.scores, np.float32([np.nan, 0.9]), equal_nan=True)
    assert annotation.boxes.ids is None and annotation.boxes.probabilities is None


def test_a_certain_box_that_a_person_keeps_is_theirs():
    annotation = annotation_of("i", [Verdict(Action.KEEP, "b")], FRESH)
    assert annotation.sources == (HUMAN,) and annotation.boxes.scores is None


def test_deleted_boxes_are_rejected_and_gone():
    annotation = annotation_of("i", [Verdict(Action.DELETE, "b"), Verdict(Action.DELETE, "a")], FRESH)
    assert annotation.boxes.equals(Boxes.empty()) and annotation.sources == ()
    assert np.array_equal(annotation.rejected, BOXES.xyxy[[1, 0]])


def test_what_people_settled_stands_and_what_the_model_said_then_does_not():
    annotation = annotation_of("i", [Verdict(Action.KEEP, "a"), Verdict(Action.DELETE, "c")], AGAIN)
    assert np.array_equal(annotation.boxes.xyxy, np.concatenate([EARLIER.boxes.xyxy[[0, 2]], BOXES.xyxy[[0, 1]]]))
    assert annotation.sources == (HUMAN, HUMAN, HUMAN, MODEL)
    assert annotation.boxes.difficult.tolist() == [True, False, False, False]
    assert np.array_equal(annotation.boxes.scores, np.float32([np.nan, np.nan, np.nan, 0.9]), equal_nan=True)
    assert np.array_equal(annotation.rejected, np.concatenate([EARLIER.rejected, BOXES.xyxy[[2]]]))


def test_without_verdicts_settled_and_certain_boxes_remain():
    annotation = annotation_of("i", (), AGAIN)
    assert annotation.boxes.labels.tolist() == [2, 1, 1] and annotation.sources == (HUMAN, HUMAN, MODEL)
    assert annotation_of("i", ()).boxes.equals(Boxes.empty())


def test_a_person_may_change_their_mind_about_a_settled_box():
    verdicts = [Verdict(Action.DELETE, settled_id(0)), Verdict(Action.RELABEL, settled_id(1), label=0)]
    annotation = annotation_of("i", verdicts, AGAIN)
    assert np.array_equal(annotation.boxes.xyxy, np.stack([EARLIER.boxes.xyxy[2], BOXES.xyxy[1]]))
    assert annotation.boxes.labels.tolist() == [0, 1] and annotation.sources == (HUMAN, MODEL)
    assert annotation.rejected.tolist() == [[5, 60, 15, 70], [60, 60, 70, 70]]


def test_what_is_shown_names_settled_boxes_by_their_place_among_a_persons():
    before = shown_to_annotator(AGAIN)
    assert before.boxes.ids.tolist() == [settled_id(0), settled_id(1), "a", "b", "c"]
    assert before.boxes.labels.tolist() == [2, 1, 0, 1, 2]
    assert before.settled.tolist() == [True, True, False, False, False] and before.accepted.tolist() == [True, True, False, True, False]
    assert len(shown_to_annotator(None).boxes) == 0


@pytest.mark.parametrize(
    "verdicts",
    [
        [Verdict(Action.KEEP, "z")],
        [Verdict(Action.DELETE, "z")],
        [Verdict(Action.KEEP, settled_id(0))],
        [Verdict(Action.KEEP, "a"), Verdict(Action.DELETE, "a")],
        [Verdict(Action.ADD, label=1)],
        [Verdict(Action.ADD, xyxy=(0, 0, 1, 1))],
        [Verdict(Action.MOVE, "a")],
        [Verdict(Action.RELABEL, "a")],
    ],
)
def test_an_impossible_verdict_is_an_error_that_names_the_image(verdicts):
    with pytest.raises(BoxwiseError, match=r"^i: "):
        annotation_of("i", verdicts, FRESH)


def test_a_verdict_on_nothing_shown_is_an_error():
    with pytest.raises(BoxwiseError, match="'a': no such"):
        annotation_of("i", [Verdict(Action.KEEP, "a")])


def test_proposals_are_left_as_they_were():
    before = (BOXES.xyxy.copy(), AGAIN.certain.copy(), EARLIER.rejected.copy())
    annotation = annotation_of("i", [Verdict(Action.DELETE, "b")], AGAIN)
    annotation.boxes.xyxy[:] = -1
    annotation.rejected[:] = -1
    assert all(np.array_equal(was, now) for was, now in zip(before, (BOXES.xyxy, AGAIN.certain, EARLIER.rejected), strict=True))


def test_drawn_boxes_come_back_equal_and_are_charged():
    truth = Boxes(np.float32([[0.1, 0.2, 10.3, 10.4]]), [2], difficult=[True], crowd=[True])
    verdicts = drawn(truth, CostConfig(draw=7.0))
    assert annotation_of("i", verdicts).boxes.equals(truth)
    assert [verdict.seconds for verdict in verdicts] == [7.0]
