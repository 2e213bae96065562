"""What the last pass over the pool has left of each image, to look through them by: score, place on the map, classes seen.

Reads the files of a round, some rows at a time; returns rows for the store. Runs no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from boxwise.artifacts.detections_file import SeenClasses, read_classes
from boxwise.artifacts.round_folder import RoundFolder
from boxwise.artifacts.scored_pool import read_pool_embeddings, read_score_column
from boxwise.errors import StudyError
from boxwise.evaluation.projection import Plane, principal_plane
from boxwise.records import Phase
from boxwise.store import ScoredImage, labels_text
from boxwise.study import Study

Rows: TypeAlias = NDArray[np.int64]
Texts: TypeAlias = NDArray[np.object_]  # of strings
_AT_ONCE = 1 << 14  # rows that are Python's numbers and strings at a time


@dataclass(frozen=True)
class LastPass:
    """A whole pass. source: its round, the time of its files and what the classes depend on; the same as long as the pass is."""

    round: int
    files: RoundFolder
    uncertain: float

    @property
    def source(self) -> list[float]:
        return [self.round, self.files.scores.stat().st_mtime_ns, self.uncertain]


def last_pass(study: Study) -> LastPass | None:
    """Of the last round that left one."""
    for number in range(study.position[0], -1, -1):
        files = study.files(number)
        there = all(path.is_file() for path in (files.scores, files.embeddings, files.detections))
        if there and study.is_of_todays_classes(number, Phase.SCORE):
            return LastPass(number, files, study.config.ask.uncertain)
    return None


def plane_of(found: LastPass) -> Plane:
    """Where each image of the pass lies on the map."""
    return principal_plane(lambda: read_pool_embeddings(found.files.embeddings))


def scored_images(found: LastPass, plane: Plane) -> Iterator[ScoredImage]:
    """The images of the pass, the highest score first, those without one last, equals by name.

    The files are read before this returns, so that a transaction that takes the images in need not wait for them.
    """
    ids, scores = read_score_column(found.files.scores)
    labels = _labels(found, ids)
    known = pa.array(scores, mask=~np.isfinite(scores) | ~scores.any())  # of a study without a scorer all are 0
    order = pc.sort_indices(pa.table({"score": known, "id": ids}), sort_keys=[("score", "descending"), ("id", "ascending")]).to_numpy()
    return _in_order(order, ids, known, plane.points, labels)


def _in_order(order: Rows, ids: pa.Array, scores: pa.Array, points: NDArray[np.float64], labels: Texts) -> Iterator[ScoredImage]:
    for first in range(0, len(order), _AT_ONCE):
        rows = order[first : first + _AT_ONCE]
        x, y = points[rows].round(4).T.tolist()
        yield from map(ScoredImage, ids.take(rows).to_pylist(), scores.take(rows).to_pylist(), x, y, labels[rows].tolist())


def _labels(found: LastPass, ids: pa.Array) -> Texts:
    """The text of the classes that the model sees on each image; object [N], equal texts being one object."""
    texts = np.full(len(ids), labels_text([]), object)
    known: dict[tuple[int, ...], str] = {}
    first = 0
    for group in read_classes(found.files.detections, found.uncertain):
        if not group.image_ids.equals(ids[first : first + len(group.image_ids)]):
            raise StudyError(
                f"{found.files.detections}: expected the images of {found.files.scores}, found others. See `boxwise repair STUDY`."
            )
        for row, labels in _by_image(group):
            texts[first + row] = known.setdefault(labels, labels_text(labels))
        first += len(group.image_ids)
    return texts


def _by_image(group: SeenClasses) -> Iterator[tuple[int, tuple[int, ...]]]:
    """(row of the image, its classes in order), of the images on which any is seen."""
    pairs = np.unique(np.stack([group.rows, group.labels], axis=1), axis=0)
    rows, starts = np.unique(pairs[:, 0], return_index=True)
    for row, labels in zip(rows.tolist(), np.split(pairs[:, 1], starts[1:]), strict=True):
        yield row, tuple(labels.tolist())
