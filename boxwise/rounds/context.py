"""What every step works with.

Knows nothing of what a step does, or of when it is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import Generator, default_rng

from boxwise import registry
from boxwise.annotation.class_change import Renamed
from boxwise.artifacts.facts import Round, StepFacts
from boxwise.artifacts.round_folder import RoundFolder, round_folder
from boxwise.boxes import Boxes
from boxwise.config import StudyConfig
from boxwise.detectors.names import DETECTORS
from boxwise.detectors.start import start_of
from boxwise.errors import StudyError, quoted
from boxwise.records import Annotation, Phase, Query, Sample, Split
from boxwise.store import Store

if TYPE_CHECKING:  # torch is imported by the steps that need it, so that status and import stay instant
    from boxwise.detectors.detector import TorchDetector

# One stream of random numbers a step; a number once given is never given again, or published runs would draw other numbers.
_STREAMS = {
    Phase.SELECT: 0,
    Phase.ANNOTATE: 1,
    Phase.AUDIT: 2,
    Phase.TRAIN: 3,
    Phase.EVALUATE: 4,
    Phase.SCORE: 5,
    Phase.COMPOSE: 7,
}
_VALIDATION_STREAM, _MINING_STREAM, _MEMBER_STREAM, _FOLD_STREAM, _DOUBLE_STREAM, _EMBEDDING_STREAM = 8, 9, 10, 11, 12, 13


@dataclass(frozen=True)
class Event:
    """Progress of a long step: `step` of `steps`, and figures worth showing. finished: the step's facts are committed.

    message: something worth saying that is no progress; `step` and `steps` are 0 then.
    """

    round: int
    phase: Phase
    step: int
    steps: int
    figures: Mapping[str, float] = field(default_factory=dict)
    finished: bool = False
    message: str = ""


@dataclass(frozen=True)
class StepResult:
    """What a finished step leaves: its facts, the next position, and the query if it asked one.

    annotations: what the model labelled without a person. pool: image_id → whether the image stays in the pool.
    """

    facts: StepFacts
    then: tuple[int, Phase]
    query: Query | None = None
    annotations: tuple[Annotation, ...] = ()
    pool: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class RoundContext:
    """What a step works with. `oracle` is ground truth for the upper-bound arm, None outside simulation."""

    folder: Path
    store: Store
    config: StudyConfig
    classes: tuple[str, ...]
    oracle: Callable[[str], Boxes] | None
    on_event: Callable[[Event], None]
    class_changes: Sequence[Renamed] = ()

    def rng(self, round_index: int, phase: Phase) -> Generator:
        return default_rng([self.config.seed, round_index, _STREAMS[phase]])

    def validation_rng(self, round_index: int) -> Generator:
        """For the draw of validation images: the same for every strategy."""
        return default_rng([self.config.seed, round_index, _VALIDATION_STREAM])

    def mining_rng(self, round_index: int) -> Generator:
        return default_rng([self.config.seed, round_index, _MINING_STREAM])

    def double_rng(self, round_index: int) -> Generator:
        """For which images two people label."""
        return default_rng([self.config.seed, round_index, _DOUBLE_STREAM])

    def embedding_rng(self) -> Generator:
        """For an embedder that learns from the study's images: the same whenever it does."""
        return default_rng([self.config.seed, 0, _EMBEDDING_STREAM])

    def member_seeds(self, round_index: int, member: int) -> tuple[int, int]:
        """For a further member of an ensemble: that of its first weights, the same in every round, and that of the round's training."""
        initial = default_rng([self.config.seed, 0, _MEMBER_STREAM, member]).integers(2**31)
        training = default_rng([self.config.seed, round_index, _MEMBER_STREAM, member]).integers(2**31, size=2)[1]
        return int(initial), int(training)

    def fold_rng(self, round_index: int) -> Generator:
        """For which labelled image is in which fold."""
        return default_rng([self.config.seed, round_index, _FOLD_STREAM])

    def fold_seeds(self, round_index: int, folds: int) -> list[int]:
        """For the training without each fold."""
        return [int(default_rng([self.config.seed, round_index, _FOLD_STREAM, fold]).integers(2**31)) for fold in range(folds)]

    def watch(self, round_index: int, phase: Phase) -> Callable[[int, int, Mapping[str, float]], None]:
        return lambda step, steps, figures: self.on_event(Event(round_index, phase, step, steps, figures))

    def say(self, round_index: int, phase: Phase, message: str) -> None:
        """Tell whoever watches something that is no progress."""
        self.on_event(Event(round_index, phase, 0, 0, message=message))

    def committed(self, round_index: int) -> Round:
        """What the steps of a round committed so far; the items of its query are the store's."""
        return Round.from_json(round_index, self.store.facts_of(round_index))

    def files(self, round_index: int) -> RoundFolder:
        """The files that a round leaves."""
        return round_folder(self.folder, round_index)

    def build(self, *, seed: int | None = None) -> TorchDetector:
        """A detector with its first weights, from the study's seed unless another is given."""
        seed, device = self.config.seed if seed is None else seed, self.device()
        return registry.build_detector(self.classes, self.config.detector, seed=seed, device=device)

    def device(self) -> Any:
        """Where networks run, a torch.device; threads are set up for it."""
        from boxwise.runtime import choose_device, prepare

        prepare(self.config.threads)
        return choose_device(self.config.device)

    def check_start(self) -> None:
        """Build the detector once where its first weights are a download or a file, so that what is wrong with them shows before anyone is
        asked for labels."""
        own = self.config.detector
        if own.name in DETECTORS and start_of(own) != "none":
            self.build()

    def load(self, round_index: int) -> TorchDetector:
        """The detector that a round trained."""
        return self.load_from(self.files(round_index).weights)

    def lost(self, weights: Path) -> str | None:
        """Why a detector's weights cannot be read any more; None where they can. Those of an installed package have a form of their own."""
        from boxwise.artifacts.damage import lost  # reads Parquet, which questions to a study need not load

        return lost(weights, own=self.config.detector.name in DETECTORS)

    def load_from(self, weights: Path) -> TorchDetector:
        """The detector whose weights were saved there."""
        if why := self.lost(weights):
            raise StudyError(f"{weights}: {why}. See `boxwise repair {quoted(self.folder)}`.")
        own = self.config.detector
        return registry.load_detector(self.classes, own, weights, device=self.device(), changes=self.class_changes)

    def go_on_from(self, detector: TorchDetector, weights: Path) -> None:
        """Give `detector` the weights that were saved there, perhaps when the study had other classes."""
        if why := self.lost(weights):
            raise StudyError(
                f"{weights}: {why}, and this training goes on from there. Put the file back from a copy, or train from the first weights: "
                f"boxwise set {quoted(self.folder)} train.start=initial"
            )
        registry.go_on_from(detector, self.config.detector, weights, changes=self.class_changes)

    def samples(self, split: Split, *, only: Collection[str] | None = None) -> list[Sample]:
        """The annotated images of a split in id order, or those of them in `only`."""
        labels, self_weight = self.store.annotations(split), self.config.policy.self_weight
        records = self.store.records(image_id for image_id in labels if only is None or image_id in only)
        return [
            Sample(record, label.boxes, label.complete, label.rejected, _weights(label, self_weight), label.by_model)
            for record, label in ((record, labels[record.image_id]) for record in records)
        ]


def _weights(annotation: Annotation, self_weight: float) -> np.ndarray | None:
    """1 for what a person answered for, `self_weight` for the rest; None where all are 1."""
    if self_weight == 1 or not annotation.by_model.any():
        return None
    return np.where(annotation.by_model, self_weight, 1.0).astype(np.float32)
