import dataclasses

import pytest
from made_rounds import made_round

from boxwise.records import QueryItem, Split
from boxwise.report.studies import view


@pytest.fixture
def dual(make_cells):
    return make_cells(("dual",), 1)[0]


def test_a_gallery_shows_the_most_valuable_images_and_counts_all(dual):
    gallery = view(dual, shots=3).galleries[2]
    items = dual.rounds[2].items
    assert [shot.image_id for shot in gallery.shots] == [item.image_id for item in items[:3]]
    assert gallery.chosen == 5
    assert gallery.strategy == "top_k"
    assert gallery.shots[0].boxes == len(dual.labels[items[0].image_id])


def test_bars_run_from_the_middle_to_the_widest_of_the_round(dual):
    gallery = view(dual, shots=5).galleries[1]
    for name in ("L_rec", "L_det"):
        bars = [term for shot in gallery.shots for term in shot.terms if term.name == name]
        assert max(bar.length for bar in bars) == 50
        assert all(bar.start + bar.length == pytest.approx(50) if bar.negative else bar.start == 50 for bar in bars)


def test_a_random_draw_has_no_utility_to_explain(make_cells):
    shot = view(make_cells(("random",), 1)[0], shots=1).galleries[1].shots[0]
    assert (shot.utility, shot.terms) == ("", ())


def with_items(cell, *items):
    """The cell with its first round after 0 asking for these."""
    rounds = list(cell.rounds)
    rounds[1] = dataclasses.replace(rounds[1], items=items)
    return dataclasses.replace(cell, rounds=tuple(rounds))


def test_a_strategy_without_scores_has_a_utility_that_can_be_told_from_zero(make_cells):
    items = (QueryItem("val.png", 0.0, split=Split.VAL), QueryItem("a.png", 0.0293), QueryItem("b.png", 0.00238), QueryItem("c.png", 1.25))
    shots = view(with_items(make_cells(("random",), 1)[0], *items), shots=4).galleries[1].shots
    assert [shot.utility for shot in shots] == ["", "0.029", "0.0024", "1.25"] and not any(shot.terms for shot in shots)


def test_a_random_draw_for_val_leaves_the_others_their_terms(dual):
    drawn, (first, second, *_) = QueryItem("val.png", 0.0, split=Split.VAL), dual.rounds[1].items
    shots = view(with_items(dual, drawn, first, second), shots=3).galleries[1].shots
    assert [[term.name for term in shot.terms] for shot in shots] == [[], ["L_rec", "L_det"], ["L_rec", "L_det"]]
    assert [bool(shot.utility) for shot in shots] == [False, True, True]


def test_fidelity_does_not_say_that_its_scores_chose_the_images(dual):
    assert "of the chosen images" in view(dual, shots=0).fidelity.caption


def test_no_pictures_left_still_lists_the_rounds(dual):
    galleries = view(dual, shots=0).galleries
    assert [gallery.chosen for gallery in galleries] == [5, 5, 5, 5]
    assert all(gallery.shots == () for gallery in galleries)


def test_fidelity_leaves_out_what_was_never_measured(dual):
    study = view(dual, shots=0)
    assert [key.name for key in study.fidelity.keys] == ["expected", "pseudo", "score"]
    assert study.fidelity_table.heads == ("round", "images", "expected", "pseudo", "score", "α next", "β next")


def test_training_has_a_chart_a_loss_and_a_line_a_round(dual):
    charts = view(dual, shots=0).training
    assert [chart.caption for chart in charts] == ["Training loss: box", "Training loss: class", "Learning rate"]
    assert [key.name for key in charts[0].keys] == ["round 0", "round 1", "round 2", "round 3"]


def test_the_last_sheet_and_all_vae_curves_are_shown(dual):
    study = view(dual, shots=0)
    assert (study.sheet_round, len(study.vae)) == (3, 2)
    assert study.sheet.uri.startswith("data:image/jpeg")


def test_a_study_without_scores_has_no_empty_charts(make_cells):
    study = view(dataclasses.replace(make_cells(("random",), 1)[0], rounds=(made_round(0, {}),)), shots=4)
    assert (study.fidelity, study.fidelity_table, study.pool, study.sheet) == (None, None, None, None)
    assert study.training == study.vae == study.galleries == ()
