"""Which acts made these labels of those proposals: a person corrected them in another tool and hands in the final boxes.

Returns verdicts. Knows nothing of files, of the order in which the person worked, or of ground truth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boxwise.annotation.verdicts import Shown, shown_to_annotator
from boxwise.boxes import Boxes, iou
from boxwise.config import CostConfig
from boxwise.evaluation.cost import charge
from boxwise.evaluation.matching import greedy_pairs
from boxwise.records import Action, Annotation, Proposals, Verdict

ROUNDING_PIXELS = 0.5
SAME_IOU = 0.98
MOVED_IOU = 0.5


def verdicts_from(labels: Boxes, proposals: Proposals, cost: CostConfig) -> tuple[Verdict, ...]:
    """The acts that turn what was shown into `labels`, each charged; `annotation_of` gives these boxes and classes back.

    Labels and shown boxes are matched one to one: a label that carries a shown box's id first, wherever it went, then the largest IoU of
    the same class, then of another class.
    An equal box is one of the same class within half a pixel at every edge, or of IoU ≥ .98: files round, so it is taken as shown. Equal to
    an uncertain proposal: KEEP; to a certain one or to a settled box: no act. In place under another class: RELABEL. IoU ≥ .5: MOVE.
    A label without partner: ADD, charged once for all the crowds of a region; a shown box without partner, a settled one too: DELETE.
    Flags that `labels` has no column for stay as shown; other flags than shown make a standing box a KEEP.
    """
    before = shown_to_annotator(proposals)
    in_place = _in_place(labels, before.boxes)
    partner = dict(greedy_pairs(_affinity(labels, before.boxes, in_place), 0.0))
    again = labels.repeats_region
    acts = [_act(labels, row, before, partner.get(row), in_place, cost, again=bool(again[row])) for row in range(len(labels))]
    gone = np.setdiff1d(np.arange(len(before.boxes)), list(partner.values()))
    deleted = [Verdict(Action.DELETE, _id(before, int(row)), seconds=charge(Action.DELETE, cost)) for row in gone]
    return (*(act for act in acts if act is not None), *deleted)


def same_labels(a: Boxes, b: Boxes, *, within: float = ROUNDING_PIXELS) -> bool:
    """Whether two sets of labels are the same, in any order: each box has its own of the same class, `within` pixels at every edge."""
    apart = np.abs(a.xyxy[:, None] - b.xyxy[None]).max(axis=2, initial=0)
    near = np.where(a.labels[:, None] == b.labels[None], within - apart, -1).astype(np.float32)
    return len(a) == len(b) == len(greedy_pairs(near, 0.0))


def says_nothing_new(before: Annotation | None, after: Boxes, *, incomplete: bool, asked: bool, waiting: bool) -> bool:
    """Whether labels given again leave an image as it is.

    incomplete: objects are known to be missing from them. asked: the round, or that of the labels, asks about the image, perhaps about
    some boxes only; waiting: it waits for an answer.
    """
    if before is None or not same_labels(before.boxes, after):
        return False
    return not before.complete if incomplete else not waiting and (before.complete or asked)


def _in_place(labels: Boxes, boxes: Boxes) -> NDArray[np.bool_]:
    """Which pairs are the same rectangle, rounding aside; bool [N, M]."""
    apart = np.abs(labels.xyxy[:, None] - boxes.xyxy[None]).max(axis=2, initial=0)
    return (apart <= ROUNDING_PIXELS) | (iou(labels.xyxy, boxes.xyxy) >= np.float32(SAME_IOU))


def _affinity(labels: Boxes, boxes: Boxes, in_place: NDArray[np.bool_]) -> NDArray[np.float32]:
    """IoU, plus 1 for the same class, plus 2 for the same id; -1 for pairs that are not one box. float32 [N, M]."""
    overlap = iou(labels.xyxy, boxes.xyxy)
    same_class = labels.labels[:, None] == boxes.labels[None]
    same_id = np.zeros_like(same_class) if labels.ids is None or boxes.ids is None else labels.ids[:, None] == boxes.ids[None]
    value = overlap + same_class + 2 * same_id
    return np.where((overlap >= np.float32(MOVED_IOU)) | in_place | same_id, value, -1).astype(np.float32)


def _act(
    labels: Boxes, row: int, before: Shown, partner: int | None, in_place: NDArray[np.bool_], cost: CostConfig, *, again: bool
) -> Verdict | None:
    """The act behind one label; None where the shown box needs no act. again: it is a region that an earlier label has drawn."""
    xyxy, label = tuple(labels.xyxy[row].tolist()), int(labels.labels[row])
    flags = _flags(labels, row, before.boxes, partner)
    if partner is None:
        return Verdict(Action.ADD, "", xyxy, label, 0.0 if again else charge(Action.ADD, cost), *flags)
    box_id, changed = _id(before, partner), None if label == before.boxes.labels[partner] else label
    if not in_place[row, partner]:
        return Verdict(Action.MOVE, box_id, xyxy, changed, charge(Action.MOVE, cost), *flags)
    if changed is not None:
        return Verdict(Action.RELABEL, box_id, None, changed, charge(Action.RELABEL, cost), *flags)
    if before.accepted[partner] and flags == _flags(before.boxes, partner, before.boxes, partner):
        return None
    return Verdict(Action.KEEP, box_id, None, None, charge(Action.KEEP, cost), *flags)


def _flags(labels: Boxes, row: int, boxes: Boxes, partner: int | None) -> tuple[bool, bool]:
    """`difficult` and `crowd` of a label; where its file has no such column, those of its partner."""
    return _flag(labels.difficult, row, boxes.difficult, partner), _flag(labels.crowd, row, boxes.crowd, partner)


def _flag(column: NDArray[np.bool_] | None, row: int, before: NDArray[np.bool_] | None, partner: int | None) -> bool:
    if column is not None:
        return bool(column[row])
    return partner is not None and before is not None and bool(before[partner])


def _id(before: Shown, row: int) -> str:
    return "" if before.boxes.ids is None else str(before.boxes.ids[row])
