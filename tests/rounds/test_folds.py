"""Cross-validation in place of val: a whole study of seconds, one that is killed, and what is refused."""

import shutil
import signal
from dataclasses import replace

import numpy as np
import processes
import pytest
import torch

from boxwise.artifacts.detections_file import read_detections
from boxwise.config import TrainConfig, load_config
from boxwise.detectors.recipe import of_length
from boxwise.errors import ConfigError, StudyError
from boxwise.evaluation.average_precision import coco_metrics
from boxwise.evaluation.operating_point import best_f1
from boxwise.records import Phase, Sample, Split
from boxwise.rounds import RoundContext
from boxwise.rounds.evaluate import ORIGINAL
from boxwise.rounds.folds import _parts
from boxwise.rounds.teaching import lessons
from boxwise.study import Study
from boxwise.web.dashboard import dashboard

KILLED = """
import os, signal, sys
from boxwise.study import Study

at = int(sys.argv[2])

def on_event(event):
    if event.step >= at:
        os.kill(os.getpid(), signal.SIGKILL)

Study.open(sys.argv[1]).step(on_event=on_event)
"""


def without_val(dataset):
    """The data set with val's images in the pool, unlabelled."""
    images = tuple(replace(r, split=Split.TRAIN) if r.split is Split.VAL else r for r in dataset.images)
    test = {r.image_id for r in images if r.split is Split.TEST}
    return replace(dataset, images=images, labels={name: boxes for name, boxes in dataset.labels.items() if name in test})


@pytest.fixture(scope="session")
def everything(digits):
    """Answers for every image of the pool, those of the former val included."""
    from boxwise.config import CostConfig
    from boxwise.simulation.annotator import SimulatedAnnotator

    return SimulatedAnnotator(digits.labels, CostConfig())


@pytest.fixture
def create(digits, tiny_overrides, tmp_path):
    def made(*overrides, dataset=None, name="study"):
        config = load_config(None, (*tiny_overrides, "device=cpu", "train.folds=3", *overrides))
        return Study.create(tmp_path / name, dataset or without_val(digits), config=config)

    return made


@pytest.fixture(scope="module")
def begun(digits, everything, tiny_overrides, tmp_path_factory):
    """Folder of a study whose next step is the training of round 0, its only one; change copies alone."""
    config = load_config(None, (*tiny_overrides, "device=cpu", "train.folds=3", "budget.rounds=0"))
    study = Study.create(tmp_path_factory.mktemp("begun") / "study", without_val(digits), config=config)
    until(study, everything, Phase.TRAIN).store.close()
    return study.folder


@pytest.fixture(scope="module")
def unbroken(begun, tmp_path_factory):
    """That study after its training, which no test changes."""
    study = Study.open(shutil.copytree(begun, tmp_path_factory.mktemp("unbroken") / "study"))
    study.step()
    return study


@pytest.fixture
def folder(begun, tmp_path):
    """A copy of that study before its training."""
    return shutil.copytree(begun, tmp_path / "begun")


def context_of(study):
    return RoundContext(study.folder, study.store, study.config, study.classes, None, lambda event: None)


def until(study, annotator, phase):
    while study.position[1] is not phase:
        if study.position[1] is Phase.ANNOTATE:
            study.answer(annotator)
        study.step()
    return study


@pytest.mark.slow
def test_a_whole_study(create, everything):
    study = create("ask.mode=review", "ask.target_precision=0.6", "budget.rounds=1")
    assert study.run(everything) is Phase.DONE
    assert not study.images(Split.VAL) and study.round(0).annotate.val_images == 0  # no label is spent on val
    for number, images in ((0, 6), (1, 10)):
        one, files = study.round(number), study.files(number)
        judged = dict(read_detections(files.val_detections))
        assert len(judged) == one.evaluate.val["images"] == images == sum(fold["images"] for fold in one.train.folds)
        assert len(one.train.folds) == 3 and one.judged_on == "cross-validation in 3 folds"
        assert one.train.steps == round(np.mean([fold["steps"] for fold in one.train.folds])) == 12
        assert not list(files.path.glob("checkpoint*"))
        labels = {i: label.boxes for i, label in study.annotations(Split.TRAIN, before=number + 1).items()}
        truths = {image_id: labels[image_id] for image_id in judged}
        assert one.evaluate.val["ap"] == pytest.approx(coco_metrics(judged, truths, study.classes).ap)
        expected = best_f1(judged, truths)
        assert one.evaluate.operating_point == (expected and expected.to_json())
    assert study.round(0).score.calibration is not None  # thresholds of the first proposals, from what the folds found
    assert set(study.round(1).evaluate.val_parts) == {ORIGINAL, "round 1"}
    assert study.round(1).evaluate.val_parts[ORIGINAL]["images"] == 6  # which the stopping rule follows
    shown = dashboard(study)
    assert [point["judged_on"] for point in shown["quality"]] == ["cross-validation in 3 folds"] * 2
    assert {fault["image_id"] for fault in shown["worst"]} <= set(judged)


@pytest.mark.slow
def test_no_image_is_judged_by_a_detector_that_was_trained_on_it(create, everything, monkeypatch):
    """Each fold's training and its detections are caught as they are made."""
    study = until(create(), everything, Phase.TRAIN)
    context, seen = context_of(study), []
    monkeypatch.setattr("boxwise.rounds.folds.teach", lambda context, detector, train, val, *rest, **options: _note(seen, train, val))
    from boxwise.rounds.folds import cross_validate

    samples = lessons(context, 0)
    folds = cross_validate(context, 0, samples, progress=lambda *_: None)
    everything_once = sorted(image_id for _, val in seen for image_id in val)
    assert everything_once == sorted(sample.image.image_id for sample in samples) == sorted(folds.found)
    assert all(not train & val and train | val == set(everything_once) for train, val in seen)
    assert folds.steps == 20  # the mean of 10, 20 and 30


def _note(seen, train, val):
    from boxwise.detectors.base import FitReport

    seen.append(({sample.image.image_id for sample in train}, {sample.image.image_id for sample in val}))
    return FitReport(steps=40, stopped_early=False, best_ap=0.1, images_per_second=1.0, kept_step=10 * len(seen))


@pytest.mark.slow
def test_the_detector_is_the_one_of_all_labels_for_that_length(unbroken):
    context = context_of(unbroken)
    alone = context.build()
    config = of_length(unbroken.config.train, unbroken.round(0).train.steps)
    alone.fit(lessons(context, 0), [], config, seed=int(context.rng(0, Phase.TRAIN).integers(2**31)))
    mine = context.load(0)
    assert all(torch.equal(a, b) for a, b in zip(mine.network.parameters(), alone.network.parameters(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("at", [20, 40], ids=["in the second fold", "in the training on all labels"])
def test_a_training_killed_at_any_moment_goes_on_and_ends_as_an_unbroken_one(folder, unbroken, at):
    assert processes.run("-c", KILLED, folder, at).returncode == -signal.SIGKILL
    broken = Study.open(folder)
    assert broken.position == (0, Phase.TRAIN)
    steps = []
    broken.step(on_event=lambda event: steps.append(event.step))
    assert min(steps) > at - 12  # what was trained before the kill is not trained again
    facts = [replace(each.round(0).train, seconds=None, images_per_second=None) for each in (broken, unbroken)]
    assert facts[0] == facts[1]
    for (name, mine), (other, theirs) in zip(*(read_detections(each.files(0).val_detections) for each in (broken, unbroken)), strict=True):
        assert name == other and np.array_equal(mine.xyxy, theirs.xyxy) and np.array_equal(mine.scores, theirs.scores)
    a, b = (context_of(each).load(0).network.state_dict() for each in (broken, unbroken))
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.slow
def test_labels_that_change_while_it_was_killed_start_the_folds_anew(folder):
    assert processes.run("-c", KILLED, folder, 20).returncode == -signal.SIGKILL
    broken = Study.open(folder)
    image_id = next(iter(broken.annotations(Split.TRAIN)))
    broken.tell(image_id, [])  # there is nothing in it after all
    steps = []
    broken.step(on_event=lambda event: steps.append(event.step))
    assert min(steps) == 1 and image_id in dict(read_detections(broken.files(0).val_detections))


@pytest.mark.slow
def test_further_members_of_an_ensemble_are_as_long(create, everything):
    study = until(create("scorer.name=ensemble", "scorer.members=2", "budget.rounds=1"), everything, Phase.SCORE)
    steps = []
    study.step(on_event=lambda event: steps.append((event.step, event.steps)) if event.phase is Phase.SCORE else None)
    assert (12, 12) in steps and study.files(0).member_weights(1).exists()


class TestParts:
    def images(self, study, count):
        return [Sample(record, study_boxes) for record, study_boxes in zip(study.pool()[:count], [_one_box()] * count, strict=True)]

    def test_hold_every_image_once_and_are_as_equal_as_can_be(self, create):
        study = create("train.folds=4")
        parts = _parts(context_of(study), 0, self.images(study, 10))
        assert sorted(map(len, parts)) == [2, 2, 3, 3]
        assert len({sample.image.image_id for part in parts for sample in part}) == 10
        again = _parts(context_of(study), 0, self.images(study, 10))
        assert [[s.image.image_id for s in part] for part in again] == [[s.image.image_id for s in part] for part in parts]

    def test_are_fewer_where_there_are_fewer_images(self, create):
        study = create("train.folds=4")
        assert [len(part) for part in _parts(context_of(study), 0, self.images(study, 2))] == [1, 1]
        with pytest.raises(StudyError, match=r"needs two images or more.*found 1.*train\.folds=0"):
            _parts(context_of(study), 0, self.images(study, 1))

    def test_leave_out_what_is_no_truth_to_judge_by(self, create):
        study = create()
        first, second, *rest = self.images(study, 6)
        samples = [replace(first, complete=False), replace(second, by_model=np.array([True])), *rest]
        held = {sample.image.image_id for part in _parts(context_of(study), 0, samples) for sample in part}
        assert held == {sample.image.image_id for sample in rest}


def _one_box():
    from boxwise.boxes import Boxes

    return Boxes([[0, 0, 10, 10]], [0])


class TestRefusals:
    def test_beside_a_val_split(self, create, digits):
        val = sum(record.split is Split.VAL for record in digits.images)
        with pytest.raises(ConfigError, match=rf"train\.folds=3 takes the place of a val split, but the study has one of {val} images"):
            create(dataset=digits)

    def test_set_later_beside_a_val_split(self, hidden, tiny_overrides, tmp_path):
        study = Study.create(tmp_path / "study", hidden[1], config=load_config(None, tiny_overrides))
        with pytest.raises(ConfigError, match="takes the place of a val split"):
            study.change(load_config(None, (*tiny_overrides, "train.folds=3")))

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("budget.val_per_round=2", "budget.val_per_round draws images for it"),
            ("train.start=previous", "train.folds needs train.start=initial"),
            ("train.folds=1", "folds is 1: expected 0, or at least 2"),
            ("policy.name=v1", "does not go with policy v1"),
        ],
    )
    def test_what_does_not_go_with_it(self, create, override, message):
        with pytest.raises(ConfigError, match=message):
            create(override)


@pytest.mark.parametrize(
    ("given", "schedule"),
    [
        ({}, "plateau"),  # as it would have been with val
        ({"min_steps": 50, "max_steps": 50}, "auto"),
        ({"schedule": "multistep"}, "multistep"),
        ({"val_every": 10, "ap_shift": 0.01}, "auto"),
    ],
)
def test_a_training_of_a_length_has_it_and_the_same_schedule(given, schedule):
    config = of_length(TrainConfig.model_validate({"length": 2.0, **given}), 77)
    assert (config.min_steps, config.max_steps, config.length, config.val_every, config.ap_shift) == (77, 77, 1.0, 0, 0.0)
    assert config.schedule == schedule
