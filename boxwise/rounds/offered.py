"""What a round may ask about: the scored pool without what was labelled since it was scored, and what people would be asked of each image.

Returns candidates for strategies, and the model's proposals. Knows nothing of how images are chosen, or of who answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from boxwise.annotation.proposals import Thresholds, fixed_thresholds, propose
from boxwise.artifacts.detections_file import read_detections
from boxwise.artifacts.scored_pool import read_scored_pool
from boxwise.records import Annotation, Proposals, Split
from boxwise.rounds.asking import askable, asks_ahead, charged, questions_of
from boxwise.rounds.context import RoundContext
from boxwise.rounds.scored_by import same_scorer
from boxwise.strategies.base import Candidates


@dataclass(frozen=True)
class Settled:
    """`before`: the annotation of each train image as the round began. `since`: the images annotated since, so since the pool pass."""

    before: Mapping[str, Annotation]
    since: Set[str]

    def class_counts(self, class_count: int) -> NDArray[np.float64]:
        """Objects labelled of each class; float64 [C]."""
        labels = [annotation.boxes.labels for annotation in self.before.values()]
        return np.bincount(np.concatenate([np.zeros(0, np.int64), *labels]), minlength=class_count).astype(np.float64)


def settled_before(context: RoundContext, round_index: int) -> Settled:
    """What people and the model have said of the train images, and which of it was said since the pool pass."""
    latest = context.store.annotations(Split.TRAIN)
    since = frozenset(image_id for image_id, annotation in latest.items() if annotation.round >= round_index)
    return Settled(context.store.annotations(Split.TRAIN, before=round_index) if since else latest, since)


def thresholds_of(context: RoundContext, round_index: int) -> Thresholds:
    """The thresholds for proposals of the detector that `round` trained: calibrated after it, or the config's."""
    found = context.committed(round_index).score.thresholds
    return Thresholds.from_json(found) if found else fixed_thresholds(context.config.ask, context.classes)


def proposals_on(context: RoundContext, round_index: int, image_ids: Set[str], settled: Settled) -> Iterator[Proposals]:
    """The model's suggestions on some images of the last pool pass, made from what people said of them before, if anything."""
    ask, thresholds = context.config.ask, thresholds_of(context, round_index - 1)
    changes = len(context.class_changes)  # after one a round may be asked anew, and no box of it is to have the id of another before
    prefix = f"r{round_index}.{changes}" if changes else f"r{round_index}"
    for image_id, detections in read_detections(context.files(round_index - 1).detections, only=image_ids):
        yield propose(image_id, detections, thresholds, overlap=ask.overlap, prefix=prefix, settled=settled.before.get(image_id))


class OfferedPool:
    """The pool as the round `round_index` may ask about it. ids: its images. askable: those that the mode of asking has anything for."""

    def __init__(self, context: RoundContext, round_index: int, settled: Settled, *, with_boxes: bool) -> None:
        self._round_index, self._config = round_index, context.config
        self._scored = read_scored_pool(context.files(round_index - 1), with_boxes=with_boxes)
        self._class_counts = settled.class_counts(len(context.classes))
        self._fidelity = latest_fidelity(context, round_index)
        self.ids: Set[str] = set(context.store.pool_ids()) - settled.since
        self._ahead = asks_ahead(context.config.ask.mode, context.config.budget.unit)
        self._questions = questions_of(proposals_on(context, round_index, self.ids, settled)) if self._ahead else {}
        self.askable = askable(context.config.ask.mode, self.ids, self._questions)

    def candidates(self, image_ids: Set[str]) -> Candidates:
        """These images as a strategy sees them, charged for what people would be asked."""
        drawn = self.drawn(image_ids)
        return charged(drawn, self._questions, mode=self._config.ask.mode, cost=self._config.cost) if self._ahead else drawn

    def drawn(self, image_ids: Set[str]) -> Candidates:
        """These images as a strategy would see them if each expected object were drawn."""
        return self._scored.candidates(
            self._round_index, image_ids, cost=self._config.cost, labeled_class_counts=self._class_counts, fidelity=self._fidelity
        )


def latest_fidelity(context: RoundContext, round_index: int) -> float | None:
    """How well scores of the scorer that scored the pool have predicted true losses, in the latest round that shows it; None: in none."""
    now, past = context.committed(round_index - 1).score.scored_by, range(round_index - 1, 0, -1)
    of_it = (number for number in past if same_scorer(context.committed(number - 1).score.scored_by, now))
    found = (context.committed(number).audit.fidelity.get("score") for number in of_it)
    return next((fidelity for fidelity in found if fidelity is not None), None)
