"""What each step of a round does: one file a step, all over one `RoundContext`.

A step reads the store and the files of earlier steps, and returns facts and the next position; only study.py commits them. A step
killed half way is simply done again: every random draw comes from (seed, round, step).
Knows nothing of folders of other studies, of who annotates, or of how results are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from boxwise import registry
from boxwise.annotation.proposals import fixed_thresholds
from boxwise.config import StudyConfig
from boxwise.detectors.names import DETECTORS
from boxwise.detectors.start import check_pieces, check_start
from boxwise.errors import ConfigError
from boxwise.records import Phase, Split
from boxwise.rounds.context import Event, RoundContext, StepResult
from boxwise.rounds.first_proposals import may_propose

if TYPE_CHECKING:
    from boxwise.artifacts.facts import StepFacts
    from boxwise.rounds.parts import Shard

__all__ = [
    "Event",
    "RoundContext",
    "StepResult",
    "check",
    "check_change",
    "inspect_shard",
    "judge_again",
    "may_propose",
    "step_of",
    "tidy",
    "train_along",
]

_BEGINNING = {f"detector.{key}" for key in ("name", "imgsz", "pretrained", "weights", "backbone_weights")}


def step_of(phase: Phase) -> Callable[[RoundContext, int], StepResult]:
    """What does a step: the function of its name in the file of its name. Imported when it is asked for: questions to a study need none."""
    found: Callable[[RoundContext, int], StepResult] = getattr(import_module(f"boxwise.rounds.{phase.value}"), phase.value)
    return registry.faults_of_packages()(found)


def tidy(context: RoundContext, round_index: int, phase: Phase) -> None:
    """Remove what a committed step no longer needs."""
    if phase is Phase.TRAIN:
        for checkpoint in context.files(round_index).checkpoints():
            checkpoint.unlink(missing_ok=True)
    if phase is Phase.SCORE:
        from boxwise.rounds import parts

        parts.forget(context, round_index)


def judge_again(context: RoundContext, round_index: int) -> StepFacts:
    """The facts of a finished evaluation by the labels of now, from what it detected then."""
    from boxwise.rounds.evaluate import judge_again as again

    with registry.faults_of_packages():
        return again(context, round_index)


def train_along(context: RoundContext, round_index: int) -> None:
    """What ranks other than 0 do of the training step."""
    from boxwise.rounds.train import train_along as along

    with registry.faults_of_packages():
        along(context, round_index)


def inspect_shard(context: RoundContext, round_index: int, shard: Shard) -> str | None:
    """Inspect a shard's part of the pool for the score step; returns why there is none, if so."""
    from boxwise.rounds.score import inspect_shard as inspect

    with registry.faults_of_packages():
        return inspect(context, round_index, shard)


def check(config: StudyConfig, classes: Sequence[str], *, val_images: int = 0, simulated: bool = False, scores: bool = False) -> None:
    """ConfigError for a method that nothing is called or whose needs are not met, and for an unknown class, before any work is done.

    val_images: how many the study has, beside which `train.folds` is refused. simulated: whether the pool's ground truth is at hand,
    without which `oracle_loss` is refused; a simulated annotator is one person, beside whom `labelling.double` is refused. scores: as in
    registry.check.
    """
    if simulated and config.labelling.double:
        raise ConfigError("labelling.double gives images to two people, and a simulated annotator is one. Give labelling.double=0.")
    registry.check(config, simulated=simulated, scores=scores)
    _check_folds(config, val_images)
    if config.detector.name in DETECTORS:  # an installed package's detector has weights of its own
        check_start(config.detector)
        check_pieces(config.detector.name, config.train)
    fixed_thresholds(config.ask, classes)


def check_change(context: RoundContext, config: StudyConfig, keys: Set[str], phase: Phase) -> None:
    """As `check`, of another config for the study of `context`, that differs in `keys` from the step `phase` on.

    A change of the detector's beginning is tried at once where round 0 has asked already: the step SELECT tries the others. So is an
    embedder that another setting of it, or another strategy, asks for.
    """
    as_before = keys.isdisjoint({"strategy.name", "scorer.name"})
    check(config, context.classes, val_images=context.store.image_count(Split.VAL), scores=as_before)
    changed = replace(context, config=config)
    if phase is not Phase.SELECT and keys & _BEGINNING:
        changed.check_start()
    if any(key.startswith(("embedding.", "strategy.")) for key in keys):
        from boxwise.rounds.embedding import check_weights  # reads and writes Parquet, which questions to a study need not load

        check_weights(changed)


def _check_folds(config: StudyConfig, val_images: int) -> None:
    folds = config.train.folds
    if folds and val_images:
        raise ConfigError(
            f"train.folds={folds} takes the place of a val split, but the study has one of {val_images} images. Give train.folds=0, or the "
            "images of val to train."
        )
    if folds and config.train.start == "auto" and registry.policy_of(config.policy).partial:
        raise ConfigError(
            f"train.folds={folds} does not go with policy {config.policy.name}, whose trainings go on from weights that have seen what a "
            "fold holds out. Give train.start=initial, or another policy."
        )
