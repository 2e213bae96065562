"""Round 0's proposals: what a detector that knows classes of the study already, as COCO's releases do, finds before any training.

Returns proposals of known classes alone; objects of the others are drawn by hand. Knows nothing of how the images were chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import numpy as np

from boxwise.annotation.proposals import Thresholds, fixed_thresholds, propose
from boxwise.config import StudyConfig
from boxwise.detectors.names import DETECTORS
from boxwise.detectors.start import start_of
from boxwise.records import ImageRecord, Phase, Proposals
from boxwise.rounds.context import RoundContext


@dataclass(frozen=True)
class FirstProposals:
    """made: image_id → proposals. whole: images that are shown as a whole in every mode, because something may have to be drawn.
    facts: what is worth keeping. unreadable: image_id → message."""

    made: Mapping[str, Proposals] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()
    facts: dict[str, Any] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)


def first_proposals(context: RoundContext, images: Sequence[ImageRecord]) -> FirstProposals:
    """Proposals on `images` where the mode of asking shows any and the first weights know a class of the study; else none."""
    config = context.config
    if not images or not may_propose(config):
        return FirstProposals()
    from boxwise.detectors.prediction import predict

    detector, watch = context.build(), context.watch(0, Phase.SELECT)
    if not detector.known:
        return FirstProposals(facts={"known_classes": []})
    started, thresholds, labels = monotonic(), _thresholds(context), sorted(detector.known)
    found, unreadable = predict(
        detector,
        images,
        batch=config.score_batch,
        workers=config.workers,
        progress=lambda done, total: watch(done, total, {}),
    )
    made = {
        image_id: propose(image_id, boxes[np.isin(boxes.labels, labels)], thresholds, overlap=config.ask.overlap, prefix="r0")
        for image_id, boxes in found.items()
    }
    all_known = len(labels) == len(context.classes)
    facts = {
        "known_classes": [context.classes[label] for label in labels],
        "proposed": sum(len(each.boxes) for each in made.values()),
        "proposing_seconds": monotonic() - started,
    }
    whole = frozenset(image_id for image_id, each in made.items() if not (all_known and len(each.boxes)))
    return FirstProposals(made, whole, facts, unreadable)


def may_propose(config: StudyConfig) -> bool:
    """Whether round 0 has proposals if the first weights, which are a whole detector's, know a class."""
    own = config.detector.name in DETECTORS
    return config.ask.mode in ("review", "trust") and own and start_of(config.detector) in ("coco", "file")


def _thresholds(context: RoundContext) -> Thresholds:
    """As configured; where a precision is wanted no box is certain, since there is no val yet to say from which score it is reached."""
    ask = context.config.ask
    if ask.target_precision is None:
        return fixed_thresholds(ask, context.classes)
    return Thresholds(np.full(len(context.classes), np.inf), ask.uncertain)
