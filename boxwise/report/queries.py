"""A study's open query and its model's boxes, written for other tools: a list, a CSV, or a folder to label in.

Knows nothing of how the images were chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from boxwise.annotation.verdicts import Shown, shown_to_annotator
from boxwise.boxes import Boxes
from boxwise.data.formats.base import Dataset
from boxwise.data.formats.coco_files import PROPOSALS
from boxwise.data.formats.placing import place_images
from boxwise.data.own_files import QUERY_COLUMNS, QUERY_FILE
from boxwise.errors import StudyError, plural, quoted
from boxwise.files import replacing, write_csv
from boxwise.records import ImageRecord, Phase, Query, QueryItem
from boxwise.report.coming_back import write_known
from boxwise.study import Study

SHOWN = 0.3  # least score of a proposal worth a person's look
_EDGES = ("x1", "y1", "x2", "y2")
_BOX_COLUMNS = ("image_id", "box_id", "state", "class", "score", *_EDGES)


def write_query(study: Study, query: Query, out: Path, *, format_name: str = "coco") -> Mapping[str, Boxes]:
    """`out` with suffix .txt: image paths, one a line; .csv: with utility and score terms; else a folder to label in.

    The folder has the images, query.csv and, once there is a detector, its boxes as labels to correct in the format named. Where people
    answer for proposals, boxes.csv says of each box whether it is settled (a person's), certain or uncertain.
    Returns the boxes that were written, by image.
    """
    records = {record.image_id: record for record in study.records(query.image_ids)}
    if out.suffix == ".txt":
        with replacing(out) as aside:
            aside.write_text("".join(f"{records[image_id].uri}\n" for image_id in query.image_ids), encoding="utf-8")
    elif out.suffix == ".csv":
        _write_query_csv(query, records, out)
    else:
        return _write_folder(study, query, records, out, format_name)
    return {}


def _write_folder(study: Study, query: Query, records: dict[str, ImageRecord], out: Path, format_name: str) -> Mapping[str, Boxes]:
    dataset = Dataset(study.classes, tuple(records[i] for i in query.image_ids), _prelabels(study, query))
    if format_name == "coco" and not dataset.labels:
        place_images(dataset, out / "images")
    else:
        write_known(study, dataset, out, PROPOSALS, format_name)
    _write_query_csv(query, records, out / QUERY_FILE)
    if study.proposals():
        write_csv(out / "boxes.csv", _BOX_COLUMNS, _box_rows(study, query))
    return dataset.labels


def write_labels(study: Study, image_ids: Sequence[str], out: Path, *, format_name: str = "coco") -> None:
    """A folder with these images and their current labels, without scores, to be corrected in another tool."""
    records = tuple(study.records(image_ids))
    labels = {image_id: replace(current.boxes, scores=None) for image_id in image_ids if (current := study.annotation(image_id))}
    write_known(study, Dataset(study.classes, records, labels), out, "labels.json", format_name)


def pool_predictions(study: Study, *, only: Set[str] | None = None) -> Dataset:
    """The latest detector's boxes of score 0.3 or more on the pool it scored, or on some of it. StudyError before the first scoring."""
    from boxwise.artifacts.detections_file import read_detections  # here, since PyArrow takes its time to import

    numbers = (number for number in range(study.position[0], -1, -1) if study.is_of_todays_classes(number, Phase.SCORE))
    path = next((path for number in numbers if (path := study.files(number).detections).is_file()), None)
    if path is None:
        of = " of today's classes" if study.class_changes() else ""
        then = f"Next: boxwise run {quoted(study.folder)}"
        raise StudyError(f"{study.folder}: no predictions{of} yet; they come with the next scored pool. {then}")
    labels = {image_id: boxes.at_least(SHOWN) for image_id, boxes in read_detections(path, only=only)}
    study.open_first(labels)
    records = study.images() if only is None else study.records(sorted(only))
    pool = labels.keys() if only is not None else {record.image_id for record in study.pool()}  # some were labelled since the pass
    images = tuple(record for record in records if record.image_id in labels and record.image_id in pool)
    return Dataset(study.classes, images, {record.image_id: labels[record.image_id] for record in images})


def _prelabels(study: Study, query: Query) -> dict[str, Boxes]:
    """image_id → what a person finds in the image to begin with; not for val, whose labels owe the model nothing."""
    proposals = study.proposals()
    if proposals:
        return {i: _as_labels(shown_to_annotator(proposals[i]).boxes) for i in query.image_ids if i in proposals}
    if query.round == 0:
        return {}
    train = {item.image_id for item in query.items if item.split.value == "train"}
    return dict(pool_predictions(study, only=train).labels)


def _as_labels(boxes: Boxes) -> Boxes:
    """The boxes with the scores that a file can hold: a person's count as certain."""
    assert boxes.scores is not None
    return replace(boxes, ids=None, scores=np.where(np.isnan(boxes.scores), 1, boxes.scores))


def _box_rows(study: Study, query: Query) -> Iterator[dict[str, Any]]:
    classes, proposals = study.classes, study.proposals()
    for image_id in query.image_ids:
        if image_id in proposals:
            before = shown_to_annotator(proposals[image_id])
            yield from ({"image_id": image_id, **_box_row(before, row, classes)} for row in range(len(before.boxes)))


def _box_row(before: Shown, row: int, classes: Sequence[str]) -> dict[str, Any]:
    boxes = before.boxes
    assert boxes.ids is not None and boxes.scores is not None
    state = "settled" if before.settled[row] else "certain" if before.accepted[row] else "uncertain"
    score = "" if np.isnan(boxes.scores[row]) else f"{boxes.scores[row]:.4f}"
    edges = {name: f"{edge:.2f}" for name, edge in zip(_EDGES, boxes.xyxy[row], strict=True)}
    return {"box_id": boxes.ids[row], "state": state, "class": classes[boxes.labels[row]], "score": score, **edges}


def _write_query_csv(query: Query, records: dict[str, ImageRecord], out: Path) -> None:
    terms = dict.fromkeys(name for item in query.items for name in item.terms)
    rows = (_query_row(rank, item, records[item.image_id].uri) for rank, item in enumerate(query.items))
    write_csv(out, (*QUERY_COLUMNS, *terms), rows)


def _query_row(rank: int, item: QueryItem, uri: str) -> dict[str, Any]:
    values = (rank, item.image_id, uri, item.split.value, asked_of(item), item.utility)
    return {**dict(zip(QUERY_COLUMNS, values, strict=True)), **item.terms}


def asked_of(item: QueryItem) -> str:
    """What a person is asked about an image, in words."""
    if item.box_ids is None:
        return "whole image"
    return plural(len(item.box_ids), "box")
