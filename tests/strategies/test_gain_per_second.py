import numpy as np
import pytest

from boxwise.records import Scores
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.gain_per_second import GainPerSecond
from boxwise.strategies.k_center import KCenter

FAR = np.eye(4, dtype=np.float32)


def candidates(values=(0, 0, 0, 0), *, counts=((1, 1),) * 4, labeled=(0, 0), seconds=(10,) * 4, embeddings=FAR, known=None, fidelity=1.0):
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
        fidelity=fidelity,
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


# By distance from the origin, which is labelled: d, c, b, a. By score: a, b, c, d, all else equal.
APART = {"values": (3, 2, 1, 0), "embeddings": np.diag([1, 2, 3, 4]), "known": np.zeros((1, 4))}


class TestWeight:
    @pytest.mark.parametrize("fidelity", [None, 0.0, -0.6])
    def test_without_fidelity_it_is_k_center_and_nothing_that_the_detector_says_counts(self, fidelity):
        unlike = {"counts": ((9, 9), (5, 5), (1, 1), (0, 0)), "seconds": (1, 1, 5, 90), "labeled": (30, 2)}
        given = candidates(**APART, **unlike, fidelity=fidelity)
        cover = KCenter().select(given, Budget(4), rng=np.random.default_rng(0))
        assert order(given) == "".join(cover.image_ids) == "dcba"
        picked = GainPerSecond().select(given, Budget(4), rng=np.random.default_rng(0))
        assert [item.utility for item in picked.items] == pytest.approx([item.utility for item in cover.items])

    def test_of_full_fidelity_goes_by_the_gain_and_the_distance(self):
        assert order(candidates(**APART, fidelity=1.0), 1) == "b"  # 2/3 of the score at twice the distance
        assert order(candidates(**APART, fidelity=1.0), novelty=0) == "abcd"

    def test_grows_with_fidelity(self):
        given = {**APART, "values": (9, 1, 0, 0)}
        assert [order(candidates(**given, fidelity=fidelity), 1) for fidelity in (0.1, 0.6, 0.9)] == ["d", "a", "a"]

    def test_that_is_given_is_not_measured(self):
        assert order(candidates(**APART, fidelity=0.0), novelty=0, weight=1) == "abcd"
        assert order(candidates(**APART, fidelity=1.0), weight=0) == "dcba"


def test_value_at_the_pick_worked_out_by_hand():
    given = candidates([0, 1, 0, 0], counts=((0, 0), (2, 0), (0, 0), (0, 0)), labeled=(3, 0), known=[FAR[0]], fidelity=0.25)
    (item,) = GainPerSecond().select(given, Budget(1), rng=np.random.default_rng(0)).items
    assert item.image_id == "b"
    assert item.utility == pytest.approx(np.sqrt(2) * (0.75 + 0.25 * 4))  # all of the pool's gain is b's, so four times the mean


def test_where_nothing_is_expected_it_covers():
    given = candidates(counts=((0, 0),) * 4, embeddings=np.diag([1, 2, 3, 4]), known=np.zeros((1, 4)))
    assert order(given) == "dcba"


def test_where_all_look_alike_the_gain_alone_decides():
    assert order(candidates([1, 4, 2, 3], embeddings=np.ones((4, 4)), known=np.ones((1, 4)))) == "bdca"


def test_without_classes_it_goes_by_expected_boxes():
    ids = ("a", "b")
    nothing = np.zeros((2, 3), np.float32)
    given = Candidates(1, ids, Scores(ids, np.zeros(2)), nothing, nothing[:0], np.array([1.0, 5.0]), fidelity=1.0)
    assert order(given, 1) == "b"
