"""A study's open query and its model's boxes, written for other tools: a list, a CSV, or a folder to label in.

Knows nothing of how the images were chosen.
"""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

from boxwise.boxes import Boxes
from boxwise.errors import StudyError
from boxwise.files import replacing
from boxwise.formats.base import Dataset
from boxwise.formats.coco import Coco
from boxwise.records import ImageRecord, Query
from boxwise.scorers.detections_file import read_detections
from boxwise.study import Study

SHOWN = 0.3  # least score of a proposal worth a person's look


def write_query(study: Study, query: Query, out: Path) -> None:
    """`out` with suffix .txt: image paths, one a line; .csv: with utility and score terms; else a folder of the images with
    query.csv and, once there is a detector, proposals.json (COCO with scores)."""
    records = {record.image_id: record for record in study.store.images()}
    if out.suffix == ".txt":
        with replacing(out) as aside:
            aside.write_text("".join(f"{records[image_id].path}\n" for image_id in query.image_ids), encoding="utf-8")
    elif out.suffix == ".csv":
        _write_csv(query, records, out)
    else:
        for image_id in query.image_ids:
            target = out / "images" / image_id
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(records[image_id].path, target)
        _write_csv(query, records, out / "query.csv")
        if query.round > 0:
            Coco().write(_only(pool_predictions(study), set(query.image_ids)), out / "proposals.json")


def pool_predictions(study: Study) -> Dataset:
    """The latest detector's boxes of score 0.3 or more on the pool it scored. Raises StudyError before the first scoring."""
    path = next((path for path in sorted(study.folder.glob("rounds/*/detections.parquet"), reverse=True)), None)
    if path is None:
        raise StudyError(f"{study.folder}: no predictions yet; they come with the first scored pool. Next: boxwise run {study.folder}")
    labels: dict[str, Boxes] = {}
    for image_id, boxes in read_detections(path):
        labels[image_id] = boxes.at_least(SHOWN)
    images = tuple(record for record in study.store.images() if record.image_id in labels)
    return Dataset(study.classes, images, {record.image_id: labels[record.image_id] for record in images})


def _only(dataset: Dataset, image_ids: set[str]) -> Dataset:
    images = tuple(record for record in dataset.images if record.image_id in image_ids)
    return Dataset(dataset.classes, images, {record.image_id: dataset.labels[record.image_id] for record in images})


def _write_csv(query: Query, records: dict[str, ImageRecord], out: Path) -> None:
    terms = list(dict.fromkeys(name for item in query.items for name in item.terms))
    with replacing(out) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["rank", "image_id", "path", "for", "utility", *terms])
        for rank, item in enumerate(query.items):
            values = [item.terms.get(name, "") for name in terms]
            writer.writerow([rank, item.image_id, records[item.image_id].path, item.split.value, item.utility, *values])
