"""The study's promises: ask, tell, step and run; a study killed after every step equals an unbroken one; bad images never end it."""

import gc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from boxwise.config import load_config
from boxwise.errors import BoxwiseError, BusyError, ConfigError, StudyError
from boxwise.files import locked
from boxwise.records import Action, Phase, Split, Verdict
from boxwise.study import Study
from boxwise.study.repair import repair

TIMINGS = ("seconds", "images_per_second")


@pytest.fixture(scope="module")
def config(tiny_overrides):
    return load_config(None, tiny_overrides)


@pytest.fixture
def study(tmp_path, hidden, config):
    return Study.create(tmp_path / "study", hidden[1], config=config)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, hidden, config):
    """A study run to its end in one go."""
    study = Study.create(tmp_path_factory.mktemp("unbroken") / "study", hidden[1], config=config)
    assert study.run(hidden[0]) is Phase.DONE
    return study


def memory_of(study):
    """All that a study remembers, without how long things took."""
    facts = {
        (number, phase): {key: value for key, value in of_phase.items() if key not in TIMINGS or phase == "annotate"}
        for number, phases in study.store.facts().items()
        for phase, of_phase in phases.items()
    }
    for of_phase in facts.values():
        of_phase["history"] = [{key: value for key, value in entry.items() if key not in TIMINGS} for entry in of_phase.get("history", [])]
    queries = [study.store.query(number) for number in range(3)]
    labels = {name: annotation.boxes.xyxy.tolist() for name, annotation in study.store.annotations(Split.TRAIN).items()}
    return facts, queries, labels, study.store.position


@pytest.mark.slow
class TestTheStory:
    def test_three_rounds_reach_the_end(self, unbroken):
        facts = unbroken.store.facts()
        assert [facts[number]["annotate"]["images"] for number in range(3)] == [6, 10, 14]
        assert facts[2]["score"]["ended"] == "the budget of 2 rounds is used up" and unbroken.step() is Phase.DONE
        for number in range(3):
            assert facts[number]["evaluate"]["val"]["images"] > 0 and facts[number]["evaluate"]["test"]["ap"] is not None

    def test_every_choice_is_explained(self, unbroken):
        items = unbroken.store.query(1).items
        assert all({"L_rec", "L_det"} <= set(item.terms) for item in items)
        distances = [item.utility for item in items]  # to what is labelled or picked, among those of high score
        assert distances == sorted(distances, reverse=True) and distances[-1] >= 0

    def test_fidelity_is_reported_for_every_surrogate(self, unbroken):
        for number in (1, 2):
            assert {"expected", "pseudo", "learned", "reconstruction", "score"} <= set(unbroken.round(number).audit.fidelity)

    def test_labour_is_looks_and_drawings(self, unbroken):
        labour = unbroken.store.labour(Split.TRAIN)
        assert labour.seconds == pytest.approx(labour.images * 2.0 + labour.boxes * 7.0)

    def test_killed_after_every_step_and_resumed_it_is_the_same_study(self, tmp_path, hidden, config, unbroken):
        Study.create(tmp_path / "study", hidden[1], config=config).store.close()
        for _ in range(40):
            study = Study.open(tmp_path / "study", config=config)
            if study.store.position[1] is Phase.ANNOTATE:
                study.answer(hidden[0])
            if study.step() is Phase.DONE:
                break
            study.store.close()
        assert memory_of(Study.open(tmp_path / "study")) == memory_of(unbroken)

    def test_a_longer_budget_goes_on_from_the_end(self, unbroken, tmp_path, hidden):
        longer = unbroken.fork(tmp_path / "longer", unbroken.config)
        with locked(longer.folder / ".lock"), pytest.raises(BusyError):
            longer.extend(3)
        longer.extend(3)
        assert longer.run(hidden[0]) is Phase.DONE
        assert longer.round(3).annotate.images == 18 and longer.round(2).score.ended is None
        with pytest.raises(StudyError, match="only grow"):
            longer.extend(1)


class TestAskAndTell:
    def test_ask_is_idempotent(self, study):
        first = study.ask()
        assert len(first.items) == 6 and study.ask() == first

    def test_labelled_images_are_asked_no_more(self, study, hidden):
        item = study.ask().items[0]
        image_id = item.image_id
        verdicts, seconds = hidden[0].annotate(item)
        study.tell(image_id, verdicts, seconds=seconds)
        assert image_id not in study.ask().image_ids and len(study.ask().items) == 5
        assert study.step() is Phase.ANNOTATE

    def test_an_incomplete_image_is_still_asked(self, study):
        image_id = study.ask().image_ids[0]
        study.tell(image_id, [], complete=False)
        assert image_id in study.ask().image_ids

    @pytest.mark.parametrize(
        ("verdict", "message"),
        [
            (Verdict(Action.ADD, xyxy=(0, 0, 5, 5), label=99), "label 99, expected 0 to 9"),
            (Verdict(Action.ADD, xyxy=(5, 0, 5, 5), label=0), "expected finite x1 < x2"),
            (Verdict(Action.ADD, xyxy=(0, 0, float("nan"), 5), label=0), "expected finite x1 < x2"),
        ],
    )
    def test_a_wrong_label_is_refused_and_nothing_is_stored(self, study, verdict, message):
        image_id = study.ask().image_ids[0]
        with pytest.raises(BoxwiseError, match=message):
            study.tell(image_id, [verdict])
        assert study.store.history(image_id) == []

    def test_numbers_of_numpy_are_as_good_as_pythons(self, study):
        image_id = study.ask().image_ids[0]
        box, label = np.array([1, 2, 30, 40], np.float32), np.int64(3)
        study.tell(image_id, [Verdict(Action.ADD, xyxy=tuple(box), label=label, seconds=np.float64(7.0))])
        (entry,) = study.store.history(image_id)
        annotation, (verdict,) = entry.annotation, entry.verdicts
        assert annotation.boxes.xyxy.tolist() == [[1, 2, 30, 40]] and verdict == Verdict(Action.ADD, "", (1.0, 2.0, 30.0, 40.0), 3, 7.0)

    def test_the_same_labels_again_change_nothing(self, study, digits):
        labels = {study.ask().image_ids[0]: digits.labels[study.ask().image_ids[0]]}
        assert study.tell_all(labels) == (1, 0)
        assert study.tell_all(labels) == (0, 1)

    def test_without_labels_val_is_drawn_at_random_along_with_the_first_batch(self, tmp_path, digits, config):
        bare = replace(digits, labels={}, images=tuple(replace(record, split=None) for record in digits.images))
        study = Study.create(tmp_path / "bare", bare, config=config)
        splits = [item.split for item in study.ask().items]
        assert splits.count(Split.VAL) == 1 and splits.count(Split.TRAIN) == 6
        assert len(study.store.images(Split.VAL)) == 1

    @pytest.mark.slow
    def test_labels_corrected_while_training_lay_killed_start_it_over(self, study, hidden):
        def stop_half_way(event):
            if event.phase is Phase.TRAIN and event.step >= 4:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            study.run(hidden[0], on_event=stop_half_way)
        checkpoint = study.files(0).checkpoint
        assert checkpoint.exists() and study.store.position == (0, Phase.TRAIN)
        study.tell(study.store.query(0).image_ids[0], [])
        study.step()
        assert study.store.position == (0, Phase.EVALUATE) and not checkpoint.exists()


class TestOpening:
    def test_another_config_is_an_error_that_names_the_difference(self, study, config):
        other = config.model_copy(update={"seed": 5})
        with pytest.raises(StudyError, match="seed: 0 != 5"):
            Study.open(study.folder, config=other)

    def test_no_study(self, tmp_path):
        with pytest.raises(StudyError, match="no boxwise study here"):
            Study.open(tmp_path)

    def test_a_second_study_in_the_folder(self, study, hidden, config):
        with pytest.raises(StudyError, match="a study already"):
            Study.create(study.folder, hidden[1], config=config)

    def test_an_interrupted_creation_can_be_repeated(self, study, hidden, config):
        (study.folder / "config.yaml").unlink()  # it is written last
        assert len(Study.create(study.folder, hidden[1], config=config).store.images()) == len(hidden[1].images)

    def test_no_creation_takes_the_place_of_labels_whose_config_is_lost(self, study, hidden, config):
        study.tell(study.images()[0].image_id, [])
        (study.folder / "config.yaml").unlink()
        with pytest.raises(StudyError, match=r"`boxwise repair .* writes it again"):
            Study.open(study.folder)
        with pytest.raises(StudyError, match="a study already"):
            Study.create(study.folder, hidden[1], config=config)
        assert study.annotation(study.images()[0].image_id) is not None

    def test_a_creation_killed_before_anything_counted_is_no_study_to_repair(self, tmp_path, hidden, config, monkeypatch):
        def killed(*_, **__):
            raise KeyboardInterrupt

        folder = tmp_path / "study"
        monkeypatch.setattr("boxwise.store.store.append_all", killed)
        with pytest.raises(KeyboardInterrupt):
            Study.create(folder, hidden[1], config=config)
        monkeypatch.undo()
        gc.collect()
        for act in (Study.open, lambda folder: list(repair(folder))):
            with pytest.raises(StudyError, match=r"no boxwise study here \(no config.yaml\). Make one with `boxwise init"):
                act(folder)
        assert not list(folder.glob("*.damaged*"))
        assert len(Study.create(folder, hidden[1], config=config).store.images()) == len(hidden[1].images)

    @pytest.mark.parametrize("done", [False, True])
    def test_a_folder_that_moved_before_it_was_whole_is_made_again_where_nothing_was_done(self, study, hidden, config, done):
        if done:
            study.tell(study.images()[0].image_id, [])
        study.store.close()
        (study.folder / "config.yaml").unlink()
        moved = study.folder.rename(study.folder.with_name("moved"))
        if done:
            with pytest.raises(StudyError, match=r"a study already. Its config.yaml is lost; `boxwise repair .*moved` writes it again"):
                Study.create(moved, hidden[1], config=config)
        else:
            assert Study.create(moved, hidden[1], config=config).store.get("made_in") == str(moved)

    def test_two_processes_cannot_step_at_once(self, study):
        with study._lock(), pytest.raises(StudyError, match="another boxwise process"):
            Study.open(study.folder).step()

    def test_arms_that_fork_at_once_wait_for_one_another(self, study, config, tmp_path):
        with ThreadPoolExecutor(4) as pool:
            copies = list(pool.map(lambda number: Study.open(study.folder).fork(tmp_path / f"arm{number}", config), range(4)))
        assert [copy.store.position for copy in copies] == [(0, Phase.SELECT)] * 4

    @pytest.mark.parametrize("override", ["detector.name=yolo", "scorer.name=entropy", "strategy.name=topk"])
    def test_unknown_names_are_found_before_any_work(self, tmp_path, hidden, override):
        with pytest.raises(ConfigError, match="Known: "):
            Study.create(tmp_path / "study", hidden[1], config=load_config(None, [override]))
        assert not (tmp_path / "study" / "config.yaml").exists()

    def test_class_names_that_no_page_can_show_make_no_study(self, tmp_path, hidden):
        dataset = replace(hidden[1], classes=("Gr\udcf6\udcdfe", *hidden[1].classes[1:]))
        with pytest.raises(ConfigError, match="expected one line of text in UTF-8"):
            Study.create(tmp_path / "study", dataset)
        assert not (tmp_path / "study").exists()

    def test_the_oracle_needs_a_simulation(self, tmp_path, hidden, tiny_overrides):
        config = load_config(None, [*tiny_overrides, "scorer.detection=oracle_loss"])
        with pytest.raises(ConfigError, match="simulation only"):
            Study.create(tmp_path / "study", hidden[1], config=config)
        assert not (tmp_path / "study").exists()


@pytest.mark.slow
class TestBadImages:
    def test_images_that_go_bad_are_quarantined_and_the_study_goes_on(self, tmp_path, digits, config, hidden):
        folder = tmp_path / "images"
        folder.mkdir()
        images = []
        for record in digits.images:
            path = folder / Path(record.uri).name
            path.write_bytes(Path(record.uri).read_bytes())
            images.append(replace(record, uri=path))
        study = Study.create(tmp_path / "study", replace(hidden[1], images=tuple(images)), config=config)
        asked = study.ask().image_ids
        pool = [record for record in study.store.pool() if record.image_id not in asked]
        broken = [pool[0], pool[1], *[record for record in images if record.image_id == asked[0]]]
        Path(broken[0].uri).write_bytes(b"no image")
        Path(broken[1].uri).unlink()
        Path(broken[2].uri).write_bytes(Path(broken[2].uri).read_bytes()[:200])
        assert study.run(hidden[0]) is Phase.DONE
        assert set(study.quarantined()) >= {record.image_id for record in broken}
        assert study.round(2).annotate.images == 13


@pytest.mark.slow
def test_stops_when_ap_on_val_stands_still(tmp_path, hidden, tiny_overrides):
    stopping = ("budget.rounds=5", "stop.ap_range=2", "stop.ap_shift=0.5")
    learning = ("train.max_steps=60", "train.min_steps=60", "train.lr=0.05")
    config = load_config(None, [*tiny_overrides, *stopping, *learning])
    study = Study.create(tmp_path / "study", hidden[1], config=config)
    study.run(hidden[0])
    number = max(study.store.facts())
    reached = [study.round(n).evaluate.val["ap"] for n in range(number + 1)]
    if max(reached) == 0:
        pytest.fail("the detector learnt nothing, so the stop was never judged")
    assert number < 5 and "AP on val moved" in study.round(number).score.ended


@pytest.mark.slow
def test_boxes_of_the_study_come_out_as_they_went_in(unbroken, digits):
    exported = unbroken.dataset(labeled_only=True)
    asked = {image_id for number in range(3) for image_id in unbroken.store.query(number).image_ids}
    given = {record.image_id for record in digits.images if record.split is not Split.TRAIN}
    assert exported.classes == digits.classes and exported.labels.keys() == asked | given
    for image_id, boxes in exported.labels.items():
        drawn = digits.labels[image_id]
        assert boxes.xyxy.tolist() == drawn.xyxy.tolist() and boxes.labels.tolist() == drawn.labels.tolist()


@pytest.mark.slow
def test_a_study_in_postgresql_is_the_same_study(tmp_path, hidden, config, unbroken, empty_postgres):
    study = Study.create(tmp_path / "study", hidden[1], config=config.model_copy(update={"store": empty_postgres}))
    assert study.run(hidden[0]) is Phase.DONE
    study.store.close()
    again = Study.open(tmp_path / "study")
    assert memory_of(again) == memory_of(unbroken)
    again.store.close()
