import numpy as np
import pytest
from rounds import answered, rng

from boxwise.policies.base import al_ratio, drawn_from, sl_score


def test_al_ratio_is_the_share_a_person_answered_for():
    assert al_ratio(answered("a", person=3, model=(0.9, 0.8))) == 3 / 5
    assert al_ratio(answered("a", person=2)) == 1
    assert al_ratio(answered("a", model=(0.9,))) == 0
    assert al_ratio(answered("a")) == 0


def test_sl_score_counts_the_boxes_of_people_as_zero():
    assert sl_score(answered("a", person=2, model=(0.9, 0.7))) == pytest.approx(1.6 / 4)
    assert sl_score(answered("a", person=2)) == 0
    assert sl_score(answered("a")) == 1


def test_drawn_from_takes_each_once_and_no_more_than_there_are():
    drawn = drawn_from(["a", "b", "c"], 2, rng())
    assert len(set(drawn)) == 2 and set(drawn) <= {"a", "b", "c"}
    assert sorted(drawn_from(["a", "b", "c"], 9, rng())) == ["a", "b", "c"]
    assert drawn_from([], 9, rng()) == ()
    assert len({drawn_from(["a", "b", "c", "d"], 1, rng(seed)) for seed in np.arange(40)}) == 4
