"""From verdicts to the annotation of an image: the one path of a person, an imported file and the simulated annotator.

Returns annotations, and the verdicts of drawing everything. Knows nothing of stores, of who answers, or of ground truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from boxwise.boxes import Boxes
from boxwise.config import CostConfig
from boxwise.errors import BoxwiseError
from boxwise.evaluation.cost import charge
from boxwise.records import Action, Annotation, Proposals, Source, Verdict


@dataclass(frozen=True)
class Shown:
    """The boxes an annotator has before them: a person's settled ones, then the proposals.

    boxes: with `ids` (str), `difficult`, `crowd` and `scores` (NaN for a person's). settled: bool [N], a person's of an earlier round,
    which verdicts name by `settled_id`. accepted: bool [N], in the annotation unless a verdict says otherwise: settled or certain.
    """

    boxes: Boxes
    settled: NDArray[np.bool_]
    accepted: NDArray[np.bool_]


def settled_id(row: int) -> str:
    """The `box_id` of the `row`-th of a person's boxes in `Proposals.settled`, for who changes their mind about one."""
    return f"settled:{row}"


def shown_to_annotator(proposals: Proposals | None) -> Shown:
    """What `proposals` put before an annotator; nothing where there are none."""
    offered = Boxes.empty() if proposals is None else proposals.boxes
    certain = np.zeros(0, bool) if proposals is None else proposals.certain
    own = Boxes.empty()
    if proposals is not None and proposals.settled is not None:
        own = replace(proposals.settled.boxes[~proposals.settled.by_model], scores=None)
    ids = [] if offered.ids is None else [str(box_id) for box_id in offered.ids]
    boxes = Boxes.concatenate([_filled(own, [settled_id(row) for row in range(len(own))]), _filled(offered, ids)])
    return Shown(boxes, np.arange(len(boxes)) < len(own), np.concatenate([np.ones(len(own), bool), certain]))


def annotation_of(
    image_id: str, verdicts: Sequence[Verdict], proposals: Proposals | None = None, *, complete: bool = True, round_index: int = 0
) -> Annotation:
    """What is on an image after `verdicts`: a person's settled boxes, what the verdicts say, certain proposals without an answer.

    In that order; the first two are HUMAN, the last MODEL with their scores. Uncertain proposals without a verdict are not in it.
    `rejected` keeps the settled ones and gains every box that was DELETEd. A settled box is answered for under its `settled_id`.
    Raises BoxwiseError for a verdict on an unknown box, two on the same one, or one that lacks its box or label.
    """
    before = shown_to_annotator(proposals)
    row_of = {str(box_id): row for row, box_id in enumerate(before.boxes.ids)} if before.boxes.ids is not None else {}
    left, answers, deleted = before.accepted.copy(), [], []
    for verdict in verdicts:
        row = None if verdict.action is Action.ADD else _taken(image_id, verdict, row_of)
        if row is not None:
            left[row] = False
        if verdict.action is Action.DELETE:
            deleted.append(row)
        else:
            answers.append(_answer(image_id, verdict, before.boxes, row))
    own, models = before.boxes[left & before.settled], before.boxes[left & ~before.settled]
    boxes = _joined([own, *answers], models)
    sources = (Source.HUMAN,) * (len(own) + len(answers)) + (Source.MODEL,) * len(models)
    rejected = before.boxes.xyxy[np.array(deleted, np.int64)]
    if proposals is not None and proposals.settled is not None:
        rejected = np.concatenate([proposals.settled.rejected, rejected])
    return Annotation(image_id, boxes, sources, complete, rejected, round_index)


def drawn(boxes: Boxes, cost: CostConfig) -> tuple[Verdict, ...]:
    """`boxes` as a person would enter them from nothing: one ADD each, charged as drawing."""
    full = _filled(boxes, [""] * len(boxes))
    assert full.difficult is not None and full.crowd is not None
    return tuple(
        Verdict(Action.ADD, "", tuple(xyxy), int(label), 0.0 if again else charge(Action.ADD, cost), bool(hard), bool(many))
        for xyxy, label, hard, many, again in zip(
            full.xyxy.tolist(), full.labels, full.difficult, full.crowd, full.repeats_region, strict=True
        )
    )


def _filled(boxes: Boxes, ids: Sequence[str]) -> Boxes:
    """`boxes` with the columns that `Shown` promises."""
    no = np.zeros(len(boxes), bool)
    return Boxes(
        boxes.xyxy,
        boxes.labels,
        scores=np.full(len(boxes), np.nan) if boxes.scores is None else boxes.scores,
        difficult=no if boxes.difficult is None else boxes.difficult,
        crowd=no if boxes.crowd is None else boxes.crowd,
        ids=np.array(ids, object),
    )


def check_labels(image_id: str, boxes: Boxes, classes: Sequence[str]) -> None:
    """Raises BoxwiseError for a label that is no number of a class, and for a box that is none."""
    if wrong := [int(label) for label in boxes.labels if not 0 <= label < len(classes)]:
        raise BoxwiseError(f"{image_id}: label {wrong[0]}, expected 0 to {len(classes) - 1} ({', '.join(classes)}).")
    wrong_box = ~((boxes.xyxy[:, 2:] > boxes.xyxy[:, :2]).all(axis=1) & np.isfinite(boxes.xyxy).all(axis=1))
    if wrong_box.any():
        raise BoxwiseError(f"{image_id}: box {boxes.xyxy[wrong_box][0].tolist()}, expected finite x1 < x2 and y1 < y2.")


def _taken(image_id: str, verdict: Verdict, row_of: dict[str, int]) -> int:
    """The row that a verdict answers for; -1 marks in `row_of` that it is answered."""
    row = row_of.get(verdict.box_id)
    if row is None:
        raise BoxwiseError(f"{image_id}: {verdict.action.value} of box {verdict.box_id!r}: no such proposal was shown.")
    if row < 0:
        raise BoxwiseError(f"{image_id}: {verdict.action.value} of box {verdict.box_id!r}: it has a verdict already, expected one a box.")
    row_of[verdict.box_id] = -1
    return row


def _answer(image_id: str, verdict: Verdict, boxes: Boxes, row: int | None) -> Boxes:
    """The one box that a verdict leaves."""
    xyxy, label = verdict.xyxy, verdict.label
    if row is not None and xyxy is None and verdict.action is not Action.MOVE:
        xyxy = tuple(boxes.xyxy[row].tolist())
    if row is not None and label is None and verdict.action is not Action.RELABEL:
        label = int(boxes.labels[row])
    if xyxy is None or label is None:
        raise BoxwiseError(f"{image_id}: {verdict.action.value}: expected a box and a label, found {xyxy} and {label}.")
    flags = {"difficult": np.array([verdict.difficult]), "crowd": np.array([verdict.crowd])}
    return Boxes(np.array([xyxy]), np.array([label]), scores=np.array([np.nan]), ids=np.array([""], object), **flags)


def _joined(human: Sequence[Boxes], models: Boxes) -> Boxes:
    """All boxes as an annotation has them: without ids, and with scores only where one is the model's."""
    boxes = Boxes.concatenate([*human, models])
    if not len(boxes):
        return Boxes.empty()
    return replace(boxes, ids=None, scores=boxes.scores if len(models) else None)
