"""Which settings may change when."""

import pytest

from boxwise.config import StudyConfig, load_config
from boxwise.records import Phase
from boxwise.rounds.settings import StudyPosition, changes, holds, refusals, scores_anew

FRESH = StudyPosition(0, Phase.SELECT, questions=False)
ASKED = StudyPosition(0, Phase.ANNOTATE, questions=False)
TRAINED = StudyPosition(0, Phase.EVALUATE, questions=False)
CHOOSING = StudyPosition(2, Phase.SELECT, questions=False)
ANSWERING = StudyPosition(2, Phase.ANNOTATE, questions=True)


def changed(*overrides):
    return changes(StudyConfig(), load_config(None, overrides))


@pytest.mark.parametrize(
    ("override", "moment", "reason"),
    [
        ("seed=3", ASKED, "drawn by it already"),
        ("store=postgresql://host/db", FRESH, "labels and rounds are in the database"),
        ("budget.initial=9", ASKED, "round 0 has been asked"),
        ("cold_start.name=k_center", ASKED, "round 0 has been asked"),
        ("detector.name=tiny_ssd", TRAINED, "different detectors do not compare"),
        ("detector.imgsz=96", CHOOSING, "different detectors do not compare"),
        ("budget.rounds=1", CHOOSING, "round 2 has begun, expected 2 or more, found 1"),
        ("ask.mode=review", ANSWERING, "its questions are open"),
    ],
)
def test_what_cannot_change_any_more_is_refused_by_name_with_the_reason(override, moment, reason):
    (message,) = refusals(changed(override), moment)
    assert message.startswith(f"{override.split('=')[0]}: ") and reason in message


@pytest.mark.parametrize(
    ("override", "moment"),
    [
        ("seed=3", FRESH),
        ("budget.initial=9", FRESH),
        ("detector.name=tiny_ssd", ASKED),
        ("detector.score_threshold=0.1", CHOOSING),
        ("budget.rounds=2", CHOOSING),
        ("budget.per_round=9", ANSWERING),
        ("train.lr=0.5", ANSWERING),
        ("ask.mode=review", ASKED),
        ("strategy.name=random", ANSWERING),
    ],
)
def test_all_else_may_change(override, moment):
    assert refusals(changed(override), moment) == []


@pytest.mark.parametrize(
    ("override", "moment", "anew"),
    [
        ("strategy.name=ppal", CHOOSING, True),
        ("scorer.dual.alpha=1", CHOOSING, True),
        ("train.lr=0.5", CHOOSING, False),
        ("strategy.name=ppal", ANSWERING, False),
        ("strategy.name=ppal", FRESH, False),
    ],
)
def test_a_selection_never_goes_by_scores_of_other_settings(override, moment, anew):
    assert scores_anew(changed(override), moment) is anew


@pytest.mark.parametrize(
    ("key", "at", "words"),
    [
        ("strategy.name", (2, Phase.ANNOTATE), "from select of round 3 on"),
        ("ask.mode", (2, Phase.SELECT), "from select of round 2 on"),
        ("train.lr", (2, Phase.ANNOTATE), "from train of round 2 on"),
        ("train.lr", (2, Phase.SCORE), "from train of round 3 on"),
        ("scorer.dual.alpha", (2, Phase.SCORE), "from score of round 2 on"),
        ("scorer.dual.alpha", (3, Phase.DONE), "from score of round 3 on"),  # where a study that was done goes on
        ("strategy.name", (3, Phase.DONE), "from select of round 4 on"),
        ("detector.score_threshold", (3, Phase.DONE), "from train of round 4 on"),
        ("stop.ap_shift", (2, Phase.ANNOTATE), "from score of round 2 on"),
        ("stop.ap_shift", (3, Phase.DONE), "from score of round 3 on"),
        ("labelling.double", (2, Phase.ANNOTATE), "from select of round 3 on"),
        ("labelling.follow", (2, Phase.ANNOTATE), "from now on"),
        ("budget.rounds", (2, Phase.ANNOTATE), "from score of round 2 on"),
        ("budget.total", (2, Phase.SELECT), "from select of round 2 on"),
        ("budget.total", (2, Phase.TRAIN), "from score of round 2 on"),
        ("budget.per_round", (2, Phase.TRAIN), "from select of round 3 on"),
        ("device", (2, Phase.ANNOTATE), "from now on"),
        ("cost.per_hour", (2, Phase.AUDIT), "for all rounds, those that are over too"),
        ("cost.draw", (2, Phase.ANNOTATE), "for labels handed in from now on"),
    ],
)
def test_a_change_is_said_to_hold_from_when_on_it_does(key, at, words):
    assert holds(key, *at) == words
