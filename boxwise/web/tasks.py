"""One image to label, with what the annotator has before them, and how the page gets it.

Returns plain JSON values. Knows records and boxes; nothing of queues, leases or HTTP.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import numpy as np

from boxwise.annotation.verdicts import shown_to_annotator
from boxwise.boxes import Boxes
from boxwise.records import Annotation, ImageRecord, Proposals, QueryItem, Source, Split
from boxwise.store import Draft, SentBack


@dataclass(frozen=True)
class Task:
    """One image to label, with what the annotator has before them. `item` is None for a correction of labels of an earlier round.

    labels: what was answered already in this round, when the image is opened again. sent_back: by whom and why, where it was; `labels` are
    then the answer that is to be mended. begun_on: the number of the annotation that counts, by which a draft that was begun on an earlier
    one is known. by_another: whether the image's labels are another person's, given since the round began.
    relabelled: how often labels got another meaning, after which a draft of before would say something else.
    """

    record: ImageRecord
    round: int
    rank: int | None
    item: QueryItem | None
    proposals: Proposals | None
    until: float
    draft: Draft | None = None
    labels: Annotation | None = None
    sent_back: SentBack | None = None
    begun_on: int | None = None
    by_another: bool = False
    relabelled: int = 0

    @property
    def whole(self) -> bool:
        """Whether objects may be added, not only questions answered."""
        return _is_whole(self.item)

    @property
    def question(self) -> str:
        """Names what the annotator has before them."""
        return question_of(self.item, self.proposals, self.relabelled)


def task_to_json(task: Task) -> dict[str, Any]:
    """A task as the page gets it."""
    item = task.item
    return {
        "image_id": task.record.image_id,
        "round": task.round,
        "rank": task.rank,
        "split": (item.split if item else task.record.split or Split.TRAIN).value,
        "width": task.record.width,
        "height": task.record.height,
        "utility": item.utility if item and item.ranked else None,
        "terms": dict(item.terms) if item else {},
        "whole": task.whole,
        "boxes": _boxes_to_json(item, task.proposals),
        "question": task.question,
        "labels": None if task.labels is None else labels_to_json(task.labels),
        "remark": None if task.sent_back is None else {"by": task.sent_back.who, "words": task.sent_back.remark},
        "draft": None if task.draft is None else {"revision": task.draft.revision, "document": task.draft.document},
        "begun_on": task.begun_on,
        "by_another": task.by_another,
        "until": task.until,
    }


def question_of(item: QueryItem | None, proposals: Proposals | None, relabelled: int) -> str:
    """Names what an annotator has before them, as the task of an image says it: drafts and answers are of this, and not of other boxes that
    have the same ids."""
    question = json.dumps([_is_whole(item), relabelled, _boxes_to_json(item, proposals)])
    return blake2b(question.encode(), digest_size=8).hexdigest()


def _is_whole(item: QueryItem | None) -> bool:
    return item is None or item.box_ids is None


def _boxes_to_json(item: QueryItem | None, proposals: Proposals | None) -> list[dict[str, Any]]:
    before = shown_to_annotator(proposals)
    boxes: Boxes = before.boxes
    if boxes.ids is None or boxes.scores is None:
        return []
    asked = None if item is None or item.box_ids is None else set(item.box_ids)
    states = np.where(before.settled, "settled", np.where(before.accepted, "certain", "uncertain"))
    return [
        {
            "id": str(boxes.ids[row]),
            "state": str(states[row]),
            "question": str(states[row]) == "uncertain" and (asked is None or str(boxes.ids[row]) in asked),
            "xyxy": [float(edge) for edge in boxes.xyxy[row]],
            "label": int(boxes.labels[row]),
            "score": None if np.isnan(boxes.scores[row]) else float(boxes.scores[row]),
            "difficult": _flag(boxes.difficult, row),
            "crowd": _flag(boxes.crowd, row),
        }
        for row in range(len(boxes))
    ]


def questions(item: QueryItem, proposals: Proposals | None) -> int:
    """How many boxes of an image a person is asked about."""
    return 0 if proposals is None else len(proposals.uncertain_ids if item.box_ids is None else item.box_ids)


def as_drawn(annotation: Annotation) -> Annotation:
    """The labels as if a person had drawn them all, for where the model's proposals are not before anybody."""
    return replace(annotation, sources=(Source.HUMAN,) * len(annotation.boxes))


def labels_to_json(annotation: Annotation) -> list[dict[str, Any]]:
    """The boxes of an annotation as pages get them."""
    boxes = annotation.boxes
    return [
        {
            "xyxy": [float(edge) for edge in boxes.xyxy[row]],
            "label": int(boxes.labels[row]),
            "source": annotation.sources[row].value,
            "difficult": _flag(boxes.difficult, row),
            "crowd": _flag(boxes.crowd, row),
        }
        for row in range(len(boxes))
    ]


def _flag(column: Any, row: int) -> bool:
    return column is not None and bool(column[row])
