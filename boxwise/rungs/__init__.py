"""What each rung of a round does: one file a rung, all over one `Bench`.

A rung reads the store and the files of earlier rungs, and returns facts and the next position; only study.py commits them. A rung
killed half way is simply done again: every random draw comes from (seed, round, rung).
Knows nothing of folders of other studies, of who annotates, or of how results are shown.
"""

from collections.abc import Callable, Sequence

from boxwise import recipes
from boxwise.annotation.proposals import fixed_thresholds
from boxwise.config import StudyConfig
from boxwise.errors import ConfigError
from boxwise.records import Phase
from boxwise.rungs.annotating import annotate
from boxwise.rungs.auditing import audit
from boxwise.rungs.bench import Bench, Event, Rung, round_folder
from boxwise.rungs.composing import SELF_LABELS, compose
from boxwise.rungs.evaluating import evaluate
from boxwise.rungs.scoring import score
from boxwise.rungs.selecting import PROPOSALS, select
from boxwise.rungs.training import tidy, train, train_along

__all__ = ["LADDER", "PROPOSALS", "SELF_LABELS", "Bench", "Event", "Rung", "check", "round_folder", "tidy", "train_along"]

LADDER: dict[Phase, Callable[[Bench, int], Rung]] = {
    Phase.SELECT: select,
    Phase.ANNOTATE: annotate,
    Phase.AUDIT: audit,
    Phase.COMPOSE: compose,
    Phase.TRAIN: train,
    Phase.EVALUATE: evaluate,
    Phase.SCORE: score,
}


def check(config: StudyConfig, classes: Sequence[str], *, simulated: bool = False) -> None:
    """ConfigError for a detector, scorer, strategy, curriculum or class that nothing is called, before any work is done.

    simulated: whether the pool's ground truth is at hand, without which `oracle_loss` is refused.
    """
    recipes.named("strategy", recipes.STRATEGIES, config.strategy.name)
    recipes.named("curriculum", recipes.CURRICULA, config.curriculum.name)
    recipes.named("detector", recipes.detectors(), config.detector.name)
    recipes.named("scorer", recipes.scorers(), config.scorer.name)
    if config.scorer.name == "mixture" and config.detector.name not in recipes.mixture_detectors():
        known = ", ".join(recipes.mixture_detectors())
        raise ConfigError(f"scorer mixture needs a detector with mixture heads ({known}), found {config.detector.name}.")
    if recipes.needs_oracle(config) and not simulated:
        raise ConfigError("scorer.detection is 'oracle_loss', which needs the pool's ground truth: it exists in a simulation only.")
    fixed_thresholds(config.ask, classes)
