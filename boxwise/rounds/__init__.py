"""What each step of a round does: one file a step, all over one `RoundContext`.

A step reads the store and the files of earlier steps, and returns facts and the next position; only study.py commits them. A step
killed half way is simply done again: every random draw comes from (seed, round, step).
Knows nothing of folders of other studies, of who annotates, or of how results are shown.
"""

from collections.abc import Callable, Sequence

from boxwise import registry
from boxwise.annotation.proposals import fixed_thresholds
from boxwise.config import StudyConfig
from boxwise.detectors.names import lacking, words_for
from boxwise.errors import ConfigError, named
from boxwise.records import Phase
from boxwise.rounds.annotate import annotate
from boxwise.rounds.audit import audit
from boxwise.rounds.compose import SELF_LABELS, compose
from boxwise.rounds.context import Event, RoundContext, StepResult, round_folder
from boxwise.rounds.evaluate import evaluate
from boxwise.rounds.score import score
from boxwise.rounds.select import PROPOSALS, select
from boxwise.rounds.train import tidy, train, train_along

__all__ = ["PROPOSALS", "SELF_LABELS", "STEPS", "Event", "RoundContext", "StepResult", "check", "round_folder", "tidy", "train_along"]

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
    """ConfigError for a detector, scorer, strategy, policy or class that nothing is called, before any work is done.

    simulated: whether the pool's ground truth is at hand, without which `oracle_loss` is refused.
    """
    named("strategy", registry.STRATEGIES, config.strategy.name)
    named("policy", registry.POLICIES, config.policy.name)
    named("detector", registry.detectors(), config.detector.name)
    named("scorer", registry.scorers(), config.scorer.name)
    needs = registry.needs_of(config)
    if missing := lacking(config.detector.name, needs):
        able = ", ".join(name for name in registry.detectors() if not lacking(name, needs))
        raise ConfigError(
            f"scorer {config.scorer.name} with strategy {config.strategy.name} needs a detector with {words_for(missing)} ({able}), "
            f"found {config.detector.name}."
        )
    if registry.needs_oracle(config) and not simulated:
        raise ConfigError("scorer.detection is 'oracle_loss', which needs the pool's ground truth: it exists in a simulation only.")
    fixed_thresholds(config.ask, classes)
