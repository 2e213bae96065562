"""Simulation's promises: paired arms, hidden truth, resumable cells, side by side the same as one by one."""

import csv
import json
import multiprocessing
import os
import shutil
import signal
import time
from dataclasses import replace

import processes
import pytest

from boxwise.config import load_config
from boxwise.data.splits import data_facts
from boxwise.errors import BoxwiseError, ConfigError, StudyError
from boxwise.records import Phase, Split
from boxwise.registry import ARMS
from boxwise.results.cells import cell_of
from boxwise.results.facts import curve
from boxwise.results.finished import FINISHED_FILE
from boxwise.results.training_steps import steps_behind, steps_ratio
from boxwise.simulation.folder import write_plan
from boxwise.simulation.simulate import Plan, check_baseline, check_plan, read_simulation, simulate, with_splits
from boxwise.simulation.twins import note_on_twins, without_twins
from boxwise.store import Store
from boxwise.study import Study

TIMED = ("train_seconds", "train_images_per_second")


@pytest.fixture(scope="module")
def plan(digits, tiny_overrides, tmp_path_factory):
    return Plan(digits, load_config(None, tiny_overrides), ("dual", "random"), (0, 1), tmp_path_factory.mktemp("simulation") / "own")


@pytest.fixture(scope="module")
def cells(plan, made_once):
    if not plan.folder.exists():
        shutil.copytree(made_once("simulation", lambda folder: simulate(replace(plan, folder=folder))), plan.folder)
    return {(cell.arm, cell.seed): cell for cell in simulate(plan)}


def chosen(cell, number):
    return [item.image_id for item in cell.rounds[number].items]


@pytest.mark.slow
def test_arms_of_a_seed_share_their_first_round_bit_for_bit(cells):
    for seed in (0, 1):
        dual, random = cells["dual", seed], cells["random", seed]
        assert chosen(dual, 0) == chosen(random, 0)
        assert dual.rounds[0].evaluate == random.rounds[0].evaluate
        assert (dual.folder / "rounds/round_00/weights.pt").read_bytes() == (random.folder / "rounds/round_00/weights.pt").read_bytes()
        assert chosen(dual, 1) != chosen(random, 1)


@pytest.mark.slow
def test_seeds_differ(cells):
    assert chosen(cells["random", 0], 0) != chosen(cells["random", 1], 0)


@pytest.mark.slow
def test_every_arm_pays_for_the_same_number_of_images(cells):
    assert {cell.rounds[-1].annotate.images for cell in cells.values()} == {14}


@pytest.mark.slow
def test_cells_come_in_the_order_of_arms_and_seeds(plan, cells):
    assert list(cells) == [(arm, seed) for arm in plan.arms for seed in plan.seeds]


@pytest.mark.slow
def test_labels_of_val_are_paid_for_as_if_drawn_by_hand(plan, cells):
    """A simulation's val comes with the data; somebody has drawn it."""
    dataset = with_splits(plan.dataset)
    val = [record.image_id for record in dataset.images if record.split is Split.VAL]
    boxes = sum(len(dataset.labels[image_id]) for image_id in val)
    for cell in cells.values():
        spent = cell.rounds[-1].annotate
        seconds = len(val) * plan.config.cost.look + boxes * plan.config.cost.draw
        assert (spent.val_images, spent.val_boxes, spent.val_seconds) == (len(val), boxes, pytest.approx(seconds))
        costs = {val: curve(cell, "test").curve("seconds", val=val).cost for val in (True, False)}
        assert (costs[True] - costs[False]).tolist() == pytest.approx([seconds] * len(costs[True]))


@pytest.mark.slow
def test_a_study_of_an_older_version_pays_for_val_too(plan, cells, monkeypatch):
    """Its facts say nothing of val's boxes: they are counted where they lie."""
    cell = cells["random", 0]
    study, facts = Study.open(cell.folder), Store.facts

    def without_val(store):
        found = facts(store)
        for phases in found.values():
            for name in ("val_images", "val_boxes", "val_seconds"):
                phases.get("annotate", {}).pop(name, None)
        return found

    monkeypatch.setattr(Store, "facts", without_val)
    assert [r.annotate for r in cell_of(study, arm="random").rounds] == [r.annotate for r in cell.rounds]


@pytest.mark.slow
def test_a_baseline_with_as_many_trainings_is_configuration(plan, tiny_overrides, tmp_path):
    """Half as many images a round and twice as many rounds: matched steps for an arm that spends half as much a round."""
    short = load_config(None, [*tiny_overrides, "train.min_steps=3", "train.max_steps=3", "detector.imgsz=64"])
    matched = "random+train.start=previous+budget.per_round=2+budget.rounds=4"
    arms = ("random+train.start=previous", matched)
    plain, slow = simulate(replace(plan, folder=tmp_path, arms=arms, seeds=(0,), config=short))
    assert len(list((tmp_path / "cells").glob(".trunk*"))) == 1
    assert steps_behind(plain, "test") == [3, 6, 9] and steps_behind(slow, "test") == [3, 6, 9, 12, 15]
    assert steps_ratio([plain, slow], matched, baseline=arms[0], split="test") > 1.3


@pytest.mark.slow
def test_pool_labels_are_in_no_store_before_they_are_asked(plan, cells):
    for cell in cells.values():
        study = Study.open(cell.folder)
        asked = {image_id for number in range(3) for image_id in study.store.query(number).image_ids}
        assert set(study.store.annotations(Split.TRAIN)) == asked


@pytest.mark.slow
def test_finished_cells_are_not_run_again(plan, cells):
    before = {key: (cell.folder / "study.sqlite").stat().st_mtime_ns for key, cell in cells.items()}
    again = simulate(plan)
    assert {(cell.arm, cell.seed): (cell.folder / "study.sqlite").stat().st_mtime_ns for cell in again} == before
    assert {(cell.arm, cell.seed) for cell in read_simulation(plan.folder)} == set(cells)


@pytest.mark.slow
def test_side_by_side_is_the_same_as_one_by_one(plan, cells, tmp_path):
    beside = simulate(replace(plan, folder=tmp_path, seeds=(0,)), jobs=2)
    assert {(cell.arm, cell.seed) for cell in beside} == {key for key in cells if key[1] == 0}
    for cell in beside:
        alone = cells[cell.arm, cell.seed]
        assert [chosen(cell, number) for number in range(3)] == [chosen(alone, number) for number in range(3)]
        assert [r.evaluate for r in cell.rounds] == [r.evaluate for r in alone.rounds]


@pytest.mark.slow
def test_the_oracle_is_marked_an_upper_bound(plan, tmp_path):
    (cell,) = simulate(replace(plan, folder=tmp_path, arms=("oracle_loss",), seeds=(0,)))
    assert cell.role == "upper bound" and cell.label == "oracle_loss (upper bound)"
    assert cell.rounds[1].audit.fidelity["score"] == pytest.approx(1.0)


@pytest.mark.slow
class TestEveryArmThatHasAName:
    """In one folder, so that arms that start alike share their first round."""

    @pytest.fixture(scope="class")
    def short(self, plan, tiny_overrides, tmp_path_factory):
        box_level_needs_a_question = ("ask.uncertain=0.01", "ask.certain=1", "budget.unit=boxes", "budget.per_round=9")
        short = ("detector.name=tiny_ssd_mixture", "detector.imgsz=64", "train.min_steps=3", "train.max_steps=3", "budget.rounds=1")
        config = load_config(None, [*tiny_overrides, *short, *box_level_needs_a_question])
        counts = {Split.TRAIN: 14, Split.VAL: 5, Split.TEST: 5}
        images = [each for split in Split for each in [each for each in plan.dataset.images if each.split is split][: counts[split]]]
        few = replace(plan.dataset, images=tuple(images), labels={each.image_id: plan.dataset.labels[each.image_id] for each in images})
        return replace(plan, dataset=few, seeds=(0,), config=config, folder=tmp_path_factory.mktemp("arms"))

    @pytest.mark.parametrize("arm", ARMS)
    def test_runs(self, short, arm):
        folder = short.folder / "again" if arm == "expected" else short.folder  # the config of alpha=0
        (cell,) = simulate(replace(short, arms=(arm,), folder=folder))
        assert cell.arm == arm and (cell.role == "ceiling") == (arm == "everything")
        assert cell.rounds[1].evaluate.test["images"] > 0 and chosen(cell, 1)

    @pytest.mark.parametrize(("arm", "names"), [("auto", {"alpha", "beta"}), ("gain_per_second", {"expected", "learned", "uncertain"})])
    def test_that_learns_its_weights_reports_them(self, short, arm, names):
        (cell,) = simulate(replace(short, arms=(arm,)))
        weights = cell.rounds[1].audit.weights
        assert weights.keys() == names and sum(weights.values()) == pytest.approx(1) and min(weights.values()) >= 0


@pytest.mark.slow
def test_a_fault_ends_the_cells_beside_it_with_one_message(plan, tmp_path, capfd):
    """The other cells go on where they were when the run is repeated."""
    broken = replace(plan, folder=tmp_path, seeds=(0,)).cell_folder(plan.arms[0], 0)
    broken.mkdir(parents=True)
    (broken / "config.yaml").write_text("nonsense: true\n")
    with pytest.raises(BoxwiseError, match="nonsense"):
        simulate(replace(plan, folder=tmp_path, seeds=(0,)), jobs=2)
    assert "Traceback" not in capfd.readouterr().err
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_another_config_in_the_same_folder_is_an_error(plan, cells):
    with pytest.raises(StudyError, match=r"\(there != given\); give its settings or another folder:\n(.|\n)*train\.lr"):
        simulate(replace(plan, config=load_config(None, ["train.lr=0.123"])))


def without_an_image(dataset):
    return replace(dataset, images=dataset.images[1:])


def with_another_class(dataset):
    return replace(dataset, classes=("nought", *dataset.classes[1:]))


def with_two_images_swapped(dataset):
    one = next(record for record in dataset.images if record.split is Split.TRAIN)
    other = next(record for record in dataset.images if record.split is Split.TEST)
    swap = {one.image_id: Split.TEST, other.image_id: Split.TRAIN}
    return replace(dataset, images=tuple(replace(r, split=swap.get(r.image_id, r.split)) for r in dataset.images))


def with_a_box_moved(dataset):
    image_id, boxes = next((image_id, boxes) for image_id, boxes in dataset.labels.items() if len(boxes))
    return replace(dataset, labels={**dataset.labels, image_id: replace(boxes, xyxy=boxes.xyxy + 1)})


def with_an_image_renamed(dataset):
    first = dataset.images[0]
    images = (replace(first, image_id="other.png"), *dataset.images[1:])
    return replace(dataset, images=images, labels={**dataset.labels, "other.png": dataset.labels[first.image_id]})


@pytest.mark.slow
class TestAnotherDataSetInTheSameFolder:
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (without_an_image, "images: 60 there, 59 given"),
            (with_another_class, "classes: zero, one, .* there, nought, one, .* given"),
            (with_two_images_swapped, "split of each image: not the same"),
            (with_a_box_moved, "labels: not the same"),
            (with_an_image_renamed, "image names: not the same"),
        ],
    )
    def test_is_an_error_that_says_what_differs(self, plan, cells, change, said):
        before = (plan.folder / "data.json").read_text()
        with pytest.raises(StudyError, match=f"{plan.folder.name}: holds a simulation of another data set(.|\n)*{said}"):
            simulate(replace(plan, dataset=change(plan.dataset), seeds=(0, 1, 2)))
        assert (plan.folder / "data.json").read_text() == before and not plan.cell_folder("dual", 2).exists()

    def test_the_order_of_images_and_where_they_lie_do_not_matter(self, plan, cells, tmp_path):
        images = tuple(replace(record, uri=tmp_path / record.image_id) for record in reversed(plan.dataset.images))
        simulate(replace(plan, dataset=replace(plan.dataset, images=images)))

    def test_a_folder_that_says_nothing_of_its_data_is_taken_and_recorded(self, plan, cells):
        recorded = (plan.folder / "data.json").read_text()
        (plan.folder / "data.json").unlink()
        with pytest.raises(StudyError, match="images: 60 there, 59 given"):
            simulate(replace(plan, dataset=without_an_image(plan.dataset)))
        simulate(plan)
        assert (plan.folder / "data.json").read_text() == recorded


class TestBaseline:
    @pytest.mark.slow
    def test_is_an_arm_of_this_call_or_an_earlier_one(self, plan, cells, tmp_path):
        check_baseline(tmp_path, ("dual", "random"), "random")
        check_baseline(plan.folder, ("badge",), "random")

    def test_an_arm_alone_needs_none(self, tmp_path):
        check_baseline(tmp_path, ("dual",), "random")

    @pytest.mark.parametrize(
        ("baseline", "said"), [("rnadom", "Did you mean 'random'"), ("badge", r"'badge' is none of the arms \(dual, random\)")]
    )
    def test_anything_else_is_one_message(self, tmp_path, baseline, said):
        with pytest.raises(ConfigError, match=said):
            check_baseline(tmp_path, ("dual", "random"), baseline)

    def test_the_command_says_so_before_it_reads_the_data(self, tmp_path):
        arguments = [*command(tmp_path / "nowhere", tmp_path / "out", ()), "--baseline", "rnadom"]
        ended = processes.run(*arguments)
        assert ended.returncode == 2 and "Did you mean 'random'" in ended.stderr


@pytest.mark.slow
def test_a_cell_that_is_known_is_not_read_again(plan, cells):
    known = cells["dual", 0]
    again = {(cell.arm, cell.seed): cell for cell in read_simulation(plan.folder, known=[known])}
    assert again["dual", 0] is known and again["dual", 1] is not cells["dual", 1]
    unfinished = replace(known, rounds=known.rounds[:1])
    assert len(read_simulation(plan.folder, known=[unfinished])[0].rounds) == 3


@pytest.mark.slow
def test_a_round_of_self_labels_is_judged_once(plan, cells):
    path = cells["dual", 0].folder / "self_labels.json"
    judged = json.loads(path.read_text())
    assert judged.keys() == {"1", "2"}
    path.write_text(json.dumps({"1": "as it was"}))
    (plan.folder / FINISHED_FILE).unlink()  # a cell that stands there has been judged
    simulate(plan)
    assert json.loads(path.read_text()) == {"1": "as it was", "2": judged["2"]}
    path.write_text(json.dumps(judged))


@pytest.mark.slow
def test_a_folder_that_was_begun_under_another_default_goes_on(plan, tiny_overrides, tmp_path):
    """Each arm names its strategy and scorer, so those of the config decide nothing; an arm is added to the first round that is there."""
    before = replace(plan, folder=tmp_path, arms=("random",), seeds=(0,), config=load_config(None, [*tiny_overrides, "budget.rounds=1"]))
    (begun,) = simulate(before)
    names = ("strategy.name=facility_location", "scorer.name=auto")
    added, again = simulate(
        replace(before, arms=("fewest", "random"), config=load_config(None, [*tiny_overrides, "budget.rounds=1", *names]))
    )
    assert chosen(added, 0) == chosen(begun, 0) and added.finished
    assert [one.evaluate for one in again.rounds] == [one.evaluate for one in begun.rounds]
    assert len(list((tmp_path / "cells").glob(".trunk*"))) == 1


@pytest.mark.slow
def test_a_pair_that_no_study_may_have_is_no_matter_in_the_config_of_a_simulation(plan, tiny_overrides, tmp_path):
    pair = ("strategy.name=score_then_diversity", "scorer.name=none", "budget.rounds=0")
    small = replace(plan, folder=tmp_path, arms=("random",), seeds=(0,), config=load_config(None, [*tiny_overrides, *pair]))
    assert [cell.finished for cell in simulate(small)] == [True]


def test_a_refusal_names_the_arm(plan, tmp_path):
    with pytest.raises(ConfigError, match=r"^arm random\+detector\.imgsz=7: detector\.imgsz: "):  # once
        simulate(replace(plan, folder=tmp_path, arms=("random", "random+detector.imgsz=7")))
    with pytest.raises(ConfigError, match=r"arm random\+strategy\.name=top_k: strategy top_k needs a scorer"):
        simulate(replace(plan, folder=tmp_path, arms=("random", "random+strategy.name=top_k")))
    assert not (tmp_path / "cells").exists()


@pytest.mark.slow
def test_a_process_that_the_system_kills_is_one_message_and_the_run_goes_on(plan, tiny_overrides, tmp_path):
    small = replace(plan, folder=tmp_path, arms=("random",), seeds=(0,), config=load_config(None, [*tiny_overrides, "budget.rounds=0"]))
    before = set(multiprocessing.active_children())

    def kill_one(_):
        workers = [child for child in set(multiprocessing.active_children()) - before if "Manager" not in child.name]
        os.kill(workers[0].pid, signal.SIGKILL)

    with pytest.raises(StudyError, match="a cell's process was killed, perhaps for lack of memory: use fewer --jobs"):
        simulate(small, jobs=2, on_event=kill_one)
    assert set(multiprocessing.active_children()) == before
    assert [cell.finished for cell in simulate(small)] == [True]


@pytest.mark.parametrize("arm", ["duel", "dual+detection", "strategy.name=nothing", "gamma=1"])
def test_an_unknown_arm_is_named_before_any_work(plan, tmp_path, arm):
    with pytest.raises(ConfigError):
        simulate(replace(plan, folder=tmp_path, arms=(arm,)))
    assert not (tmp_path / "cells").exists()


class TestSplits:
    def test_missing_test_and_val_are_drawn_once_and_for_all(self, digits):
        bare = replace(digits, images=tuple(replace(record, split=None) for record in digits.images))
        first, second = with_splits(bare), with_splits(bare)
        assert first.images == second.images
        counts = {split: sum(record.split is split for record in first.images) for split in Split}
        assert counts[Split.TEST] == 12 and counts[Split.VAL] == 7

    def test_given_splits_stay(self, digits):
        assert with_splits(digits).images == digits.images

    def test_unlabelled_images_are_left_out(self, digits):
        some = dict(list(digits.labels.items())[1:])
        assert len(with_splits(replace(digits, labels=some)).images) == len(digits.images) - 1

    def test_too_few(self, digits):
        with pytest.raises(StudyError, match="needs labelled images"):
            with_splits(replace(digits, images=digits.images[:1]))


def command(digits_folder, out, overrides, arms="dual,random"):
    options = ["--data", digits_folder, "--arms", arms, "--seeds", "1", "--out", out]
    return ["-m", "boxwise", "simulate", *options, *overrides]


def kill_at(pattern, out, arguments):
    """Run until the file `pattern` is there, then SIGKILL."""
    process = processes.start(*arguments)
    deadline = time.monotonic() + 120
    while not (out / pattern).exists() and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL, f"the run was over before {pattern} was seen"


def rows(path):
    with path.open() as file:
        return [{key: value for key, value in row.items() if key not in TIMED} for row in csv.DictReader(file)]


@pytest.mark.slow
def test_killed_in_the_middle_of_training_and_run_again_it_ends_the_same(digits_folder, tmp_path, tiny_overrides, cells):
    """Real SIGKILLs: one inside the shared first training, one inside an arm's second, then the run that finishes."""
    out = tmp_path / "killed"
    for pattern in ("cells/.trunk_seed0/rounds/round_00/checkpoint.pt", "cells/dual_seed0/rounds/round_01/checkpoint.pt"):
        kill_at(pattern, out, command(digits_folder, out, tiny_overrides))
    assert processes.run(*command(digits_folder, out, tiny_overrides)).returncode == 0
    killed = {(cell.arm, cell.seed): cell for cell in read_simulation(out)}
    for arm in ("dual", "random"):
        cell, alone = killed[arm, 0], cells[arm, 0]
        assert Study.open(cell.folder).store.position[1] is Phase.DONE
        assert [chosen(cell, number) for number in range(3)] == [chosen(alone, number) for number in range(3)]
        assert [r.evaluate for r in cell.rounds] == [r.evaluate for r in alone.rounds]
    assert len(rows(out / "results.csv")) == 6 and (out / "report.html").exists()


@pytest.mark.slow
def test_the_same_command_goes_on_at_once_where_the_process_that_has_workers_was_killed(digits_folder, tmp_path, tiny_overrides):
    """Its workers do not go on, and so do not keep the cells' locks."""
    long = ("train.min_steps=60", "train.max_steps=60", "budget.rounds=0")
    words = [*command(digits_folder, tmp_path, (*tiny_overrides, *long), "random"), "--jobs", "2"]
    kill_at("cells/.trunk_seed0/rounds/round_00/checkpoint.pt", tmp_path, words)
    done = processes.run(*words)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_killed_study_in_which_the_model_labels_along_ends_the_same(digits, digits_folder, tmp_path, tiny_overrides):
    """Proposals, thresholds, returning images and the growing val outlive a SIGKILL in the training and one in the pool pass."""
    arm = "score_sampling+review+ratio_threshold"
    knobs = (*tiny_overrides, "ask.certain=0.34", "ask.target_precision=0.2", "budget.val_per_round=1", "train.start=previous")
    (alone,) = simulate(Plan(digits, load_config(None, knobs), (arm,), (0,), tmp_path / "alone"))
    out, cell = tmp_path / "killed", "cells/score_sampling_review_ratio_threshold_seed0"
    for pattern in (f"{cell}/rounds/round_01/checkpoint.pt", f"{cell}/rounds/round_01/vae.pt"):
        kill_at(pattern, out, command(digits_folder, out, knobs, arm))
    assert processes.run(*command(digits_folder, out, knobs, arm)).returncode == 0
    (killed,) = read_simulation(out)
    for mine, theirs in zip(killed.rounds, alone.rounds, strict=True):
        assert [(i.image_id, i.box_ids, i.probability, i.split) for i in mine.items] == [
            (i.image_id, i.box_ids, i.probability, i.split) for i in theirs.items
        ]
        assert mine.compose == theirs.compose and mine.evaluate == theirs.evaluate
        assert mine.score.thresholds == theirs.score.thresholds
    assert killed.rounds[1].compose.requeued and killed.self_labels == alone.self_labels


def test_an_unknown_strategy_in_the_settings_is_named_although_arms_name_their_own(boxwise):
    code, _, err = boxwise("simulate", "--data", "nowhere", "--arms", "random", "strategy.name=nonsense")
    assert code == 2 and "Unknown strategy 'nonsense'" in err


@pytest.mark.parametrize("verb", ["simulate", "benchmark"])
def test_a_strategy_named_beside_the_arms_is_said_to_change_nothing(boxwise, verb):
    _, _, err = boxwise(verb, "--data", "nowhere", "--arms", "random", "strategy.name=k_center")
    assert "strategy.name has no effect beside the arms" in err


@pytest.mark.parametrize("override", ["store=postgresql://ann:hunter2@host/db", "seed=3"])
def test_what_each_cell_has_of_its_own_is_no_setting_of_all(boxwise, override):
    for given in (["--arms", "random", override], ["--arms", f"random,random+{override}"]):
        code, _, err = boxwise("simulate", "--data", "nowhere", *given)
        assert code == 2 and f"{override.partition('=')[0]}: " in err and "hunter2" not in err and "Traceback" not in err


def test_of_a_study_s_config_its_store_and_seed_are_left_out(boxwise, plan, tmp_path):
    (tmp_path / "c.yaml").write_text("store: postgresql://ann@host/db\nseed: 3\n")
    _, _, err = boxwise("simulate", "--data", "nowhere", "--arms", "random", "--config", tmp_path / "c.yaml")
    assert f"{tmp_path / 'c.yaml'}: store is left out: each cell keeps its own database" in err and "seed is left out" in err
    shared = replace(plan, config=plan.config.model_copy(update={"store": "postgresql://ann@host/db"}))
    assert shared.config.store is None and shared.cell_config("random", 1).store is None


def test_arms_that_would_share_a_folder_are_refused(digits, tiny_overrides, tmp_path):
    arms = tuple(f"random+ask.certain_of={{one{sign} 0.9}}" for sign in (":", "="))
    plan = Plan(digits, load_config(None, tiny_overrides), arms, (0,), tmp_path)
    with pytest.raises(ConfigError, match=r"certain_of=.*would share a folder"):
        check_plan(plan)
    write_plan(tmp_path, plan.config, data_facts(digits), {arms[0]: ["of_an_earlier_call"]})
    with pytest.raises(ConfigError, match="would share a folder"):
        check_plan(replace(plan, arms=arms[1:]))


@pytest.mark.parametrize(
    "arms",
    [
        ("dual", "dual+strategy.name=top_k"),
        ("dual+train.lr=0.01", "dual+train.lr=.01"),
        ("review+facility_location", "facility_location+review"),
    ],
)
def test_of_arms_with_one_config_the_first_is_run_and_those_that_were_begun(digits, tiny_overrides, tmp_path, arms):
    plan = Plan(with_splits(digits), load_config(None, tiny_overrides), ("random", *arms), (0,), tmp_path)
    first = without_twins(plan)
    assert first.arms == ("random", arms[0]) and first.left_out == {arms[1]: arms[0]}
    assert note_on_twins([first]) == f"Left out, as one config under another name: {arms[1]} is {arms[0]}."
    assert without_twins(plan, baseline=arms[1]).left_out == {arms[0]: arms[1]}
    write_plan(tmp_path, plan.config, data_facts(plan.dataset), {arms[1]: ["cell"], "no_longer_known": ["other"]})
    assert without_twins(plan).left_out == {arms[0]: arms[1]}
    write_plan(tmp_path, plan.config, data_facts(plan.dataset), {arms[0]: ["cell"]})
    assert without_twins(plan).arms == plan.arms and not without_twins(plan).left_out
    check_plan(plan)


@pytest.mark.slow
def test_what_is_left_out_is_said_before_the_work(boxwise, digits_folder, tmp_path):
    few = ["budget.rounds=0", "budget.initial=4", "train.max_steps=1", "train.min_steps=1", "detector.name=tiny_ssd", "detector.imgsz=64"]
    given = ("--data", digits_folder, "--out", tmp_path, "--arms", "random,random+cost.draw=7.0", "--seeds", "1")
    code, _, err = boxwise("simulate", *given, *few, "detector.pretrained=none")
    assert code == 0, err
    assert err.count("Left out, as one config under another name: random+cost.draw=7.0 is random.") == 1
    assert {cell.arm for cell in read_simulation(tmp_path)} == {"random"}


def test_a_folder_that_was_begun_with_a_seed_of_its_own_goes_on(digits, tiny_overrides, tmp_path):
    plan = Plan(digits, load_config(None, tiny_overrides), ("random",), (0,), tmp_path)
    write_plan(tmp_path, plan.config.model_copy(update={"seed": 3}), data_facts(digits), {"random": ["random_seed0"]})
    check_plan(plan)


def test_an_arm_with_an_option_of_a_method_that_it_does_not_use_is_refused(digits, tiny_overrides, tmp_path):
    plan = Plan(digits, load_config(None, tiny_overrides), ("random", "random+scorer.dual.alpha=0.3"), (0,), tmp_path)
    with pytest.raises(ConfigError, match=r"arm random\+scorer\.dual\.alpha=0\.3: scorer\.dual\.alpha has no effect: scorer\.name is none"):
        simulate(plan)


def test_an_arm_that_was_begun_before_such_options_were_refused_goes_on(digits, tiny_overrides, tmp_path):
    arm = "random+scorer.dual.alpha=0.3"
    plan = Plan(digits, load_config(None, tiny_overrides), ("random", arm), (0,), tmp_path)
    plan = replace(plan, dataset=with_splits(digits))
    write_plan(tmp_path, plan.config, data_facts(plan.dataset), {arm: ["cell"]})
    check_plan(plan)
    with pytest.raises(ConfigError, match="has no effect"):
        check_plan(replace(plan, arms=("random", "random+scorer.dual.alpha=0.4")))
