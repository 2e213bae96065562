"""The step EVALUATE: metrics on val, which serves decisions, and on test, which serves nothing but the report.

Leaves the detections on val in the round's folder, for thresholds and for looking at. Knows nothing of the pool.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from boxwise.artifacts.detections_file import row_groups, write_detections
from boxwise.artifacts.facts import ORIGINAL, EvaluateFacts
from boxwise.boxes import Boxes
from boxwise.detectors.names import DETECTORS
from boxwise.evaluation.operating_point import best_f1
from boxwise.records import Phase, Split
from boxwise.rounds.context import RoundContext, StepResult
from boxwise.rounds.folds import judged

if TYPE_CHECKING:
    from boxwise.detectors.detector import TorchDetector

_BY_PEOPLE = "added later"  # the part of val that no round drew and round 0 did not have


def evaluate(context: RoundContext, round_index: int) -> StepResult:
    """Metrics on the whole of val, on each part of it if it has grown, and on test."""
    from boxwise.detectors.weights_file import note

    detector = context.load(round_index)
    if not context.committed(round_index).train.folds:
        write_detections(context.files(round_index).val_detections, _predicted(context, detector, Split.VAL)[0])
    found, truths = judged(context, round_index)
    metrics, point = _metrics(context, found, truths), best_f1(found, truths)
    facts = EvaluateFacts(
        val=metrics,
        test=_metrics(context, *_predicted(context, detector, Split.TEST)),
        val_parts=_parts(context, round_index, found, truths),
        operating_point=None if point is None else point.to_json(),
    )
    if context.config.detector.name in DETECTORS:  # the weights alone then say from which score their boxes are best kept
        val = metrics and {name: metrics[name] for name in ("ap", "ap50", "images", "intervals")}
        known = {"round": round_index, "val": val, "operating_point": facts.operating_point}
        note(context.files(round_index).weights, known)
    return StepResult(facts, (round_index, Phase.SCORE))


def _predicted(context: RoundContext, detector: TorchDetector, split: Split) -> tuple[dict[str, Boxes], dict[str, Boxes]]:
    """Detections and labels of the images of a split that can be read, by image id."""
    from boxwise.detectors.prediction import predict

    samples = [sample for sample in context.samples(split) if sample.complete]
    images = [sample.image for sample in samples]
    found, unreadable = predict(detector, images, batch=context.config.score_batch, workers=context.config.workers)
    for image_id, fault in unreadable.items():
        context.store.quarantine(image_id, fault)
    return found, {sample.image.image_id: sample.boxes for sample in samples if sample.image.image_id in found}


def _metrics(
    context: RoundContext, found: Mapping[str, Boxes], truths: Mapping[str, Boxes], *, details: bool = True
) -> dict[str, Any] | None:
    from boxwise.evaluation.average_precision import coco_metrics
    from boxwise.evaluation.bootstrap import ap_intervals

    if not truths:
        return None
    metrics = coco_metrics(found, truths, context.classes, details=details)
    return replace(metrics, intervals=ap_intervals(found, truths, context.classes) if details else {}).to_json()


def _parts(context: RoundContext, round_index: int, found: Mapping[str, Boxes], truths: Mapping[str, Boxes]) -> dict[str, Any] | None:
    """Metrics on the images that the study began to judge by, on those that each round has added and on those that people have added;
    None while there are no others than the first.

    Of val a round's are random draws; in cross-validation all that was labelled.
    """
    split = Split.TRAIN if context.committed(round_index).train.folds else Split.VAL
    begun = _begun_with(context, round_index)
    joined = {image_id: _BY_PEOPLE for image_id in truths if begun is not None and image_id not in begun}
    drawn: dict[str, str] = {}
    for number in range(round_index + 1):
        for item in context.store.query(number).items:
            if item.split is split:
                drawn.setdefault(item.image_id, f"round {number}" if number else ORIGINAL)
    joined |= drawn
    if set(joined.values()) <= {ORIGINAL}:
        return None
    parts: dict[str, dict[str, Boxes]] = {ORIGINAL: {}}
    for image_id, truth in truths.items():
        parts.setdefault(joined.get(image_id, ORIGINAL), {})[image_id] = truth
    return {name: _metrics(context, {image_id: found[image_id] for image_id in part}, part, details=False) for name, part in parts.items()}


def _begun_with(context: RoundContext, round_index: int) -> set[str] | None:
    """The images that round 0 was judged on; None where its file is gone, was never written, or one of the two rounds alone was judged by
    cross-validation."""
    path, folds = context.files(0).val_detections, [bool(context.committed(number).train.folds) for number in (0, round_index)]
    return set(row_groups(path)) if folds[0] is folds[1] and path.exists() else None
