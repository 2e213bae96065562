"""What the scoring step leaves for the next selection: scores, embeddings and expected boxes, as files in the round's folder.

Knows nothing of how images were scored or will be chosen.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Set
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from boxwise.artifacts.damage import SEALED, intact
from boxwise.artifacts.round_folder import RoundFolder
from boxwise.config import CostConfig
from boxwise.files import sealing
from boxwise.records import DetectedBoxes, Scores
from boxwise.strategies.base import Candidates

_TERM = "term:"


@dataclass(frozen=True)
class ScoredPool:
    """N pool images after the pass: scores with their terms, embeddings float32 [N, D], expected boxes float64 [N].

    class_counts: float32 [N, C], expected objects of each class. labeled_embeddings: float32 [M, D] of what was labelled, M = 0, and
    boxes: what was detected, None, where the strategy does not ask for them.
    """

    scores: Scores
    embeddings: NDArray[np.float32]
    labeled_embeddings: NDArray[np.float32]
    box_counts: NDArray[np.float64]
    class_counts: NDArray[np.float32]
    boxes: DetectedBoxes | None = None

    def candidates(
        self,
        round_index: int,
        still: Set[str],
        *,
        cost: CostConfig,
        labeled_class_counts: NDArray[np.float64],
        fidelity: float | None = None,
    ) -> Candidates:
        """The images that are `still` in the pool, as a strategy sees them; their seconds are those of drawing each expected box."""
        ids = self.scores.image_ids
        rows = np.array([row for row, image_id in enumerate(ids) if image_id in still], dtype=np.intp)
        image_ids = tuple(ids[row] for row in rows)
        scores = Scores(image_ids, self.scores.values[rows], {name: term[rows] for name, term in self.scores.terms.items()})
        return Candidates(
            round_index,
            image_ids,
            scores,
            self.embeddings[rows],
            self.labeled_embeddings,
            self.box_counts[rows],
            seconds=cost.look + cost.draw * self.box_counts[rows],
            class_counts=self.class_counts[rows].astype(np.float64),
            labeled_class_counts=labeled_class_counts,
            boxes=None if self.boxes is None else self.boxes.images(rows),
            fidelity=fidelity,
        )


def write_scored_pool(files: RoundFolder, pool: ScoredPool) -> None:
    """Scores, one row an image, embeddings and, where there are any, boxes; each file whole or absent."""
    with sealing(files.embeddings) as path:
        np.savez(path, pool=pool.embeddings, labeled=pool.labeled_embeddings, class_counts=pool.class_counts)
    if pool.boxes is not None:
        with sealing(files.boxes) as path:
            np.savez(path, **{field.name: getattr(pool.boxes, field.name) for field in fields(pool.boxes)})
    else:
        files.boxes.unlink(missing_ok=True)  # of another pass over the pool
    columns = {"image_id": list(pool.scores.image_ids), "score": pool.scores.values, "box_count": pool.box_counts}
    table = pa.table(columns | {_TERM + name: values for name, values in pool.scores.terms.items()}, metadata=SEALED)
    with sealing(files.scores) as path:
        pq.write_table(table, path, write_page_checksum=True)


def read_scored_pool(files: RoundFolder, *, with_boxes: bool = True) -> ScoredPool:
    """What `write_scored_pool` wrote; of a large pool the boxes are most of it, and many strategies need none."""
    scores, box_counts = _read_scores(files.scores)
    arrays = _arrays(files.embeddings)
    boxes = DetectedBoxes(**_arrays(files.boxes)) if with_boxes and files.boxes.exists() else None
    return ScoredPool(scores, arrays["pool"], arrays["labeled"], box_counts, arrays["class_counts"], boxes)


def read_scores(path: Path) -> Scores:
    """The scores alone: the embeddings of a large pool take long to read."""
    return _read_scores(path)[0]


def read_score_values(path: Path) -> dict[str, NDArray[np.float64]]:
    """ "score" and each of its terms, float64 [N] each, without the ids."""
    with intact(path):
        names = [name for name in pq.read_schema(path).names if name == "score" or name.startswith(_TERM)]
        table = pq.read_table(path, columns=names, page_checksum_verification=True)
    return {name.removeprefix(_TERM): table[name].to_numpy() for name in names}


def read_score_column(path: Path) -> tuple[pa.Array, NDArray[np.float64]]:
    """(image ids, scores [N]) without the terms; the ids of a large pool are many Python strings, and stay Arrow's."""
    with intact(path):
        table = pq.read_table(path, columns=["image_id", "score"], page_checksum_verification=True).combine_chunks()
    return table["image_id"].combine_chunks(), table["score"].to_numpy()


def read_pool_embeddings(path: Path, *, rows: int = 1 << 14) -> Iterator[NDArray[np.float32]]:
    """`ScoredPool.embeddings`, float32 [n, D] each, at most `rows` at a time: of a large pool they are gigabytes."""
    with intact(path), zipfile.ZipFile(path) as archive, archive.open("pool.npy") as member:
        np.lib.format.read_magic(member)
        (count, dimensions), _, kind = np.lib.format.read_array_header_1_0(member)
        for first in range(0, count, rows):
            wanted = min(rows, count - first)
            yield np.frombuffer(member.read(wanted * dimensions * kind.itemsize), kind).reshape(wanted, dimensions)


def _read_scores(path: Path) -> tuple[Scores, NDArray[np.float64]]:
    with intact(path):
        table = pq.read_table(path, page_checksum_verification=True)
    terms = {name.removeprefix(_TERM): table[name].to_numpy() for name in table.column_names if name.startswith(_TERM)}
    return Scores(tuple(table["image_id"].to_pylist()), table["score"].to_numpy(), terms), table["box_count"].to_numpy()


def _arrays(path: Path) -> dict[str, Any]:
    with intact(path), np.load(path) as archive:
        return {name: archive[name] for name in archive.files}
