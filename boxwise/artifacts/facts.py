"""What the steps of a round commit, one frozen record a step: the figures that the store keeps and every reader reads.

Returns records from JSON and JSON from records. What an older version did not write down yet is None or empty. Nested JSON is that of the
class that made it (`Metrics`, `Thresholds`, `OperatingPoint`, ...). Knows nothing of how the figures came about or are shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self, TypeVar

from boxwise.errors import StudyError
from boxwise.jsonable import plain
from boxwise.records import Phase, QueryItem

Json = Mapping[str, Any]
ORIGINAL = "original"  # the part of val that the study began with, among `EvaluateFacts.val_parts`


@dataclass(frozen=True)
class StepFacts:
    """The facts of one step. VERSION: of their JSON; it grows when a field changes its meaning, not when one joins.

    INNER: fields that are no figures, and long: the study itself needs them, and nobody else.
    """

    VERSION: ClassVar[int] = 1
    INNER: ClassVar[tuple[str, ...]] = ()

    def to_json(self) -> dict[str, Any]:
        """Known fields by name, and the version; NumPy's numbers become Python's, NaN becomes null."""
        values = {each.name: value for each in fields(self) if (value := getattr(self, each.name)) is not None}
        return {"version": self.VERSION, **plain(values)}

    def figures(self) -> dict[str, Any]:
        """`to_json` without the `INNER` fields: for whatever leaves the study."""
        return replace(self, **dict.fromkeys(self.INNER)).to_json()

    @classmethod
    def from_json(cls, found: Json) -> Self:
        """What `to_json` wrote, by this version or an earlier one. Raises StudyError for facts of a later version."""
        if (version := found.get("version", 1)) > cls.VERSION:
            raise StudyError(f"{cls.__name__} of version {version}, this boxwise knows up to {cls.VERSION}. Update boxwise.")
        values = {each.name: found[each.name] for each in fields(cls) if found.get(each.name) is not None}
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


@dataclass(frozen=True)
class SelectFacts(StepFacts):
    """What was asked and how it was chosen.

    candidates: images offered to the strategy. wanted: what the budget pays for, where the pool has no more. requeued: of those asked,
    how many were asked before; by_people: how many were people's wish. whole, boxwise: train images asked about as a whole, or by box.
    self_labeled: images that left no question to a person. seconds: of the strategy. ended: why nothing was asked and the study is
    over. known_classes: names that the first weights of the detector know, where that was asked; proposed: boxes they suggested in
    round 0, in proposing_seconds.
    """

    strategy: str = ""
    embedding: str | None = None
    candidates: int | None = None
    wanted: int | None = None
    requeued: int | None = None
    by_people: int | None = None
    seconds: float | None = None
    asked: int | None = None
    whole: int | None = None
    boxwise: int | None = None
    self_labeled: int | None = None
    val_drawn: int | None = None
    known_classes: tuple[str, ...] | None = None
    proposed: int | None = None
    proposing_seconds: float | None = None
    ended: str | None = None


@dataclass(frozen=True)
class AnnotateFacts(StepFacts):
    """What is labelled so far, on train, and what it cost; `new_…` of it in this round; `val_…` on val.

    boxes: those that a person answered for. by_hand_seconds: what drawing the very same boxes would have taken. actions: Action → times.
    """

    images: int | None = None
    boxes: int | None = None
    model_boxes: int | None = None
    seconds: float | None = None
    by_hand_seconds: float | None = None
    new_images: int | None = None
    new_boxes: int | None = None
    new_model_boxes: int | None = None
    new_seconds: float | None = None
    new_by_hand_seconds: float | None = None
    val_images: int | None = None
    val_boxes: int | None = None
    val_seconds: float | None = None
    actions: Json = field(default_factory=dict)


@dataclass(frozen=True)
class AuditFacts(StepFacts):
    """How right the scores were. n: images judged. fidelity: surrogate → Spearman ρ. true_losses: by image_id.

    weights: what they suggest to a scorer that learns its own, and weights_of: to which one. lure: the pool's risk, where images were
    drawn with known probabilities. lost: the file for want of which nothing was judged, and what is wrong with it.
    """

    n: int | None = None
    fidelity: Json = field(default_factory=dict)
    true_losses: Json = field(default_factory=dict)
    weights: Json | None = None
    weights_of: Json | None = None
    lure: Json | None = None
    lost: str | None = None


@dataclass(frozen=True)
class ComposeFacts(StepFacts):
    """What the policy decided. trained: images. labeled: size of the labelled set. joined, requeued, released: image ids.

    al_boxes, sl_boxes: boxes of annotated images by people, by the model. self_images, self_boxes: of the pool under self-labels.
    al_ratio, sl_score: by image_id, of those asked about. train: image ids; None: all that are annotated.
    """

    policy: str = ""
    trained: int | None = None
    labeled: int | None = None
    joined: tuple[str, ...] = ()
    requeued: tuple[str, ...] = ()
    released: tuple[str, ...] = ()
    al_boxes: int | None = None
    sl_boxes: int | None = None
    self_images: int | None = None
    self_boxes: int | None = None
    al_ratio: Json = field(default_factory=dict)
    sl_score: Json = field(default_factory=dict)
    train: tuple[str, ...] | None = None


@dataclass(frozen=True)
class TrainFacts(StepFacts):
    """How the training went. steps_behind: those of earlier rounds included, where training goes on from them. history: entries by step.

    folds: in cross-validation, of each training without a part: images of the part, steps, AP on it.
    """

    steps: int | None = None
    steps_behind: int | None = None
    stopped_early: bool | None = None
    best_ap: float | None = None
    images_per_second: float | None = None
    seconds: float | None = None
    history: tuple[Json, ...] = ()
    folds: tuple[Json, ...] = ()


@dataclass(frozen=True)
class EvaluateFacts(StepFacts):
    """Metrics on val and test, None where there are no images. val_parts: part of val → metrics, once it has grown.

    val_labels, test_labels: by which labels, as fingerprints (rounds/judging.py): part of val → image_id → its own, empty for an image that
    was looked at and had no labels to be judged by; image_id → its own. stopping_labels: one fingerprint of all by which `stopping_ap` was
    judged.
    """

    INNER = ("val_labels", "test_labels")

    val: Json | None = None
    test: Json | None = None
    val_parts: Json | None = None
    operating_point: Json | None = None
    val_labels: Mapping[str, Mapping[str, str]] | None = None
    test_labels: Mapping[str, str] | None = None
    stopping_labels: str | None = None

    @property
    def stopping_part(self) -> str:
        """The part of val that the stopping rule follows, since one that grows moves by itself: what the study began with or, where that
        has no AP, the earliest part that has one."""
        parts = [part for part, judged in (self.val_parts or {}).items() if judged and judged["ap"] is not None]
        return min(parts, key=_age, default=ORIGINAL)

    @property
    def stopping_ap(self) -> float | None:
        """The AP that the stopping rule follows."""
        judged = (self.val_parts or {}).get(self.stopping_part) or self.val
        return judged["ap"] if judged else None


def _age(part: str) -> float:
    """Parts of val in the order in which they came: what the study began with, each round's, what people added."""
    number = part.removeprefix("round ")
    return float(number) if number.isdecimal() else 0.0 if part == ORIGINAL else math.inf


@dataclass(frozen=True)
class ScoreFacts(StepFacts):
    """The pool pass. pool: images scored. seconds: of all processes that had a share in it. scorer: its figures, scored_by: which it was,
    with its options. terms: name → mean, std and quantiles. ended: why the study is over."""

    pool: int | None = None
    seconds: float | None = None
    images_per_second: float | None = None
    scorer: Json = field(default_factory=dict)
    scored_by: Json | None = None
    terms: Json = field(default_factory=dict)
    thresholds: Json | None = None
    calibration: Json | None = None
    objects: Json | None = None
    ended: str | None = None


FACTS: dict[Phase, type[StepFacts]] = {
    Phase.SELECT: SelectFacts,
    Phase.ANNOTATE: AnnotateFacts,
    Phase.AUDIT: AuditFacts,
    Phase.COMPOSE: ComposeFacts,
    Phase.TRAIN: TrainFacts,
    Phase.EVALUATE: EvaluateFacts,
    Phase.SCORE: ScoreFacts,
}
Step = TypeVar("Step", bound=StepFacts)


@dataclass(frozen=True)
class Round:
    """One round: the facts of its steps that are done, and the items of its query. A step that is not done has facts that know nothing."""

    round: int
    steps: Mapping[Phase, StepFacts] = field(default_factory=dict)
    items: tuple[QueryItem, ...] = ()

    @classmethod
    def from_json(cls, number: int, steps: Mapping[str, Json | None], items: tuple[QueryItem, ...] = ()) -> Self:
        """Of the facts as the store keeps them: phase name → JSON."""
        return cls(number, {Phase(name): FACTS[Phase(name)].from_json(found) for name, found in steps.items() if found}, items)

    def done(self, phase: Phase) -> bool:
        return phase in self.steps

    def metrics(self, split: str) -> Json | None:
        """The detection metrics on `split` (the JSON of evaluation.average_precision.Metrics), None when there are none."""
        found: Json | None = {"val": self.evaluate.val, "test": self.evaluate.test}.get(split)
        return found

    @property
    def ended(self) -> str | None:
        """Why the study was over with it, if it was."""
        return self.select.ended or self.score.ended

    @property
    def judged_on(self) -> str:
        """What the metrics called val's are of, in words."""
        folds = len(self.train.folds)
        return f"cross-validation in {folds} folds" if folds else "val"

    @property
    def select(self) -> SelectFacts:
        return self._of(Phase.SELECT, SelectFacts)

    @property
    def annotate(self) -> AnnotateFacts:
        return self._of(Phase.ANNOTATE, AnnotateFacts)

    @property
    def audit(self) -> AuditFacts:
        return self._of(Phase.AUDIT, AuditFacts)

    @property
    def compose(self) -> ComposeFacts:
        return self._of(Phase.COMPOSE, ComposeFacts)

    @property
    def train(self) -> TrainFacts:
        return self._of(Phase.TRAIN, TrainFacts)

    @property
    def evaluate(self) -> EvaluateFacts:
        return self._of(Phase.EVALUATE, EvaluateFacts)

    @property
    def score(self) -> ScoreFacts:
        return self._of(Phase.SCORE, ScoreFacts)

    def _of(self, phase: Phase, kind: type[Step]) -> Step:
        found = self.steps.get(phase)
        return found if isinstance(found, kind) else kind()


def stopping_aps(rounds: Iterable[Round]) -> dict[int, float]:
    """Round → the AP that the stopping rule follows, of the last round that has one and of those before it that were judged on the same
    images by the same labels: others do not compare. Where it is not known by which labels, they are taken to be the same."""
    judged = {one.round: one.evaluate for one in rounds if one.evaluate.stopping_ap is not None}
    last = list(judged.values())[-1].stopping_labels if judged else None
    return {
        number: facts.stopping_ap
        for number, facts in judged.items()
        if facts.stopping_ap is not None and (last is None or facts.stopping_labels in (None, last))
    }
