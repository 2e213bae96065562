"""Budgets in images and in money, through the command line: what a round may cost, and when a study has spent enough."""

import json

import pytest

from boxwise.records import Split
from boxwise.study import Study

RATE = "cost.per_hour=3600"  # one a second, so that money and seconds are the same number


def test_money_without_a_rate_is_refused_before_any_image_is_read(boxwise, tmp_path):
    code, _, err = boxwise("init", tmp_path / "s", "--images", "nowhere", "budget.unit=money")
    assert code == 2 and "expected cost.per_hour above 0" in err and len(err.splitlines()) == 1


def test_a_total_below_the_first_batch_is_refused(boxwise, tmp_path):
    code, _, err = boxwise("init", tmp_path / "s", "--images", "nowhere", "budget.total=10", "budget.initial=50")
    assert code == 2 and "initial 50 is above total 10" in err


def answered(study, annotator):
    study.answer(annotator)
    study.store.close()
    return study.folder


def spent(boxwise, folder):
    return json.loads(boxwise("status", folder, "--json")[1])["spent"]


def test_money_ends_the_study_and_more_of_it_goes_on(boxwise, waiting_study, hidden):
    folder = answered(waiting_study("full"), hidden[0])
    before = spent(boxwise, folder)
    assert before["money"] is None and before["unit"] == "images"
    code, _, err = boxwise("set", folder, "budget.unit=money", "budget.per_round=30", RATE, f"budget.total={int(before['seconds'])}")
    assert code == 0, err
    assert spent(boxwise, folder) | {"unit": "money"} == before | {
        "unit": "money",
        "money": round(before["seconds"], 2),
        "amount": pytest.approx(before["seconds"]),
        "total": int(before["seconds"]),
    }
    code, out, err = boxwise("run", folder)
    assert code == 0 and "the budget is spent" in out and "3600 an hour" in out, err
    code, out, _ = boxwise("status", folder)
    assert f"which cost {before['seconds']:,.2f}" in out and "are spent" in out and "cost" in out
    assert "<th" in (page := (folder / "report.html").read_text()) and ">cost<" in page

    assert boxwise("set", folder, f"budget.total={int(before['seconds']) + 10}")[0] == 0
    code, out, err = boxwise("run", folder)
    assert code == 0 and "Round 2 waits for labels" in out, err
    asked = [item for item in Study.open(folder).ask().items if item.split is Split.TRAIN]
    assert len(asked) == 1  # the one that crosses the ten seconds that are left


def test_a_round_larger_than_the_pool_is_clipped_with_a_word_and_leaves_something_to_train_on(boxwise, waiting_study, hidden):
    study = waiting_study("full")
    folder = answered(study, hidden[0])
    assert boxwise("set", folder, "budget.per_round=5000", "budget.val_per_round=5000")[0] == 0
    code, out, err = boxwise("run", folder)
    assert code == 0 and "budget.per_round would pay for more than the pool has" in out, err
    splits = [item.split for item in Study.open(folder).ask().items]
    assert splits.count(Split.TRAIN) == 1 and splits.count(Split.VAL) == len(splits) - 1
