"""The step SCORE: one pass over the pool for the next round's selection, and the thresholds of its proposals.

Leaves scores, embeddings and detections in the round's folder; ends the study when budget, pool or stopping rule says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from boxwise import registry
from boxwise.annotation.proposals import Thresholds, fixed_thresholds
from boxwise.artifacts.box_tables import write_consistency
from boxwise.artifacts.detections_file import read_detections
from boxwise.artifacts.facts import ScoreFacts
from boxwise.artifacts.scored_pool import ScoredPool, write_scored_pool
from boxwise.boxes import Boxes
from boxwise.evaluation.expected_objects import ObjectCounts
from boxwise.records import ImageRecord, Phase, Scores, Split
from boxwise.rounds.compose import policy_of
from boxwise.rounds.context import RoundContext, StepResult
from boxwise.rounds.embedding import StudyEmbeddings, strategy_embedding
from boxwise.rounds.ending import end_of
from boxwise.rounds.folds import judged
from boxwise.rounds.opening import open_first
from boxwise.rounds.parts import PassPlan, PoolParts, Shard, begun
from boxwise.rounds.scored_by import scored_by

if TYPE_CHECKING:
    from boxwise.detectors.detector import TorchDetector
    from boxwise.scorers.pool_pass import PoolPass

Matrix = NDArray[np.float32]
_MOST_HOSTS = 200  # labelled images that crops are pasted into, drawn at random: enough to hold five without any class


def score(context: RoundContext, round_index: int) -> StepResult:
    """Score the pool, or end the study."""
    end = end_of(context, round_index)
    if end:
        return StepResult(ScoreFacts(ended=end.why), (round_index, Phase.DONE))
    started = monotonic()
    detector = context.load(round_index)
    val = judged(context, round_index)
    thresholds, calibration = _thresholds(context, *val)
    objects = ObjectCounts.fit(*val, len(context.classes))
    scores, pass_, unreadable = _score_pool(context, round_index, detector, objects)
    context.files(round_index).consistency.unlink(missing_ok=True)  # of another pass over the pool
    if policy_of(context).validates:
        _cross_validate(context, round_index, detector, thresholds)
    seconds = monotonic() - started + pass_.seconds_elsewhere
    for image_id, fault in unreadable.items():
        context.store.quarantine(image_id, fault)
    facts = ScoreFacts(
        pool=len(scores.image_ids),
        seconds=seconds,
        images_per_second=len(scores.image_ids) / max(seconds, 1e-9),
        scorer=pass_.plan.figures,
        scored_by=scored_by(context.config.scorer),
        terms={name: _summary(values) for name, values in scores.terms.items()},
        thresholds=thresholds.to_json(),
        calibration=calibration,
        objects=objects.to_json(),
    )
    return StepResult(facts, (round_index + 1, Phase.SELECT))


def inspect_shard(context: RoundContext, round_index: int, shard: Shard) -> str | None:
    """Inspect the shard's part of the pool, and begin the pass if no other process has; returns why there is none, if so."""
    end = end_of(context, round_index)
    if end is None:
        pass_ = begun(context, round_index, context.load(round_index))
        pass_.inspect(shard)
        _embed_parts(context, round_index, pass_.plan, shard)
    return end and end.why


def _embed_parts(context: RoundContext, round_index: int, plan: PassPlan, shard: Shard) -> tuple[StudyEmbeddings | None, Mapping[str, str]]:
    """Embed the shard's images, where the strategy goes by another embedder than the round's detector; image_id → why unreadable."""
    name = strategy_embedding(context.config)
    if name is None:
        return None, {}
    watch, made = context.watch(round_index, Phase.SCORE), StudyEmbeddings(context, name)
    parts = [plan.images_of(number) for number in shard.of(len(plan.parts))]
    return made, made.make(parts, lambda done, total: watch(done, total, {}))


def _thresholds(context: RoundContext, found: Mapping[str, Boxes], truths: Mapping[str, Boxes]) -> tuple[Thresholds, dict[str, Any] | None]:
    """The thresholds of the next proposals, and how they were found on val if a precision is wanted."""
    from boxwise.annotation.calibration import calibrate

    ask = context.config.ask
    if ask.target_precision is None:
        return fixed_thresholds(ask, context.classes), None
    calibration = calibrate(
        found,
        truths,
        context.classes,
        target_precision=ask.target_precision,
        confidence=ask.confidence,
        method=ask.calibration,
        lowest=ask.uncertain,
    )
    return calibration.thresholds(ask.uncertain), calibration.to_json()


def _score_pool(
    context: RoundContext, round_index: int, detector: TorchDetector, objects: ObjectCounts
) -> tuple[Scores, PoolParts, Mapping[str, str]]:
    """Inspect what no other process has inspected of the pool, join all parts, and leave what was learned in the round's folder.

    Returns the scores, the pass, and the images that could not be read.
    """
    from boxwise.scorers.pool_pass import join

    files, pass_ = context.files(round_index), begun(context, round_index, detector)
    pass_.inspect()
    found = join(
        pass_.found(),
        len(pass_.plan.images),
        len(context.classes),
        detections_path=files.detections,
        keep_boxes=registry.strategy_of(context.config.strategy).uses_boxes,
        objects=objects,
    )
    scores = pass_.scorer.score(found.image_ids, found.terms)
    made, unseen = _embed_parts(context, round_index, pass_.plan, Shard(1, 1))
    seen = {image.image_id: image for image in pass_.plan.images}
    pool = [seen[image_id] for image_id in found.image_ids]
    embeddings, labeled = _by_detector(context, detector, found) if made is None else _by(made, context, pool)
    write_scored_pool(files, ScoredPool(scores, embeddings, labeled, found.box_counts, found.class_counts, found.boxes))
    return scores, pass_, {**unseen, **found.unreadable}


def _by(made: StudyEmbeddings, context: RoundContext, pool: Sequence[ImageRecord]) -> tuple[Matrix, Matrix]:
    """Of the pool's images and of the labelled ones. A pool image that could not be read a second time has a row of zeros, which is like
    nothing; it goes out of use with this step."""
    labeled = [sample.image for sample in context.samples(Split.TRAIN)]
    made.make_all(labeled, lambda done, total: None)
    (embeddings, _), (of_labeled, embedded) = made.read(pool), made.read(labeled)
    return embeddings, of_labeled[embedded] if embedded.any() else embeddings[:0]


def _by_detector(context: RoundContext, detector: TorchDetector, found: PoolPass) -> tuple[Matrix, Matrix]:
    labeled = _labeled_embeddings(context, detector)
    return found.embeddings, found.embeddings[:0] if labeled is None else labeled


def _labeled_embeddings(context: RoundContext, detector: TorchDetector) -> Matrix | None:
    """Of the labelled images, where the strategy asks for them and there are any."""
    from boxwise.scorers.no_score import NoScore
    from boxwise.scorers.pool_pass import inspect_pool

    if not registry.strategy_of(context.config.strategy).uses_embeddings:
        return None
    images = [sample.image for sample in context.samples(Split.TRAIN)]
    return (
        inspect_pool(detector, NoScore(), images, batch=context.config.score_batch, workers=context.config.workers).embeddings
        if images
        else None
    )


def _cross_validate(context: RoundContext, round_index: int, detector: TorchDetector, thresholds: Thresholds) -> None:
    """Paste what the model is surest of into labelled images and see whether it is found again."""
    from boxwise.scorers.cross_image import cross_validate, most_confident

    unlabelled = set(context.store.pool_ids()) - set(context.store.annotations(Split.TRAIN))
    path = context.files(round_index).detections
    shortlist = most_confident(
        ((i, boxes.at_least(thresholds.uncertain)) for i, boxes in read_detections(path, only=unlabelled)),
        policy_of(context).validates,
    )
    open_first(context.store, shortlist)
    records = {record.image_id: record for record in context.store.records(shortlist)}
    images = [(records[i], boxes.at_least(thresholds.uncertain)) for i, boxes in read_detections(path, only=set(shortlist))]
    rng = context.mining_rng(round_index)
    hosts = [sample for sample in context.samples(Split.TRAIN) if sample.complete]
    hosts = [hosts[row] for row in rng.permutation(len(hosts))[:_MOST_HOSTS]]
    passed = cross_validate(detector, images, hosts, rng=rng, batch=context.config.score_batch)
    write_consistency(context.files(round_index).consistency, passed)


def _summary(values: NDArray[np.float64]) -> dict[str, Any]:
    if not len(values):
        return {"mean": None, "std": None, "quantiles": []}
    quantiles = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
    return {"mean": float(values.mean()), "std": float(values.std()), "quantiles": quantiles.tolist()}
