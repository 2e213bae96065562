"""The rung TRAIN: the detector learns from what the curriculum composed.

Leaves weights in the round's folder. Knows nothing of how the images were chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from boxwise.box_tables import read_self_labels
from boxwise.errors import StaleCheckpointError, StudyError
from boxwise.records import Phase, Sample, Split
from boxwise.rungs.bench import Bench, Rung
from boxwise.rungs.composing import SELF_LABELS, curriculum_of

if TYPE_CHECKING:
    from boxwise.detectors.base import FitReport
    from boxwise.detectors.detector import TorchDetector

Progress = Callable[[int, int, dict[str, float]], None]


def train(bench: Bench, round: int) -> Rung:
    """Train from the initial weights or from those of the round before, as the config says."""
    started = monotonic()
    detector, report = _fit(bench, round)
    detector.save(bench.weights_file(round))
    for image_id, fault in report.unreadable.items():
        bench.store.quarantine(image_id, fault)
    facts = {
        "steps": report.steps,
        "stopped_early": report.stopped_early,
        "best_ap": report.best_ap,
        "images_per_second": report.images_per_second,
        "seconds": monotonic() - started,
        "history": list(report.history),
    }
    return Rung(facts, (round, Phase.EVALUATE))


def train_along(bench: Bench, round: int) -> None:
    """What the ranks other than 0 do under torchrun: the same training, nothing written."""
    _fit(bench, round)


def tidy(bench: Bench, round: int, phase: Phase) -> None:
    """Remove what a committed rung no longer needs."""
    if phase is Phase.TRAIN:
        _checkpoint(bench, round).unlink(missing_ok=True)


def _fit(bench: Bench, round: int) -> tuple[TorchDetector, FitReport]:
    detector = bench.build()
    if goes_on(bench, round):
        detector.load(bench.weights_file(round - 1))
    seed = int(bench.rng(round, Phase.TRAIN).integers(2**31))
    return detector, teach(
        bench, round, detector, seed=seed, checkpoint=_checkpoint(bench, round), progress=bench.watch(round, Phase.TRAIN)
    )


def teach(bench: Bench, round: int, detector: TorchDetector, *, seed: int, checkpoint: Path, progress: Progress) -> FitReport:
    """Train `detector` in place on what the round composed; a checkpoint made before labels were told anew is of no use and starts over."""
    fit = partial(
        detector.fit,
        _lessons(bench, round),
        bench.samples(Split.VAL),
        bench.config.train,
        seed=seed,
        workers=bench.config.workers,
        checkpoint=checkpoint,
        progress=progress,
    )
    try:
        return fit()
    except StaleCheckpointError:
        checkpoint.unlink()
        return fit()


def goes_on(bench: Bench, round: int) -> bool:
    """Whether the round's training starts from the weights of the round before."""
    start = bench.config.train.start
    return round > 0 and (curriculum_of(bench).partial if start == "auto" else start == "previous")


def _lessons(bench: Bench, round: int) -> list[Sample]:
    """What the round trains on: annotated images, then pool images under the model's own labels, which are never complete."""
    chosen = bench.facts(round, Phase.COMPOSE).get("train")
    samples = bench.samples(Split.TRAIN, only=None if chosen is None else set(chosen))
    own = read_self_labels(bench.file(round, SELF_LABELS))
    told = set(bench.store.annotations(Split.TRAIN)) if own else set()  # a person may have, since the round was composed
    records = {record.image_id: record for record in bench.store.images(Split.TRAIN) if record.image_id not in told} if own else {}
    samples += [
        Sample(records[image_id], labels.boxes, complete=False, weights=labels.weights)
        for image_id, labels in own.items()
        if image_id in records
    ]
    if bench.config.train.incomplete == "leave_out":
        samples = [sample for sample in samples if sample.complete]
    if not samples:
        raise StudyError(f"{bench.folder}: round {round} has nothing to train on; see `boxwise status {bench.folder}`.")
    return samples


def _checkpoint(bench: Bench, round: int) -> Path:
    return bench.file(round, "checkpoint.pt")
