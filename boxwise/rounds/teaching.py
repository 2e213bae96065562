"""What a round's trainings have in common: the images with their labels, the first weights, a checkpoint that may be out of date.

Returns samples, or leaves a trained detector. Knows nothing of which image is held out, nor of where weights are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from boxwise.artifacts.box_tables import read_self_labels
from boxwise.config import TrainConfig
from boxwise.errors import StaleCheckpointError, StudyError, quoted
from boxwise.records import ImageRecord, Sample, Split
from boxwise.rounds.compose import policy_of
from boxwise.rounds.context import RoundContext

if TYPE_CHECKING:
    from boxwise.detectors.base import FitReport
    from boxwise.detectors.detector import TorchDetector

Progress = Callable[[int, int, dict[str, float]], None]


def teach(
    context: RoundContext,
    detector: TorchDetector,
    train: Sequence[Sample],
    val: Sequence[Sample],
    config: TrainConfig,
    *,
    seed: int,
    checkpoint: Path,
    progress: Progress,
) -> FitReport:
    """Train `detector` in place; a checkpoint made before labels were changed is of no use and starts over.

    Of `val`, images that are labelled in part judge nothing: what is right and unlabelled there would count as wrong.
    """
    workers, judges = context.config.workers, [sample for sample in val if sample.complete]
    from boxwise.detectors.checked import reported

    fit = partial(detector.fit, train, judges, config, seed=seed, workers=workers, checkpoint=checkpoint, progress=progress)
    try:
        report = fit()
    except StaleCheckpointError:
        checkpoint.unlink(missing_ok=True)  # every process of a training comes here
        report = fit()
    return reported(detector, report)


def goes_on(context: RoundContext, round_index: int) -> bool:
    """Whether the round's training starts from the weights of the round before."""
    start = context.config.train.start
    return round_index > 0 and (policy_of(context).partial if start == "auto" else start == "previous")


def _still_unlabelled(context: RoundContext, image_ids: Collection[str]) -> list[ImageRecord]:
    """Those of the images that may be taught without a person's labels: one may have labelled some since the round was composed."""
    if not image_ids:
        return []
    out = context.store.annotations(Split.TRAIN).keys() | context.store.quarantined().keys()
    records = context.store.records(image_id for image_id in image_ids if image_id not in out)
    return [record for record in records if record.split is Split.TRAIN]


def lessons(context: RoundContext, round_index: int) -> list[Sample]:
    """What the round trains on: annotated images, then pool images under the model's own labels, which are never complete."""
    chosen = context.committed(round_index).compose.train
    samples = context.samples(Split.TRAIN, only=None if chosen is None else set(chosen))
    own = read_self_labels(context.files(round_index).self_labels)
    records = {record.image_id: record for record in _still_unlabelled(context, own)}
    samples += [
        Sample(records[image_id], labels.boxes, complete=False, weights=labels.weights)
        for image_id, labels in own.items()
        if image_id in records
    ]
    if context.config.train.incomplete == "leave_out":
        samples = [sample for sample in samples if sample.complete]
    if not samples:
        raise StudyError(f"{context.folder}: round {round_index} has nothing to train on; see `boxwise status {quoted(context.folder)}`.")
    return samples
