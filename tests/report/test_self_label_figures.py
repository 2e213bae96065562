import dataclasses

import pytest

from boxwise.report.self_labels import class_table, quality_chart
from boxwise.results.self_labels import SelfLabelQuality, last_quality, quality_of


@pytest.fixture
def cell(make_cooperative):
    return make_cooperative()[0]


def test_classes_and_places_are_summed_before_they_are_divided(cell):
    quality = quality_of(cell, 3)
    assert quality == SelfLabelQuality(30 + 60, 9 + 8 + 7 + 30, 60 + 75)
    assert quality.precision == pytest.approx(54 / 90)
    assert quality.recall == pytest.approx(54 / 135)
    assert quality_of(cell, 3, ("annotated",)).precision == pytest.approx(0.8)


def test_nothing_is_known_of_a_round_without_a_model_or_a_real_study(cell):
    assert quality_of(cell, 0) is None
    real = dataclasses.replace(cell, self_labels={})
    assert (quality_of(real, 3), last_quality(real), quality_chart(real), class_table(real)) == (None,) * 4


def test_a_round_that_labelled_nothing_itself_is_not_the_last(cell):
    idle = {"annotated": {name: {"self_labeled": 0, "correct": 0, "objects": 9} for name in cell.classes}, "pool": {}}
    cell = dataclasses.replace(cell, self_labels={**cell.self_labels, "3": idle})
    assert last_quality(cell) == quality_of(cell, 2)
    assert class_table(cell)[0] == 2
    assert len(quality_chart(cell).keys[0].x) == 2


def test_the_chart_tells_precision_from_recall_without_colour(cell):
    lines = quality_chart(cell).keys
    assert [line.dashed for line in lines] == [False, True, False, True]
    assert list(lines[0].y) == pytest.approx([(6 + 5 + 4 + 3 * r) / 30 for r in range(1, 4)])
    assert "ground truth" in quality_chart(cell).caption


def test_the_last_round_class_by_class(cell):
    round_index, table = class_table(cell)
    assert round_index == 3
    assert [row[0] for row in table.rows] == [*cell.classes, "all classes"]
    assert [row[2] for row in table.rows] == ["0.900", "0.800", "0.700", "0.800"]
    assert table.rows[0][1].remark == "9 right"


def test_a_place_without_self_labels_has_no_columns(cell):
    only = {"annotated": cell.self_labels["3"]["annotated"]}
    _, table = class_table(dataclasses.replace(cell, self_labels={"3": only}))
    assert len(table.heads) == 4
