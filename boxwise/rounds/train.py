"""The step TRAIN: the detector learns from what the policy composed.

Leaves weights in the round's folder. Knows nothing of how the images were chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from boxwise.artifacts.box_tables import read_self_labels
from boxwise.artifacts.facts import TrainFacts
from boxwise.errors import StaleCheckpointError, StudyError
from boxwise.records import Phase, Sample, Split
from boxwise.rounds.compose import policy_of
from boxwise.rounds.context import RoundContext, StepResult

if TYPE_CHECKING:
    from boxwise.detectors.base import FitReport
    from boxwise.detectors.detector import TorchDetector

Progress = Callable[[int, int, dict[str, float]], None]


def train(context: RoundContext, round_index: int) -> StepResult:
    """Train from the initial weights or from those of the round before, as the config says."""
    started = monotonic()
    detector, report = _fit(context, round_index)
    weights = context.files(round_index).weights
    weights.parent.mkdir(parents=True, exist_ok=True)
    detector.save(weights)
    for image_id, fault in report.unreadable.items():
        context.store.quarantine(image_id, fault)
    before = context.committed(round_index - 1).train if goes_on(context, round_index) else TrainFacts()
    facts = TrainFacts(
        steps=report.steps,
        steps_behind=report.steps + (before.steps_behind or before.steps or 0),
        stopped_early=report.stopped_early,
        best_ap=report.best_ap,
        images_per_second=report.images_per_second,
        seconds=monotonic() - started,
        history=tuple(report.history),
    )
    return StepResult(facts, (round_index, Phase.EVALUATE))


def train_along(context: RoundContext, round_index: int) -> None:
    """What the ranks other than 0 do under torchrun: the same training, nothing written."""
    _fit(context, round_index)


def _fit(context: RoundContext, round_index: int) -> tuple[TorchDetector, FitReport]:
    detector = context.build()
    if goes_on(context, round_index):
        context.go_on_from(detector, context.files(round_index - 1).weights)
    seed = int(context.rng(round_index, Phase.TRAIN).integers(2**31))
    return detector, teach(
        context,
        round_index,
        detector,
        seed=seed,
        checkpoint=context.files(round_index).checkpoint,
        progress=context.watch(round_index, Phase.TRAIN),
    )


def teach(
    context: RoundContext, round_index: int, detector: TorchDetector, *, seed: int, checkpoint: Path, progress: Progress
) -> FitReport:
    """Train `detector` in place on what the round composed; a checkpoint made before labels were changed is of no use and starts over."""
    fit = partial(
        detector.fit,
        _lessons(context, round_index),
        context.samples(Split.VAL),
        context.config.train,
        seed=seed,
        workers=context.config.workers,
        checkpoint=checkpoint,
        progress=progress,
    )
    try:
        return fit()
    except StaleCheckpointError:
        checkpoint.unlink()
        return fit()


def goes_on(context: RoundContext, round_index: int) -> bool:
    """Whether the round's training starts from the weights of the round before."""
    start = context.config.train.start
    return round_index > 0 and (policy_of(context).partial if start == "auto" else start == "previous")


def _lessons(context: RoundContext, round_index: int) -> list[Sample]:
    """What the round trains on: annotated images, then pool images under the model's own labels, which are never complete."""
    chosen = context.committed(round_index).compose.train
    samples = context.samples(Split.TRAIN, only=None if chosen is None else set(chosen))
    own = read_self_labels(context.files(round_index).self_labels)
    labeled = set(context.store.annotations(Split.TRAIN)) if own else set()  # a person may have, since the round was composed
    records = {record.image_id: record for record in context.store.images(Split.TRAIN) if record.image_id not in labeled} if own else {}
    samples += [
        Sample(records[image_id], labels.boxes, complete=False, weights=labels.weights)
        for image_id, labels in own.items()
        if image_id in records
    ]
    if context.config.train.incomplete == "leave_out":
        samples = [sample for sample in samples if sample.complete]
    if not samples:
        raise StudyError(f"{context.folder}: round {round_index} has nothing to train on; see `boxwise status {context.folder}`.")
    return samples
