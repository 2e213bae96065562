"""How long a study will take from here, measured on a few steps of its own detector before the work begins.

Returns seconds and rates. Trains a detector that is thrown away; nothing of the study changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from boxwise import registry
from boxwise.config import StudyConfig, resolve
from boxwise.evaluation.cost import by_hand, price
from boxwise.records import ImageRecord, Sample, Split
from boxwise.rounds.context import RoundContext

_STEPS = 2


@dataclass(frozen=True)
class Duration:
    """training, predicting: images a second. fitting: seconds of the VAE's training in a round, 0 where the scorer has none.

    this_round: seconds of the round's training and scoring, at most: val may end a training earlier. all_rounds: the same of every round
    left, without the time that people take.
    """

    training: float
    predicting: float
    fitting: float
    this_round: float
    all_rounds: float


def expected_duration(context: RoundContext, round_index: int) -> Duration | None:
    """Measured on two training steps and one batch of predictions; None where there is nothing to train on yet.

    Where the budget counts boxes, seconds or money, later rounds are taken to label as many images as these pay for at what the labelled
    ones cost in the mean.
    """
    labeled, pool = context.samples(Split.TRAIN), context.store.pool_size()
    if not labeled:
        return None
    training, predicting = _rates(context, labeled, [sample.image for sample in labeled])
    fitting = _fitting_seconds(context)
    budget = context.config.budget
    more = _images_a_round(context, len(labeled) + pool)
    joined = [min(round(later * more), pool) for later in range(max(1, budget.rounds - round_index + 1))]
    trained_on = [images_shown(context.config, len(labeled) + new) for new in joined]
    seconds = [images / training + fitting + (pool - new) / predicting for images, new in zip(trained_on, joined, strict=True)]
    return Duration(training, predicting, fitting, seconds[0], sum(seconds))


def _images_a_round(context: RoundContext, images: int) -> float:
    """About how many images of so many each later round labels."""
    budget, cost, labour = context.config.budget, context.config.cost, context.store.labour(Split.TRAIN)
    given = resolve(budget.per_round, images, "budget.per_round")
    if budget.unit == "images" or isinstance(budget.per_round, str):
        return given
    here = labour.by_hand[0]  # where all labels came with the data, what drawing them takes
    seconds = labour.seconds / here if here else by_hand(labour.images, labour.boxes, cost) / labour.images
    usual = {"boxes": labour.boxes / labour.images, "seconds": seconds, "money": price(seconds, cost)}[budget.unit]
    return given / max(usual, 1e-9)


def images_shown(config: StudyConfig, labeled: int) -> int:
    """The most images that a round's training on so many labelled ones looks at in all its steps, with the folds and further members."""
    from boxwise.detectors.recipe import training_steps

    members = registry.scorer_options(config.scorer).further_members()
    return (1 + config.train.folds + members) * training_steps(labeled, config.train) * config.train.batch


def _rates(context: RoundContext, labeled: list[Sample], images: list[ImageRecord]) -> tuple[float, float]:
    """Images a second in training and in prediction."""
    from boxwise.detectors.prediction import predict
    from boxwise.detectors.recipe import of_length

    detector = context.build()
    report = detector.fit(labeled, [], of_length(context.config.train, _STEPS), seed=0, workers=0)
    batch = images[: context.config.score_batch]
    predict(detector, batch[:1])
    started = perf_counter()
    predict(detector, batch)
    return max(report.images_per_second, 1e-6), len(batch) / max(perf_counter() - started, 1e-6)


def _fitting_seconds(context: RoundContext) -> float:
    """Of training the scorer's VAE, by a few steps on noise; 0 where it has none."""
    if not registry.scorer_options(context.config.scorer).trains_vae():
        return 0.0
    from boxwise.scorers.vae import train_vae

    vae, rng = context.config.scorer.vae, np.random.default_rng(0)
    noise, few = rng.integers(0, 256, (vae.batch, 3, vae.size, vae.size), np.uint8), vae.model_copy(update={"steps": _STEPS})
    device = context.device()
    train_vae(noise, few, rng=rng, device=device)  # the first run is slower
    started = perf_counter()
    train_vae(noise, few, rng=rng, device=device)
    return vae.steps * (perf_counter() - started) / _STEPS
