"""What a benchmark has left to train is known before it starts, and the checks that judge its figures come first."""

from dataclasses import replace

import pytest

from boxwise.config import load_config
from boxwise.simulation.benchmark import DataSource, Preset, benchmark, parts_of, plans_of
from boxwise.simulation.outlook import Countdown, Outlook, images_by, outlooks, seconds_of
from boxwise.simulation.simulate import Plan, simulate


@pytest.fixture
def plan(digits, tiny_overrides, tmp_path):
    few = ("train.min_steps=2", "train.max_steps=2", "budget.initial=6", "budget.per_round=4", "budget.rounds=2")
    config = load_config(None, (*tiny_overrides, *few))
    return Plan(digits, config, ("random", "fewest"), (0, 1), tmp_path / "out")


def keys(known: Outlook):
    return sorted(known.trainings)


def test_before_anything_is_done_each_seed_has_one_first_round_and_each_arm_its_own_others(plan):
    (known,) = outlooks([plan])
    assert (known.cells, known.unfinished) == (4, 4)
    first = [("all arms", 0, 0), ("all arms", 1, 0)]
    assert keys(known) == sorted(first + [(arm, seed, number) for arm in plan.arms for seed in (0, 1) for number in (1, 2)])
    assert not plan.folder.exists()


def test_a_first_round_of_many_arms_is_called_by_the_first_of_them(plan):
    arms = ("random", "fewest", "margin", "badge", "random+detector.imgsz=64")
    many, one = replace(plan, arms=arms, seeds=(0,)).trunks(0)
    assert [replace(plan, arms=arms).name_of(trunk) for trunk in (many, one)] == ["random and 3 more arms", "random+detector.imgsz=64"]
    assert plan.name_of(plan.trunks(0)[0]) == "all arms"


def test_a_training_shows_each_labelled_image_as_often_as_the_rule_says(digits, tmp_path):
    config = load_config(None, ("train.epochs=10", "train.batch=4", "train.min_steps=20", "train.max_steps=30", "train.length=2"))
    config = load_config(None, ("budget.initial=6", "budget.per_round=4", "budget.rounds=2")).model_copy(update={"train": config.train})
    (known,) = outlooks([Plan(digits, config, ("random",), (0,), tmp_path)])
    assert {key[2]: each.shown for key, each in known.trainings.items()} == {0: 2 * 20 * 4, 1: 2 * 25 * 4, 2: 2 * 30 * 4}


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("budget.initial=6", "budget.per_round=4"), 14),
        (("budget.initial=6", "budget.per_round=100%"), "all"),
        (("budget.initial=6", "budget.per_round=36", "budget.unit=boxes"), "by boxes"),
        (("budget.initial=6", "budget.per_round=90", "budget.unit=seconds"), "by seconds"),
        (("budget.initial=6", "budget.per_round=30", "budget.unit=seconds", "ask.mode=review"), "by verifying"),
        (("budget.initial=6", "budget.per_round=30", "budget.unit=seconds", "ask.mode=trust"), "without a look"),
    ],
)
def test_budgets_of_every_unit_are_so_many_images(digits, overrides, expected):
    pool = [record.image_id for record in digits.images if record.split == "train"]
    boxes = sum(len(digits.labels[image_id]) for image_id in pool) / len(pool)
    wanted = {"all": len(pool), "by boxes": 6 + round(2 * 36 / boxes), "by seconds": 6 + round(2 * 90 / (2 + 7 * boxes))}
    wanted |= {"by verifying": 6 + round(2 * 30 / (2 + 1.6 * boxes)), "without a look": 6 + round(2 * 30 / (1.6 * boxes))}
    assert images_by(digits, load_config(None, overrides), 2) == wanted.get(expected, expected)


@pytest.mark.slow
def test_what_is_done_is_no_longer_left(plan):
    simulate(replace(plan, seeds=(0,), arms=("random",)))
    (known,) = outlooks([plan])
    assert (known.cells, known.unfinished) == (4, 3)
    assert {key[:2] for key in keys(known)} == {("fewest", 0), ("all arms", 1), ("random", 1), ("fewest", 1)}
    simulate(plan)
    assert outlooks([plan]) == [Outlook(4, 0, {})]


def test_a_cell_of_two_plans_is_counted_once(plan):
    check, rest = outlooks([replace(plan, arms=("random",), seeds=(0,)), plan])
    assert (check.cells, rest.cells) == (1, 3)
    assert len(check.trainings) + len(rest.trainings) == len(outlooks([plan])[0].trainings)


@pytest.mark.slow
def test_time_is_that_of_what_is_left(plan):
    whole, half = seconds_of([(each, *outlooks([each])) for each in (plan, replace(plan, seeds=(0,)))])
    assert whole == pytest.approx(2 * half) and whole > 0


def test_the_countdown_ends_at_nothing(plan):
    trainings = {("p", *key): each for key, each in outlooks([plan])[0].trainings.items()}
    left = Countdown(trainings)
    assert left.finish(("other", "random", 0, 0)) is None
    reached = [left.finish(key) for key in trainings]
    assert [one[:2] for one in reached] == [(done, len(reached)) for done in range(1, len(reached) + 1)]
    assert reached[0][2] > 0 and reached[-1][2] == 0
    assert left.finish(next(iter(trainings))) is None  # a training is counted once


@pytest.fixture
def preset():
    config = {
        "train": {"min_steps": 2, "max_steps": 2, "batch": 2, "warmup_steps": 1},
        "budget": {"initial": 4, "per_round": 2, "rounds": 1},
    }
    return Preset(
        name="checked",
        data={"one": DataSource(digits=30, val=3)},
        detectors={"tiny": ("detector.name=tiny_ssd", "detector.imgsz=64", "detector.pretrained=none", "train.augment=none")},
        arms=("random", "fewest"),
        checks=("everything",),
        check_seeds=1,
        seeds=2,
        config=config,
    )


@pytest.mark.slow
def test_checks_are_run_and_said_before_the_other_cells(preset, tmp_path):
    said = []
    benchmark(preset, tmp_path, on_check=lambda panel: said.append({(cell.arm, cell.seed) for cell in panel.cells}))
    assert said == [{("random", 0), ("everything", 0)}]
    (plan,) = plans_of(preset, tmp_path).values()
    assert [known.unfinished for known in outlooks(parts_of(plan, preset))] == [0, 0]


def test_of_val_as_few_images_stay_as_are_wanted(preset, tmp_path):
    (plan,) = plans_of(preset, tmp_path).values()
    splits = [record.split for record in plan.dataset.images]
    without = preset.model_copy(update={"data": {"one": DataSource(digits=30)}})
    (whole,) = plans_of(without, tmp_path).values()
    before = [record.split for record in whole.dataset.images]
    assert splits.count("val") == 3 < before.count("val")
    assert splits.count("test") == before.count("test") and splits.count("train") == before.count("train") + before.count("val") - 3
    assert plan.dataset.images == next(iter(plans_of(preset, tmp_path).values())).dataset.images  # drawn once and for all
