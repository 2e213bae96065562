"""The weights that a scorer is built with."""

import pytest
from made_rounds import context_of

from boxwise.config import load_config
from boxwise.rounds import RoundContext
from boxwise.rounds.parts import learned_weights
from boxwise.rounds.scored_by import scored_by

AUTO = ("scorer.alpha=auto", "scorer.beta=auto")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("scorer.name=dual", "scorer.alpha=0.2", "scorer.beta=0.7"), {}),
        ((*AUTO, "scorer.name=dual"), {"alpha": 0.5, "beta": 0.5}),
        ((*AUTO, "scorer.name=forecast", "scorer.parts=[expected]"), {"expected": 1.0}),
    ],
)
def test_before_anything_is_fitted_what_is_learned_weighs_the_same(waiting_study, overrides, expected):
    study, config = waiting_study("full"), load_config(None, overrides)
    context = RoundContext(study.folder, study.store, config, study.classes, None, lambda event: None)
    assert learned_weights(context, 0) == expected


LEARNED = {"alpha": 0.9, "beta": 0.1}
DUAL = (*AUTO, "scorer.name=dual")


@pytest.mark.parametrize(
    ("weights_of", "overrides", "expected"),
    [
        (DUAL, DUAL, LEARNED),
        (DUAL, (*DUAL, "scorer.dual.detection=learned"), {"alpha": 0.5, "beta": 0.5}),
        (None, DUAL, LEARNED),  # of an older version, which did not write it down
        (None, ("scorer.name=forecast", "scorer.parts=[expected]"), {"expected": 1.0}),
    ],
)
def test_weights_that_another_scorer_learned_serve_no_longer(waiting_study, weights_of, overrides, expected):
    study = waiting_study("full")
    audit = {"weights": LEARNED}
    if weights_of is not None:
        audit["weights_of"] = scored_by(context_of(study, *weights_of).config.scorer)
    assert learned_weights(context_of(study, *overrides, past={1: {"audit": audit}}), 2) == expected
