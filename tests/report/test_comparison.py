import dataclasses

import numpy as np
from PIL import Image

from boxwise.report.comparison import arm_lines, confusion, learning_charts, precision_recall, quality, save_curves, savings


def test_an_arm_looks_the_same_everywhere(make_cells):
    looks = arm_lines(make_cells(), "random")
    assert list(looks) == ["dual", "random", "oracle_loss"]
    assert looks["random"].dashed
    assert looks["oracle_loss"].name == "oracle_loss (upper bound)"
    assert len({look.color for look in looks.values()}) == 3
    chart = precision_recall(make_cells(), "test", "random")
    assert [(key.name, key.color, key.marker) for key in chart.keys] == [(k.name, k.color, k.marker) for k in looks.values()]


def test_there_is_a_learning_curve_for_each_cost(make_cells):
    charts = learning_charts(make_cells(), "ap", "test", "random")
    assert [chart.caption for chart in charts] == ["by labelled images", "by labelled boxes", "by annotator time"]
    assert "annotator minutes" in charts[2].svg


def test_confusion_is_summed_over_seeds(make_cells):
    cells = make_cells(("dual",), 2)
    total = np.sum([cell.last_metrics("test")["confusion"] for cell in cells], axis=0)
    chart = confusion(cells, "test", "random")[0]
    for count in total[total > 0]:
        assert f">{count}</text>" in chart.svg


def test_quality_compares_arms_or_the_rounds_of_one_study(make_cells):
    assert quality(make_cells(), "test", "random").heads == ("", "dual", "random", "oracle_loss (upper bound)")
    assert quality(make_cells(("dual",), 1), "test", "random").heads == ("", "round 0", "round 1", "round 2", "round 3")


def test_precision_of_a_study_alone_is_by_class(make_cells):
    names = [key.name for key in precision_recall(make_cells(("dual",), 1), "test", "random").keys]
    assert names[0] == "red cell"
    assert names[-1] == "all classes"


def test_the_png_holds_the_three_axes(make_cells, tmp_path):
    path = save_curves(make_cells(), tmp_path / "curves.png")
    with Image.open(path) as image:
        assert image.width > 3 * image.height


def test_nothing_evaluated_draws_an_empty_png(make_cells, tmp_path):
    for cells, name in ((make_cells(("dual",), 1, test=False), "curves.png"), ([], "none.png")):
        with Image.open(save_curves(cells, tmp_path / name, split="test")) as image:
            assert image.format == "PNG" and image.width > 3 * image.height and image.load()


class TestSavings:
    def test_arms_that_all_draw_by_hand_have_nothing_to_compare(self, make_cells, make_cooperative):
        assert savings(make_cells(), "test", "random") is None
        assert savings(make_cooperative(), "test", "random") is None  # a study on its own

    def test_each_arm_has_its_labour_and_what_its_boxes_cost_by_hand(self, make_cells, make_cooperative):
        review = [dataclasses.replace(cell, arm="review") for cell in make_cooperative(("dual",), 2)]
        table = savings([*review, *make_cells(("random", "oracle_loss"), 2)], "test", "random")
        rows = [dict(zip(table.heads, row, strict=True)) for row in table.rows]
        assert [row["arm"].text for row in rows] == ["review", "random", "oracle_loss (upper bound)"]
        assert [(row["asked"], row["trained on"]) for row in rows] == [
            ("review", "topk_ratio"),
            ("full", "all_labeled"),
            ("full", "all_labeled"),
        ]
        ap50 = [cell.last_metrics("test")["ap50"] for cell in review]
        assert rows[0]["AP50 on test"].text == f"{np.mean(ap50):.3f}"
        spent = [cell.rounds[3].annotate for cell in review]
        share = np.mean([1 - one.seconds / one.by_hand_seconds for one in spent])
        assert rows[0]["saved"].text == f"{100 * share:.0f}%"
        assert rows[0]["by hand"] == "17 min"
        assert rows[0]["precision of the model's boxes"].text == "0.600"
        assert (rows[1]["by hand"], rows[1]["saved"].text) == ("–", "–")

    def test_without_ground_truth_there_is_no_column_of_precision(self, make_cells, make_cooperative):
        review = [dataclasses.replace(cell, arm="review", self_labels={}) for cell in make_cooperative(("dual",), 1)]
        table = savings([*review, *make_cells(("random",), 1)], "test", "random")
        assert "precision of the model's boxes" not in table.heads
