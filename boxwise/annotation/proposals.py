"""Proposals: which of the model's boxes on an image are certain, which a person is asked about, which are dropped.

Returns `Proposals`. Pure arrays; knows nothing of ground truth, of stores, of detectors or of how a threshold was found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from boxwise.boxes import Boxes, FloatArray, iou
from boxwise.config import AskConfig
from boxwise.errors import ConfigError, unknown
from boxwise.evaluation.matching import greedy_pairs
from boxwise.records import Annotation, Proposals, Source


@dataclass(frozen=True, eq=False)
class Thresholds:
    """The scores at which a box changes its lot. Scores are compared as float32, as detectors give them.

    certain: float64 [C], score from which a box of the class is certain; inf: no box of that class ever is.
    uncertain: score below which a box of any class is dropped.

    Raises ValueError when a threshold is NaN, or when `uncertain` is above one of `certain`.
    """

    certain: NDArray[np.float64]
    uncertain: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "certain", np.asarray(self.certain, np.float64).reshape(-1))
        if not self.uncertain <= self.certain.min(initial=np.inf):  # false for NaN, too
            raise ValueError(f"uncertain is {self.uncertain}, expected at most the lowest of certain {self.certain.tolist()}")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; inf becomes None."""
        return {"certain": [None if math.isinf(score) else score for score in self.certain.tolist()], "uncertain": self.uncertain}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The thresholds that `to_json` wrote."""
        return cls(np.array([math.inf if score is None else score for score in values["certain"]]), values["uncertain"])


def fixed_thresholds(config: AskConfig, classes: Sequence[str]) -> Thresholds:
    """The thresholds as configured: `certain`, and for some classes their own. ConfigError for a class that is none of `classes`."""
    for name in config.certain_of:
        if name not in classes:
            raise ConfigError(f"ask.certain_of: {unknown('class', name, classes)}")
    return Thresholds(np.array([config.certain_of.get(name, config.certain) for name in classes]), config.uncertain)


def propose(
    image_id: str, detections: Boxes, thresholds: Thresholds, *, overlap: float, prefix: str, settled: Annotation | None = None
) -> Proposals:
    """The detections worth a question or a label, by falling score, and which of them are certain.

    A box below `uncertain` is dropped. One at or above its class's `certain` is certain, unless it overlaps (IoU ≥ `overlap`) boxes
    below theirs none of which shares its class: then the model is in two minds about the object, and the box is uncertain as well.
    Each is named '<prefix>-<row in `detections`>': unique in the study if `prefix` is unique to the image and the pass.
    settled: what was said of the image before. What people answered for remains: a detection that overlaps a person's box or a
    rejected one, of any class, is left out, and casts no doubt on others. What the model labelled then is forgotten.
    Raises ValueError for detections without scores.
    """
    scores = _scores(detections)
    rows = np.argsort(-scores, kind="stable")
    rows = rows[scores[rows] >= np.float32(thresholds.uncertain)]
    if settled is not None:
        rows = rows[~_overlapping(detections.xyxy[rows], _answered(settled), overlap).any(axis=1)]
    ids = np.array([f"{prefix}-{row}" for row in rows], object)
    boxes = replace(detections[rows], scores=scores[rows], ids=ids)
    made = Proposals(image_id, boxes, _certain(boxes, scores[rows], thresholds.certain, overlap), settled)
    return settled_anew(made, overlap=overlap)


def _scores(detections: Boxes) -> FloatArray:
    if detections.scores is None and len(detections):
        raise ValueError(f"{len(detections)} detections without scores: nothing says how sure the model is")
    return np.zeros(0, np.float32) if detections.scores is None else detections.scores


def _certain(boxes: Boxes, scores: FloatArray, certain: NDArray[np.float64], overlap: float) -> NDArray[np.bool_]:
    """Which boxes are certain; bool [N]. Judged in one pass by score alone, so that the order of the boxes does not matter."""
    sure = scores >= certain.astype(np.float32)[boxes.labels]
    close = _overlapping(boxes.xyxy[sure], boxes.xyxy[~sure], overlap)
    agreeing = close & (boxes.labels[sure][:, None] == boxes.labels[~sure][None, :])
    sure[sure] = ~close.any(axis=1) | agreeing.any(axis=1)
    return sure


def _overlapping(a: FloatArray, b: FloatArray, overlap: float) -> NDArray[np.bool_]:
    return iou(a, b) >= np.float32(overlap)


def settled_anew(proposals: Proposals, *, overlap: float) -> Proposals:
    """`proposals` with what is left of `settled` beside them: the boxes that no person answered for are forgotten.

    It stays complete only if each of those is proposed again or was answered for since (IoU ≥ `overlap`, any class): an object
    that the model labelled then and does not find now has no box, and no person has said that it is gone.
    """
    settled = proposals.settled
    if settled is None:
        return proposals
    forgotten, kept = settled.boxes.xyxy[settled.by_model], np.flatnonzero(~settled.by_model)
    seen = np.concatenate([proposals.boxes.xyxy, _answered(settled)])
    complete = settled.complete and bool(_overlapping(forgotten, seen, overlap).any(axis=1).all())
    left = replace(settled, boxes=settled.boxes[kept], sources=(Source.HUMAN,) * len(kept), complete=complete)
    return replace(proposals, settled=left)


def as_found_now(annotation: Annotation, before: Annotation, certain: Boxes, *, overlap: float) -> Annotation:
    """`annotation` with each box that a person answered for `before` and the model is certain of by now counted as the model's.

    certain: the model's boxes, with scores. A person's box is among them if one of its class overlaps it (IoU ≥ `overlap`), one to one.
    For judging an image that is asked about again by how much of it is left to people; its labels stay theirs.
    """
    boxes, people = annotation.boxes, before.boxes.xyxy[~before.by_model]
    old = ~annotation.by_model & (boxes.xyxy[:, None] == people[None]).all(axis=2).any(axis=1)
    same = old[:, None] & (boxes.labels[:, None] == certain.labels[None])
    found = dict(greedy_pairs(np.where(same, iou(boxes.xyxy, certain.xyxy), -1).astype(np.float32), overlap))
    scores, now = np.full(len(boxes), np.nan) if boxes.scores is None else boxes.scores.copy(), _scores(certain)
    scores[list(found)] = now[list(found.values())]
    sources = tuple(Source.MODEL if row in found else source for row, source in enumerate(annotation.sources))
    return replace(annotation, boxes=replace(boxes, scores=scores), sources=sources)


def _answered(settled: Annotation) -> FloatArray:
    """The boxes that a person answered for, with yes or no; float32 [N, 4]."""
    return np.concatenate([settled.boxes.xyxy[~settled.by_model], settled.rejected])
