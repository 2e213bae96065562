"""Scalars, histograms and pictures for TensorBoard, one event file a round.

Writing a round again replaces its file, so that a resumed study leaves no point twice. Knows nothing of stores, and needs
neither torch nor TensorFlow.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.histogram_pb2 import HistogramProto
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.summary.writer.record_writer import RecordWriter

from boxwise.errors import ImageError
from boxwise.files import replacing
from boxwise.report.drawing import draw_sources
from boxwise.results.facts import Cell, Round, ap_shifts, hardest, mean_value, number, train_losses
from boxwise.results.self_labels import quality_of

Scalar = tuple[str, int, float]
MOST_IMAGES = 6
_METRICS = {"ap": "AP", "ap50": "AP50", "ap75": "AP75"}
_BY_MODEL = ("model_boxes", "by_hand_seconds")
_BINS = np.linspace(0, 1, 21)
_LEGEND = SummaryMetadata(
    plugin_data=SummaryMetadata.PluginData(plugin_name="images"),
    summary_description="Green, dashed: by the model. Amber, whole: by a person.",
)


def write_events(logdir: Path, cell: Cell) -> None:
    """Every round of the cell, with the training steps of the rounds laid end to end."""
    first_step, shifts = 0, ap_shifts(cell)
    for one_round in cell.rounds:
        figures = {"val/AP_shift": shifts.get(one_round.round), **_cooperation(cell, one_round)}
        scalars = ((tag, one_round.round, number(value)) for tag, value in figures.items())
        log_round(logdir, one_round, first_step=first_step, scalars=tuple(scalars), values=_cooperation_values(cell, one_round))
        first_step += int(one_round.train.steps or 0)


def log_round(
    logdir: Path, one_round: Round, *, first_step: int = 0, scalars: Sequence[Scalar] = (), values: Sequence[Summary.Value] = ()
) -> Path:
    """The round's event file, written aside and renamed into place.

    Figures of the round (metrics, labels, fidelity) are at step = round; loss terms and lr at `first_step` + the training step.
    scalars, values: what the round's own facts do not hold; values are at step = round.
    """
    target = logdir / f"events.out.tfevents.{one_round.round:010d}.boxwise"
    staged = logdir / f"round_{one_round.round:02d}.staged"  # TensorBoard reads every file named tfevents, half-written ones too
    finite = _finite([*_round_scalars(one_round), *scalars, *_training_scalars(one_round, first_step)])
    points = [(step, Summary.Value(tag=tag, simple_value=value)) for tag, step, value in finite]
    with replacing(staged) as aside, aside.open("wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
        for step, value in [*points, *((one_round.round, value) for value in values)]:
            writer.write(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])).SerializeToString())
    return staged.replace(target)


def _round_scalars(one_round: Round) -> Iterator[Scalar]:
    annotate, train = one_round.annotate, one_round.train
    for split in ("val", "test"):
        metrics = one_round.metrics(split) or {}
        yield from _tagged(split, one_round.round, {name: metrics.get(key) for key, name in _METRICS.items()})
    yield from _tagged("labelled", one_round.round, {name: getattr(annotate, name) for name in ("images", "boxes", "seconds", *_BY_MODEL)})
    for part, metrics in (one_round.evaluate.val_parts or {}).items():
        yield f"val_parts/{part.replace(' ', '_')}", one_round.round, number((metrics or {}).get("ap"))
    yield from _tagged("lure", one_round.round, one_round.audit.lure or {})
    yield from _tagged("fidelity", one_round.round, one_round.audit.fidelity)
    yield from _tagged("weights", one_round.round, one_round.audit.weights or {})
    yield from _tagged("speed", one_round.round, {"train_images_per_second": train.images_per_second})
    yield from _tagged("speed", one_round.round, {"pool_images_per_second": one_round.score.images_per_second})


def _cooperation(cell: Cell, one_round: Round) -> dict[str, Any]:
    """Who labelled what the round trained on; sl_precision and sl_recall in simulation only. Empty where a person labelled everything."""
    if not cell.cooperates:
        return {}
    plan, quality = one_round.compose, quality_of(cell, one_round.round)
    model, human = number(plan.sl_boxes), number(plan.al_boxes)
    figures = {
        "sl_boxes": model,
        "al_boxes": human,
        "sl_ratio": model / (model + human) if model + human > 0 else None,
        "self_images": plan.self_images,
        "self_boxes": plan.self_boxes,
        "sl_score": mean_value(plan.sl_score),
        "sl_precision": quality.precision if quality else None,
        "sl_recall": quality.recall if quality else None,
    }
    return {f"cooperation/{name}": value for name, value in figures.items()}


def _cooperation_values(cell: Cell, one_round: Round) -> list[Summary.Value]:
    """The AL ratio of each image asked, and some of them with their boxes; nothing where a person drew every box."""
    if cell.ask == "full":
        return []
    ratios = np.array([number(value) for value in one_round.compose.al_ratio.values()], np.float64)
    finite = ratios[np.isfinite(ratios)]
    histogram = [Summary.Value(tag="cooperation/al_ratio", histo=_histogram(finite))] if len(finite) else []
    return histogram + list(_pictures(cell, one_round))


def _histogram(values: NDArray[np.float64]) -> HistogramProto:
    """Counts between the first and the last bin with a value; the first limit is the lower edge of the first bin, with a count of 0."""
    counts = np.histogram(values, _BINS)[0]
    first, last = np.flatnonzero(counts)[[0, -1]]
    return HistogramProto(
        min=values.min(),
        max=values.max(),
        num=len(values),
        sum=values.sum(),
        sum_squares=(values**2).sum(),
        bucket_limit=_BINS[first : last + 2].tolist(),
        bucket=[0.0, *counts[first : last + 1].tolist()],
    )


def _pictures(cell: Cell, round_index: Round) -> Iterator[Summary.Value]:
    """At most `MOST_IMAGES`, from the hardest of the round to the easiest, so that both sources are seen; none that cannot be read."""
    _, ranked = hardest(cell, round_index)
    rows = np.unique(np.linspace(0, len(ranked) - 1, min(MOST_IMAGES, len(ranked))).round().astype(int))
    for rank, row in enumerate(rows, start=1):
        image_id, _ = ranked[row]
        uri, boxes = cell.images.get(image_id), cell.labels[image_id]
        if uri is None:
            continue
        try:
            drawn = draw_sources(uri, boxes, cell.by_model.get(image_id, np.zeros(len(boxes), bool)))
        except ImageError:
            continue
        buffer = io.BytesIO()
        drawn.save(buffer, "JPEG", quality=85)
        image = Summary.Image(height=drawn.height, width=drawn.width, colorspace=3, encoded_image_string=buffer.getvalue())
        yield Summary.Value(tag=f"cooperation/image_{rank}", image=image, metadata=_LEGEND)


def _training_scalars(one_round: Round, first_step: int) -> Iterator[Scalar]:
    names = ["lr", "ap", *train_losses(one_round)]
    for entry in one_round.train.history:
        yield from _tagged("train", first_step + int(entry["step"]), {name: entry.get(name) for name in names})


def _tagged(group: str, step: int, values: Mapping[str, Any]) -> Iterator[Scalar]:
    for name, value in values.items():
        yield f"{group}/{name}", step, number(value)


def _finite(scalars: Sequence[Scalar]) -> Iterator[Scalar]:
    return (scalar for scalar in scalars if math.isfinite(scalar[2]))
