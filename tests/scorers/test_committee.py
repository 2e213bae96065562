from math import log

import numpy as np
import pytest
from scripted import ScriptedDetector, batch_of, boxes

from boxwise.errors import ConfigError
from boxwise.scorers.committee import Ensemble, McDropout

CAT, DOG, NONE = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]
HERE, ALSO_HERE, THERE = [10, 10, 30, 30], [10, 10, 30, 28], [60, 10, 80, 40]


def entropy(*p):
    return -sum(x * log(x) for x in p if x)


def test_members_that_agree_have_no_information():
    member = ScriptedDetector([boxes((ALSO_HERE, CAT))])
    detector = ScriptedDetector([boxes((HERE, CAT))])
    terms = Ensemble([member]).measure(detector, detector.view(batch_of(1)))
    assert terms["mutual_information"] == pytest.approx([0], abs=1e-9)


def test_an_ensemble_by_hand():
    """Of three members one says dog and one sees nothing: a third each. What a member alone finds is not asked about."""
    detector = ScriptedDetector([boxes((HERE, CAT)), boxes()])
    members = [ScriptedDetector([boxes((ALSO_HERE, DOG)), boxes((HERE, CAT))]), ScriptedDetector([boxes((THERE, CAT)), boxes()])]
    terms = Ensemble(members).measure(detector, detector.view(batch_of(2)))
    assert terms["mutual_information"] == pytest.approx([log(3), 0])
    assert terms["measured"].tolist() == [1, 0]


@pytest.mark.parametrize(("aggregate", "expected"), [("max", log(2)), ("sum", log(2) + entropy(0.75, 0.25) - entropy(0.5, 0.5) / 2)])
def test_boxes_are_aggregated_to_the_image(aggregate, expected):
    torn = [0.5, 0.5, 0.0]
    detector, member = ScriptedDetector([boxes((HERE, CAT), (THERE, CAT))]), ScriptedDetector([boxes((HERE, DOG), (THERE, torn))])
    terms = Ensemble([member], aggregate=aggregate).measure(detector, detector.view(batch_of(1)))
    assert terms["mutual_information"] == pytest.approx([expected])


def test_an_ensemble_of_one_is_refused():
    with pytest.raises(ConfigError, match=r"ensemble.*found none"):
        Ensemble([])


def test_dropout_asks_every_pass_and_the_whole_detector():
    look = [boxes((HERE, CAT))]
    detector = ScriptedDetector(look, look, [boxes((HERE, DOG))], [boxes()])
    terms = McDropout(passes=3, rate=0.5).measure(detector, detector.view(batch_of(1)))
    assert terms["mutual_information"] == pytest.approx([entropy(0.5, 0.25, 0.25)])


def test_the_masks_are_drawn_once_a_round():
    asked = []

    class Recording(ScriptedDetector):
        def dropout_views(self, batch, *, passes, rate, seed):
            asked.append((passes, rate, seed))
            return []

    detector = Recording(*[[boxes()]] * 4)
    for rng in (0, 0, 1):
        scorer = McDropout(passes=4, rate=0.3)
        scorer.fit([], [], detector=detector, rng=np.random.default_rng(rng))
        scorer.measure(detector, detector.view(batch_of(1)))
    assert asked[0] == asked[1] != asked[2] and asked[0][:2] == (4, 0.3)
