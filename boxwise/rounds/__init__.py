"""What each step of a round does: one file a step, all over one `RoundContext`.

A step reads the store and the files of earlier steps, and returns facts and the next position; only study.py commits them. A step
killed half way is simply done again: every random draw comes from (seed, round, step).
Knows nothing of folders of other studies, of who annotates, or of how results are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from boxwise import registry
from boxwise.annotation.proposals import fixed_thresholds
from boxwise.config import StudyConfig
from boxwise.detectors.names import DETECTORS
from boxwise.detectors.start import start_of
from boxwise.records import Phase
from boxwise.rounds.context import Event, RoundContext, StepResult
from boxwise.rounds.first_proposals import may_propose

if TYPE_CHECKING:
    from boxwise.rounds.parts import Shard

__all__ = ["Event", "RoundContext", "StepResult", "check", "inspect_shard", "may_propose", "step_of", "tidy", "train_along"]


def step_of(phase: Phase) -> Callable[[RoundContext, int], StepResult]:
    """What does a step: the function of its name in the file of its name. Imported when it is asked for: questions to a study need none."""
    found: Callable[[RoundContext, int], StepResult] = getattr(import_module(f"boxwise.rounds.{phase.value}"), phase.value)
    return found


def tidy(context: RoundContext, round_index: int, phase: Phase) -> None:
    """Remove what a committed step no longer needs."""
    if phase is Phase.TRAIN:
        context.files(round_index).checkpoint.unlink(missing_ok=True)
    if phase is Phase.SCORE:
        from boxwise.rounds import parts

        parts.forget(context, round_index)


def train_along(context: RoundContext, round_index: int) -> None:
    """What ranks other than 0 do of the training step."""
    from boxwise.rounds.train import train_along as along

    along(context, round_index)


def inspect_shard(context: RoundContext, round_index: int, shard: Shard) -> str | None:
    """Inspect a shard's part of the pool for the score step; returns why there is none, if so."""
    from boxwise.rounds.score import inspect_shard as inspect

    return inspect(context, round_index, shard)


def check(config: StudyConfig, classes: Sequence[str], *, simulated: bool = False) -> None:
    """ConfigError for a method that nothing is called or whose needs are not met, and for an unknown class, before any work is done.

    simulated: whether the pool's ground truth is at hand, without which `oracle_loss` is refused.
    """
    registry.check(config, simulated=simulated)
    if config.detector.name in DETECTORS:  # an installed package's detector has weights of its own
        start_of(config.detector)
    fixed_thresholds(config.ask, classes)
