"""The rung COMPOSE: the curriculum decides what the next training sees and what becomes of the images asked about.

Leaves self-labels, if any, in the round's folder. Knows nothing of how the decision is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from boxwise import recipes
from boxwise.annotation.proposals import as_found_now, propose
from boxwise.box_tables import read_consistency, write_self_labels
from boxwise.config import resolve
from boxwise.curricula.base import Curriculum, Material, PoolImage, TrainingPlan, al_ratio, sl_score
from boxwise.records import Annotation, Phase, Split
from boxwise.rungs.bench import Bench, Rung
from boxwise.rungs.selecting import thresholds_of
from boxwise.scorers.detections_file import read_detections

SELF_LABELS, CONSISTENCY = "self_labels.parquet", "consistency.parquet"


def curriculum_of(bench: Bench) -> Curriculum:
    config = bench.config.curriculum
    return recipes.named("curriculum", recipes.CURRICULA, config.name)(config)


def compose(bench: Bench, round: int) -> Rung:
    """Everything labelled in round 0; from then on what the curriculum says."""
    curriculum, annotations = curriculum_of(bench), bench.store.annotations(Split.TRAIN)
    material = _material(bench, round, annotations)
    plan = curriculum.compose(material, rng=bench.rng(round, Phase.COMPOSE)) if round else TrainingPlan(tuple(annotations))
    if plan.self_labels:
        write_self_labels(bench.file(round, SELF_LABELS), plan.self_labels)
    facts = _facts(bench, plan, material, annotations) | {"train": list(plan.train) if curriculum.partial and round else None}
    return Rung(facts, (round, Phase.TRAIN), pool=_pool(bench, plan, material))


def _material(bench: Bench, round: int, annotations: Mapping[str, Annotation]) -> Material:
    asked = {item.image_id for number in range(1, round + 1) for item in bench.store.query(number).items}
    joined = {image_id for number in range(1, round) for image_id in bench.facts(number, Phase.COMPOSE).get("joined", [])}
    now = [item.image_id for item in bench.store.query(round).items] if round else []
    return Material(
        round,
        resolve(bench.config.budget.per_round, len(bench.store.images(Split.TRAIN)), "budget.per_round"),
        labeled={image_id: a for image_id, a in annotations.items() if image_id not in asked or image_id in joined},
        seen={image_id: a for image_id, a in annotations.items() if image_id in asked} | _rescored(bench, round, annotations, now),
        new=tuple(image_id for image_id in now if image_id in annotations),
        pool=lambda: _unannotated(bench, round, annotations),
    )


def _rescored(bench: Bench, round: int, annotations: Mapping[str, Annotation], now: Sequence[str]) -> dict[str, Annotation]:
    """The images asked about again, judged anew: what people answered for before and the model is certain of by now counts as its own.

    Else no image that people have labelled could ever leave the queue. Only the policy sees them so; training sees who labelled what.
    """
    before = bench.store.annotations(Split.TRAIN, before=round)
    again = {image_id for image_id in now if image_id in before and image_id in annotations}
    if not again:
        return {}
    overlap, thresholds, found = bench.config.ask.overlap, thresholds_of(bench, round - 1), {}
    for image_id, detections in read_detections(bench.file(round - 1, "detections.parquet"), only=again):
        made = propose(image_id, detections, thresholds, overlap=overlap, prefix="")
        found[image_id] = as_found_now(annotations[image_id], before[image_id], made.boxes[made.certain], overlap=overlap)
    return found


def _unannotated(bench: Bench, round: int, annotations: Mapping[str, Annotation]) -> Iterator[PoolImage]:
    """What the last pool pass found in the images that nobody has annotated."""
    least = thresholds_of(bench, round - 1).uncertain
    pool = {record.image_id for record in bench.store.pool()} - set(annotations)
    consistency = read_consistency(bench.file(round - 1, CONSISTENCY))
    for image_id, boxes in read_detections(bench.file(round - 1, "detections.parquet"), only=pool):
        yield PoolImage(image_id, boxes.at_least(least), consistency.get(image_id))


def _pool(bench: Bench, plan: TrainingPlan, material: Material) -> dict[str, bool]:
    """Which of the images asked about stay in the pool: those given back, and those of which only boxes were asked."""
    stays = {*plan.requeue, *plan.release}
    if bench.config.ask.mode == "boxes":
        stays |= {image_id for image_id in material.new if not material.seen[image_id].complete}
    return {image_id: image_id in stays for image_id in {*material.new, *plan.joins, *stays}}


def _facts(bench: Bench, plan: TrainingPlan, material: Material, annotations: Mapping[str, Annotation]) -> dict[str, Any]:
    by_model = [annotations[image_id].by_model for image_id in plan.train]
    asked = {image_id: material.seen[image_id] for image_id in material.new}
    return {
        "policy": bench.config.curriculum.name,
        "trained": len(plan.train),
        "labeled": len({*material.labeled, *plan.joins}),
        "joined": list(plan.joins),
        "requeued": list(plan.requeue),
        "released": list(plan.release),
        "al_boxes": int(sum(np.sum(~boxes) for boxes in by_model)),
        "sl_boxes": int(sum(np.sum(boxes) for boxes in by_model)),
        "self_images": len(plan.self_labels),
        "self_boxes": sum(len(labels.boxes) for labels in plan.self_labels.values()),
        "al_ratio": {image_id: al_ratio(annotation) for image_id, annotation in asked.items()},
        "sl_score": {image_id: sl_score(annotation) for image_id, annotation in asked.items()},
    }
