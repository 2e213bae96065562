from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from boxwise.report.charts import (
    Axis,
    Line,
    arm_colors,
    arm_markers,
    heat_chart,
    histogram_chart,
    line_chart,
    line_svg,
    lines_png,
    round_colors,
    with_ids_of,
)
from boxwise.results.colors import class_colors

LINES = [Line("a & <b>", [0, 1, 2], [0.1, 0.4, 0.3], "#0072B2", low=[0, 0.2, 0.1], high=[0.2, 0.6, 0.5], marker="o")]
AXIS = Axis("cost <i>", "AP $x$")


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg.replace("xlink:href", "href"))


class TestLines:
    def test_the_svg_is_well_formed_and_takes_the_colours_of_the_page(self):
        svg = line_svg(LINES, AXIS)
        assert parsed(svg).tag == "svg"
        assert "currentColor" in svg
        assert "var(--grid)" in svg
        assert "#010203" not in svg

    def test_names_are_text_neither_markup_nor_mathematics(self):
        texts = [element.text for element in parsed(line_svg(LINES, AXIS)).iter("text")]
        assert {"cost <i>", "AP $x$"} <= set(texts)

    def test_a_log_axis_has_plain_figures(self):
        svg = line_svg([Line("a", [0, 1, 2], [0.1, 0.01, 0.003], "#0072B2")], Axis("x", "y", log=True))
        assert "mathdefault" not in svg
        assert "0.01" in [element.text for element in parsed(svg).iter("text")]

    def test_an_axis_says_its_figures_in_full(self):
        svg = line_svg([Line("loss", [0, 1], [1, 2e6], "#123456")], Axis("step", "loss"))
        assert "2000000" in svg and "1e6" not in svg

    def test_same_lines_same_svg(self):
        assert line_svg(LINES, AXIS) == line_svg(LINES, AXIS)

    def test_the_same_chart_twice_on_a_page_shares_no_ids(self):
        svgs = [with_ids_of(line_svg(LINES, AXIS), number) for number in (1, 2)]
        ids = [{element.get("id") for element in parsed(svg).iter() if element.get("id")} for svg in svgs]
        assert len(ids[0]) == len(ids[1]) > 0
        assert not ids[0] & ids[1]
        used = {element.get("href")[1:] for element in parsed(svgs[0]).iter("use")}
        assert used and used <= ids[0]

    def test_nothing_to_draw_is_an_empty_chart(self):
        assert parsed(line_svg([], AXIS)).tag == "svg"
        assert parsed(line_svg([Line("a", [], [], "#0072B2")], AXIS)).tag == "svg"

    def test_the_legend_names_the_lines_that_are_not_faint(self):
        faint = Line("seed", [0, 1], [0, 1], "#0072B2", faint=True)
        assert [line.name for line in line_chart([faint, *LINES], AXIS, "caption").keys] == ["a & <b>"]
        assert line_chart(LINES, AXIS, "caption", legend=False).keys == ()

    def test_a_chart_is_drawn_anew_where_a_figure_differs_and_only_there(self):
        first, again = (line_chart([replace(LINES[0], y=np.array([0.1, 0.4, 0.3]))], AXIS, caption).svg for caption in "ab")
        moved, wider = replace(LINES[0], y=[0.1, 0.4, 0.5]), replace(LINES[0], low=[0, 0, 0])
        assert again is first == line_svg(LINES, AXIS)
        others = {line_chart([line], AXIS, "a").svg for line in (moved, wider)} | {line_chart(LINES, replace(AXIS, log=True), "a").svg}
        assert len(others) == 3 and first not in others

    def test_names_in_other_scripts_warn_nobody(self, recwarn):
        line_svg([Line("红细胞", [0, 1], [0, 1], "#0072B2")], Axis("図", "精度"))
        assert not len(recwarn)


class TestHeat:
    @pytest.mark.parametrize("classes", [1, 4, 30])
    def test_counts_are_written_while_there_is_room(self, classes):
        values = np.diag(np.arange(101, 101 + classes))
        chart = heat_chart(values, [f"class {i}" for i in range(classes)], "arm", rows="truth", columns="prediction")
        texts = [element.text for element in parsed(chart.svg).iter("text")]
        assert ("101" in texts) == (classes <= 13)
        assert "class 0" in texts

    def test_an_empty_row_is_no_division_by_zero(self, recwarn):
        heat_chart(np.zeros((2, 2)), ["x", "background"], "arm", rows="truth", columns="prediction")
        assert not len(recwarn)


class TestHistograms:
    def test_every_value_is_counted_in_its_row_the_limits_included(self):
        chart = histogram_chart({"round 0": [0.0, 0.02, 1.0], "round 1": [0.55] * 40, "<i>": []}, "ratios", rows="round", columns="ratio")
        texts = [element.text for element in parsed(chart.svg).iter("text")]
        assert [text for text in texts if text.isdigit()] == ["2", "1", "40"]
        assert {"round 0", "round 1", "<i>", "0.0–0.1", "0.9–1.0", "ratio"} <= set(texts)

    def test_a_rounding_error_beyond_one_is_not_lost(self):
        chart = histogram_chart({"0": [1.0000001]}, "scores", rows="round", columns="score", bins=2)
        assert "1" in [element.text for element in parsed(chart.svg).iter("text")]


def test_the_png_is_an_image_with_a_panel_each(tmp_path):
    lines_png([(LINES, AXIS), (LINES, AXIS)], tmp_path / "curves.png", title="two panels")
    with Image.open(tmp_path / "curves.png") as image:
        assert image.format == "PNG"
        assert image.width > 2 * image.height
        assert len(set(image.convert("RGB").resize((400, 100)).tobytes())) > 50


def test_arms_keep_their_colour_and_the_baseline_is_grey():
    colors = arm_colors(["dual", "random", "k_center"], "random")
    assert colors["random"] == "#8A8F98"
    assert len(set(colors.values())) == 3
    assert arm_markers(["dual", "random"])["dual"] != arm_markers(["dual", "random"])["random"]


def test_there_is_a_colour_for_every_class_and_round():
    assert len(class_colors(80)) == 80
    assert len(set(round_colors(6))) == 6
