"""What a round's trainings are judged by."""

from dataclasses import replace

import pytest

from boxwise import registry
from boxwise.detectors.base import FitReport
from boxwise.records import Split
from boxwise.rounds import RoundContext, train_along
from boxwise.rounds.ensemble import _train as train_member


class Listening:
    """A detector that keeps what it was to be judged by."""

    def __init__(self):
        self.judged_by = []

    def fit(self, train, val, config, **options):
        self.judged_by += [sample.image.image_id for sample in val]
        return FitReport(0, False, None, 1.0)


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
