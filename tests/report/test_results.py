import csv
import dataclasses
import json

from made_rounds import as_json, made_round

from boxwise.evaluation.curves import compare_arms
from boxwise.results.facts import curve
from boxwise.results.files import COLUMNS, last_baseline, write_results


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_one_row_an_arm_seed_and_round(make_cells, tmp_path):
    cells = make_cells()
    write_results(cells, tmp_path / "results.csv")
    rows = read(tmp_path / "results.csv")
    assert [(r["arm"], int(r["seed"]), int(r["round"])) for r in rows] == [(c.arm, c.seed, r.round) for c in cells for r in c.rounds]
    assert tuple(rows[0]) == COLUMNS
    found = cells[0].rounds[2]
    assert float(rows[2]["test_ap"]) == found.evaluate.test["ap"]
    assert float(rows[2]["val_ap50"]) == found.evaluate.val["ap50"]
    assert float(rows[2]["seconds"]) == found.annotate.seconds
    assert float(rows[2]["train_seconds"]) == found.train.seconds
    assert float(rows[2]["fidelity_expected"]) == found.audit.fidelity["expected"]
    assert rows[2]["fidelity_learned"] == ""
    assert {r["role"] for r in rows if r["arm"] == "oracle_loss"} == {"upper bound"}


def test_json_holds_the_same_rows_and_the_comparison(make_cells, tmp_path):
    cells = make_cells()
    write_results(cells, tmp_path / "results.csv")
    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert len(found["rounds"]) == len(read(tmp_path / "results.csv"))
    assert found["split"] == "test"
    expected = compare_arms([curve(cell, "test") for cell in cells])
    assert [(s["arm"], s["axis"], s["areas"]) for s in found["comparison"]] == [(s.arm, s.axis, list(s.areas)) for s in expected]
    assert [s["saving"][0] for s in found["comparison"] if s["saving"]] == [s.saving.mean for s in expected if s.saving]
    assert set(found["fidelity"]["dual"]) == {"expected", "pseudo", "learned", "reconstruction", "score"}


def test_without_a_test_split_columns_are_empty_and_val_is_judged(make_cells, tmp_path):
    write_results(make_cells(("dual",), 1, test=False), tmp_path / "results.csv")
    assert {row["test_ap"] for row in read(tmp_path / "results.csv")} == {""}
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["split"] == "val"


def test_a_round_counts_once_it_is_labelled(make_cells, tmp_path):
    cell = make_cells(("dual",), 1)[0]
    open_round = made_round(1, {"select": as_json(cell.rounds[1])["select"]})
    write_results([dataclasses.replace(cell, rounds=(cell.rounds[0], open_round))], tmp_path / "results.csv")
    assert [row["round"] for row in read(tmp_path / "results.csv")] == ["0"]


def test_the_baseline_of_a_comparison_is_kept(make_cells, tmp_path):
    assert last_baseline(tmp_path) is None
    (tmp_path / "panel").mkdir()
    write_results(make_cells(), tmp_path / "panel" / "results.csv", baseline="dual")
    assert last_baseline(tmp_path / "panel") == last_baseline(tmp_path) == "dual"
    for text in ("[half", "[1]", '{"baseline": null}'):
        (tmp_path / "results.json").write_text(text)
        assert last_baseline(tmp_path) is None


def test_no_part_of_a_file_is_left_beside_it(make_cells, tmp_path):
    write_results(make_cells(("dual",), 1), tmp_path / "results.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.csv", "results.json"]


def test_cooperation_has_its_columns(make_cooperative, tmp_path):
    write_results(make_cooperative(), tmp_path / "results.csv")
    first, *_, last = read(tmp_path / "results.csv")
    assert (last["ask"], last["policy"], last["model_boxes"], last["self_images"], last["self_boxes"]) == (
        "review",
        "topk_ratio",
        "36",
        "21",
        "45",
    )
    assert float(last["by_hand_seconds"]) == 1010
    assert (float(last["sl_precision"]), float(last["sl_recall"])) == (54 / 90, 54 / 135)
    assert (first["sl_precision"], first["lure_loss"]) == ("", "")
    assert float(first["al_ratio_mean"]) == 1
    assert (float(last["lure_loss"]), float(last["lure_error"])) == (1.25, 0.31)


def test_a_study_labelled_by_hand_leaves_them_empty(make_cells, tmp_path):
    write_results(make_cells(("dual",), 1), tmp_path / "results.csv")
    row = read(tmp_path / "results.csv")[-1]
    assert (row["ask"], row["policy"]) == ("full", "all_labeled")
    names = ("model_boxes", "by_hand_seconds", "self_images", "self_boxes", "sl_precision", "sl_recall", "al_ratio_mean", "lure_loss")
    assert {row[name] for name in names} == {""}
