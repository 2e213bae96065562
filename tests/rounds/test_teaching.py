"""What a round's trainings are judged by."""

from dataclasses import replace

import pytest

from boxwise import registry
from boxwise.detectors.base import FitReport
from boxwise.records import Split
from boxwise.rounds import RoundContext, train_along
from boxwise.rounds.ensemble import _train as train_member


class Listening:
    """A detector that keeps what it was to be trained on and judged by."""

    def __init__(self):
        self.trained_on, self.judged_by, self.config = [], [], None

    def fit(self, train, val, config, **options):
        self.trained_on, self.config = [sample.image.image_id for sample in train], config
        self.judged_by += [sample.image.image_id for sample in val]
        return FitReport(0, False, None, 1.0)


class Second:
    """The place of rank 1, to which rank 0 sends its settings and its samples."""

    def __init__(self, config, samples):
        self.config, self.samples = config, samples

    def from_first(self, value):
        return self.config

    def done_by_first(self, work):
        return self.samples


def test_every_rank_trains_by_the_settings_and_labels_of_the_first(waiting_study, monkeypatch):
    """They may have changed since it began."""
    study, detector = waiting_study("full"), Listening()
    context = RoundContext(study.folder, study.store, study.config, study.classes, None, lambda event: None)
    _, *known = context.samples(Split.TRAIN)
    config = study.config.model_copy(update={"train": study.config.train.model_copy(update={"max_steps": 14})})
    monkeypatch.setattr("boxwise.detectors.distributed.join", lambda device: Second(config, (known, [])))
    monkeypatch.setattr(registry, "build_detector", lambda *given, **options: detector)
    train_along(context, 0)
    assert detector.config.max_steps == 14 and detector.trained_on == [sample.image.image_id for sample in known]


@pytest.mark.parametrize("of", ["the round", "a further member"])
def test_val_images_that_are_labelled_in_part_judge_no_training(waiting_study, tmp_path, monkeypatch, of):
    """As they judge no round: what is right and unlabelled there would count as wrong."""
    study, detector = waiting_study("full"), Listening()
    context = RoundContext(study.folder, study.store, study.config, study.classes, None, lambda event: None)
    first, *others = [sample.image.image_id for sample in context.samples(Split.VAL)]
    label = study.annotations(Split.VAL)[first]
    study.store.annotate(replace(label, complete=False), (), round_index=0, annotator="ann", seconds=0)
    monkeypatch.setattr(registry, "build_detector", lambda *given, **options: detector)
    if of == "the round":
        train_along(context, 0)
    else:
        train_member(context, 0, 1, tmp_path / "checkpoint.pt")
    assert others and detector.judged_by == others
