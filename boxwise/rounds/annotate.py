"""The step ANNOTATE: what the labels of the round cost, once they are all there.

Knows nothing of who gave them.
"""

from __future__ import annotations

from typing import Any

from boxwise.artifacts.facts import AnnotateFacts
from boxwise.errors import StudyError, quoted
from boxwise.evaluation.cost import by_hand
from boxwise.records import Phase, Split
from boxwise.rounds.context import RoundContext, StepResult


def annotate(context: RoundContext, round_index: int) -> StepResult:
    """Count the labour once every image of the query is labelled; labels of val that came with the images are priced as drawn by hand."""
    train, val = context.store.labour(Split.TRAIN), context.store.labour(Split.VAL)
    images, boxes = train.by_hand
    so_far: dict[str, Any] = {
        "images": train.images,
        "boxes": train.boxes,
        "model_boxes": train.model_boxes,
        "seconds": train.seconds,
        "by_hand_seconds": by_hand(images, boxes, context.config.cost),
    }
    before = context.committed(round_index - 1).annotate
    new = {f"new_{name}": amount - (getattr(before, name) or 0) for name, amount in so_far.items()}
    actions = {action.value: number for action, number in context.store.actions(round_index, Split.TRAIN).items()}
    if not train.images:
        raise StudyError(
            f"{context.folder}: no image of train is labelled and in use, so there is nothing to train on. Put some to use again "
            f"(boxwise include {quoted(context.folder)} IMAGE...), or give labels of any others "
            f"(boxwise import {quoted(context.folder)} LABELS)."
        )
    given = val.images - val.by_hand[0], val.boxes - val.by_hand[1]
    paid: dict[str, Any] = {
        "val_images": val.images,
        "val_boxes": val.boxes,
        "val_seconds": val.seconds + by_hand(*given, context.config.cost),
    }
    facts = AnnotateFacts(**so_far, **new, **paid, actions=actions)
    return StepResult(facts, (round_index, Phase.AUDIT if round_index else Phase.COMPOSE))
