"""The pool's detections on disk: one Parquet row an image, written and read a row group at a time.

Returns `Boxes` bit for bit as they were. Knows nothing of detectors; memory does not grow with the number of images.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from boxwise.artifacts.damage import SEALED, intact
from boxwise.boxes import Boxes
from boxwise.errors import BoxwiseError
from boxwise.files import sealing

ROWS = 256  # images a row group
FLOATS = pa.list_(pa.float32())
SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("xyxy", FLOATS),  # 4 numbers a box
        ("labels", pa.list_(pa.int64())),
        ("scores", FLOATS),
        ("probabilities", FLOATS),  # as many numbers a box as there are classes, plus the background's
        ("probability_count", pa.int32()),  # numbers a box in `probabilities`
    ],
    metadata=SEALED,
)


class DetectionsWriter:
    """Collects images and writes them in row groups."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._rows: list[dict[str, Any]] = []

    def add(self, image_id: str, boxes: Boxes) -> None:
        self._rows.append(_row(image_id, boxes))
        if len(self._rows) == ROWS:
            self.flush()

    def flush(self) -> None:
        self._writer.write_table(_table(self._rows))
        self._rows = []


def detections_table(images: Iterable[tuple[str, Boxes]]) -> pa.Table:
    """One row an image, by SCHEMA."""
    return _table([_row(image_id, boxes) for image_id, boxes in images])


def detections_in(table: pa.Table) -> Iterator[tuple[str, Boxes]]:
    """(image_id, Boxes) of each row of a table by SCHEMA."""
    for row in zip(*(column.to_numpy(zero_copy_only=False) for column in table.columns), strict=True):
        yield _boxes(*row)


@contextmanager
def writing_detections(path: Path) -> Iterator[DetectionsWriter]:
    """A writer whose file is at `path`, complete, when the block ends without an error, and absent otherwise."""
    with (
        sealing(path) as aside,
        pq.ParquetWriter(aside, SCHEMA, compression="zstd", use_dictionary=["image_id"], write_page_checksum=True) as parquet,
    ):
        writer = DetectionsWriter(parquet)
        yield writer
        writer.flush()


def write_detections(path: Path, found: Mapping[str, Boxes]) -> None:
    """Write the detections of some images, by image_id, to `path`."""
    with writing_detections(path) as writer:
        for image_id, boxes in found.items():
            writer.add(image_id, boxes)


def row_groups(path: Path) -> dict[str, int]:
    """image_id → the row group that holds it, for `read_detections(groups=...)`: one image is then read without the rest.

    All bytes of the file are checked here, so that reading an image does not. Raises StudyError for a missing or damaged file.
    """
    with intact(path), pq.ParquetFile(path) as file:
        found = ((group, file.read_row_group(group, columns=["image_id"])["image_id"].to_pylist()) for group in range(file.num_row_groups))
        return {image_id: group for group, image_ids in found for image_id in image_ids}


def read_detections(path: Path, *, only: Collection[str] | None = None, groups: Sequence[int] | None = None) -> Iterator[tuple[str, Boxes]]:
    """(image_id, Boxes) in the order of the pool pass, of the images in `only` or of all; of some row groups or of all.

    Raises BoxwiseError when `path` is not a file of detections.
    """
    wanted = None if only is None else pa.array(only, pa.string())
    with intact(path, expected="a Parquet file of detections", sealed=groups is None):
        file = pq.ParquetFile(path, page_checksum_verification=True)
    with file:
        if file.schema_arrow.names != SCHEMA.names:
            raise BoxwiseError(f"{path}: expected columns {', '.join(SCHEMA.names)}, found {', '.join(file.schema_arrow.names)}.")
        for group in range(file.num_row_groups) if groups is None else groups:
            with intact(path, sealed=False):
                table = file.read_row_group(group)
            if wanted is not None:
                table = table.filter(pc.is_in(table["image_id"], wanted))
            yield from detections_in(table)


class SeenClasses(NamedTuple):
    """Of a row group: the ids of its images, and for each box that counts the row of its image and its class; int64 [B] both."""

    image_ids: pa.Array
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]


def read_classes(path: Path, score: float) -> Iterator[SeenClasses]:
    """What `read_detections` has of the boxes of at least `score`, a row group at a time: of a large pool making boxes takes long."""
    with intact(path, expected="a Parquet file of detections"):
        file = pq.ParquetFile(path, page_checksum_verification=True)
    with file:
        for group in range(file.num_row_groups):
            with intact(path, sealed=False):
                table = file.read_row_group(group, columns=["image_id", "labels", "scores"]).combine_chunks()
                labels, scores = table["labels"].combine_chunks(), table["scores"].combine_chunks()
                counted = pc.list_flatten(scores).to_numpy(zero_copy_only=False) >= np.float32(score)
                rows, values = pc.list_parent_indices(labels).to_numpy(), pc.list_flatten(labels).to_numpy()
            yield SeenClasses(table["image_id"].combine_chunks(), rows[counted], values[counted])


def _table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    columns = [pa.array([row[name] for row in rows], kind) for name, kind in zip(SCHEMA.names, SCHEMA.types, strict=True)]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _row(image_id: str, boxes: Boxes) -> dict[str, Any]:
    count = 0 if boxes.probabilities is None else boxes.probabilities.shape[1]
    probabilities = None if boxes.probabilities is None else boxes.probabilities.ravel()
    values = (image_id, boxes.xyxy.ravel(), boxes.labels, boxes.scores, probabilities, count)
    return dict(zip(SCHEMA.names, values, strict=True))


def _boxes(image_id: str, xyxy: Any, labels: Any, scores: Any, probabilities: Any, count: int) -> tuple[str, Boxes]:
    by_class = None if probabilities is None else np.array(probabilities, np.float32).reshape(-1, count)
    return image_id, Boxes(np.array(xyxy, np.float32), np.array(labels), None if scores is None else np.array(scores), by_class)
