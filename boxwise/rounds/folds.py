"""Cross-validation in place of a val split: every labelled image is judged by a detector that was not trained on it.

Returns the detections of all folds together, and how long the training on all labels should be. Knows nothing of test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from boxwise.artifacts.detections_file import read_detections
from boxwise.boxes import Boxes
from boxwise.errors import StudyError, quoted
from boxwise.records import Sample, Split
from boxwise.rounds.context import RoundContext
from boxwise.rounds.judging import is_whole, labels_to_judge_by
from boxwise.rounds.teaching import Progress, teach


@dataclass(frozen=True)
class Folds:
    """What the trainings without one part each gave.

    found: image_id → detections by the detector that was not trained on it. steps: those of the training on all labels, the mean of the
    steps after which the folds had the weights that they kept. facts: one JSON object a fold. unreadable: image_id → message.
    seconds_before: as a FitReport has them, of all folds.
    """

    found: Mapping[str, Boxes]
    steps: int
    facts: tuple[Mapping[str, Any], ...]
    unreadable: Mapping[str, str]
    seconds_before: float


def cross_validate(context: RoundContext, round_index: int, samples: Sequence[Sample], *, progress: Progress) -> Folds:
    """Train as many detectors as there are folds, each on what the others hold of `samples`, and let it detect on its own part.

    Every training keeps its finished checkpoint until the round's training is committed, so that a kill repeats none of them.
    """
    from boxwise.detectors.prediction import predict

    parts = _parts(context, round_index, samples)
    seeds = context.fold_seeds(round_index, len(parts))
    found: dict[str, Boxes] = {}
    unreadable: dict[str, str] = {}
    facts, seconds_before = [], 0.0
    for number, held in enumerate(parts):
        out = {sample.image.image_id for sample in held}
        detector = context.build()
        report = teach(
            context,
            detector,
            [sample for sample in samples if sample.image.image_id not in out],
            held,
            context.config.train,
            seed=seeds[number],
            checkpoint=context.files(round_index).fold_checkpoint(number),
            progress=part_of(progress, number, len(parts) + 1),
        )
        detected, faults = predict(
            detector, [sample.image for sample in held], batch=context.config.score_batch, workers=context.config.workers
        )
        found |= detected
        unreadable |= report.unreadable | faults
        seconds_before += report.seconds_before
        facts.append({"images": len(held), "steps": report.kept_step or report.steps, "ap": report.best_ap})
    return Folds(found, round(float(np.mean([fact["steps"] for fact in facts]))), tuple(facts), unreadable, seconds_before)


def judged(context: RoundContext, round_index: int) -> tuple[dict[str, Boxes], dict[str, Boxes]]:
    """What was detected on the images that the round's detector is judged by, and their labels; both by image id.

    These are val's images, or where the round was cross-validated its labelled images, each with what the detector of its fold found.
    """
    crossed = bool(context.committed(round_index).train.folds)
    labels = labels_to_judge_by(context.store, Split.TRAIN if crossed else Split.VAL)
    found = {i: boxes for i, boxes in read_detections(context.files(round_index).val_detections) if i in labels}
    return found, {image_id: labels[image_id] for image_id in found}


def part_of(progress: Progress, number: int, trainings: int) -> Progress:
    """The progress of one of several trainings as that of all of them, taken to be of equal length."""
    return lambda step, steps, figures: progress(number * steps + step, trainings * steps, figures)


def _parts(context: RoundContext, round_index: int, samples: Sequence[Sample]) -> list[list[Sample]]:
    """The images that can judge a detector, in `train.folds` parts at random; as many parts as images where there are fewer."""
    whole = [sample for sample in samples if is_whole(sample)]
    if len(whole) < 2:
        raise StudyError(
            f"{context.folder}: train.folds needs two images or more that people have labelled completely, found {len(whole)}. Label more, "
            f"or `boxwise set {quoted(context.folder)} train.folds=0`."
        )
    order = context.fold_rng(round_index).permutation(len(whole))
    folds = np.array_split(order, min(context.config.train.folds, len(whole)))
    return [[whole[row] for row in sorted(fold)] for fold in folds]
