"""Seconds that every strategy takes to select from a large pool, and the peak memory that it needs.

python benchmarks/selection_speed.py [--strategies k_center,badge] [--pool 100000] [--dim 256] [--budget 1000] [--labeled 1000]
python benchmarks/selection_speed.py --million [--strategies k_center,typiclust,badge]

Each strategy runs in a process of its own: peak memory is that of the whole process, its arrays included. The pool is made of clusters
with noise, ten boxes an image with 64 numbers each for the strategies that look at boxes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor

import made_pool
import numpy as np
from made_pool import BOXES, CLASSES

from boxwise.config import StrategyConfig
from boxwise.records import Scores
from boxwise.registry import STRATEGIES, strategy_of
from boxwise.strategies.base import Budget, Candidates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    parser.add_argument("--million", action="store_true", help="a pool of 1,000,000")
    parser.add_argument("--duplicates", type=float, help="also without near-duplicates: cosine, such as 0.98")
    for name, value in (("pool", 100_000), ("dim", 256), ("budget", 1000), ("labeled", 1000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    arguments = parser.parse_args()
    pool = 1_000_000 if arguments.million else arguments.pool
    names = ["random", *(name for name in arguments.strategies.split(",") if name != "random")]
    print(f"{pool:,} x {arguments.dim}, {arguments.labeled:,} labelled, {arguments.budget:,} picks, {BOXES} boxes an image where used")
    print(f"{'strategy':24}{'seconds':>10}{'x random':>10}{'peak GB':>10}", flush=True)
    sizes = {size: getattr(arguments, size) for size in ("dim", "labeled", "budget")}
    first = None
    for name in names:
        seconds, peak = _alone(name, arguments.duplicates, pool=pool, **sizes)
        first = first or seconds
        print(f"{name:24}{seconds:10.2f}{seconds / first:10.0f}{peak:10.2f}", flush=True)


def _alone(name: str, duplicates: float | None, *, pool: int, dim: int, labeled: int, budget: int) -> tuple[float, float]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(measure, name, duplicates, pool=pool, dim=dim, labeled=labeled, budget=budget).result()


def measure(name: str, duplicates: float | None, *, pool: int, dim: int, labeled: int, budget: int) -> tuple[float, float]:
    """(seconds of one selection, peak memory of this process in GB)."""
    strategy = strategy_of(StrategyConfig(name=name, duplicates=duplicates))
    candidates = made_candidates(pool, dim, labeled, boxes=strategy.uses_boxes)
    start = time.perf_counter()
    query = strategy.select(candidates, Budget(budget), rng=np.random.default_rng(0))
    seconds = time.perf_counter() - start
    assert len(set(query.image_ids)) == budget
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def made_candidates(pool: int, dim: int, labeled: int, *, boxes: bool) -> Candidates:
    """A made-up pool with its columns."""
    rng = np.random.default_rng(0)
    ids = tuple(str(index) for index in range(pool))
    embeddings = made_pool.embeddings(pool, dim, rng)
    class_counts = rng.gamma(0.3, 1.0, (pool, CLASSES))
    return Candidates(
        round=1,
        image_ids=ids,
        scores=Scores(ids, rng.normal(size=pool), {"entropy": rng.random(pool)}),
        embeddings=embeddings,
        labeled_embeddings=made_pool.embeddings(labeled, dim, rng),
        box_counts=class_counts.sum(axis=1),
        seconds=2 + 7 * class_counts.sum(axis=1),
        class_counts=class_counts,
        labeled_class_counts=class_counts[:labeled].sum(axis=0),
        boxes=made_pool.boxes(pool, rng) if boxes else None,
    )


if __name__ == "__main__":
    main()
