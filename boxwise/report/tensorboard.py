"""Scalars for TensorBoard, one event file a round.

Writing a round again replaces its file, so that a resumed study leaves no point twice. Knows nothing of stores, and needs
neither torch nor TensorFlow.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from boxwise.files import replacing
from boxwise.report.facts import Round, number, train_losses

Scalar = tuple[str, int, float]
_METRICS = {"ap": "AP", "ap50": "AP50", "ap75": "AP75"}


def write_scalars(logdir: Path, rounds: Sequence[Round]) -> None:
    """Every round's scalars, with the training steps of the rounds laid end to end."""
    first_step = 0
    for round in rounds:
        log_round(logdir, round, first_step=first_step)
        first_step += int(round.phase("train").get("steps") or 0)


def log_round(logdir: Path, round: Round, *, first_step: int = 0) -> Path:
    """The round's event file, written aside and renamed into place.

    Figures of the round (metrics, labels, fidelity) stand at step = round; loss terms and lr at `first_step` + the training step.
    """
    target = logdir / f"events.out.tfevents.{round.round:010d}.boxwise"
    staged = logdir / f"round_{round.round:02d}.staged"  # TensorBoard reads every file named tfevents, half-written ones too
    with replacing(staged) as aside, aside.open("wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
        for tag, step, value in _finite([*_round_scalars(round), *_training_scalars(round, first_step)]):
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
            writer.write(Event(wall_time=time.time(), step=step, summary=summary).SerializeToString())
    return staged.replace(target)


def _round_scalars(round: Round) -> Iterator[Scalar]:
    annotate, train = round.phase("annotate"), round.phase("train")
    for split in ("val", "test"):
        metrics = round.metrics(split) or {}
        yield from _tagged(split, round.round, {name: metrics.get(key) for key, name in _METRICS.items()})
    yield from _tagged("labelled", round.round, {name: annotate.get(name) for name in ("images", "boxes", "seconds")})
    yield from _tagged("fidelity", round.round, round.phase("audit").get("fidelity") or {})
    yield from _tagged("weights", round.round, round.phase("audit").get("weights") or {})
    yield from _tagged("speed", round.round, {"train_images_per_second": train.get("images_per_second")})
    yield from _tagged("speed", round.round, {"pool_images_per_second": round.phase("score").get("images_per_second")})


def _training_scalars(round: Round, first_step: int) -> Iterator[Scalar]:
    names = ["lr", "ap", *train_losses(round)]
    for entry in round.phase("train").get("history") or []:
        yield from _tagged("train", first_step + int(entry["step"]), {name: entry.get(name) for name in names})


def _tagged(group: str, step: int, values: Mapping[str, Any]) -> Iterator[Scalar]:
    for name, value in values.items():
        yield f"{group}/{name}", step, number(value)


def _finite(scalars: Sequence[Scalar]) -> Iterator[Scalar]:
    return (scalar for scalar in scalars if math.isfinite(scalar[2]))
