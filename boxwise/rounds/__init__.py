"""What each step of a round does: one file a step, all over one `RoundContext`.

A step reads the store and the files of earlier steps, and returns facts and the next position; only study.py commits them. A step
killed half way is simply done again: every random draw comes from (seed, round, step).
Knows nothing of folders of other studies, of who annotates, or of how results are shown.
"""

from collections.abc import Callable, Sequence

from boxwise import registry
from boxwise.annotation.proposals import fixed_thresholds
from boxwise.config import StudyConfig
from boxwise.detectors.names import DETECTORS
from boxwise.detectors.start import start_of
from boxwise.records import Phase
from boxwise.rounds.annotate import annotate
from boxwise.rounds.audit import audit
from boxwise.rounds.compose import compose
from boxwise.rounds.context import Event, RoundContext, StepResult
from boxwise.rounds.evaluate import evaluate
from boxwise.rounds.first_proposals import may_propose
from boxwise.rounds.parts import Shard
from boxwise.rounds.score import inspect_shard, score
from boxwise.rounds.select import select
from boxwise.rounds.train import tidy, train, train_along

__all__ = ["STEPS", "Event", "RoundContext", "Shard", "StepResult", "check", "inspect_shard", "may_propose", "tidy", "train_along"]

STEPS: dict[Phase, Callable[[RoundContext, int], StepResult]] = {
    Phase.SELECT: select,
    Phase.ANNOTATE: annotate,
    Phase.AUDIT: audit,
    Phase.COMPOSE: compose,
    Phase.TRAIN: train,
    Phase.EVALUATE: evaluate,
    Phase.SCORE: score,
}


def check(config: StudyConfig, classes: Sequence[str], *, simulated: bool = False) -> None:
    """ConfigError for a method that nothing is called or whose needs are not met, and for an unknown class, before any work is done.

    simulated: whether the pool's ground truth is at hand, without which `oracle_loss` is refused.
    """
    registry.check(config, simulated=simulated)
    if config.detector.name in DETECTORS:  # an installed package's detector has weights of its own
        start_of(config.detector)
    fixed_thresholds(config.ask, classes)
