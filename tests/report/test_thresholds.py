import dataclasses

import pytest
from made_rounds import made_round

from boxwise.report.thresholds import NOTHING_CERTAIN, reliability_chart, reliability_table, target_of, threshold_table


@pytest.fixture
def cell(make_cooperative):
    return make_cooperative()[0]


def test_the_curve_has_the_scores_before_and_after(cell):
    ideal, before, after = reliability_chart(cell).keys
    bins = [one for one in cell.rounds[3].score.calibration["bins"] if one["count"]]
    assert len(bins) == 10
    assert list(before.x) == [one["confidence"] for one in bins]
    assert list(after.x) == [one["calibrated"] for one in bins]
    assert list(before.y) == list(after.y) == [one["precision"] for one in bins]
    assert ideal.dashed
    assert "0.120 before, 0.030 after" in reliability_chart(cell).caption
    assert [row[3] for row in reliability_table(cell).rows] == [str(one["count"]) for one in bins]


def test_a_class_that_cannot_be_trusted_says_so(cell):
    round_index, table = threshold_table(cell)
    assert round_index == 3
    assert [row[1] for row in table.rows] == ["0.80", "0.75", NOTHING_CERTAIN]
    assert table.rows[0] == ("red cell", "0.80", "0.30", "40", "0.960", "0.610")
    assert target_of(cell) == "95%"
    score = {"calibration": {"target": 0.95, "confidence": 0.9}}
    assert target_of(dataclasses.replace(cell, rounds=(made_round(0, {"score": score}),))) == "95%, shown with 90% confidence"


def test_thresholds_set_by_hand_have_no_curve(cell):
    score = {"thresholds": {"certain": [0.8, 0.8, 0.9], "uncertain": 0.3}, "calibration": None}
    by_hand = dataclasses.replace(cell, rounds=(made_round(0, {"score": score}),))
    assert (reliability_chart(by_hand), reliability_table(by_hand), target_of(by_hand)) == (None, None, "")
    assert threshold_table(by_hand)[1].heads == ("class", "certain from", "uncertain from")
    assert len(threshold_table(by_hand)[1].rows) == 3


def test_one_threshold_for_all_classes_is_said_once(cell):
    alike = dataclasses.replace(cell, rounds=(made_round(0, {"score": {"thresholds": {"certain": [0.8] * 3, "uncertain": 0.3}}}),))
    assert threshold_table(alike)[1].rows == (("every class", "0.80", "0.30"),)


def test_the_last_round_does_not_score_and_so_has_none(cell):
    ended = dataclasses.replace(cell, rounds=(*cell.rounds, made_round(4, {"score": {"ended": "all 4 rounds are done"}})))
    assert threshold_table(ended)[0] == 3
    assert threshold_table(dataclasses.replace(cell, rounds=())) is None
