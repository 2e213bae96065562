"""Which labels deserve a second look, and which images a model gets most wrong."""

import numpy as np
import pytest

from boxwise.boxes import Boxes
from boxwise.evaluation.suspects import Doubt, suspects, worst

A, B, C = (0, 0, 10, 10), (20, 20, 40, 40), (60, 60, 90, 90)


def truth(*rows, **columns):
    return Boxes(np.array([xyxy for xyxy, _ in rows], np.float32).reshape(-1, 4), [label for _, label in rows], **columns)


def found(*rows):
    xyxy = np.array([xyxy for xyxy, _, _ in rows], np.float32).reshape(-1, 4)
    return Boxes(xyxy, [label for _, label, _ in rows], [score for _, _, score in rows])


def doubts(detections, labels, **options):
    return [(d.doubt, d.label, d.found) for d in suspects({"i": detections}, {"i": labels}, **options)]


def test_agreement_is_no_doubt():
    assert doubts(found((A, 0, 0.9), (B, 1, 0.2)), truth((A, 0), (B, 1))) == []


@pytest.mark.parametrize(
    ("detections", "labels", "expected"),
    [
        (found((A, 0, 0.7)), truth(), [(Doubt.MISSING, None, 0)]),
        (found((A, 0, 0.69)), truth(), []),
        (found((A, 1, 0.8)), truth((A, 0)), [(Doubt.CLASS, 0, 1)]),
        (found((A, 1, 0.6)), truth((A, 0)), []),
        (found((A, 1, 0.8), (A, 0, 0.05)), truth((A, 0), (A, 1)), []),
        (found((A, 0, 0.05), (B, 0, 0.3)), truth((A, 0), (B, 0)), [(Doubt.UNSEEN, 0, None)]),
        (found((A, 0, 0.05)), truth((A, 0), (B, 0)), []),
        (found((A, 1, 0.1)), truth((A, 0)), []),
        (found(((0, 0, 10, 4), 0, 0.9), (B, 0, 0.3)), truth((A, 0), (B, 0)), [(Doubt.MISSING, None, 0), (Doubt.UNSEEN, 0, None)]),
    ],
)
def test_each_kind_of_doubt_at_its_threshold(detections, labels, expected):
    assert doubts(detections, labels) == expected


def test_the_surest_contradiction_comes_first_and_what_is_never_found_says_little():
    detections = {"a": found((A, 0, 0.8)), "b": found((A, 1, 0.95)), "c": found((A, 0, 0.9), (B, 1, 0.9)), "d": found()}
    labels = {"a": truth(), "b": truth((A, 0)), "c": truth((A, 0), (B, 1)), "d": truth((A, 0), (B, 1), (C, 2))}
    listed = [(d.image_id, d.doubt, d.label, d.strength) for d in suspects(detections, labels)]
    assert listed[:2] == [("b", Doubt.CLASS, 0, pytest.approx(0.95)), ("a", Doubt.MISSING, None, pytest.approx(0.8))]
    # Of the labels of class 0 two of three are seen, of class 1 one of two; of class 2 none, so that a label missed there is no news.
    assert [(name, label, share) for name, _, label, share in listed[2:]] == [
        ("d", 0, pytest.approx(2 / 3)),
        ("d", 1, pytest.approx(0.5)),
    ]


def test_crowds_and_difficult_labels_are_never_missed_and_crowds_excuse_what_lies_in_them():
    crowd = truth(((0, 0, 100, 100), 0), crowd=[True])
    assert doubts(found((A, 0, 0.9)), crowd) == []
    assert doubts(found(), truth((A, 0), difficult=[True])) == []


def test_what_a_person_has_rejected_is_not_asked_again():
    detections, labels = found((A, 0, 0.9), (B, 0, 0.9)), truth()
    assert doubts(detections, labels, rejected={"i": np.array([A], np.float32)}) == [(Doubt.MISSING, None, 0)]
    assert suspects({"i": detections}, {"i": labels}, rejected={"i": np.array([A, B], np.float32)}) == []


def test_images_that_only_one_side_knows_are_left_out():
    assert suspects({"a": found((A, 0, 0.9))}, {"b": truth((A, 0))}) == []
    assert worst({"a": found((A, 0, 0.9))}, {"b": truth((A, 0))}, 1) == []


def test_the_worst_images_by_number_of_faults():
    detections = {"good": found((A, 0, 0.9)), "bad": found((A, 1, 0.9), (C, 0, 0.9)), "faint": found((A, 0, 0.4))}
    labels = {"good": truth((A, 0)), "bad": truth((A, 0), (B, 1)), "faint": truth((A, 0))}
    listed = worst(detections, labels, 2)
    assert [(f.image_id, f.missed, f.imagined, f.confused) for f in listed] == [("bad", 1, 1, 1), ("faint", 1, 0, 0)]
