"""Which settings of a study may still change, and from when on a change holds.

Returns reasons against a change, and the step that has to be done again because of it. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from boxwise.config import StudyConfig, leaves
from boxwise.records import Phase

_STEPS = tuple(Phase)
_ANOTHER_DETECTOR = "rounds trained by different detectors do not compare; make another study, or compare both with `boxwise simulate`"
_OF_NEXT_TRAINING = ("detector.score_threshold", "detector.nms_iou", "detector.max_detections")  # thresholds are no other detector
_OPEN_QUESTIONS = "its questions are open and were asked under it; hand in the answers, then change it"
# The steps that go by a key; the first that fits it. By all others whatever is done next does.
_STEPS_OF = {
    "seed": (Phase.SELECT,),
    "ask.": (Phase.SELECT,),
    "strategy.": (Phase.SELECT,),
    "cold_start.": (Phase.SELECT,),
    "labelling.double": (Phase.SELECT,),
    "budget.rounds": (Phase.SCORE,),
    "budget.total": (Phase.SELECT, Phase.SCORE),
    "budget.unit": (Phase.SELECT, Phase.SCORE),
    "budget.": (Phase.SELECT,),
    "policy.self_weight": (Phase.TRAIN,),
    "policy.": (Phase.COMPOSE,),
    "detector.": (Phase.TRAIN,),  # what is trained keeps the thresholds that it was trained with
    "train.": (Phase.TRAIN,),
    "scorer.": (Phase.SCORE,),
    "embedding.": (Phase.SCORE,),
    "stop.": (Phase.SCORE,),
}
_SCORED = ("scorer.", "strategy.", "embedding.", "policy.", "ask.", "score_batch")  # what the score step prepares the next selection by


@dataclass(frozen=True)
class Change:
    """One key with its value before and after."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True)
class StudyPosition:
    """Where a study is: the round and step that come next, and whether questions about boxes are open."""

    round_index: int
    phase: Phase
    questions: bool

    def before(self, round_index: int, phase: Phase) -> bool:
        """Whether that step of that round is still to come."""
        return (self.round_index, _STEPS.index(self.phase)) <= (round_index, _STEPS.index(phase))


def changes(old: StudyConfig, new: StudyConfig) -> list[Change]:
    """Every key whose value differs."""
    before, after = _values(old), _values(new)
    return [Change(key, before.get(key), after.get(key)) for key in sorted(before | after) if before.get(key) != after.get(key)]


def refusals(wanted: Iterable[Change], position: StudyPosition) -> list[str]:
    """`key: reason` for each change that is not safe any more."""
    return [f"{change.key}: {reason}." for change in wanted if (reason := _reason(change, position))]


def scores_anew(wanted: Iterable[Change], position: StudyPosition) -> bool:
    """Whether the pool has to be scored again, since the next selection would go by scores of the settings before."""
    return position.phase is Phase.SELECT and position.round_index > 0 and any(change.key.startswith(_SCORED) for change in wanted)


def holds(key: str, number: int, phase: Phase) -> str:
    """From when on a change of `key` holds, in words, made before the step `phase` of round `number`.

    A study that was done goes on with its last score step.
    """
    if key == "cost.per_hour":
        return "for all rounds, those that are over too"
    if key.startswith("cost."):
        return "for labels handed in from now on"
    steps = next((steps for prefix, steps in _STEPS_OF.items() if key.startswith(prefix)), ())
    if not steps:
        return "from now on"
    at = _STEPS.index(Phase.SCORE if phase is Phase.DONE else phase)
    step = next((step for step in steps if _STEPS.index(step) >= at), steps[0])
    return f"from {step.value} of round {number + (_STEPS.index(step) < at)} on"


def _reason(change: Change, position: StudyPosition) -> str | None:
    key = change.key
    if key == "store":
        return "labels and rounds are in the database that it names"
    if key == "seed" and not position.before(0, Phase.SELECT):
        return "images were drawn by it already"
    if key.startswith("cold_start.") or key in ("budget.initial", "budget.validation"):
        return None if position.before(0, Phase.SELECT) else "round 0 has been asked already"
    if key.startswith("detector.") and key not in _OF_NEXT_TRAINING:
        return None if position.before(0, Phase.TRAIN) else _ANOTHER_DETECTOR
    if key == "budget.rounds" and change.after < position.round_index:
        return f"round {position.round_index} has begun, expected {position.round_index} or more, found {change.after}"
    return _OPEN_QUESTIONS if key in ("ask.mode", "ask.overlap") and position.questions else None


def _values(config: StudyConfig) -> dict[str, Any]:
    return dict(leaves(config.model_dump(mode="json")))
