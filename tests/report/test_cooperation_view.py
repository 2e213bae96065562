import dataclasses
import re
from itertools import pairwise

import pytest
from made_rounds import made_round

from boxwise.report.charts import BY_MODEL, BY_PERSON
from boxwise.report.cooperation import cooperation_view


@pytest.fixture
def cell(make_cooperative):
    return make_cooperative()[0]


def texts(row):
    return [value if isinstance(value, str) else value.text for value in row]


def column(table, head):
    return [texts(row)[table.heads.index(head)] for row in table.rows]


def test_a_study_labelled_by_hand_has_nothing_to_show(make_cells):
    assert cooperation_view(make_cells(("dual",), 1)[0], shots=4) is None


@pytest.mark.parametrize(
    "config", [{"ask": {"mode": "trust"}}, {"policy": {"name": "ceal"}}, {"ask": {"mode": "full"}, "policy": {"name": "v1"}}]
)
def test_old_facts_under_a_cooperative_config_have_no_empty_parts(make_cells, config):
    """A study stopped in its first round knows none of the new facts."""
    cell = make_cells(("dual",), 1)[0]
    view = cooperation_view(dataclasses.replace(cell, config={**cell.config, **config}), shots=4)
    assert (view.images, view.training, view.by_class, view.thresholds, view.parts, view.lure, view.hardest) == (None,) * 7
    assert view.self_label_charts == view.distributions == ()
    asks = config.get("ask", {}).get("mode") == "trust"
    assert (view.labour.heads if view.labour else None) == (("round", "boxes by a person", "labour") if asks else None)
    nothing = cooperation_view(dataclasses.replace(cell, config={**cell.config, **config}, rounds=(made_round(0, {}),)), shots=4)
    assert nothing.labour is None


@pytest.mark.parametrize("facts", [{"evaluate": {"val_parts": {"original": {"ap": 0.5}}}}, {"audit": {"lure": {"loss": 1.0}}}])
def test_a_growing_val_or_a_lure_estimate_is_shown_of_any_study(make_cells, facts):
    cell = dataclasses.replace(make_cells(("dual",), 1)[0], rounds=(made_round(1, facts),))
    view = cooperation_view(cell, shots=0)
    assert (view.parts_table is not None, view.lure is not None) == ("evaluate" in facts, "audit" in facts)


def test_where_a_person_draws_every_box_thresholds_and_ratios_tell_nothing(cell):
    mined = dataclasses.replace(cell, config={**cell.config, "ask": {"mode": "full"}, "policy": {"name": "sample_mining"}})
    view = cooperation_view(mined, shots=0)
    assert (view.thresholds, view.reliability, view.reliability_table, view.distributions) == (None, None, None, ())
    assert view.labour is None and "labour" not in view.summary
    assert "pool images labelled for it alone" in view.training.heads and "mean AL ratio" not in view.training.heads


def test_a_val_that_grows_beside_labels_all_drawn_and_all_trained_on_stands_alone(cell):
    plain = dataclasses.replace(cell, config={**cell.config, "ask": {"mode": "full"}, "policy": {"name": "all_labeled"}})
    view = cooperation_view(plain, shots=0)
    assert (view.labour, view.images, view.training) == (None, None, None)
    assert view.parts_table and view.lure


class TestLabour:
    def test_saved_is_by_hand_less_labour(self, cell):
        table = cooperation_view(cell, shots=0).labour
        spent = cell.rounds[3].annotate
        seconds = spent.by_hand_seconds - spent.seconds
        last = dict(zip(table.heads, table.rows[3], strict=True))
        assert last["saved"].text == f"{seconds / 60:.0f} min"
        assert last["saved"].remark == f"{100 * seconds / spent.by_hand_seconds:.0f}%"
        assert last["share by the model"] == f"{100 * 36 / (36 + spent.boxes):.0f}%"
        assert last["boxes by the model"].remark == "+12"
        assert [last[name] for name in ("kept", "moved", "relabelled", "deleted", "added")] == ["9", "3", "1", "4", "6"]

    def test_asking_that_cost_more_than_drawing_says_so(self, cell):
        spent = {"boxes": 10, "seconds": 300.0, "by_hand_seconds": 200.0}
        view = cooperation_view(dataclasses.replace(cell, rounds=(made_round(0, {"annotate": spent}),)), shots=0)
        saved = view.labour.rows[0][view.labour.heads.index("saved")]
        assert (saved.text, saved.remark) == ("−100 s", "−50%")
        assert "50% more than the 3 min" in view.summary

    def test_the_summary_names_the_ways_and_the_saving(self, cell):
        said = cooperation_view(cell, shots=0).summary
        assert said.startswith("Asked: review.") and "Trained on: topk_ratio." in said and "less than the 17 min" in said


class TestImages:
    def test_lists_are_counted(self, cell):
        table = cooperation_view(cell, shots=0).images
        assert column(table, "joined the labelled set") == ["0", "2", "2", "2"]
        assert column(table, "to ask again") == ["0", "1", "1", "1"]
        assert column(table, "labelled set") == ["20", "25", "30", "35"]

    def test_what_never_happened_has_no_column(self, cell):
        assert "back to the pool" not in cooperation_view(cell, shots=0).images.heads

    def test_training_tells_sources_and_the_shift_over_the_window(self, cell):
        table = cooperation_view(cell, shots=0).training
        aps = [r.evaluate.val_parts["original"]["ap"] for r in cell.rounds]
        assert column(table, "boxes by the model") == ["0", "12", "24", "36"]
        assert column(table, "AP shift on val") == ["–", *(f"{abs(b - a) / 2:.4f}" for a, b in pairwise(aps))]

    def test_each_round_has_its_distribution(self, cell):
        for chart in cooperation_view(cell, shots=0).distributions:
            labels = re.findall(r">([^<>]+)</text>", chart.svg)
            assert {"0", "1", "2", "3", "0.0–0.1", "0.9–1.0"} <= set(labels)
        counts = [int(label) for label in labels if label.isdigit()]
        assert sum(counts) == 4 * 4 + sum(range(4))  # four images a round, and the rounds' own names


class TestHardest:
    def test_without_losses_the_highest_al_ratio_comes_first(self, cell):
        sheet = cooperation_view(cell, shots=3).hardest
        ratio = cell.rounds[3].compose.al_ratio
        assert (sheet.round, sheet.judged_by) == (3, "AL ratio")
        assert [shot.image_id for shot in sheet.shots] == sorted(ratio, key=ratio.get, reverse=True)[:3]

    def test_a_true_loss_is_the_better_judge(self, cell):
        sheet = cooperation_view(dataclasses.replace(cell, rounds=cell.rounds[:3]), shots=9).hardest
        assert (sheet.round, sheet.judged_by) == (2, "true loss")
        assert [shot.image_id for shot in sheet.shots] == ["r2_3.png", "r2_2.png", "r2_1.png", "r2_0.png"]

    def test_images_asked_again_later_show_no_labels_of_another_round(self, cell):
        again = {"items": [{"image_id": "r3_0.png", "utility": 1.0, "terms": {}, "split": "train"}]}
        longer = dataclasses.replace(cell, rounds=(*cell.rounds, made_round(4, {"select": again})))
        shots = [shot.image_id for shot in cooperation_view(longer, shots=9).hardest.shots]
        assert sorted(shots) == ["r3_1.png", "r3_2.png", "r3_3.png"]

    def test_outlines_tell_who_labelled_by_colour_dash_and_word(self, cell):
        shots = cooperation_view(cell, shots=9).hardest.shots
        assert len(shots) == 4 and {box.dashed for shot in shots for box in shot.thumbnail.outlines} == {True, False}
        for shot in shots:
            outlines = shot.thumbnail.outlines
            assert sum(box.dashed for box in outlines) == shot.by_model == (shot.boxes + 1) // 2
            assert {(box.color, box.dashed) for box in outlines} <= {(BY_MODEL, True), (BY_PERSON, False)}
            assert all(box.name.endswith("by the model" if box.dashed else "by a person") for box in outlines)

    def test_drawn_by_hand_boxes_keep_the_colours_of_their_classes(self, cell):
        by_hand = dataclasses.replace(cell, config={**cell.config, "ask": {"mode": "full"}})
        sheet = cooperation_view(by_hand, shots=9).hardest
        assert not sheet.sourced
        colors = {box.color for shot in sheet.shots for box in shot.thumbnail.outlines}
        assert colors and not colors & {BY_PERSON, "#E69F00"}

    def test_no_pictures_left_no_sheet(self, cell):
        assert cooperation_view(cell, shots=0).hardest is None
