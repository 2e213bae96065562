"""Embeddings that no training changes, kept for the life of a study: Parquet files in a folder, each of some images, only ever added to.

Returns rows for the images that are asked for. An image whose file has other bytes by now, or whose row was damaged, is not known any more.
Knows nothing of what embeds, nor of which images a study still uses.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from boxwise.artifacts.damage import SEALED, fault_in
from boxwise.files import sealing
from boxwise.records import ImageRecord

log = logging.getLogger(__name__)

Rows = NDArray[np.intp]
Matrix = NDArray[np.float32]
_NAMES = ("image_id", "digest")


@dataclass(frozen=True)
class KeptEmbeddings:
    """What one embedder made of images, in `folder`. Several processes may add to it at once."""

    folder: Path

    def add(self, records: Sequence[ImageRecord], embeddings: Matrix) -> None:
        """Keep float32 [N, D], a row a record; on the disk when this returns. The same images have the same file, whoever adds them."""
        identity = [[record.image_id, record.digest] for record in records]
        flat = pa.array(np.ascontiguousarray(embeddings, np.float32).reshape(-1))
        columns = {
            "image_id": pa.array([record.image_id for record in records], pa.string()),
            "digest": pa.array([record.digest for record in records], pa.string()),
            "embedding": pa.FixedSizeListArray.from_arrays(flat, embeddings.shape[1]),
        }
        name = hashlib.blake2b(json.dumps(identity).encode(), digest_size=8).hexdigest()
        with sealing(self.folder / f"{name}.parquet") as path:
            pq.write_table(pa.table(columns, metadata=SEALED), path, use_dictionary=False)

    def known(self, records: Sequence[ImageRecord]) -> set[str]:
        """The ids of the records that have a row."""
        return {records[row].image_id for rows, _, _ in self._found(records, _NAMES) for row in rows}

    def read(self, records: Sequence[ImageRecord]) -> tuple[Matrix, NDArray[np.bool_]]:
        """float32 [N, D] in the order of the records, and which of them are kept, bool [N]; the others' rows are 0. D is 0 for none."""
        embeddings, is_kept = np.zeros((len(records), 0), np.float32), np.zeros(len(records), bool)
        for rows, places, table in self._found(records, (*_NAMES, "embedding")):
            found = table["embedding"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
            if not is_kept.any():
                embeddings = np.zeros((len(records), found.shape[1]), np.float32)
            embeddings[rows], is_kept[rows] = found[places], True
        return embeddings, is_kept

    def _found(self, records: Sequence[ImageRecord], columns: Sequence[str]) -> Iterator[tuple[Rows, Rows, pa.Table]]:
        """File by file the positions in `records`, those in the file, and its columns; a damaged file is removed."""
        position = {record.image_id: row for row, record in enumerate(records)}
        for path in sorted(self.folder.glob("*.parquet")):
            if fault := fault_in(path):
                log.warning("%s: damaged (%s); its images are embedded again", path, fault)
                path.unlink(missing_ok=True)
                continue
            table = pq.read_table(path, columns=list(columns))
            taken = [
                (position[image_id], place)
                for place, (image_id, digest) in enumerate(zip(table["image_id"].to_pylist(), table["digest"].to_pylist(), strict=True))
                if image_id in position and _same(digest, records[position[image_id]].digest)
            ]
            if taken:
                rows, places = np.array(taken, np.intp).T
                yield rows, places, table


def _same(kept: str | None, now: str | None) -> bool:
    """Whether the image's file is that which was embedded, as far as that is known."""
    return kept is None or now is None or kept == now
