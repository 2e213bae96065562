"""The step TRAIN: the detector learns from what the policy composed.

Leaves weights in the round's folder, and in cross-validation what the folds' detectors found. Knows nothing of how the images were chosen.
"""

from __future__ import annotations

from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from boxwise.artifacts.detections_file import write_detections
from boxwise.artifacts.facts import TrainFacts
from boxwise.records import Phase, Split
from boxwise.rounds.context import RoundContext, StepResult
from boxwise.rounds.folds import Folds, cross_validate, part_of
from boxwise.rounds.teaching import goes_on, lessons, teach

if TYPE_CHECKING:
    from boxwise.detectors.base import FitReport
    from boxwise.detectors.detector import TorchDetector


def train(context: RoundContext, round_index: int) -> StepResult:
    """Train from the initial weights or from those of the round before, as the config says."""
    started, files = monotonic(), context.files(round_index)
    for path in files.of_training():  # of one that is done again
        path.unlink(missing_ok=True)
    detector, report, folds = _fit(context, round_index)
    files.weights.parent.mkdir(parents=True, exist_ok=True)
    detector.save(files.weights)
    if folds is not None:
        write_detections(files.val_detections, folds.found)
    for image_id, fault in {**report.unreadable, **(folds.unreadable if folds else {})}.items():
        context.store.quarantine(image_id, fault)
    before = context.committed(round_index - 1).train if goes_on(context, round_index) else TrainFacts()
    facts = TrainFacts(
        steps=report.steps,
        steps_behind=report.steps + (before.steps_behind or before.steps or 0),
        stopped_early=report.stopped_early,
        best_ap=report.best_ap,
        images_per_second=report.images_per_second,
        seconds=monotonic() - started + report.seconds_before + (folds.seconds_before if folds else 0),
        history=tuple(report.history),
        folds=folds.facts if folds else (),
    )
    return StepResult(facts, (round_index, Phase.EVALUATE))


def train_along(context: RoundContext, round_index: int) -> None:
    """What the ranks other than 0 do under torchrun: the same training, nothing written."""
    _fit(context, round_index)


def _fit(context: RoundContext, round_index: int) -> tuple[TorchDetector, FitReport, Folds | None]:
    """The round's detector; where there are folds, trained on all labels for as long as these say."""
    from boxwise.detectors.distributed import join
    from boxwise.detectors.recipe import of_length

    ranks = join(context.device())
    # Settings and labels as rank 0 has them: they may have changed since the others began.
    context = replace(context, config=ranks.from_first(context.config))
    samples, val = ranks.done_by_first(lambda: (lessons(context, round_index), context.samples(Split.VAL)))
    train, progress = context.config.train, context.watch(round_index, Phase.TRAIN)
    folds = cross_validate(context, round_index, samples, progress=progress) if train.folds else None
    detector = context.build()
    if goes_on(context, round_index):
        context.go_on_from(detector, context.files(round_index - 1).weights)
    report = teach(
        context,
        detector,
        samples,
        val,
        train if folds is None else of_length(train, folds.steps),
        seed=int(context.rng(round_index, Phase.TRAIN).integers(2**31)),
        checkpoint=context.files(round_index).checkpoint,
        progress=progress if folds is None else part_of(progress, len(folds.facts), len(folds.facts) + 1),
    )
    return detector, report, folds
