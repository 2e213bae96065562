"""How long a study will take from here, measured on a few steps of its own detector before the work begins.

Returns seconds and rates. Trains a detector that is thrown away; nothing of the study changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from boxwise.config import resolve
from boxwise.records import ImageRecord, Sample, Split
from boxwise.rounds.context import RoundContext

_STEPS = 2


@dataclass(frozen=True)
class Duration:
    """training, predicting: images a second. this_round: seconds of the round's training and scoring, at most: val may end a training
    earlier. all_rounds: the same of every round left, without the time that people take."""

    training: float
    predicting: float
    this_round: float
    all_rounds: float


def expected_duration(context: RoundContext, round_index: int) -> Duration | None:
    """Measured on two training steps and one batch of predictions; None where there is nothing to train on yet.

    Later rounds are taken to label `budget.per_round` images each, also where the budget counts boxes or seconds.
    """
    labeled, pool = context.samples(Split.TRAIN), context.store.pool_size()
    if not labeled:
        return None
    training, predicting = _rates(context, labeled, [sample.image for sample in labeled])
    budget = context.config.budget
    more = resolve(budget.per_round, len(labeled) + pool, "budget.per_round")
    joined = [min(later * more, pool) for later in range(max(1, budget.rounds - round_index + 1))]
    seconds = [_training_images(context, len(labeled) + new) / training + (pool - new) / predicting for new in joined]
    return Duration(training, predicting, seconds[0], sum(seconds))


def _training_images(context: RoundContext, images: int) -> int:
    """The most images that the training on so many labelled ones takes in, with those of the folds before it."""
    from boxwise.detectors.recipe import training_steps

    train = context.config.train
    return (1 + train.folds) * training_steps(images, train) * train.batch


def _rates(context: RoundContext, labeled: list[Sample], images: list[ImageRecord]) -> tuple[float, float]:
    """Images a second in training and in prediction."""
    from boxwise.detectors.prediction import predict

    detector, train = context.build(), context.config.train
    few = train.model_copy(update={"min_steps": _STEPS, "max_steps": _STEPS, "val_every": 0, "ap_shift": 0.0, "length": 1.0})
    report = detector.fit(labeled, [], few, seed=0, workers=0)
    batch = images[: context.config.score_batch]
    predict(detector, batch[:1])
    started = perf_counter()
    predict(detector, batch)
    return max(report.images_per_second, 1e-6), len(batch) / max(perf_counter() - started, 1e-6)
