"""Boxes of a few images with a further column or two, as one Parquet file: proposals of a query, self-labels of a training.

Returns records as they were. The pool's detections, which may be millions, have a streaming file of their own
(artifacts/detections_file.py). Knows nothing of how the boxes came about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from boxwise.artifacts.damage import SEALED, intact
from boxwise.boxes import Boxes
from boxwise.files import sealing
from boxwise.policies.base import SelfLabels
from boxwise.records import Annotation, Proposals

_FLOATS = pa.list_(pa.float32())
_COLUMNS = {
    "image_id": pa.string(),
    "xyxy": _FLOATS,  # 4 numbers a box
    "labels": pa.list_(pa.int64()),
    "scores": _FLOATS,
    "probabilities": _FLOATS,  # C + 1 numbers a box
}


def write_proposals(path: Path, proposals: Iterable[Proposals]) -> None:
    """One row an image; what was settled before is the store's to know and is not written."""
    rows = [_row(p.image_id, p.boxes) | {"ids": _ids(p.boxes), "certain": p.certain.tolist()} for p in proposals]
    _write(path, rows, _COLUMNS | {"ids": pa.list_(pa.string()), "certain": pa.list_(pa.bool_())})


def read_proposals(path: Path, settled: Mapping[str, Annotation]) -> dict[str, Proposals]:
    """image_id → proposals, with what was settled of each image before they were made."""
    found = {}
    for row in _read(path).to_pylist():
        boxes = _boxes(row, ids=np.array(row["ids"], object))
        found[row["image_id"]] = Proposals(row["image_id"], boxes, np.array(row["certain"], bool), settled.get(row["image_id"]))
    return found


def write_self_labels(path: Path, labels: Mapping[str, SelfLabels]) -> None:
    """One row an image, in the order of its ids."""
    rows = [_row(image_id, labels[image_id].boxes) | {"weights": labels[image_id].weights.tolist()} for image_id in sorted(labels)]
    _write(path, rows, _COLUMNS | {"weights": _FLOATS})


def read_self_labels(path: Path) -> dict[str, SelfLabels]:
    """image_id → self-labels; empty when there is no such file: most policies label nothing themselves."""
    if not path.exists():
        return {}
    return {row["image_id"]: SelfLabels(_boxes(row), _float(row["weights"])) for row in _read(path).to_pylist()}


def write_consistency(path: Path, consistency: Mapping[str, NDArray[np.float32]]) -> None:
    """How well the boxes of each image stood up to cross-image validation, in the order of the image's boxes."""
    rows = [{"image_id": image_id, "consistency": values.tolist()} for image_id, values in consistency.items()]
    _write(path, rows, {"image_id": pa.string(), "consistency": _FLOATS})


def read_consistency(path: Path) -> dict[str, NDArray[np.float32]]:
    """What `write_consistency` wrote; empty when there is no such file."""
    if not path.exists():
        return {}
    return {row["image_id"]: _float(row["consistency"]) for row in _read(path).to_pylist()}


def _write(path: Path, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Any]) -> None:
    table = pa.Table.from_pylist(list(rows), schema=pa.schema(list(columns.items()), metadata=SEALED))
    with sealing(path) as aside:
        pq.write_table(table, aside, write_page_checksum=True)


def _read(path: Path) -> pa.Table:
    with intact(path):
        return pq.read_table(path, page_checksum_verification=True)


def _row(image_id: str, boxes: Boxes) -> dict[str, Any]:
    return {
        "image_id": image_id,
        "xyxy": boxes.xyxy.ravel().tolist(),
        "labels": boxes.labels.tolist(),
        "scores": None if boxes.scores is None else boxes.scores.tolist(),
        "probabilities": None if boxes.probabilities is None else boxes.probabilities.ravel().tolist(),
    }


def _boxes(row: Mapping[str, Any], ids: NDArray[np.object_] | None = None) -> Boxes:
    scores = None if row["scores"] is None else _float(row["scores"])
    xyxy = _float(row["xyxy"]).reshape(-1, 4)
    probabilities = None if row["probabilities"] is None or not len(xyxy) else _float(row["probabilities"]).reshape(len(xyxy), -1)
    return Boxes(xyxy, np.array(row["labels"], np.int64), scores, probabilities, ids=ids)


def _ids(boxes: Boxes) -> list[str]:
    return [] if boxes.ids is None else [str(box_id) for box_id in boxes.ids]


def _float(values: Sequence[float]) -> NDArray[np.float32]:
    return np.array(values, np.float32)
