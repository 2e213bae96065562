"""The step COMPOSE: the policy decides what the next training sees and what becomes of the images asked about.

Leaves self-labels, if any, in the round's folder. Knows nothing of how the decision is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from boxwise import registry
from boxwise.annotation.proposals import as_found_now, propose
from boxwise.artifacts.box_tables import read_consistency, write_self_labels
from boxwise.artifacts.detections_file import read_detections
from boxwise.artifacts.facts import ComposeFacts
from boxwise.config import resolve
from boxwise.policies.base import Material, Policy, PoolImage, TrainingPlan, al_ratio, sl_score
from boxwise.records import Annotation, Phase, Split
from boxwise.rounds.context import RoundContext, StepResult
from boxwise.rounds.offered import thresholds_of


def policy_of(context: RoundContext) -> Policy:
    return registry.policy_of(context.config.policy)


def compose(context: RoundContext, round_index: int) -> StepResult:
    """Everything labelled in round 0; from then on what the policy says."""
    policy, annotations = policy_of(context), context.store.annotations(Split.TRAIN)
    material = _material(context, round_index, annotations)
    plan = policy.compose(material, rng=context.rng(round_index, Phase.COMPOSE)) if round_index else TrainingPlan(tuple(annotations))
    if plan.self_labels:
        write_self_labels(context.files(round_index).self_labels, plan.self_labels)
    facts = replace(_facts(context, plan, material, annotations), train=tuple(plan.train) if policy.partial and round_index else None)
    return StepResult(facts, (round_index, Phase.TRAIN), pool=_pool(context, plan, material))


def _material(context: RoundContext, round_index: int, annotations: Mapping[str, Annotation]) -> Material:
    """What the policy may look at. What was asked about under another policy is in the labelled set, whatever that one made of it."""
    asked = {number: [item.image_id for item in context.store.query(number).items] for number in range(1, round_index + 1)}
    before = {number: context.committed(number).compose for number in range(1, round_index)}
    others = {number for number, facts in before.items() if facts.policy not in (context.config.policy.name, "")}  # "": an older version
    joined = {image_id for facts in before.values() for image_id in facts.joined}
    outside = {image_id for number in asked.keys() - others for image_id in asked[number]} - joined
    seen, now = {image_id for of_round in asked.values() for image_id in of_round}, asked.get(round_index, [])
    new = tuple(image_id for image_id in now if image_id in annotations)
    return Material(
        round_index,
        _batch(context, new),
        labeled={image_id: a for image_id, a in annotations.items() if image_id not in outside},
        seen={image_id: a for image_id, a in annotations.items() if image_id in seen} | _rescored(context, round_index, annotations, now),
        new=new,
        pool=lambda: _unannotated(context, round_index, annotations),
        class_count=len(context.classes),
    )


def _batch(context: RoundContext, new: Sequence[str]) -> int:
    """K of the policies, which counts images: the round's budget in images, or as many as were asked about for one in boxes or seconds."""
    budget = context.config.budget
    if budget.unit != "images":
        return len(new)
    return resolve(budget.per_round, context.store.image_count(Split.TRAIN), "budget.per_round")


def _rescored(context: RoundContext, round_index: int, annotations: Mapping[str, Annotation], now: Sequence[str]) -> dict[str, Annotation]:
    """The images asked about again, judged again: what people answered for before and the model is certain of by now counts as its own.

    Else no image that people have labelled could ever leave the queue. Only the policy sees them so; training sees who labelled what.
    """
    before = context.store.annotations(Split.TRAIN, before=round_index)
    again = {image_id for image_id in now if image_id in before and image_id in annotations}
    if not again:
        return {}
    overlap, thresholds, found = context.config.ask.overlap, thresholds_of(context, round_index - 1), {}
    for image_id, detections in read_detections(context.files(round_index - 1).detections, only=again):
        made = propose(image_id, detections, thresholds, overlap=overlap, prefix="")
        found[image_id] = as_found_now(annotations[image_id], before[image_id], made.boxes[made.certain], overlap=overlap)
    return found


def _unannotated(context: RoundContext, round_index: int, annotations: Mapping[str, Annotation]) -> Iterator[PoolImage]:
    """What the last pool pass found in the images without an annotation."""
    least = thresholds_of(context, round_index - 1).uncertain
    pool = set(context.store.pool_ids()) - set(annotations)
    consistency = read_consistency(context.files(round_index - 1).consistency)
    for image_id, boxes in read_detections(context.files(round_index - 1).detections, only=pool):
        yield PoolImage(image_id, boxes.at_least(least), consistency.get(image_id))


def _pool(context: RoundContext, plan: TrainingPlan, material: Material) -> dict[str, bool]:
    """Which of the images asked about stay in the pool: those given back, and those of which only boxes were asked."""
    stays = {*plan.requeue, *plan.release}
    if context.config.ask.mode == "boxes":
        stays |= {image_id for image_id in material.new if not material.seen[image_id].complete}
    return {image_id: image_id in stays for image_id in {*material.new, *plan.joins, *stays}}


def _facts(context: RoundContext, plan: TrainingPlan, material: Material, annotations: Mapping[str, Annotation]) -> ComposeFacts:
    by_model = [annotations[image_id].by_model for image_id in plan.train]
    asked = {image_id: material.seen[image_id] for image_id in material.new}
    return ComposeFacts(
        policy=context.config.policy.name,
        trained=len(plan.train),
        labeled=len({*material.labeled, *plan.joins}),
        joined=tuple(plan.joins),
        requeued=tuple(plan.requeue),
        released=tuple(plan.release),
        al_boxes=int(sum(np.sum(~boxes) for boxes in by_model)),
        sl_boxes=int(sum(np.sum(boxes) for boxes in by_model)),
        self_images=len(plan.self_labels),
        self_boxes=sum(len(labels.boxes) for labels in plan.self_labels.values()),
        al_ratio={image_id: al_ratio(annotation) for image_id, annotation in asked.items()},
        sl_score={image_id: sl_score(annotation) for image_id, annotation in asked.items()},
    )
