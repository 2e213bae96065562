"""How long the rounds will take: measured on the study's own detector, and nothing of the study changes."""

import pytest

from boxwise.config import load_config
from boxwise.records import Phase
from boxwise.study import Study


@pytest.mark.slow
def test_counts_steps_and_pool_of_every_round_left(hidden, tiny_overrides, tmp_path):
    config = load_config(None, (*tiny_overrides, "train.min_steps=100", "train.max_steps=100", "budget.rounds=2"))
    study = Study.create(tmp_path / "study", hidden[1], config=config)
    assert study.expected_duration() is None  # nothing is labelled
    study.step()
    assert study.expected_duration() is None  # it waits for labels
    study.answer(hidden[0])
    before = (study.store.position, sorted(path.name for path in study.folder.rglob("*")))
    found = study.expected_duration()
    assert (study.store.position, sorted(path.name for path in study.folder.rglob("*"))) == before
    pool = len(study.store.pool())
    assert found.this_round == pytest.approx(100 * 4 / found.training + found.fitting + pool / found.predicting)
    rest = sum(100 * 4 / found.training + found.fitting + max(0, pool - 4 * later) / found.predicting for later in (1, 2))
    assert found.all_rounds == pytest.approx(found.this_round + rest)
    assert study.store.position[1] is Phase.ANNOTATE and found.fitting > 0
    while study.position[1] is not Phase.EVALUATE:
        study.step()
    assert study.expected_duration() is None  # this round's training is done, and people are asked before the next
