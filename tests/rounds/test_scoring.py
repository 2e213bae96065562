"""The weights that a scorer is built with."""

import pytest

from boxwise.config import load_config
from boxwise.rounds import RoundContext
from boxwise.rounds.parts import learned_weights

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
