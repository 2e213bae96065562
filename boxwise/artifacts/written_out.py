"""What a round's images were written with for people to correct, and which label files came back: known wherever they come back from.

One read/write pair. Knows nothing of formats, and not where anything was written to.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from boxwise.boxes import Boxes
from boxwise.errors import BoxwiseError
from boxwise.files import locked, replacing

Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True)
class WrittenOut:
    """boxes: image_id → [class, x1, y1, x2, y2, difficult, crowd] of each box. taken: digests of the label files that were imported."""

    boxes: Mapping[str, Rows] = field(default_factory=dict)
    taken: frozenset[str] = frozenset()


def read_written_out(path: Path) -> WrittenOut:
    """Empty where nothing was written. Raises BoxwiseError where the file is damaged."""
    if not path.is_file():
        return WrittenOut()
    try:
        kept = json.loads(path.read_bytes())
        return WrittenOut(dict(kept["boxes"]), frozenset(kept["taken"]))
    except (ValueError, KeyError, TypeError) as error:
        raise BoxwiseError(
            f"{path}: expected what was written to be corrected, found no such list in it. Remove the file; then what comes back from "
            "folders of that round counts as looked at, whether it was or not."
        ) from error


def add_written_out(path: Path, *, boxes: Mapping[str, Rows] | None = None, taken: Iterable[str] = ()) -> None:
    """Keep these, too; what an image was written with last counts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock"), wait=True):
        kept = read_written_out(path)
        content = {"boxes": {**kept.boxes, **(boxes or {})}, "taken": sorted(kept.taken | set(taken))}
        with replacing(path) as aside:
            aside.write_text(json.dumps(content), encoding="utf-8")


def rows_of(boxes: Boxes, classes: Sequence[str]) -> Rows:
    """The boxes as rows, classes by their names."""
    difficult, crowd = (column.tolist() for column in marks(boxes))
    return [[classes[n], *edges, d, c] for n, edges, d, c in zip(boxes.labels, boxes.xyxy.tolist(), difficult, crowd, strict=True)]


def boxes_of(rows: Rows, classes: Sequence[str]) -> Boxes:
    """The rows as boxes in the classes of now; one whose class is gone has a label that none has."""
    numbers = {name: number for number, name in enumerate(classes)}
    edges = np.array([row[1:5] for row in rows], np.float32).reshape(-1, 4)
    labels = np.array([numbers.get(row[0], len(classes)) for row in rows], np.int64)
    difficult, crowd = (np.array([row[column] for row in rows], np.bool_) for column in (5, 6))
    return Boxes(edges, labels, difficult=difficult, crowd=crowd)


def marks(boxes: Boxes) -> tuple[np.ndarray, np.ndarray]:
    """`difficult` and `crowd`, bool [N]; all False where there is no such column."""
    none = np.zeros(len(boxes), np.bool_)
    return none if boxes.difficult is None else boxes.difficult, none if boxes.crowd is None else boxes.crowd
