import numpy as np
import pytest

from boxwise.records import Scores
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.gain_per_second import GainPerSecond

FAR = np.eye(4, dtype=np.float32)


def candidates(values=(0, 0, 0, 0), *, counts=((1, 1),) * 4, labeled=(0, 0), seconds=(10, 10, 10, 10), embeddings=FAR, known=None):
    ids = tuple("abcd")
    return Candidates(
        1,
        ids,
        Scores(ids, np.array(values, float)),
        np.float32(embeddings),
        np.zeros((0, 4), np.float32) if known is None else np.float32(known),
        np.array(counts, float).sum(axis=1),
        seconds=np.array(seconds, float),
        class_counts=np.array(counts, float),
        labeled_class_counts=np.array(labeled, float),
    )


def order(given, amount=4, **options):
    return "".join(GainPerSecond(**options).select(given, Budget(amount), rng=np.random.default_rng(0)).image_ids)


def test_the_score_decides_where_all_else_is_equal():
    assert order(candidates([1, 4, 2, 3])) == "bdca"


def test_an_image_that_takes_twice_as_long_must_be_worth_twice_as_much():
    given = candidates([1, 0.6, 0.4, 0], seconds=(20, 10, 10, 10))
    assert order(given, 3) == "bac"
    assert order(given, 3, per_second=False) == "abc"


def test_objects_of_rare_classes_are_worth_more():
    given = candidates(counts=((3, 0), (0, 3), (3, 0), (1, 0)), labeled=(30, 2))
    assert order(given, 1) == "b"
    assert set(order(given, 2, rarity=0)) <= set("abc")


def test_the_rare_are_no_longer_rare_once_they_are_picked():
    given = candidates(counts=((0, 30), (0, 30), (20, 0), (0, 1)), labeled=(9, 0))
    assert order(given, 2)[1] == "c"


def test_a_duplicate_of_what_is_labelled_or_picked_comes_last():
    labelled, twin = FAR[0], FAR[1]
    given = candidates([9, 5, 5, 1], embeddings=[FAR[0], FAR[1], twin, FAR[3]], known=[labelled])
    picked = order(given)
    assert picked[0] in "bc" and picked[1] == "d" and set(picked[2:]) >= {"a"}
    assert order(given, 1, novelty=0) == "a"


def test_value_at_the_pick_worked_out_by_hand():
    given = candidates([0, 1, 0, 0], counts=((0, 0), (2, 0), (0, 0), (0, 0)), labeled=(3, 0), seconds=(9, 16, 9, 9), known=[FAR[0]])
    (item,) = GainPerSecond().select(given, Budget(1), rng=np.random.default_rng(0)).items
    usual = (0 + 3 * np.sqrt(2)) / 4  # so the novelty of b, sqrt(2) away, is held to 1
    assert usual < np.sqrt(2)
    rarity = (2.5 / 4) ** 0.5
    assert item.image_id == "b"
    assert item.utility == pytest.approx(2 * rarity / 16)


def test_without_classes_it_goes_by_expected_boxes():
    ids = ("a", "b")
    nothing = np.zeros((2, 3), np.float32)
    given = Candidates(1, ids, Scores(ids, np.zeros(2)), nothing, nothing[:0], np.array([1.0, 5.0]))
    assert order(given, 1) == "b"
