import dataclasses

import pytest

from boxwise.report.estimates import lure_table, parts_chart, parts_table


@pytest.fixture
def cell(make_cooperative):
    return make_cooperative()[0]


def test_every_part_has_its_own_ap_beside_the_union(cell):
    table = parts_table(cell)
    evaluated = cell.rounds[3].evaluate
    assert table.heads == ("round", "union", "original", "round 1", "round 2", "round 3")
    assert [value.text for value in table.rows[3][1:]] == [
        f"{ap:.3f}" for ap in (evaluated.val["ap"], *(part["ap"] for part in evaluated.val_parts.values()))
    ]
    assert [value.text for value in table.rows[1][4:]] == ["–", "–"]  # not drawn yet
    assert "24 images" in table.rows[3][1].remark


def test_a_draw_has_a_line_from_the_round_it_joined(cell):
    lines = {line.name: line for line in parts_chart(cell).keys}
    assert list(lines["round 2"].x) == [2, 3]
    assert list(lines["union"].x) == [0, 1, 2, 3]
    assert [name for name, line in lines.items() if line.dashed] == ["round 1", "round 2", "round 3"]


def test_lure_stands_beside_the_biased_means(cell):
    table = lure_table(cell)
    assert [row[0] for row in table.rows] == ["1", "2", "3"]
    assert table.rows[0] == ("1", "20", "180", "1.250", "1.750", "0.310", "0.440")


def test_a_study_without_random_draws_has_none_of_it(make_cells):
    cell = make_cells(("dual",), 1)[0]
    assert (parts_table(cell), parts_chart(cell), lure_table(cell)) == (None, None, None)
    assert lure_table(dataclasses.replace(cell, rounds=())) is None
