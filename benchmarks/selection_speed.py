"""Seconds that greedy k-center takes on a large pool.

python benchmarks/selection_speed.py [--pool 100000] [--dim 256] [--budget 1000] [--labeled 1000]
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from boxwise.records import Scores
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.k_center import KCenter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("pool", 100_000), ("dim", 256), ("budget", 1000), ("labeled", 1000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    arguments = parser.parse_args()
    candidates = _candidates(arguments.pool, arguments.dim, arguments.labeled)
    start = time.perf_counter()
    query = KCenter().select(candidates, Budget(arguments.budget), rng=np.random.default_rng(0))
    seconds = time.perf_counter() - start
    size = f"{arguments.pool} x {arguments.dim}, {arguments.labeled} labelled"
    print(f"k-center, {size}: {len(query.items)} picks in {seconds:.1f} s")


def _candidates(pool: int, dim: int, labeled: int) -> Candidates:
    embeddings = np.random.default_rng(0).normal(size=(pool + labeled, dim)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    ids = tuple(str(index) for index in range(pool))
    return Candidates(0, ids, Scores(ids, np.zeros(pool)), embeddings[:pool], embeddings[pool:], np.ones(pool))


if __name__ == "__main__":
    main()
