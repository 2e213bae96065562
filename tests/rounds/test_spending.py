"""A budget in money sizes rounds as its seconds do, and a limit ends the study."""

import pytest

from boxwise.config import load_config
from boxwise.errors import ConfigError
from boxwise.records import Phase, Split
from boxwise.rounds import STEPS, RoundContext
from boxwise.study import Study

PLAIN = ("scorer.name=none", "strategy.name=random", "budget.rounds=4")


def asked(study):
    """What the study's SELECT step asks for; nothing is committed."""
    context = RoundContext(study.folder, study.store, study.config, study.classes, None, lambda event: None)
    return STEPS[Phase.SELECT](context, study.store.position[0]).query.image_ids


def begun(hidden, folder, overrides):
    """A study whose first round is labelled, trained and scored."""
    study = Study.create(folder, hidden[1], config=load_config(None, overrides))
    while study.position != (1, Phase.SELECT):
        if study.position[1] is Phase.ANNOTATE:
            study.answer(hidden[0])
        study.step()
    return study


def test_money_needs_a_price():
    with pytest.raises(ConfigError, match=r"cost\.per_hour"):
        load_config(None, ("budget.unit=money",))


@pytest.mark.slow
def test_money_is_seconds_at_a_price(hidden, tiny_overrides, tmp_path):
    study = begun(hidden, tmp_path / "money", (*tiny_overrides, *PLAIN, "budget.unit=money", "budget.per_round=2", "cost.per_hour=60"))
    seconds = study.seconds(Split.TRAIN) + study.seconds(Split.VAL)
    assert study.spent() == pytest.approx(seconds / 60)
    by_money = asked(study)
    study.change(load_config(None, (*tiny_overrides, *PLAIN, "budget.unit=seconds", "budget.per_round=120", "cost.per_hour=60")))
    assert asked(study) == by_money and by_money
    study.change(load_config(None, (*tiny_overrides, *PLAIN, "budget.unit=seconds", "budget.per_round=30", "cost.per_hour=60")))
    assert len(asked(study)) < len(by_money)


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["images", "boxes", "seconds", "money"])
def test_the_limit_cuts_the_last_round_and_ends_the_study(hidden, tiny_overrides, tmp_path, unit):
    limits = {"images": 3, "boxes": 6, "seconds": 60, "money": 1}  # beyond what round 0 takes
    first = begun(hidden, tmp_path / "first", (*tiny_overrides, *PLAIN, f"budget.unit={unit}", "cost.per_hour=60"))
    total = first.spent() + limits[unit]
    given = (*tiny_overrides, *PLAIN, f"budget.unit={unit}", "budget.per_round=1000", "budget.val_per_round=0", "cost.per_hour=60")
    study = Study.create(tmp_path / "study", hidden[1], config=load_config(None, (*given, f"budget.total={total}")))
    assert study.run(hidden[0]) is Phase.DONE
    assert study.position[0] < 4 and study.spent() >= total * 0.99
    assert len(study.pool()) > 0, "the limit ended it, not the pool"
    if unit == "images":
        assert study.spent() == total
    ended = study.round(study.position[0]).score.ended
    assert ended == f"the budget of {total:g} {unit} is spent"
