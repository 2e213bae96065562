"""Typical images of many kinds: what to label when little or nothing is labelled yet.

Returns the most typical image of each cluster that no labelled image covers, the largest clusters first.
Knows nothing of scores, detectors or labels.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from boxwise.records import Query
from boxwise.strategies.base import Budget, Candidates

Matrix = NDArray[np.float32]
MOST_CLUSTERS = 500  # as in the paper
SMALL = 5  # images: clusters of so few are noise, where the usual one has twice as many or more
NEIGHBOURS = 20
SAMPLE = 40  # images a cluster that k-means learns from
MOST_COMPARED = 4096  # images of one cluster that are compared with one another: 64 MB of distances


class TypiClust:
    """TypiClust (Hacohen et al., ICML 2022): k-means over labelled and unlabelled embeddings, k = labelled + budget, at most 500.

    Clusters with the fewest labelled images go first, among them the largest; each gives its most typical image, the one with the least
    mean distance to its 20 nearest neighbours in the cluster (at most half of it), and then counts one more as labelled. The utility is
    the typicality, the inverse of that distance. O(pool · k · dim) time, O(pool) extra memory; no forward pass beyond the pool pass.

    Unlike the paper: mini-batch k-means learns from at most 40 k images drawn at random; in a cluster of more than 4,096 images, so many
    drawn at random are compared; embeddings are the detector's backbone's (or a VAE's), not self-supervised; clusters of up to 5 images
    come last instead of never, so that the budget is spent, and only as far as that is at most half of the mean: with k near the pool's
    size every cluster is that small, and the rule would buy the few large ones to the last image, which are the runs of near-duplicates.
    """

    uses_embeddings = True
    uses_boxes = False

    def select(self, candidates: Candidates, budget: Budget, *, rng: Generator) -> Query:
        costs = budget.costs(candidates)
        count = _cluster_count(len(candidates), len(candidates.labeled_embeddings), costs, budget.amount)
        picks: list[int] = []
        typical: list[float] = []
        spent = 0.0
        if count:
            pool, labeled = clusters(candidates.embeddings, candidates.labeled_embeddings, count, rng=rng)
            for pick, value in by_cluster(candidates.embeddings, pool, labeled, rng=rng):
                if spent >= budget.amount:
                    break
                picks.append(pick)
                typical.append(value)
                spent += float(costs[pick])
        return candidates.query(picks, utility=np.array(typical))


def clusters(embeddings: Matrix, labeled: Matrix, count: int, *, rng: Generator) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The cluster, 0 to `count` - 1, of each row of `embeddings` [N, D] and of `labeled` [M, D]; some may be of none."""
    from sklearn.cluster import MiniBatchKMeans  # costs a second to import

    total = len(embeddings) + len(labeled)
    rows = np.sort(rng.permutation(total)[: SAMPLE * count])
    sample = np.concatenate([embeddings[rows[rows < len(embeddings)]], labeled[rows[rows >= len(embeddings)] - len(embeddings)]])
    # A fixed number of steps: the rule that ends early sums over threads, whose order is not the same every time.
    k_means = MiniBatchKMeans(
        count, batch_size=2048, max_iter=10, max_no_improvement=None, n_init=1, compute_labels=False, random_state=int(rng.integers(2**31))
    ).fit(sample)
    return k_means.predict(embeddings), k_means.predict(labeled) if len(labeled) else np.zeros(0, np.int32)


def by_cluster(embeddings: Matrix, pool: NDArray[np.int32], labeled: NDArray[np.int32], *, rng: Generator) -> Iterator[tuple[int, float]]:
    """(row, typicality) of every row of `embeddings`, in the order in which they are worth labelling.

    pool: the cluster of each row. labeled: those of the labelled images.
    """
    count = int(max(pool.max(initial=-1), labeled.max(initial=-1))) + 1
    members = np.split(np.argsort(pool, kind="stable"), np.cumsum(np.bincount(pool, minlength=count))[:-1])
    covered = np.bincount(labeled, minlength=count)
    sizes = np.bincount(pool, minlength=count) + covered
    order = rng.permutation(count)  # decides among clusters of one size
    small_size = min(SMALL, sizes[sizes > 0].mean() / 2)
    queue = [(sizes[c] <= small_size, covered[c], -sizes[c], order[c], c) for c in range(count) if len(members[c])]
    heapq.heapify(queue)
    typical: dict[int, Iterator[tuple[int, float]]] = {}
    while queue:
        small, inside, size, tie, cluster = heapq.heappop(queue)
        if cluster not in typical:
            typical[cluster] = most_typical(embeddings, members[cluster], rng=rng)
        found = next(typical[cluster], None)
        if found is not None:
            heapq.heappush(queue, (small, inside + 1, size, tie, cluster))
            yield found


def most_typical(embeddings: Matrix, rows: NDArray[np.intp], *, rng: Generator) -> Iterator[tuple[int, float]]:
    """(row, typicality) of the `rows` of one cluster, the most typical first; those not compared come last, in random order."""
    rows = rng.permutation(rows)  # so that equals do not follow the file order
    compared = rows[:MOST_COMPARED]
    values = typicality(embeddings[compared])
    for index in np.argsort(-values, kind="stable"):
        yield int(compared[index]), float(values[index])
    for row in rows[MOST_COMPARED:]:
        yield int(row), 0.0


def typicality(points: Matrix) -> NDArray[np.float64]:
    """1 / mean distance of each of the n `points` to its 20 (at most n // 2) nearest others; float64 [n]. Of one point alone: 0."""
    neighbours = min(NEIGHBOURS, len(points) // 2)
    if neighbours == 0:
        return np.zeros(len(points))
    farthest = float(np.einsum("nd,nd->n", points, points).max())
    points = points - points.mean(axis=0)  # distances in a tight cluster far from the origin would drown in rounding
    norms = np.einsum("nd,nd->n", points, points)
    squared = norms[:, None] + norms - 2 * points @ points.T
    squared[squared < max(1e-6 * float(norms.max()), 1e-10 * farthest)] = 0  # rounding must not tell equal images apart
    np.fill_diagonal(squared, np.inf)
    nearest = np.sqrt(np.partition(squared, neighbours - 1, axis=1)[:, :neighbours], dtype=np.float64)
    return 1 / (nearest.mean(axis=1) + 1e-5)


def _cluster_count(pool: int, labeled: int, costs: NDArray[np.float64], amount: float) -> int:
    """k: labelled images and those that the budget pays for at their mean cost, at most 500 and at most one an image."""
    if pool == 0 or amount <= 0:
        return 0
    return min(labeled + max(1, round(amount / float(costs.mean()))), MOST_CLUSTERS, pool + labeled)
