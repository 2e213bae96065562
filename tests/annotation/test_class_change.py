"""What classes become, worked by hand, and what cannot be meant."""

import numpy as np
import pytest

from boxwise.annotation.class_change import class_change, now_called
from boxwise.boxes import Boxes
from boxwise.errors import ConfigError

BEFORE = ("cat", "dog", "cow")


def boxes(*labels):
    return Boxes(np.array([[n, 0, n + 5, 5] for n in range(len(labels))], np.float32).reshape(-1, 4), np.array(labels))


@pytest.mark.parametrize(
    ("asked", "after", "becomes"),
    [
        ({"add": ["fox", "owl"]}, ("cat", "dog", "cow", "fox", "owl"), (0, 1, 2)),
        ({"rename": {"dog": "hound"}}, ("cat", "hound", "cow"), (0, 1, 2)),
        ({"rename": {"dog": "cat", "cat": "dog"}}, ("dog", "cat", "cow"), (0, 1, 2)),
        ({"merge": {"cat": "pet", "dog": "pet"}}, ("pet", "cow"), (0, 0, 1)),
        ({"merge": {"cat": "cow", "cow": "cow"}}, ("cow", "dog"), (0, 1, 0)),
        ({"remove": ["cat"]}, ("dog", "cow"), (None, 0, 1)),
        ({"add": ["cat2"], "rename": {"dog": "hound"}, "remove": ["cat"]}, ("hound", "cow", "cat2"), (None, 0, 1)),
    ],
)
def test_worked_by_hand(asked, after, becomes):
    change = class_change(BEFORE, **asked)
    assert (change.after, change.becomes) == (after, becomes)


def test_boxes_follow_and_those_of_a_removed_class_go():
    change = class_change(BEFORE, merge={"dog": "cow", "cow": "cow"}, remove=["cat"])
    converted, kept = change.convert(boxes(2, 0, 1, 2))
    assert converted.labels.tolist() == [0, 0, 0] and kept.tolist() == [True, False, True, True]
    assert converted.xyxy[:, 0].tolist() == [0, 2, 3]
    nothing, none = change.convert(boxes())
    assert len(nothing) == len(none) == 0


def test_what_kind_of_change_it_is():
    assert class_change(BEFORE, rename={"cat": "lion"}).only_renames
    assert not class_change(BEFORE, add=["fox"]).only_renames and class_change(BEFORE, add=["fox"]).keeps_labels
    assert not class_change(BEFORE, remove=["cow"]).keeps_labels
    assert class_change(BEFORE, merge={"cat": "pet", "dog": "pet"}).added == ()
    assert class_change(BEFORE, add=["fox"]).added == ("fox",)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"remove": ["cta"]}, "Did you mean 'cat'"),
        ({"rename": {"cat": "dog"}}, "--merge cat,dog=dog"),
        ({"merge": {"cat": "dog", "cow": "dog"}}, "--merge cat,cow,dog=dog"),
        ({"add": ["cat"]}, "already"),
        ({"add": ["fox", "fox"]}, "already"),
        ({"rename": {"cat": "  "}}, "no name"),
        ({"add": ["a\nb"]}, "no name"),
        ({"add": ["b\udce4r"]}, "no name of a class: expected one line of text in UTF-8"),
        ({"merge": {"cat": "b\udce4r", "dog": "b\udce4r"}}, "no name"),
        ({"remove": ["cat"], "rename": {"cat": "lion"}}, "named twice"),
        ({"remove": list(BEFORE)}, "no class would be left"),
    ],
)
def test_what_cannot_be_meant_is_said(asked, message):
    with pytest.raises(ConfigError, match=message):
        class_change(BEFORE, **asked)


def test_a_bad_name_of_before_can_be_mended_and_hinders_no_other_change():
    assert class_change(("b\udce4r", "cat"), rename={"b\udce4r": "bär"}).after == ("bär", "cat")
    assert class_change(("b\udce4r", "cat"), add=["fox"]).added == ("fox",)


def test_names_are_followed_through_later_changes():
    changes = [(("a",), {"a": "b"}), (("b",), {"b": "b"}), (("b", "a"), {"b": "c"})]  # renamed; another a added; b renamed, that a removed
    assert now_called(("a",), changes) == {"a": "c"}
    assert now_called(("b", "a"), changes) == {"b": "c"}
    assert now_called(("c",), changes) == {"c": "c"}
