"""A benchmark's figures, on made-up cells small enough to be worked by hand."""

import csv
import math
import re
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from made_rounds import made_round

from boxwise.records import Phase
from boxwise.report.grid_page import headline, write_grid_report
from boxwise.results.facts import Cell
from boxwise.results.grid import Panel, overall, sanity, spread, standings, write_grid
from boxwise.results.tables import headline as one_headline

IMAGES = (10, 20, 30)
ROLES = {"oracle_loss": "upper bound", "fewest": "floor"}
AP = {
    "random": (0.1, 0.2, 0.3),
    "good": (0.1, 0.3, 0.4),
    "bad": (0.1, 0.15, 0.2),
    "oracle_loss": (0.1, 0.4, 0.5),
    "fewest": (0.1, 0.1, 0.1),
}
# area over 10 to 30 images by trapezoids: random .2, good .275, bad .15, oracle_loss .35, fewest .1
SECONDS = {"random": (1.0, 0.8), "good": (2.5, 2.0)}  # SCORE and the SELECT that follows, for a pool of 100, then of 80


def cell(arm: str, seed: int, ap=None, images=IMAGES) -> Cell:
    rounds = []
    for number, (count, reached) in enumerate(zip(images, ap or AP[arm], strict=True)):
        spent = {"images": count, "boxes": 5 * count, "seconds": 40.0 * count}
        both = SECONDS.get(arm, (1.0, 0.8))
        facts = {
            "select": {"items": [], "seconds": 0.2} if number else {"items": []},
            "annotate": spent,
            "train": {"seconds": 7.0, "steps": 3},
            "evaluate": {"test": {"ap": reached + 0.001 * seed, "ap50": 2 * reached}},
            "score": {"pool": 100 - 20 * number, "seconds": both[number] - 0.2} if number < 2 else {"ended": "all rounds are done"},
        }
        rounds.append(made_round(number, facts))
    return Cell(arm, seed, folder=None, config={}, classes=("a",), rounds=tuple(rounds), role=ROLES.get(arm, "arm"))


def _halved(one_round):
    spent = one_round.annotate
    fewer = replace(spent, boxes=50 + (spent.boxes - 50) / 2)
    return replace(one_round, steps={**one_round.steps, Phase.ANNOTATE: fewer})


def panel(data="made", arms=("good", "bad", "random", "oracle_loss", "fewest"), seeds=6, *, ceiling=True) -> Panel:
    cells = [cell(arm, seed) for arm in arms for seed in range(seeds)]
    whole = [replace(cell("everything", seed, (0.1, 0.5), (10, 100)), role="ceiling") for seed in range(seeds)] if ceiling else []
    return Panel(data, "tiny", [*cells, *whole])


def panel_with_twice() -> Panel:
    whole = panel(arms=("good", "random"), ceiling=False)
    return replace(whole, cells=[replace(c, arm="random+train.length=2") if c.arm == "good" else c for c in whole.cells])


@pytest.fixture(scope="module")
def found():
    return {s.result.arm: s for s in standings(panel(), baseline="random")}


def test_an_arm_stopped_half_way_takes_no_block_from_the_others():
    cells = [c for c in panel().cells if c.arm != "bad" or c.seed < 2]
    rows, ranks = overall([Panel("made", "tiny", cells)], baseline="random")
    assert [row.arm for row in rows] == ["good", "oracle_loss", "random", "fewest"]
    assert ranks.blocks == 1
    found = standings(Panel("made", "tiny", cells), baseline="random")
    assert [(s.result.arm, s.rank) for s in found][:4] == [("good", 1), ("oracle_loss", 1), ("random", 2), ("fewest", 3)]
    assert found[4].result.arm == "bad" and math.isnan(found[4].rank)


def test_an_arm_that_ended_early_leaves_the_ranks_of_the_others():
    whole = panel(ceiling=False)
    early = replace(whole, cells=[*whole.cells, *(cell("killed", seed, ap=(0.1,), images=IMAGES[:1]) for seed in range(6))])
    ranks, without = ({s.result.arm: s.rank for s in standings(each, baseline="random")} for each in (early, whole))
    assert math.isnan(ranks.pop("killed")) and ranks == without


def test_an_arm_that_shares_no_image_with_the_others_leaves_them_their_ranks():
    whole = panel(ceiling=False)
    late = replace(whole, cells=[*whole.cells, *(cell("late", seed, AP["good"], (45, 55, 65)) for seed in range(6))])
    ranks, without = ({s.result.arm: s.rank for s in standings(each, baseline="random")} for each in (late, whole))
    assert math.isnan(ranks.pop("late")) and ranks == without
    assert over_all(late) == over_all(whole)


def test_nor_does_one_that_shares_no_time_where_arms_are_judged_by_time():
    review = [replace(c, config={"ask": {"mode": "review"}}) if c.arm == "good" else c for c in panel(ceiling=False).cells]
    dear = [replace(cell("dear", seed, AP["good"]), rounds=tuple(map(_dearer, cell("dear", seed, AP["good"]).rounds))) for seed in range(6)]
    with_dear, without = (Panel("made", "tiny", cells) for cells in ([*review, *dear], review))
    ranks, alone = ({s.result.arm: s.rank for s in standings(each, baseline="random")} for each in (with_dear, without))
    assert math.isnan(ranks.pop("dear")) and ranks == alone
    assert over_all(with_dear) == over_all(without)


def over_all(one):
    return [(row.arm, row.rank) for row in overall([one], baseline="random")[0]]


def _dearer(one_round):
    return replace(
        one_round, steps={**one_round.steps, Phase.ANNOTATE: replace(one_round.annotate, seconds=10 * one_round.annotate.seconds)}
    )


def test_a_cell_is_finished_when_its_study_is():
    whole = cell("good", 0)
    assert whole.finished
    assert not replace(whole, rounds=whole.rounds[:2]).finished


class TestStandings:
    def test_ranks_and_roles(self, found):
        # upper bounds and floors have the rank that they would have beside the three
        assert {arm: s.rank for arm, s in found.items()} == {"good": 1, "random": 2, "bad": 3, "oracle_loss": 1, "fewest": 4}
        assert list(found) == ["good", "oracle_loss", "random", "bad", "fewest"]
        assert {arm: s.role for arm, s in found.items() if s.role != "arm"} == {
            "random": "baseline", "oracle_loss": "upper bound", "fewest": "floor",
        }  # fmt: skip

    def test_saving_and_speed_up_at_equal_ap(self, found):
        good = found["good"].result.by_axis["images"]
        # both reach .3: good with 20 images, random with 30
        assert good.saving.mean == pytest.approx(1 / 3) and good.speed_up.mean == pytest.approx(1.5)
        assert good.difference.mean == pytest.approx(0.075)
        bad = found["bad"].result.by_axis["boxes"]  # both reach .2: bad with 150 boxes, random with 100
        assert bad.saving.mean == pytest.approx(-0.5) and bad.speed_up.mean == pytest.approx(2 / 3)

    def test_p_is_corrected_for_the_rivals_alone(self, found):
        # six wins or losses of six: p = 2 / 2^6 for each of the two arms, times 2
        assert found["good"].p_holm["images"] == found["bad"].p_holm["images"] == pytest.approx(2 * 2 / 64)
        assert found["oracle_loss"].p_holm == found["fewest"].p_holm == found["random"].p_holm == {}

    def test_an_arm_with_too_few_seeds_for_a_p_is_a_test_too(self):
        cells = [c for c in panel(arms=("good", "bad", "random")).cells if c.arm != "bad" or c.seed < 2]
        found = {s.result.arm: s for s in standings(Panel("made", "tiny", cells), baseline="random")}
        good = found["good"].result
        assert good.summary.test.p == 2 / 64 and good.p_holm["images"] == 2 * 2 / 64 and good.verdict == "undecided"
        assert found["bad"].p_holm == {}
        said = one_headline([s.result for s in found.values()], baseline="random", split="test")
        assert "2 to 6 paired seeds, Holm's correction for 2 arms." in said and "A verdict needs 6" in said

    def test_the_page_says_how_many_seeds_it_takes_beside_an_arm_with_few(self, tmp_path):
        cells = [c for c in panel(arms=("good", "bad", "random")).cells if c.arm != "bad" or c.seed < 2]
        page = write_grid_report(
            [Panel("made", "tiny", cells)], tmp_path / "r.html", title="B", environment={}, baseline="random"
        ).read_text()
        assert "made · tiny: 2 to 6 paired seeds; a test needs 6." in page
        assert "6 seeds and 2 arms cannot reach p &lt; .05" in page

    def test_neither_checks_nor_floors_with_few_seeds_are_rivals(self, tmp_path):
        checks = [replace(cell("random", seed, (0.1, 0.21, 0.31)), arm="random+train.length=2") for seed in range(2)]
        cells = [c for c in panel(arms=("good", "random", "fewest")).cells if c.arm != "fewest" or c.seed < 2]
        few = Panel("made", "tiny", [*cells, *checks])
        found = {s.result.arm: s for s in standings(few, baseline="random")}
        assert found["good"].p_holm["images"] == 2 / 64 and found["good"].result.verdict == "win"
        assert (found["random+train.length=2"].role, found["random+train.length=2"].p_holm) == ("check", {})
        said = one_headline([s.result for s in found.values()], baseline="random", split="test")
        assert "Better than random: good." in said and "random+train.length=2 (check)" in said
        assert said.endswith(", 6 paired seeds.")
        page = write_grid_report([few], tmp_path / "r.html", title="B", environment={}, baseline="random").read_text()
        assert "a test needs 6" not in page and "cannot reach" not in page

    def test_an_arm_with_twice_the_steps_that_no_other_is_beside_is_a_rival(self):
        cells = [replace(c, arm="good+train.length=2") if c.arm == "good" else c for c in panel(arms=("good", "random")).cells]
        assert {s.role for s in standings(Panel("made", "tiny", cells), baseline="random")} == {"arm", "baseline"}
        turned = {s.result.arm: s.role for s in standings(panel_with_twice(), baseline="random+train.length=2")}
        assert turned == {"random": "arm", "random+train.length=2": "baseline"}

    def test_a_cheap_floor_narrows_nobodys_costs(self, found):
        cheap = [replace(c, rounds=tuple(_halved(r) for r in c.rounds)) if c.arm == "fewest" else c for c in panel().cells]
        with_cheap = {s.result.arm: s.result.by_axis["boxes"] for s in standings(Panel("made", "tiny", cheap), baseline="random")}
        assert with_cheap["good"] == found["good"].result.by_axis["boxes"]
        assert with_cheap["fewest"].paired_seeds == tuple(range(6))

    def test_cost_of_choosing(self, found):
        assert found["good"].seconds_per_image == pytest.approx(4.5 / 180)
        assert found["good"].cost_ratio == pytest.approx(2.5) and found["random"].cost_ratio == 1

    def test_a_ceiling_has_no_curve(self, found):
        assert "everything" not in found


def sets(count, **options):
    return [panel(f"set {number}", **options) for number in range(count)]


class TestOverall:
    def test_a_data_set_is_the_unit_however_many_seeds_it_has(self):
        rows, ranks = overall(sets(2), baseline="random")
        good = next(row for row in rows if row.arm == "good")
        assert (good.rank, good.sets, good.ahead, good.firsts) == (1, 2, 2, 2) and ranks.blocks == 2
        assert good.gain.mean == pytest.approx(0.075 / 0.2025)  # of the baseline's mean over six seeds
        assert good.test.p is None and good.test.text == "not enough (2 of 6)"

    def test_six_data_sets_decide(self):
        rows, _ = overall(sets(6, seeds=1), baseline="random")
        good, bad = (next(row for row in rows if row.arm == arm) for arm in ("good", "bad"))
        assert good.test.p == pytest.approx(2 / 2**6) and good.p_holm == pytest.approx(2 * 2 / 2**6)
        assert (good.ahead, bad.ahead) == (6, 0)

    def test_an_arm_that_is_level_in_a_set_has_no_p_and_counts_as_a_test(self):
        level = [replace(c, rounds=cell("random", c.seed).rounds) if c.arm == "bad" else c for c in panel(seeds=1).cells]
        rows, _ = overall([*sets(5, seeds=1), Panel("level", "tiny", level)], baseline="random")
        good, bad = (next(row for row in rows if row.arm == arm) for arm in ("good", "bad"))
        assert bad.test.p is None and bad.p_holm is None and good.p_holm == pytest.approx(2 * 2 / 2**6)

    def test_seeds_of_two_data_sets_make_no_twelve_pairs(self):
        """Twelve wins of twelve would be p = .0005 in one Wilcoxon test; two data sets of six seeds are two."""
        panels = sets(2, arms=("good", "bad", "random"))
        rows, _ = overall(panels, baseline="random")
        assert [row.p_holm for row in rows] == [None] * 3
        said = headline(rows, {one.name: standings(one, baseline="random") for one in panels}, "random")
        assert "On set 0 · tiny undecided: good, bad." in said and "better" not in said

    def test_two_detectors_on_one_data_set_are_one_unit(self):
        rows, ranks = overall([panel("one"), replace(panel("one"), detector="large"), panel("two")], baseline="random")
        assert next(row for row in rows if row.arm == "good").sets == 2 and ranks.blocks == 2

    def test_only_arms_that_every_set_has_are_ranked(self):
        rows, ranks = overall([panel("one", seeds=3), panel("two", ("good", "random"), seeds=2)], baseline="random")
        assert [row.arm for row in rows] == ["good", "random"] and ranks.blocks == 2

    def test_neither_floor_nor_upper_bound_takes_part_in_the_test_that_all_are_alike(self):
        rivals = overall(sets(3, arms=("good", "bad", "random")), baseline="random")[1]
        assert rivals.p is not None and overall(sets(3), baseline="random")[1] == rivals

    def test_a_set_in_which_the_baseline_finds_nothing_has_no_gain(self):
        nothing = Panel(
            "two", "tiny", [replace(cell(arm, 0, (-0.0,) * 3), seed=seed) for arm in ("good", "bad", "random") for seed in range(6)]
        )
        rows, ranks = overall([panel("one"), nothing], baseline="random")
        assert {row.arm: (row.sets, row.ahead) for row in rows if row.role == "arm"} == {"good": (1, 1), "bad": (1, 0)}
        assert ranks.blocks == 2

    def test_nothing_evaluated_yet(self):
        rows, _ = overall([Panel("made", "tiny", [])], baseline="random")
        assert rows == [] and "yet" in headline(rows, {}, "random")


class TestVoid:
    """Where the whole pool's labels do worse than a part of them, training has not converged, and nothing is ranked."""

    @pytest.fixture
    def void(self):
        whole = [replace(cell("everything", seed, (0.1, 0.35), (10, 100)), role="ceiling") for seed in range(6)]
        return Panel("unfinished", "tiny", [*(c for c in panel(ceiling=False).cells if c.role == "arm"), *whole])

    def test_has_no_ranks(self, void):
        assert [math.isnan(standing.rank) for standing in standings(void, baseline="random")] == [True] * 3
        assert [math.isnan(s.rank) for s in standings(panel(arms=("good", "bad", "random")), baseline="random")] == [False] * 3

    def test_takes_no_part_over_all(self, void):
        assert overall([panel("one"), void], baseline="random")[1].blocks == 1
        assert overall([void], baseline="random")[0] == []

    def test_is_said_first(self, void):
        rows, _ = overall([void], baseline="random")
        said = headline(rows, {void.name: standings(void, baseline="random")}, "random")
        assert said.startswith("unfinished · tiny is undertrained: good ends 0.050 AP above")
        assert (False, f"{void.name}: {void.void}.") in sanity(void, baseline="random")

    def test_is_written_down(self, void, tmp_path):
        write_grid([void], tmp_path, baseline="random")
        arms = [row for row in rows_of(tmp_path / "summary.csv") if row["role"] != "ceiling"]
        assert arms and all(row["void"].startswith("undertrained") and row["rank"] == "" for row in arms)
        page = write_grid_report([void], tmp_path / "r.html", title="B", environment={}, baseline="random").read_text()
        assert "undertrained: good ends" in page


def test_the_noise_of_the_baseline():
    first, _, last = spread(panel(), baseline="random")
    assert (first.images, first.seeds) == (10, 6) and last.mean == pytest.approx(0.3025)
    assert last.deviation == pytest.approx(0.001 * 3.5**0.5)  # of 0 to 5: the variance is 17.5 / 5


class TestSanity:
    def test_the_floor_is_below_and_the_ceiling_is_stated(self):
        said = sanity(panel(), baseline="random")
        assert [passed for passed, _ in said] == [None, True, True, True, None]
        assert "AP 0.502; random ends at 0.302, 60% of that" in said[0][1]
        assert "no arm ends above that by more than noise" in said[1][1]
        assert "labelling everything adds +0.400 AP (95% +0.400 to +0.400) to the first round of random" in said[2][1]
        assert "oracle_loss (upper bound) is above random, area +0.1500, ahead in 6 of 6 seeds" in said[4][1]
        assert "fewest (floor) is below random, area -0.1000, ahead in 0 of 6 seeds" in said[3][1]

    def test_one_seed_shows_no_convergence(self):
        said = sanity(panel(seeds=1), baseline="random")
        assert [passed for passed, _ in said] == [None, True, None]
        assert not any("noise" in text or "adds" in text for _, text in said)

    def test_a_floor_above_the_baseline_is_reported(self):
        wrong = Panel("made", "tiny", [cell("random", 0), cell("fewest", 0, AP["good"])])
        ((passed, text),) = sanity(wrong, baseline="random")
        assert passed is False and "above" in text

    def test_a_floor_that_is_ahead_as_often_as_not_is_reported(self):
        level = [cell("random", seed) for seed in range(2)] + [cell("fewest", 0, (0.1, 0.21, 0.3)), cell("fewest", 1, AP["bad"])]
        ((passed, text),) = sanity(Panel("made", "tiny", level), baseline="random")
        assert passed is False and "below" in text and "ahead in 1 of 2 seeds" in text


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_files(tmp_path):
    write_grid([panel("one"), panel("two")], tmp_path, baseline="random")
    results = rows_of(tmp_path / "results.csv")
    assert len(results) == 2 * (5 * 6 * 3 + 6 * 2) == pq.read_table(tmp_path / "results.parquet").num_rows
    row = next(r for r in results if (r["data"], r["arm"], r["seed"], r["round"]) == ("two", "good", "3", "1"))
    assert (row["images"], row["boxes"], row["seconds"], row["train_seconds"], row["select_seconds"]) == (
        "20",
        "100",
        "800.0",
        "7.0",
        "0.2",
    )
    assert float(row["test_ap"]) == pytest.approx(0.303) and float(row["score_seconds"]) == pytest.approx(1.8)
    summary = {(r["data"], r["arm"]): r for r in rows_of(tmp_path / "summary.csv")}
    good = summary["one", "good"]
    assert float(good["images_area_of_full"]) == pytest.approx(0.2775 / 0.5025) and float(good["images_speed_up"]) == pytest.approx(1.5)
    assert float(good["images_to_95"]) == math.inf and good["reached_95"] == "0" and good["void"] == ""
    assert float(good["images_p_holm"]) == pytest.approx(0.0625) and float(good["selection_cost_ratio"]) == pytest.approx(2.5)
    assert summary["one", "everything"]["role"] == "ceiling" and summary["one", "everything"]["images_area"] == ""


@pytest.mark.slow
def test_the_page(tmp_path):
    page = write_grid_report(
        [panel("one"), panel("two & more")], tmp_path / "r.html", title="B", environment={"os": "x"}, baseline="random"
    )
    text = page.read_text()
    assert "two &amp; more" in text and "undecided: good, bad." in text and "not as it should" not in text
    assert "it takes 7 seeds, or fewer arms" in text  # 2 arms with 6 seeds: at best .0625
    assert text.count("<svg") >= 6 and not re.search(r"(?:src|href)=\"https?:", text)


def test_a_page_of_unfinished_panels(tmp_path):
    short = Panel("one", "tiny", [replace(cell("random", 0), rounds=cell("random", 0).rounds[:1]), cell("good", 1)])
    page = write_grid_report([short, Panel("two", "tiny", [])], tmp_path / "r.html", title="B", environment={}, baseline="random")
    assert "No seed is finished by every arm yet" in page.read_text()
