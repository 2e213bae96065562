"""From verdicts to the boxes of an annotation: the one path of a person, an imported file and the simulated annotator.

Returns boxes and their sources. Knows nothing of stores, of who answers, or of ground truth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from boxwise.boxes import Boxes
from boxwise.config import CostConfig
from boxwise.errors import BoxwiseError
from boxwise.evaluation.cost import charge
from boxwise.records import Action, Source, Verdict


def apply_verdicts(verdicts: Sequence[Verdict], proposals: Boxes | None = None) -> tuple[Boxes, tuple[Source, ...]]:
    """The boxes that `verdicts` leave standing, each HUMAN, since a person answered for it.

    proposals: the model's boxes that were shown, named by `ids`. KEEP, MOVE and RELABEL need one; DELETE drops it; a proposal
    without a verdict is not in the result. Raises BoxwiseError for a verdict on an unknown proposal or without its box or label.
    """
    shown = {} if proposals is None or proposals.ids is None else {str(box_id): row for row, box_id in enumerate(proposals.ids)}
    rows: list[tuple[Sequence[float], int, bool, bool]] = []
    for verdict in verdicts:
        if verdict.action is Action.DELETE:
            continue
        xyxy, label = verdict.xyxy, verdict.label
        if verdict.action is not Action.ADD:
            if proposals is None or verdict.box_id not in shown:
                raise BoxwiseError(f"{verdict.action.value} of box {verdict.box_id!r}: no such proposal was shown.")
            row = shown[verdict.box_id]
            xyxy = xyxy or tuple(proposals.xyxy[row].tolist())
            label = int(proposals.labels[row]) if label is None else label
        if xyxy is None or label is None:
            raise BoxwiseError(f"{verdict.action.value}: expected a box and a label, found {xyxy} and {label}.")
        rows.append((xyxy, label, verdict.difficult, verdict.crowd))
    return _columns(rows), (Source.HUMAN,) * len(rows)


def drawn(boxes: Boxes, cost: CostConfig) -> tuple[Verdict, ...]:
    """`boxes` as a person would enter them from nothing: one ADD each, charged as drawing."""
    difficult = np.zeros(len(boxes), bool) if boxes.difficult is None else boxes.difficult
    crowd = np.zeros(len(boxes), bool) if boxes.crowd is None else boxes.crowd
    return tuple(
        Verdict(Action.ADD, "", tuple(xyxy), int(label), charge(Action.ADD, cost), bool(hard), bool(many))
        for xyxy, label, hard, many in zip(boxes.xyxy.tolist(), boxes.labels, difficult, crowd, strict=True)
    )


def _columns(rows: list[tuple[Sequence[float], int, bool, bool]]) -> Boxes:
    if not rows:
        return Boxes.empty()
    xyxy, labels, difficult, crowd = zip(*rows, strict=True)
    return Boxes(np.array(xyxy), np.array(labels), difficult=np.array(difficult), crowd=np.array(crowd))
