"""By which labels rounds were judged, and whether these are still the labels of now: people correct them, and images go out of use.

Returns fingerprints of labels, and the images whose own has changed; of test no more than that. Knows nothing of detections or metrics.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import blake2b
from typing import Any

import numpy as np

from boxwise.artifacts.facts import Round
from boxwise.boxes import Boxes
from boxwise.records import Annotation, Sample, Split
from boxwise.store import Store

NONE = ""  # the fingerprint of an image that has no labels to judge by


def labels_to_judge_by(store: Store, split: Split) -> dict[str, Boxes]:
    """image_id → labels of the usable images of a split that are labelled completely; of train, whose images judge in cross-validation,
    of those whose every box is a person's."""
    return _judging(store.annotations(split), split)


def is_whole(labelled: Annotation | Sample) -> bool:
    """Whether an image is labelled completely and every box is a person's: a detector is not judged by its own."""
    return labelled.complete and (labelled.by_model is None or not labelled.by_model.any())


def fingerprints(labels: Mapping[str, Boxes], images: Iterable[str], class_count: int) -> dict[str, str]:
    """image_id → fingerprint of its labels among so many classes, `NONE` of the images without."""
    return {image_id: _fingerprint(labels[image_id], class_count) if image_id in labels else NONE for image_id in images}


def in_one(marks: Mapping[str, str]) -> str:
    """One fingerprint of those of many images; images without labels to judge by do not count."""
    return _digest(sorted((image_id, mark) for image_id, mark in marks.items() if mark != NONE))


def changed(store: Store, rounds: Iterable[Round], known: Mapping[Split, Mapping[str, Annotation]]) -> dict[int, set[str]]:
    """Round → the images of val (or of the folds) and of test by which it was judged that have other labels by now, judge no more, or judge
    again; without the rounds of which there are none, or of which an older version has not written down by which labels it was.

    known: all labels of splits that have been read.
    """

    @cache
    def now(split: Split) -> Mapping[str, str]:
        labels = _judging(known[split] if split in known else store.annotations(split), split)
        return fingerprints(labels, labels, len(store.classes()))

    def of(one: Round) -> set[str]:
        facts, split = one.evaluate, Split.TRAIN if one.train.folds else Split.VAL
        then = [(split, marks) for marks in (facts.val_labels or {}).values()] + [(Split.TEST, facts.test_labels or {})]
        return {image_id for of_split, marks in then for image_id, mark in marks.items() if mark != now(of_split).get(image_id, NONE)}

    return {one.round: images for one in rounds if (images := of(one))}


def _judging(labels: Mapping[str, Annotation], split: Split) -> dict[str, Boxes]:
    return {image_id: one.boxes for image_id, one in labels.items() if (is_whole(one) if split is Split.TRAIN else one.complete)}


def _fingerprint(boxes: Boxes, class_count: int) -> str:
    """Ids and the order of the boxes do not count."""
    skipped = [np.zeros(len(boxes), bool) if column is None else column for column in (boxes.difficult, boxes.crowd)]
    rows = sorted(zip(*(column.tolist() for column in (boxes.labels, boxes.xyxy, *skipped)), strict=True))
    return _digest([class_count, rows])


def _digest(value: Any) -> str:
    """8 hex digits."""
    return blake2b(json.dumps(value).encode(), digest_size=4).hexdigest()
