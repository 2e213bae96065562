"""The step EVALUATE: metrics on val, which serves decisions, and on test, which serves nothing but the report.

Leaves the detections on val in the round's folder, for thresholds and for looking at. Knows nothing of the pool.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxwise.artifacts.detections_file import row_groups, write_detections
from boxwise.artifacts.facts import ORIGINAL, EvaluateFacts
from boxwise.boxes import Boxes
from boxwise.detectors.names import DETECTORS
from boxwise.evaluation.operating_point import best_f1
from boxwise.records import Phase, Split
from boxwise.rounds.context import RoundContext, StepResult
from boxwise.rounds.folds import judged
from boxwise.rounds.judging import fingerprints, in_one, labels_to_judge_by

if TYPE_CHECKING:
    from boxwise.detectors.detector import TorchDetector

_BY_PEOPLE = "added later"  # the part of val that no round drew and round 0 did not have


def evaluate(context: RoundContext, round_index: int) -> StepResult:
    """Metrics on the whole of val, on each part of it if it has grown, and on test."""
    detector = context.load(round_index)
    if not context.committed(round_index).train.folds:
        write_detections(context.files(round_index).val_detections, _predicted(context, detector, Split.VAL)[0])
    return StepResult(_facts(context, round_index, _tested(context, detector)), (round_index, Phase.SCORE))


def judge_again(context: RoundContext, round_index: int) -> EvaluateFacts:
    """The metrics of a round by the labels of now: on val of what was detected then, on test of what the detector finds now, where its
    labels are known to have changed and the weights are there."""
    facts = context.committed(round_index).evaluate
    if facts.test_labels is not None and not context.lost(context.files(round_index).weights):
        now = labels_to_judge_by(context.store, Split.TEST)
        if facts.test_labels != fingerprints(now, now, len(context.classes)):
            facts = _tested(context, context.load(round_index))
    return _facts(context, round_index, facts)


def _facts(context: RoundContext, round_index: int, tested: EvaluateFacts) -> EvaluateFacts:
    """The facts with what is known of test, and val as it is now judged by the detections that the round has left."""
    files = context.files(round_index)
    found, truths = judged(context, round_index)
    metrics, point = _metrics(context, found, truths), best_f1(found, truths)
    parts = _parts(context, round_index, row_groups(files.val_detections))
    labels = {part: fingerprints(truths, images, len(context.classes)) for part, images in parts.items()}
    facts = replace(
        tested,
        val=metrics,
        val_parts=_on_parts(context, parts, found, truths),
        operating_point=None if point is None else point.to_json(),
        val_labels=labels,
    )
    facts = replace(facts, stopping_labels=in_one(labels[facts.stopping_part]))
    if context.config.detector.name in DETECTORS and not context.lost(files.weights):
        _note(files.weights, round_index, facts)
    return facts


def _note(weights: Path, round_index: int, facts: EvaluateFacts) -> None:
    """Let the weights alone say from which score their boxes are best kept."""
    from boxwise.detectors.weights_file import note

    val = facts.val and {name: facts.val[name] for name in ("ap", "ap50", "images", "intervals")}
    note(weights, {"round": round_index, "val": val, "operating_point": facts.operating_point})


def _tested(context: RoundContext, detector: TorchDetector) -> EvaluateFacts:
    """What is known of test."""
    found, truths = _predicted(context, detector, Split.TEST)
    return EvaluateFacts(test=_metrics(context, found, truths), test_labels=fingerprints(truths, truths, len(context.classes)))


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


def _parts(context: RoundContext, round_index: int, images: Iterable[str]) -> dict[str, list[str]]:
    """The images that judge a round, in parts: those that the study began to judge by, those that each round has added, and those that
    people have added.

    Of val a round's are random draws; in cross-validation all that was labelled.
    """
    split = Split.TRAIN if context.committed(round_index).train.folds else Split.VAL
    begun = _begun_with(context, round_index)
    drawn: dict[str, str] = {}
    for number in range(context.store.position[0] + 1):
        for item in context.store.query(number).items:
            if item.split is split:
                drawn.setdefault(item.image_id, f"round {number}" if number else ORIGINAL)
    parts: dict[str, list[str]] = {ORIGINAL: []}
    for image_id in images:
        of_nobody = ORIGINAL if begun is None or image_id in begun else _BY_PEOPLE
        parts.setdefault(drawn.get(image_id, of_nobody), []).append(image_id)
    return parts


def _on_parts(
    context: RoundContext, parts: Mapping[str, Sequence[str]], found: Mapping[str, Boxes], truths: Mapping[str, Boxes]
) -> dict[str, Any] | None:
    """Metrics on each part of which images have labels; None where there are no others than the first."""
    judging = {name: {i: truths[i] for i in images if i in truths} for name, images in parts.items()}
    judging = {name: part for name, part in judging.items() if part or name == ORIGINAL}
    if judging.keys() == {ORIGINAL}:
        return None
    return {name: _metrics(context, {i: found[i] for i in part}, part, details=False) for name, part in judging.items()}


def _begun_with(context: RoundContext, round_index: int) -> set[str] | None:
    """The images that round 0 was judged on; None where its file is gone, was never written, or one of the two rounds alone was judged by
    cross-validation."""
    path, folds = context.files(0).val_detections, [bool(context.committed(number).train.folds) for number in (0, round_index)]
    return set(row_groups(path)) if folds[0] is folds[1] and path.exists() else None
