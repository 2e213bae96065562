"""PPAL's second stage: of the images the detector is least sure of, those that differ by what was detected on them.

Returns medoids of the shortlist under a distance between sets of boxes. Knows nothing of detectors, images or labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.records import DetectedBoxes, Query
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.top_k import best

Distances = NDArray[np.float32]
Rows = NDArray[np.intp]
CHUNK = 512  # boxes a block of the boxes × images table: keeps it at some MB
ROUNDS = 100  # k-medoids ends when no medoid moves, at the latest after so many


class Ppal:
    """Plug and play active learning (Yang et al., CVPR 2024): top `oversample` × budget by score, then k-center and k-medoids.

    The distance of two images is one minus their class-conditioned matching similarity, see `matching_distances`. Greedy k-center, from the
    image of the highest score, gives as many centers as the budget pays for; k-medoids moves each to the middle of its cluster. No forward
    pass but the pool's, which also pools features for each box. With n = oversample × budget images, b boxes each: O(n² · b² · E) time for
    boxes of one class, less for several; at its peak about 18 · n² bytes.

    Beside the paper: the boxes are the 20 best of score >= .05 that the pool pass keeps of an image. A budget in boxes or seconds pays for
    some number of centers, but their medoids may cost more or less; the query takes the medoids of the highest scores that fit, or goes
    on farthest first after the last. The utility is the score.
    """

    uses_embeddings = False
    uses_boxes = True

    def __init__(self, oversample: float = 4.0) -> None:
        self.oversample = oversample

    def select(self, candidates: Candidates, budget: Budget, *, rng: Generator) -> Query:
        shortlist = best(candidates, budget, oversample=self.oversample, rng=rng)
        if len(shortlist) == 0:
            return candidates.query([], utility=np.zeros(0))
        costs = budget.costs(candidates)[shortlist]
        boxes = None if candidates.boxes is None else candidates.boxes.images(shortlist)
        distances = matching_distances(boxes, candidates.embeddings[shortlist])
        centers = farthest_first(distances, [0], costs, amount=budget.amount, rng=rng)  # row 0 has the highest score
        medoids = np.sort(moved_to_medoids(distances, np.array(centers, np.intp)))  # rows of the shortlist are sorted by falling score
        picks = farthest_first(distances, medoids.tolist(), costs, amount=budget.amount, rng=rng)
        chosen = budget.first(shortlist[picks], candidates)
        return candidates.query(chosen.tolist(), utility=candidates.scores.values[chosen])


def matching_distances(boxes: DetectedBoxes | None, embeddings: NDArray[np.float32]) -> Distances:
    """Distance of every two of N images by what was detected on them; float32 [N, N] in [0, 2], symmetric, 0 on the diagonal alone.

    One box's distance to another image is the least cosine distance to a box of its class there, 2 if there is none. One image's distance
    to another is the mean over its boxes, weighted by their scores; the mean of both directions counts.

    Beside the paper, which leaves them open: images without detections are as far from each other as their embeddings [N, D] say
    (cosine distance), and 2 from every image with detections. Without `boxes` all images are such.
    """
    empty = np.ones(len(embeddings), bool) if boxes is None else np.diff(boxes.starts) == 0
    distances = np.full((len(embeddings),) * 2, 2, np.float32)
    unit = embeddings[empty] / np.maximum(np.linalg.norm(embeddings[empty], axis=1, keepdims=True), 1e-12)
    distances[np.ix_(empty, empty)] = 1 - unit @ unit.T
    if boxes is not None:
        found = np.flatnonzero(~empty)
        distances[np.ix_(found, found)] = _matched(boxes.images(found))
    np.fill_diagonal(distances, 0)  # an image with itself, and no other pair
    return np.clip(distances, 0, 2)


def _matched(boxes: DetectedBoxes) -> Distances:
    """Symmetrised distances of images that all have boxes; float32 [N, N]."""
    nearness = np.zeros((len(boxes),) * 2, np.float32)
    for label in np.unique(boxes.labels):
        _add_nearness(nearness, boxes, np.flatnonzero(boxes.labels == label))
    weights = np.add.reduceat(boxes.scores, boxes.starts[:-1])
    one_way = 2 - nearness / weights[:, None]
    return ((one_way + one_way.T) / 2).astype(np.float32)


def _add_nearness(nearness: Distances, boxes: DetectedBoxes, rows: Rows) -> None:
    """Add to `nearness` [N, N], for each pair of images, score × (2 - least distance) of the boxes `rows`, of one class, of the first."""
    images, embeddings = boxes.image_rows[rows], boxes.embeddings[rows].astype(np.float32)
    holders, slots = _slots(images)
    towers = [np.ascontiguousarray(embeddings[slot].T) for slot in slots]
    for start in range(0, len(rows), CHUNK):
        chunk = slice(start, start + CHUNK)
        best = embeddings[chunk] @ towers[0]
        for tower in towers[1:]:
            reached = best[:, : tower.shape[1]]
            np.maximum(reached, embeddings[chunk] @ tower, out=reached)
        best += 1  # 2 - (1 - cosine)
        best *= boxes.scores[rows[chunk], None]
        of_image = np.flatnonzero(np.diff(images[chunk], prepend=-1))
        nearness[np.ix_(images[chunk][of_image], holders)] += np.add.reduceat(best, of_image, axis=0)


def _slots(images: NDArray[np.int64]) -> tuple[Rows, list[Rows]]:
    """Images that hold a class, most boxes first, and for k = 0, 1, ... the k-th box of each of the first images that have so many.

    images: int64 [B], rising, which image each box lies on. Boxes are named by their rows in it.
    """
    holders, first, counts = np.unique(images, return_index=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    first, counts = first[order], counts[order]
    return holders[order], [first[counts > k] + k for k in range(counts[0])]


def farthest_first(distances: Distances, start: Sequence[int], costs: NDArray[np.float64], *, amount: float, rng: Generator) -> list[int]:
    """`start` and then always the row farthest from all before it, until `costs` [N] reach `amount`; ties at random."""
    picks, spent = list(start), float(costs[list(start)].sum())
    nearest = distances[picks].min(axis=0)
    nearest[picks] = -1  # below every other, duplicates at 0 included: never picked twice
    while spent < amount and len(picks) < len(distances):
        pick = int(rng.choice(np.flatnonzero(nearest == nearest.max())))
        picks.append(pick)
        spent += float(costs[pick])
        np.minimum(nearest, distances[pick], out=nearest)
        nearest[pick] = -1
    return picks


def moved_to_medoids(distances: Distances, centers: Rows) -> Rows:
    """k-medoids (Voronoi iteration) from `centers` [k]: each image joins its nearest medoid, each cluster takes its most central image."""
    for _ in range(ROUNDS):
        cluster = distances[:, centers].argmin(axis=1)
        cluster[centers] = np.arange(len(centers))  # also where another medoid is at distance 0
        moved = np.array([_medoid(distances, np.flatnonzero(cluster == k), center) for k, center in enumerate(centers)], np.intp)
        if np.array_equal(moved, centers):
            break
        centers = moved
    return centers


def _medoid(distances: Distances, members: Rows, center: int) -> int:
    """The member of least summed distance to the others; `center` unless another is strictly nearer, so that the moves end."""
    total = distances[np.ix_(members, members)].sum(axis=1)
    best = int(total.argmin())
    return int(members[best]) if total[best] < total[members == center][0] else int(center)
