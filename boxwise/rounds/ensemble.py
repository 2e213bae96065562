"""Further members of an ensemble: detectors that learn what the round's detector learned, from other seeds.

Trained when the pool is to be scored and they are not there yet: also in a study forked from one that had none. Each has its own
weights and checkpoint in the round's folder, so that a killed training resumes. Always one process: scoring never runs under torchrun.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from boxwise import registry
from boxwise.config import TrainConfig
from boxwise.records import Phase, Split
from boxwise.rounds.context import RoundContext
from boxwise.rounds.teaching import goes_on, lessons, teach

if TYPE_CHECKING:
    from boxwise.detectors.detector import TorchDetector


def members(context: RoundContext, round_index: int) -> list[TorchDetector]:
    """The members beside the round's own detector, which the pool's pass asks as well; as many as the scorer's options say."""
    further = registry.scorer_options(context.config.scorer).further_members()
    return [_member(context, round_index, number) for number in range(1, further + 1)]


def _member(context: RoundContext, round_index: int, number: int) -> TorchDetector:
    files = context.files(round_index)
    weights, checkpoint = files.member_weights(number), files.member_checkpoint(number)
    if not weights.exists():
        _train(context, round_index, number, checkpoint).save(weights)
    checkpoint.unlink(missing_ok=True)
    return context.load_from(weights)


def _train(context: RoundContext, round_index: int, number: int, checkpoint: Path) -> TorchDetector:
    initial, training = context.member_seeds(round_index, number)
    detector, before = context.build(seed=initial), context.files(round_index - 1).member_weights(number)
    if goes_on(context, round_index) and before.exists():
        context.go_on_from(detector, before)
    watch = context.watch(round_index, Phase.SCORE)
    teach(
        context,
        detector,
        lessons(context, round_index),
        context.samples(Split.VAL),
        _length(context, round_index),
        seed=training,
        checkpoint=checkpoint,
        progress=lambda step, steps, _: watch(step, steps, {}),
    )
    return detector


def _length(context: RoundContext, round_index: int) -> TrainConfig:
    """The training config, for as many steps as the round's own training took where cross-validation found that out."""
    from boxwise.detectors.recipe import of_length

    done = context.committed(round_index).train
    return of_length(context.config.train, done.steps) if done.folds and done.steps else context.config.train
