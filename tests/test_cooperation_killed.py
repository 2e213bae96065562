"""People and the model label together, and a kill after any step loses none of it."""

import pytest

from boxwise.config import load_config
from boxwise.records import Phase, Split
from boxwise.study import Study

pytestmark = pytest.mark.slow
TIMINGS = ("seconds", "images_per_second")
# Twelve steps of training leave scores of .15 to .4: thresholds among them give boxes of both kinds.
UNSURE_MODEL = ("ask.certain=0.34", "ask.uncertain=0.2", "scorer.name=none", "strategy.name=random")
STORIES = {
    "returning": (
        "ask.mode=review",
        "policy.name=ratio_threshold",
        "ask.target_precision=0.2",
        "budget.val_per_round=1",
        "strategy.name=score_sampling",
        "scorer.name=uncertainty",
    ),
    "mining": ("policy.name=sample_mining", "policy.mined_images=3", "policy.gate=1", "policy.pace=9"),
    "trusting": ("ask.mode=trust", "policy.name=topk_ratio", "policy.self_weight=0.5"),
}


@pytest.fixture
def new_study(tmp_path, hidden, tiny_overrides):
    def create(*overrides, name):
        config = load_config(None, [*tiny_overrides, *UNSURE_MODEL, *overrides])
        return Study.create(tmp_path / name, hidden[1], config=config)

    return create


def memory_of(study):
    """All that a study remembers, without how long machines took."""
    facts = {
        (number, phase): {key: value for key, value in found.items() if key not in TIMINGS or phase == "annotate"}
        for number, phases in study.store.facts().items()
        for phase, found in phases.items()
    }
    queries = [study.store.query(number) for number in range(4)]
    labels = {
        name: (a.boxes.xyxy.tolist(), a.boxes.labels.tolist(), a.sources, a.complete, a.rejected.tolist(), a.round)
        for name, a in study.store.annotations(Split.TRAIN).items()
    }
    pool = [record.image_id for record in study.store.pool()]
    return facts, queries, labels, pool, study.store.position


@pytest.mark.parametrize("name", STORIES)
def test_killed_after_every_step_and_resumed_it_is_the_same_study(new_study, hidden, name):
    """Pools, queues, thresholds, self-labels and APs are all the store's, so that opening is resuming."""
    unbroken = new_study(*STORIES[name], name="unbroken")
    assert unbroken.run(hidden[0]) is Phase.DONE
    study = new_study(*STORIES[name], name="broken")
    for _ in range(60):
        study.store.close()
        study = Study.open(study.folder)
        if study.store.position[1] is Phase.ANNOTATE:
            study.answer(hidden[0])
        if study.step() is Phase.DONE:
            break
    assert memory_of(study) == memory_of(unbroken)
